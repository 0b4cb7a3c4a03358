"""What happens once a race is won: commands of the user's own, and the losers' checkpoints thinned."""

from __future__ import annotations

import os
import signal
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from race_lab import Lab, Script
from stall_lab import events
from wtrace.race.retention import Named, Thinning, thinning

WIN: Script = [["check", 5, 2.0], ["forever"]]
NOTE = "import os, pathlib, sys; pathlib.Path(sys.argv[1], 'told').open('a').write(os.getcwd() + '\\n')"


def after(lab: Lab, *codes: str) -> str:
    """`[after]` with a command for each piece of code; the files lie outside of the repo."""
    commands = []
    for n, code in enumerate(codes):
        (lab.home / f"after{n}.py").write_text(code)
        commands.append(f'["python", "{lab.home}/after{n}.py", "{{output}}"]')
    return f"[after]\nwinner = [{', '.join(commands)}]\n"


def report(lab: Lab) -> str:
    return (lab.latest / "results" / "SUCCESS_REPORT.md").read_text()


def test_the_winners_commands_run_in_its_worktree_once_the_report_is_there(lab: Lab) -> None:
    seen = "import pathlib, sys; print(len(list(pathlib.Path(sys.argv[1]).parents[1].glob('results/SUCCESS_REPORT.md'))))"
    lab.race({"a": WIN, "b": [["forever"]]}, extra=after(lab, NOTE, seen))
    done = lab.wtrace("run")
    folder = lab.latest / "a"
    worktree = lab.worker("a")["worktree"]
    assert (folder / "output" / "told").read_text() == f"{worktree}\n"
    assert (folder / "after" / "2" / "training.log").read_text() == "1\n"
    assert done.stdout.count("after the race: ") == 2
    assert report(lab).count(": done") == 2
    assert not (lab.latest / "b" / "after").exists()


def test_a_command_that_fails_is_told_and_changes_no_verdict(lab: Lab) -> None:
    lab.race({"a": WIN}, extra=after(lab, "print('no route'); raise SystemExit(7)", NOTE))
    done = lab.wtrace("run")
    assert "failed: exit code 7: no route" in done.stdout
    assert "exit code 7: no route" in report(lab)
    assert "has not run" in report(lab)
    assert not (lab.latest / "a" / "output" / "told").exists()
    assert lab.status()["race"]["state"] == "won"


def test_without_a_winner_nothing_is_run(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 1.0]]}, extra=after(lab, NOTE))
    lab.wtrace("run", expect=1)
    assert not (lab.latest / "a" / "after").exists()


SLOW = """
import os, pathlib, sys, time
pathlib.Path(sys.argv[1], "begun").open("a").write("x")
gates = pathlib.Path(os.environ["LAB_GATES"])
(gates / "after").touch()
while not (gates / "go").exists():
    time.sleep(0.01)
"""


def test_a_supervisor_that_dies_meanwhile_does_not_run_them_twice(lab: Lab) -> None:
    lab.race({"a": WIN}, extra=after(lab, SLOW, NOTE))
    lab.wtrace("run", "--detach")
    lab.wait_for_mark("after")
    os.kill(lab.status()["supervisor"]["pid"], signal.SIGKILL)
    lab.wait_for(lambda: not lab.status()["supervisor"]["alive"], "the supervisor's death")
    lab.open_gate("go")
    lab.wtrace("run", "--resume")
    output = lab.latest / "a" / "output"
    assert (output / "begun").read_text() == "x"
    assert (output / "told").read_text().count("\n") == 1
    assert report(lab).count(": done") == 2


def test_how_a_command_ended_is_told_once_however_many_supervisors_it_took(lab: Lab) -> None:
    lab.race({"a": WIN}, extra=after(lab, NOTE, SLOW))
    lab.wtrace("run", "--detach")
    lab.wait_for_mark("after")
    os.kill(lab.status()["supervisor"]["pid"], signal.SIGKILL)
    lab.wait_for(lambda: not lab.status()["supervisor"]["alive"], "the supervisor's death")
    lab.open_gate("go")
    lab.wtrace("run", "--resume")
    lines = [
        event["text"] for event in events(lab, "Noticed") if event["text"].startswith("after the race: ")
    ]
    assert len(lines) == 2, lines


def test_stop_ends_them(lab: Lab) -> None:
    lab.race({"a": WIN}, extra=after(lab, SLOW, NOTE))
    lab.wtrace("run", "--detach")
    lab.wait_for_mark("after")
    lab.wtrace("stop")
    lab.wait_for(lambda: not lab.survivors(), "nobody to be left")
    assert not (lab.latest / "a" / "output" / "told").exists()
    assert lab.status()["race"]["state"] == "won"


TRAINING = """
import json, os, pathlib, time
output, metrics = pathlib.Path(os.environ["WTRACE_OUTPUT"]), os.environ["WTRACE_METRICS"]
gates, worker = pathlib.Path(os.environ["LAB_GATES"]), os.environ["WTRACE_WORKER"]
(output / "ckpt").mkdir(exist_ok=True)
(output / "notes.txt").write_text("mine")


def check(epoch, ratio, path):
    (output / path).write_text(f"weights {epoch}")
    samples = {"persistent": [ratio] * 20, "transient": [1.0] * 20, "accuracy": [0.9] * 20}
    record = {"event": "check", "epoch": epoch, "metrics": {}, "samples": samples, "checkpoint": path}
    with open(metrics, "a") as file:
        file.write(json.dumps(record) + "\\n")


if worker == "win":
    while not (gates / "go").exists():
        time.sleep(0.01)
    check(5, 2.0, "ckpt/win.pt")
else:
    for epoch, ratio in ((5, 1.0), (10, 1.4), (15, 1.2)):
        check(epoch, ratio, f"ckpt/{epoch}.pt")
while True:
    time.sleep(60)
"""


