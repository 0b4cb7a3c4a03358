"""The pieces that every Markdown page is made of. Cells and lines come in as Markdown, escaped already."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from wtrace.publish.view import MET, UNMET, gap, holds, value_of
from wtrace.text import beside, bound, code, markdown, plain, signed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wtrace.judging.checks import CriterionInfo, CriterionStanding


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A GitHub table. A heading that ends in `:` (dropped) aligns its column to the right."""
    rules = ["---:" if title.endswith(":") else "---" for title in header]
    titles = [title.removesuffix(":") for title in header]
    return "\n".join(_row(cells) for cells in (titles, rules, *rows))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def bullets(lines: Iterable[str]) -> str:
    """A list, one line each."""
    return "\n".join(f"- {line}" for line in lines)


def fenced(text: str, language: str = "") -> str:
    """A block of code; whatever the text holds, it stays inside."""
    lines = [plain(line) for line in text.replace("\t", "    ").split("\n")]
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{language}", *lines, fence])


def folded(title: str, body: str) -> str:
    """A part that GitHub shows closed, under its title."""
    return f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>"


def page(*parts: str | None) -> str:
    """The parts, a blank line between them; what is empty is left out."""
    return "\n\n".join(part for part in parts if part) + "\n"


def criterion_title(criterion: CriterionInfo) -> str:
    """A column's heading: the name and the threshold that is applied."""
    return f"{markdown(criterion.name)} {markdown(bound(criterion.op, criterion.applied))}"


def criterion_cell(criterion: CriterionStanding | None, digits: Mapping[str, int] | None = None) -> str:
    """`✓ 1.62` or `✗ 1.32, needs +0.18`; `—` before the first check. `digits`: as `wording.value_of` has it."""
    if criterion is None:
        return "—"
    if criterion.met:
        return f"{MET} {value_of(criterion, digits)}"
    missing = gap(criterion.value, criterion.threshold)
    if criterion.reason or missing is None:
        return f"{UNMET} {value_of(criterion, digits)}, {markdown((criterion.reason or 'no value')[:120])}"
    return f"{UNMET} {value_of(criterion, digits)}, {_short_of(criterion.op, missing)}"


def point_cell(criterion: CriterionInfo, value: float | None, met: bool) -> str:
    """The same for a criterion at some earlier check."""
    told = beside(value, criterion.applied)
    if met:
        return f"{MET} {told}"
    missing = gap(value, criterion.applied)
    if value is None or missing is None:
        return f"{UNMET} {told}"
    if holds(value, criterion.op, criterion.applied):
        return f"{UNMET} {told}, must hold again"
    return f"{UNMET} {told}, {_short_of(criterion.op, missing)}"


def _short_of(op: str, missing: float) -> str:
    return (
        f"{signed(-missing).removeprefix('+')} too high" if op.startswith("<") else f"needs {signed(missing)}"
    )


def criterion_written(criterion: CriterionInfo) -> str:
    """A criterion as its author wrote it, with the threshold that is applied where that is another."""
    applied = ""
    if not math.isclose(criterion.applied, criterion.threshold, rel_tol=1e-12):
        applied = f" (judged at {markdown(bound(criterion.op, criterion.applied))} after correction)"
    return f"{code(criterion.name)}: {code(criterion.text)}{applied}"


def winning_row(criterion: CriterionInfo, found: CriterionStanding | None) -> list[str]:
    """A criterion at the winning check: as written, its value, both thresholds, whether it was met."""
    return [
        code(criterion.name),
        code(criterion.text),
        "—" if found is None else value_of(found),
        markdown(bound(criterion.op, criterion.threshold)),
        markdown(bound(criterion.op, criterion.applied)),
        "—" if found is None else f"{MET} yes" if found.met else f"{UNMET} no",
    ]
