"""What is told before hours are lost: no source of metrics, a pattern that matches nothing, a race without a check."""

from __future__ import annotations

import json
from typing import Any

from race_lab import Lab

SILENT = "print('epoch 1 val_loss 0.5')\n"
SAID = "no source of metrics is configured, and nothing in branch try/a mentions wtrace"


def silent(lab: Lab, script: str = SILENT, *, extra: str = "", race: str = "") -> None:
    lab.git("switch", "--quiet", "-c", "try/a")
    (lab.root / "train.py").write_text(script)
    lab.git("commit", "--quiet", "-am", "a")
    lab.git("switch", "--quiet", "main")
    lab.write_config(["a"], extra=extra, race=race)


def plan(lab: Lab) -> dict[str, Any]:
    worker: dict[str, Any]
    (worker,) = json.loads(lab.wtrace("run", "--dry-run", "--json").stdout)["workers"]
    return worker


def test_a_branch_that_reports_nothing_is_told_before_the_race(lab: Lab) -> None:
    silent(lab)
    assert SAID in lab.wtrace("run", "--dry-run").stdout
    assert any(SAID in warning for warning in plan(lab)["warnings"])
    told = lab.wtrace("doctor", expect=None).stdout
    assert f"warning  metrics of a: {SAID}" in told
    assert "mend: set [metrics], which `wtrace try LOG` proposes" in told


def test_whoever_reports_is_not_told(lab: Lab) -> None:
    lab.race({"a": []})  # its training names WTRACE_METRICS
    assert plan(lab)["warnings"] == []
    assert "metrics of a" not in lab.wtrace("doctor", expect=None).stdout


def test_a_text_that_speaks_of_wtrace_reports_nothing(lab: Lab) -> None:
    lab.git("switch", "--quiet", "-c", "try/a")
    (lab.root / "README.md").write_text("from wtrace you get WTRACE_METRICS\n")
    lab.git("add", "README.md")
    silent_on(lab)
    assert any(SAID in warning for warning in plan(lab)["warnings"])


def silent_on(lab: Lab) -> None:
    (lab.root / "train.py").write_text(SILENT)
    lab.git("commit", "--quiet", "-am", "a")
    lab.git("switch", "--quiet", "main")
    lab.write_config(["a"])


def test_what_lies_uncommitted_in_the_worktree_counts(lab: Lab) -> None:
    silent(lab)
    lab.wtrace("setup")
    worktree = lab.root.parent / "repo-worktrees" / "a"
    (worktree / "report.py").write_text("from wtrace import Reporter\n")
    assert plan(lab)["warnings"] == []


def test_the_report_of_a_race_without_a_check_says_why_in_its_first_sentence(lab: Lab) -> None:
    silent(lab)
    lab.wtrace("run", expect=1)
    lines = (lab.latest / "results" / "FAILURE_REPORT.md").read_text().splitlines()
    assert lines[2].startswith("**No winner:** no check was judged: `a` finished: it reported nothing.")


def test_epochs_beside_the_plan_are_told_in_the_report(lab: Lab) -> None:
    lab.race(
        {"a": [["epoch", 3], ["epoch", 4]], "b": [["print", "no data"], ["exit", 3]]}, race="max_epochs = 20"
    )
    lab.wtrace("run", expect=1)
    first = (lab.latest / "results" / "FAILURE_REPORT.md").read_text().splitlines()[2]
    assert "it reported up to epoch 4, and no check at a planned one (5, 10, 15, 20)" in first
    assert "`b` failed (exit code 3): no data" in first
