"""What every place to run promises, held against each of them: this machine, a real Ray, a real Slurm."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from engine_lab import Engines, environment
from engine_world import STARTS_WITHIN_S, Place
from wtrace.runners.local import LocalRunner
from wtrace.runners.ray.runner import RayRunner
from wtrace.runners.slurm import SlurmRunner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wtrace.runners.base import Runner

TELLS_ALL = """
import json
out = sys.argv[1]
os.makedirs(out + "/checkpoints", exist_ok=True)
with open(out + "/checkpoints/best.pt", "wb") as file:
    file.write(bytes(range(256)) * 10_000)
os.symlink("checkpoints/best.pt", out + "/newest")
with open(os.environ["WTRACE_METRICS"], "a") as file:
    file.write(json.dumps({"event": "epoch", "epoch": 1, "tree": sorted(os.listdir(TREE)), "path": os.environ.get("PYTHONPATH", "")}) + "\\n")
print("out", flush=True)
os.write(2, b"err\\n")
os._exit(3)
"""
SAVES = """
def save(*_):
    note("term")
    time.sleep(4)
    print("saved", flush=True)
    os._exit(7)
signal.signal(signal.SIGTERM, save)
linger()
"""
HEARS_IN_TURN = """
def hear(*_):
    note("child"); os._exit(0)
def leave(*_):
    note("leader")
    while not is_noted("go"):
        time.sleep(0.01)
    os._exit(7)
if os.fork() == 0:
    signal.signal(signal.SIGTERM, hear)
    linger("there")
signal.signal(signal.SIGTERM, leave)
while not is_noted("there"):
    time.sleep(0.01)
time.sleep(0.6)  # a younger child may have been forked in order to save
linger()
"""
HOSTILE = """
if os.fork() == 0:
    escape(double_fork, be_another)
if os.fork() == 0:
    ignore_sigterm()
    keep_forking()
ignore_sigterm()
linger("leader")
"""
COUNTS = """
while not is_noted("end"):
    note("tick")
    time.sleep(0.05)
