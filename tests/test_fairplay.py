"""Fair play with real workers: the data they say they train on, the code they run, what was not committed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from race_lab import Lab
from test_core_race import Story, spec
from wtrace.config.spec import ConfirmSpec
from wtrace.metrics.reporter import foreign_modules
from wtrace.race import events as ev
from wtrace.race import policy


def start(data: str) -> list[Any]:
    return ["raw", json.dumps({"event": "start", "max_epochs": 50, "info": {"data": data}}) + "\n"]


def test_a_worker_on_other_data_cannot_win_and_is_told(lab: Lab) -> None:
    first: list[list[Any]] = [start("sha256:one"), ["wait", "refused"], ["check", 5, 1.6], ["forever"]]
    other: list[list[Any]] = [
        ["wait", "first"],
        start("sha256:two"),
        ["check", 5, 9.0],
        ["mark", "refused"],
        ["forever"],
    ]
    lab.race({"a": first, "b": other})
    running = lab.start("run")
    lab.wait_for(lambda: lab.worker("a").get("lines"), "the first start record to be read")
    lab.open_gate("first")
    output, _ = running.communicate(timeout=60)
    assert lab.status()["race"]["winner"] == "a", output
    assert "its data are not those of a" in output


def test_the_same_data_are_no_reason_for_anything(lab: Lab) -> None:
    lab.race(
        {
            "a": [start("sha256:one"), ["check", 5, 1.0]],
            "b": [start("sha256:one"), ["check", 5, 2.0], ["forever"]],
        }
    )
    done = lab.wtrace("run")
    assert "its data" not in done.stdout
    assert lab.status()["race"]["winner"] == "b"


def foreign(*files: str) -> list[Any]:
    record = {"event": "start", "max_epochs": 50, "info": {"foreign_modules": list(files)}}
    return ["raw", json.dumps(record) + "\n"]


WINS: list[list[Any]] = [["check", 5, 1.6], ["mark", "passed"], ["forever"]]


def test_code_from_outside_of_the_worktree_is_told_loudly_and_refused_only_when_asked(lab: Lab) -> None:
    lab.race({"a": [foreign("/repo/model.py"), *WINS]})
    done = lab.wtrace("run")
    assert "a runs code from outside of its worktree, not its branch's: /repo/model.py" in done.stdout
    assert lab.status()["race"]["winner"] == "a"


def test_strict_ends_a_worker_that_runs_other_code_before_a_verdict_rests_on_it(lab: Lab) -> None:
    lab.race(
        {
            "a": [foreign("/repo/model.py", "/repo/\x1b[2Jx.py"), *WINS],
            "b": [["wait", "passed"], ["check", 5, 1.7], ["forever"]],
        },
        race="retries = 2",
    )
    done = lab.wtrace("run", "--strict")
    assert lab.status()["race"]["winner"] == "b"
    row = lab.worker("a")
    assert (row["state"], row["attempt"]) == ("failed", 1)
    assert "a is being ended: it runs code that is not its branch's" in done.stdout
    assert "a check at epoch 5 does not count: runs code from outside" in done.stdout
    assert "\x1b" not in done.stdout
    report = (lab.latest / "results" / "SUCCESS_REPORT.md").read_text()
    assert "refused: it runs code from outside" in report
    assert "`a` ran code from outside of its worktree, refused" in report
    assert "`a` met every criterion at epoch 5, which did not count" in report


def test_how_strict_a_race_is_was_settled_at_its_start(lab: Lab) -> None:
    assert "settled when a race starts" in lab.wtrace("run", "--resume", "--strict", expect=2).stderr


def test_a_claim_does_not_count_once_its_worker_is_refused() -> None:
    """The start record may come after the check, and while the claim is being confirmed."""
    race = Story(spec("a", "b", confirm=ConfirmSpec(("judge",))))
    race.note(ev.StrictnessAsked(race.now))
    race.start_all()
    race.check("a", 5, ratio=1.6)
    race.check("b", 5, ratio=1.7)
    race.note(ev.ForeignCodeReported(race.now, "a", "/repo/model.py"))
    race.settle()
    assert policy.Stop("a", 1, "foreign") in race.deeds
    for number, name in ((1, "a"), (2, "b")):
        assert race.state.claims[number - 1].trying_since is not None
        results = race.state.workers[name].results
        race.note(ev.ConfirmationEnded(race.now, number, 1, name, results))
        race.settle()
    assert race.winner() == "b"


def test_modules_of_the_main_checkout_are_found_in_a_worktree(lab: Lab) -> None:
    worktree = lab.root.parent / "elsewhere" / "tree"
    lab.git("worktree", "add", "--quiet", "-b", "other", str(worktree))
    files = [
        lab.root / "train.py",
        worktree / "train.py",
        lab.root / ".venv/lib/site-packages/x.py",
        Path("/usr/y.py"),
    ]
    modules = [SimpleNamespace(__file__=str(file)) for file in files] + [SimpleNamespace(), None]
    assert foreign_modules(str(worktree / "deep"), modules) == [str(lab.root / "train.py")]
    assert foreign_modules(str(lab.root), modules) == []


def test_code_of_the_main_checkout_is_told_loudly(lab: Lab) -> None:
    """What an editable install does: the branch's own module is never the one that is imported."""
    (lab.root / "library").mkdir()
    (lab.root / "library" / "shared.py").write_text("")
    script = (
        "import shared\nfrom wtrace import Reporter\nr = Reporter()\nr.start(max_epochs=1)\nr.end('done')\n"
    )
    (lab.root / "reports.py").write_text(script)
    lab.git("add", ".")
    lab.git("commit", "--quiet", "-m", "library")
    lab.race({"a": []}, workers=f'env = {{ PYTHONPATH = "{lab.root / "library"}" }}')
    config = (lab.root / "wtrace.toml").read_text().replace("train.py", "reports.py")
    (lab.root / "wtrace.toml").write_text(config)
    done = lab.wtrace("run", expect=1)
    assert "outside of its worktree" in done.stdout
    assert "shared.py" in done.stdout


def test_uncommitted_changes_are_raced_and_recorded_as_a_patch(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 2.0]]})
    lab.wtrace("setup")
    worktree = lab.root.parent / "repo-worktrees" / "a"
    (worktree / "script.json").write_text('[["check", 5, 1.7], ["forever"]]')
    lab.wtrace("run")
    assert lab.worker("a")["criteria"][0]["value"] == 1.7
    patch = lab.latest / "a" / "uncommitted.patch"
    lab.git("worktree", "add", "--quiet", "--detach", str(lab.root.parent / "again"), "try/a")
    subprocess.run(["git", "apply", str(patch)], cwd=lab.root.parent / "again", check=True)
    assert (lab.root.parent / "again" / "script.json").read_text() == (worktree / "script.json").read_text()