def keep_race(lab: Lab, policy: str) -> None:
    (lab.root / "train.py").write_text(TRAINING)
    lab.git("commit", "--quiet", "-am", "a training that keeps checkpoints")
    lab.race({"win": [], "lose": []}, extra=f'[keep]\ncheckpoints = "{policy}"\n' if policy else "")
    lab.wtrace("run", "--detach")
    lab.wait_for(lambda: lab.worker("lose")["checks"] == 3, "three checks")


def finish(lab: Lab) -> list[str]:
    lab.open_gate("go")
    lab.wtrace("watch")
    return sorted(file.name for file in (lab.latest / "lose" / "output" / "ckpt").iterdir())


@pytest.mark.parametrize(
    ("policy", "left"),
    [
        ("", ["10.pt"]),
        ("best", ["10.pt"]),
        ("last", ["15.pt"]),
        ("all", ["10.pt", "15.pt", "5.pt"]),
    ],
)
def test_the_losers_checkpoints_are_thinned_and_all_else_is_left(
    lab: Lab, policy: str, left: list[str]
) -> None:
    keep_race(lab, policy)
    assert finish(lab) == left
    assert (lab.latest / "lose" / "output" / "notes.txt").exists()
    assert (lab.latest / "win" / "output" / "ckpt" / "win.pt").exists()
    told = f"lose: kept ckpt/{left[0]}; removed 2 of 2 others"
    assert (told in report(lab).replace("\\", "").replace("`", "")) == (policy != "all")


def test_links_are_never_followed_and_what_is_kept_is_not_removed_under_another_name(lab: Lab) -> None:
    keep_race(lab, "best")
    output = lab.latest / "lose" / "output"
    outside = lab.home / "precious"
    outside.write_text("precious")
    (output / "ckpt" / "5.pt").unlink()
    (output / "ckpt" / "5.pt").symlink_to(outside)
    (output / "ckpt" / "10.pt").unlink()
    (output / "ckpt" / "10.pt").symlink_to("15.pt")
    assert finish(lab) == ["10.pt", "15.pt", "5.pt"]
    assert outside.read_text() == "precious"


def test_a_folder_that_became_a_link_leads_nowhere(lab: Lab) -> None:
    keep_race(lab, "best")
    output = lab.latest / "lose" / "output"
    (output / "ckpt").rename(lab.home / "elsewhere")
    (output / "ckpt").symlink_to(lab.home / "elsewhere")
    assert finish(lab) == ["10.pt", "15.pt", "5.pt"]


def test_where_nobody_won_everything_is_kept(lab: Lab) -> None:
    keep_race(lab, "best")
    lab.wtrace("stop")
    assert len(list((lab.latest / "lose" / "output" / "ckpt").iterdir())) == 3


def test_the_report_written_again_says_the_same(lab: Lab) -> None:
    keep_race(lab, "best")
    finish(lab)
    before = report(lab).split("## What is left")[1].split("##")[0]
    lab.wtrace("report")
    assert report(lab).split("## What is left")[1].split("##")[0] == before
    with sqlite3.connect(lab.root / ".wtrace" / "wtrace.db") as database:
        assert database.execute("SELECT count(*) FROM checks").fetchone()[0] == 4


def test_the_claimed_checkpoint_is_kept_and_one_path_is_one_checkpoint() -> None:
    named = [Named(5, "a.pt", judged=True), Named(10, "b.pt", judged=True), Named(15, "./a.pt", judged=True)]
    assert thinning("last", named, 10, []) == Thinning(("a.pt",), ("b.pt",))
    assert thinning("best", named, 10, []) == Thinning(("b.pt",), ("a.pt",))
    assert thinning("best", named, 10, ["a.pt"]) == Thinning(("a.pt", "b.pt"), ())
    assert thinning("best", named, None, []) == Thinning(("a.pt",), ("b.pt",))
    assert thinning("best", [], None, []) == Thinning((), ())


def test_the_best_check_is_a_judged_one() -> None:
    named = [Named(5, "unjudged.pt", judged=False), Named(5, "judged.pt", judged=True)]
    assert thinning("best", named, 5, []).kept == ("judged.pt",)


paths = st.sampled_from(["a", "b", "c/d", "./a", "x/../a", "/etc/passwd", "../up", ".", "", "a\0", "c//d"])
checks = st.builds(Named, st.integers(0, 9), paths, st.booleans())


@given(
    st.sampled_from(["best", "last", "all"]),
    st.lists(checks),
    st.none() | st.integers(0, 9),
    st.lists(paths, max_size=3),
)
def test_whatever_is_named_something_is_kept_and_nothing_outside_is_removed(
    policy: object, named: list[Named], best: int | None, claimed: list[str]
) -> None:
    plan = thinning(policy, named, best, claimed)  # type: ignore[arg-type]
    assert not {*plan.kept} & {*plan.removed}
    assert bool(plan.kept) or not plan.removed
    for path in (*plan.kept, *plan.removed):
        assert not path.startswith(("/", "..")) and path not in ("", ".")
        assert Path("/o", path).is_relative_to("/o")
    for path in claimed:
        assert os.path.normpath(path) not in plan.removed