os._exit(0)
"""


@pytest.fixture(params=["local", "ray", "slurm"])
def place(request: pytest.FixtureRequest, tmp_path: Path, engines: Engines) -> Iterator[Place]:
    kind: str = request.param
    if kind == "local":
        with Place(kind, tmp_path, LocalRunner) as made:
            yield made
        return
    engine = engines.ray if kind == "ray" else engines.slurm

    def make() -> Runner:
        if kind == "ray":
            return RayRunner("ray", {"address": engines.ray.address})
        return SlurmRunner("slurm", {})

    with environment(engine.env), Place(kind, tmp_path, make) as made:
        yield made


def test_what_a_worker_says_and_leaves_comes_back_whole(place: Place) -> None:
    (place.worktree / "untracked").write_text("not of the commit")
    folder = place.start(TELLS_ALL)
    ending = place.end_of(folder)
    assert (ending.code, ending.signal, ending.known, ending.taken) == (3, None, True, None)
    assert (folder / "training.log").read_text() == "out\nerr\n"
    line = json.loads((folder / "metrics.jsonl").read_text())
    assert ("untracked" in line["tree"]) is (place.kind != "ray")  # Ray is sent the commit, clean
    if place.kind == "ray":  # where wtrace need not be installed
        assert line["path"].endswith("/lib")
    assert (place.output / "newest").read_bytes() == bytes(range(256)) * 10_000
    assert place.lost == []


def test_the_signal_that_ended_it_is_exact(place: Place) -> None:
    ending = place.end_of(place.start("os.kill(os.getpid(), signal.SIGKILL); time.sleep(60)"))
    assert (ending.code, ending.signal, ending.known) == (None, signal.SIGKILL, True)


def test_a_stop_gives_the_workers_own_grace_and_one_sigterm(place: Place) -> None:
    folder = place.start(SAVES, grace_s=20)
    place.wait_for_note("ready")
    place.runner.stop(folder)
    place.wait_for_note("term")
    place.runner.stop(folder)
    ending = place.end_of(folder)
    assert (ending.code, ending.known, ending.stopped, ending.taken) == (7, True, True, None)
    assert (folder / "training.log").read_text() == "saved\n"
    assert place.notes() == ["ready", "term"]


@pytest.mark.parametrize("first", ["leader", "tree"])
def test_who_hears_of_a_stop_first(place: Place, first: str) -> None:
    folder = place.start(HEARS_IN_TURN, grace_s=200, first=first)
    place.wait_for_note("ready")
    place.runner.stop(folder)
    place.wait_for_note("leader")
    if first == "tree":
        place.wait_for_note("child")  # half of the grace is far away
    else:
        assert "child" not in place.notes()
    place.tell("go")
    assert place.end_of(folder).code == 7
    assert place.notes().count("child") == 1


@pytest.mark.parametrize("first", ["leader", "tree"])
def test_a_stop_ends_the_whole_tree_however_it_hides(place: Place, first: str) -> None:
    folder = place.start(HOSTILE, grace_s=1, first=first)
    place.until(lambda: place.notes().count("ready") >= 2 and "leader" in place.notes(), "everybody to hide")
    place.runner.stop(folder)
    assert place.end_of(folder).signal == signal.SIGKILL


def test_a_killed_guardian_leaves_an_exit_that_is_unknown_and_nobody_behind(place: Place) -> None:
    folder = place.start("escape(double_fork, be_another)")
    place.wait_for_note("ready")
    os.kill(place.guardian_of(folder), signal.SIGKILL)
    ending = place.until(lambda: place.runner.exited(folder), "the exit")
    assert (ending.code, ending.signal, ending.known) == (None, None, False)
    if place.kind == "slurm":  # tracking by parents (proctrack/linuxproc) loses whose parent is gone
        assert "is gone from Slurm" in ending.taken
    else:
        place.until(lambda: not place.living(), "everybody to go")


def test_kill_does_not_wait_for_the_grace(place: Place) -> None:
    folder = place.start("ignore_sigterm()\nlinger()", grace_s=600)
    place.wait_for_note("ready")
    place.runner.stop(folder)
    place.runner.kill(folder)
    assert place.end_of(folder).signal == signal.SIGKILL


def test_a_halted_worker_goes_on(place: Place) -> None:
    folder = place.start(COUNTS)
    place.until(lambda: len(place.notes()) > 3, "it to count")
    place.runner.pause(folder)
    place.until(lambda: _stands_still(place), "it to stand still")
    place.runner.unpause(folder)
    before = len(place.notes())
    place.until(lambda: len(place.notes()) > before + 3, "it to go on")
    place.tell("end")
    assert place.end_of(folder).code == 0


def _stands_still(place: Place) -> bool:
    before = place.notes()
    time.sleep(0.5)
    return place.notes() == before


def test_a_later_supervisor_finds_it_and_its_exit(place: Place) -> None:
    folder = place.start(
        'print("one", flush=True)\nwhile not is_noted("go"): time.sleep(0.02)\nprint("two")\nsys.exit(42)'
    )
    place.another_supervisor()
    assert place.runner.adopt(folder)
    assert place.runner.exited(folder) is None
    place.tell("go")
    ending = place.end_of(folder)
    assert (ending.code, ending.known) == (42, True)
    assert (folder / "training.log").read_text() == "one\ntwo\n"


def test_an_attempt_is_started_once_by_however_many_supervisors(place: Place) -> None:
    launch = place.launch("note('run'); time.sleep(1)")
    place.runner.start(launch)
    place.runner.start(launch)
    place.until(lambda: "run" in place.notes(), "the first start", STARTS_WITHIN_S)
    place.another_supervisor()
    place.runner.start(launch)
    assert place.end_of(launch.folder).code == 0
    assert place.notes() == ["run"]


def test_a_stop_before_the_start_leaves_the_command_unrun(place: Place) -> None:
    launch = place.launch("note('run'); linger()")
    place.runner.start(launch)
    place.runner.stop(launch.folder)
    ending = place.end_of(launch.folder)
    assert ending.code is None
    assert "run" not in place.notes()


def test_a_metric_is_here_within_a_second(place: Place) -> None:
    script = """
with open(os.environ["WTRACE_METRICS"], "a", buffering=1) as file:
    for epoch in range(1, 9):
        time.sleep(0.3)
        file.write(f"{epoch} {time.time()}\\n")
"""
    folder = place.start(script)
    late: dict[str, float] = {}

    def look() -> bool:
        for line in (folder / "metrics.jsonl").read_text().splitlines():
            epoch, at = line.split()
            late.setdefault(epoch, time.time() - float(at))
        return len(late) == 8

    place.until(look, "all the lines")
    assert sorted(late.values())[len(late) // 2] < 1.0  # the median: this machine may be busy


def test_a_command_that_cannot_be_started(place: Place) -> None:
    from dataclasses import replace

    launch = replace(place.launch(""), command=("no-such-program",))
    place.runner.start(launch)
    assert place.end_of(launch.folder, STARTS_WITHIN_S).code == 127
    assert "no-such-program" in (launch.folder / "training.log").read_text()
