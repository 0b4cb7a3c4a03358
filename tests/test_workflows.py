"""The workflows: actions pinned to commits, no right that a job does not need, nothing started that is not there."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def unpinned(text: str) -> list[str]:
    """The actions of others that are not named by a commit with its version beside it."""
    used = [name for name in re.findall(r"uses: *(.*)", text) if not name.startswith("./")]
    return [name for name in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", name)]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_rights_are_given_job_by_job(workflow: Path) -> None:
    text = workflow.read_text("utf-8")
    assert "uses:" in text
    assert unpinned(text) == []
    assert re.search(r"^permissions: \{\}$", text, flags=re.MULTILINE)
    jobs = re.findall(r"^    (?:runs-on|uses):", text, re.M)
    assert len(re.findall(r"^    permissions:$", text, re.M)) == len(jobs)
    assert re.findall(r": write", text) == ([": write"] if workflow.name == "release.yml" else [])


def test_an_action_that_is_not_pinned_is_noticed() -> None:
    assert unpinned("- uses: actions/checkout@v6\n- uses: a/b@" + 40 * "0") == [
        "actions/checkout@v6",
        "a/b@" + 40 * "0",
    ]


def test_what_the_workflows_run_is_there() -> None:
    text = "\n".join(workflow.read_text("utf-8") for workflow in WORKFLOWS)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
    assert {"check", "test", "bench-smoke"} <= set(re.findall(r"run: make ([a-z-]+)", text)) <= targets
    scripts = set(re.findall(r"run: (\.ci/\w+)", text))
    assert scripts == {".ci/package"}
    assert all(os.access(ROOT / script, os.X_OK) for script in scripts)


def test_the_oldest_and_the_newest_python_that_is_promised_are_tested() -> None:
    named = [
        re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line) for line in PROJECT["classifiers"]
    ]
    promised = [match[1] for match in named if match]
    ci = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    assert PROJECT["requires-python"] == f">={promised[0]}"
    assert f'python: ["{promised[0]}", "{promised[-1]}"]' in ci


def test_a_release_waits_for_everything_that_is_checked() -> None:
    release = (ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8")
    called = re.findall(r"uses: \./(.*)", release)
    assert called == [".github/workflows/ci.yml"]
    assert re.search(r"^  workflow_call:", (ROOT / called[0]).read_text("utf-8"), flags=re.MULTILINE)
    waits = dict(re.findall(r"^  (\w+):\n(?:    .*\n)*?    needs: (\w+)$", release, flags=re.MULTILINE))
    assert waits == {"build": "ci", "publish": "build"}


def test_what_a_release_is_built_with_is_named_by_its_hash() -> None:
    """All of it, so that pip takes nothing else and the build fetches nothing more."""
    lines = [
        line for line in (ROOT / ".ci" / "build.txt").read_text("utf-8").splitlines() if line[:1] not in "#"
    ]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+ --hash=sha256:[0-9a-f]{64}", line) for line in lines)
    names = {line.partition("==")[0] for line in lines}
    backend = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]["requires"]
    assert {"build", *(re.split("[<>=]", each)[0] for each in backend)} <= names
    script = (ROOT / ".ci" / "package").read_text("utf-8")
    assert "--no-deps --require-hashes --requirement .ci/build.txt" in script
    assert "-m build --no-isolation" in script
