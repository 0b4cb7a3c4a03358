"""The outcome of a test run: pytest's JUnit XML understood, held against what was promised, and written as a page."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from typing import TYPE_CHECKING, Literal

from wtrace.data import data
from wtrace.publish.markdown.elements import bullets, fenced, page, table
from wtrace.text import code, markdown, plain, utc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Colour = Literal["red", "green"]
CaseOutcome = Literal["passed", "failed", "error", "skipped"]

LARGEST_BYTES = 20_000_000
ALL_PASSED, SOME_FAILED, NO_TESTS = 0, 1, 5  # pytest's exit codes
CASES_SHOWN = 500
MESSAGE_LENGTH = 200


@data
class Case:
    """One test."""

    name: str
    outcome: CaseOutcome
    message: str = ""


@data
class Tried:
    """A run of a worker's tests. `facts` are told as they are: when, by which Python, with which command."""

    colour: Colour
    worker: str
    branch: str
    commit: str
    changed: tuple[str, ...]  # files that were not as in the commit
    exit_code: int
    cases: tuple[Case, ...]
    at: float  # seconds since 1970
    facts: Mapping[str, str]

    @property
    def counts(self) -> str:
        """`2 failed, 5 passed`."""
        found = Counter(case.outcome for case in self.cases)
        kinds: tuple[CaseOutcome, ...] = ("failed", "error", "passed", "skipped")
        return ", ".join(f"{found[kind]} {kind}" for kind in kinds if found[kind]) or "no tests"


def read_junit(data: bytes) -> tuple[Case, ...]:
    """Every test that the report names. ValueError when it is no such report, or over 20 MB."""
    if len(data) > LARGEST_BYTES:
        raise ValueError(f"the report has {len(data)} bytes")
    try:
        # The tests that wrote it ran as this user; expat itself refuses entities that multiply.
        root = ET.fromstring(data)  # noqa: S314
    except ET.ParseError as error:
        raise ValueError(f"the report is no XML: {error}") from error
    return tuple(map(_case, root.iter("testcase")))


def _case(element: ET.Element) -> Case:
    name = "::".join(part for part in (element.get("classname"), element.get("name")) if part)
    kinds: dict[str, CaseOutcome] = {"error": "error", "failure": "failed", "skipped": "skipped"}
    for tag, outcome in kinds.items():
        found = element.find(tag)
        if found is not None:
            return Case(name, outcome, (found.get("message") or "").split("\n")[0])
    return Case(name, "passed")


def without_host(data: bytes) -> bytes:
    """The report without the name of the machine that its tests ran on. ValueError as of `read_junit`."""
    read_junit(data)
    root = ET.fromstring(data)  # noqa: S314
    for suite in root.iter("testsuite"):
        suite.attrib.pop("hostname", None)
    told: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return told


def broken_promise(colour: Colour, exit_code: int, cases: Sequence[Case]) -> str | None:
    """Why a run is no evidence: red must fail and green must pass, and a test that cannot run is neither. None: it is."""
    found = Counter(case.outcome for case in cases)
    if exit_code == NO_TESTS or not cases:
        return "no test was run" if exit_code in (ALL_PASSED, NO_TESTS) else _could_not_run(exit_code)
    if found["error"]:
        first = next(case for case in cases if case.outcome == "error")
        return f"{found['error']} of the tests could not run, which is neither: {first.name}: {first.message}"
    if exit_code not in (ALL_PASSED, SOME_FAILED):
        return _could_not_run(exit_code)
    if colour == "red":
        return None if found["failed"] else "red must fail, and no test failed"
    if found["failed"] or exit_code:
        return f"green must pass, and {found['failed'] or 'some'} failed"
    return None if found["passed"] else "every test was skipped, which is neither"


def _could_not_run(exit_code: int) -> str:
    return f"pytest could not run the tests (exit code {exit_code}); what it said stands above"


def evidence_page(tried: Tried) -> str:
    """The summary beside the JUnit XML, as Markdown."""
    title = "the tests fail, as they must" if tried.colour == "red" else "the tests pass, as they must"
    rows = [
        ["worker", code(tried.worker)],
        ["branch", code(tried.branch)],
        ["commit", code(tried.commit)],
        ["outcome", f"{tried.counts} (exit code {tried.exit_code})"],
        ["at", utc(tried.at)],
        *([markdown(name), code(value)] for name, value in tried.facts.items()),
    ]
    failed = [case for case in tried.cases if case.outcome == "failed"]
    return page(
        f"# {tried.colour.capitalize()}: {title}",
        table(["What", "Value"], rows),
        _changed_part(tried.changed),
        _failed_part(failed),
        _all_part(tried.cases),
    )


def _changed_part(changed: Sequence[str]) -> str | None:
    if not changed:
        return None
    more = [f"and {len(changed) - 50} more"] if len(changed) > 50 else []
    return "**Not as in the commit** when the tests ran (changed or untracked files):\n\n" + bullets(
        [*map(code, changed[:50]), *more]
    )


def _failed_part(failed: Sequence[Case]) -> str | None:
    if not failed:
        return None
    rows = [[code(case.name), code(case.message[:MESSAGE_LENGTH])] for case in failed[:CASES_SHOWN]]
    return "## What failed\n\n" + table(["Test", "Why"], rows)


def _all_part(cases: Sequence[Case]) -> str:
    lines = [f"{case.outcome:8} {plain(case.name)}" for case in cases[:CASES_SHOWN]]
    more = [f"and {len(cases) - CASES_SHOWN} more"] if len(cases) > CASES_SHOWN else []
    return "## Every test\n\n" + fenced("\n".join([*lines, *more]), "text")
