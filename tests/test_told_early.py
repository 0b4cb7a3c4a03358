"""What is told before hours are lost: no source of metrics, a pattern that matches nothing, a race without a check."""

from __future__ import annotations

import json
from typing import Any

from race_lab import Lab, Script

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


WRONG = """
[metrics]
from = "stdout"
pattern = 'epoch (?P<epoch>\\d+) ratio=(?P<ratio>\\S+)'
"""
SAYS_NOTHING = "no line of its log matches its pattern"
NEAREST = "nearest: 'epoch 1 ratio: 1.0', up to 'epoch 1 ratio'"


def foreign(lab: Lab, script: Script, *, extra: str = WRONG) -> None:
    """A race judged on what a training prints."""
    lab.race({"a": script}, race="check_every = 1\nmax_epochs = 3", extra=extra)
    config = (lab.root / "wtrace.toml").read_text()
    criteria = config[config.index("[success]") : config.index("[metrics]")]
    (lab.root / "wtrace.toml").write_text(config.replace(criteria, '[success]\nratio = "ratio >= 1.5"\n'))


def note(lab: Lab) -> str:
    return str(lab.worker("a").get("note"))


def test_a_pattern_that_matches_nothing_is_told_while_it_can_be_mended(lab: Lab) -> None:
    chatter = [["print", f"loading shard {n}"] for n in range(48)]
    script = [
        *chatter,
        ["print", "epoch 1 ratio: 1.0"],
        ["wait", "more"],
        ["print", "one more"],
        ["wait", "good"],
    ]
    foreign(lab, [*script, ["print", "epoch 2 ratio=2.0"], ["print", "epoch 3 ratio=2.0"]])
    running = lab.start("run")
    lab.wait_for(lambda: lab.worker("a")["state"] == "running", "it to run")
    assert SAYS_NOTHING not in note(lab)  # 49 lines are few
    lab.open_gate("more")
    lab.wait_for(lambda: SAYS_NOTHING in note(lab), "the pattern to be told")
    assert f"{SAYS_NOTHING} yet, of 50 lines; {NEAREST}; `wtrace try --worker a` shows more" in note(lab)
    assert NEAREST in (lab.latest / "wtrace.log").read_text()
    assert SAYS_NOTHING in lab.wtrace("status").stdout
    lab.open_gate("good")
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    assert output.count(SAYS_NOTHING) == 1
    assert "a: its metrics are found now" in output


def test_after_half_a_minute_a_single_line_is_enough(lab: Lab) -> None:
    patch = lab.root.parent / "patch"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text("import wtrace.race.early as early\nearly.AFTER_S = 1.0\n")
    lab.env["PYTHONPATH"] = str(patch)
    foreign(lab, [["print", "epoch 1 ratio: 1.0"], ["wait", "end"]])
    running = lab.start("run")
    lab.wait_for(lambda: f"{SAYS_NOTHING} yet, of 1 line; {NEAREST}" in note(lab), "the pattern to be told")
    lab.open_gate("end")
    running.communicate(timeout=60)
    assert running.returncode == 1
    first = (lab.latest / "results" / "FAILURE_REPORT.md").read_text().splitlines()[2]
    assert f"`a` finished: {SAYS_NOTHING}; nearest: 'epoch 1 ratio: 1.0'" in first


def test_lines_that_tell_an_epoch_and_no_metric(lab: Lab) -> None:
    keras = "[metrics]\nfrom = 'stdout'\npattern = 'Epoch (?P<epoch>\\d+)/|- ratio: (?P<ratio>\\S+)'\n"
    foreign(lab, [["print", "Epoch 1/3\n1/1 - ratio 1.0"], ["print", "Epoch 2/3"]], extra=keras)
    lab.wtrace("run", expect=1)
    assert "lines of its log tell an epoch, and none tells a metric; nearest: '1/1 - ratio 1.0'" in note(lab)


def test_a_pattern_that_finds_something_at_once_is_no_word_worth(lab: Lab) -> None:
    foreign(lab, [["print", f"epoch {n} ratio=1.0"] for n in (1, 2, 3)] + [["print", "bye"]] * 60)
    output = lab.wtrace("run", expect=1).stdout
    assert "yet" not in output
    assert "found now" not in output
