"""A full disk, a read-only folder, a vanished folder stop the writing, not the trainings; wtrace says so and recovers."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaos_lab import ChaosLab, assert_intact, script
from race_lab import survivors_of
from runner_world import state_of

LATE = script(["epochs", 1, 2], ["exit", 0])


@contextmanager
def mounted(place: Path, *words: str) -> Iterator[None]:
    """Something mounted at that place. Skips where that is not allowed."""
    place.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0 or subprocess.run(["mount", *words, str(place)], check=False).returncode:
        pytest.skip("only root can mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(folder: Path) -> Path:
    """Write until there is no room at all."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC
    return filler


def says(chaos: ChaosLab, words: str) -> Callable[[], bool]:
    return lambda: words in chaos.wtrace("status").stdout


def test_a_full_disk_stops_the_writing_and_not_the_trainings(chaos: ChaosLab) -> None:
    crash = script(["epochs", 1, 2], ["wait", "full"], ["epochs", 3, 4], ["mark", "on"], ["exit", 3])
    first = script(
        ["epochs", 1, 2], ["wait", "full"], ["check", 5, 1.0], ["wait", "go"], ["check", 10, 2.0], ["forever"]
    )
    with mounted(chaos.root / ".wtrace", "-t", "tmpfs", "-o", "size=2m", "wtrace-test"):
        chaos.race(
            {"first": first, "crash": crash, "late": LATE}, race="max_parallel = 2\nprogress_every = 1"
        )
        chaos.start_race()
        chaos.wait_for(lambda: chaos.worker("crash")["lines"] == 2, "the first lines")
        filler = fill(chaos.root / ".wtrace")
        chaos.open_gate("full")
        chaos.wait_for_mark("on")
        chaos.wait_for(says(chaos, "the race cannot be recorded"), "wtrace to say so")
        assert chaos.worker("first")["checks"] == 0
        assert state_of(chaos.worker("first")["pid"]) in "RS"
        filler.unlink()
        chaos.wait_for(says(chaos, "the race is recorded again"), "wtrace to recover")
        chaos.wait_for(
            lambda: chaos.worker("late")["state"] == "finished", "the late one to be started and to end"
        )
        chaos.open_gate("go")
        chaos.wait_for_end()
        assert chaos.status()["race"]["winner"] == "first"
        assert_intact(chaos, {"first": [40], "crash": [3], "late": [0]})


def test_what_has_no_room_waits_for_it(chaos: ChaosLab) -> None:
    """The folder of a worker that is to start, and the copy of a checkpoint that is to be confirmed."""
    claims = script(
        ["wait", "go"], ["save", "best.pt", "1.9" + " " * 100_000], ["check", 5, 2.0, "best.pt"], ["forever"]
    )
    chaos.race({"claimant": claims, "first": script(["wait", "end"], ["exit", 0]), "late": LATE}, extra=chaos.confirm(), race="max_parallel = 2")  # fmt: skip
    chaos.start_race()
    chaos.wait_for(lambda: chaos.worker("claimant")["pid"], "the first to run")
    with mounted(chaos.latest / "late", "-t", "tmpfs", "-o", "size=4k,nr_inodes=1", "wtrace-test"):
        chaos.open_gate("end")
        chaos.wait_for(says(chaos, "late: waits for the disk"), "the launch to wait")
    chaos.wait_for(
        lambda: chaos.worker("late")["state"] == "finished", "the late one to be started and to end"
    )
    with mounted(chaos.latest / "claims", "-t", "tmpfs", "-o", "size=160k", "wtrace-test"):
        (chaos.latest / "claims" / "others").write_bytes(bytes(90_000))
        chaos.open_gate("go")
        chaos.wait_for(says(chaos, "waits for its checkpoint: best.pt takes"), "the copy to wait")
        assert not list((chaos.latest / "claims").rglob("*checkpoint*"))
    chaos.wait_for_end()
    assert chaos.status()["race"]["confirmed"]
    assert_intact(chaos, {"claimant": [40], "first": [0], "late": [0]})


def test_a_read_only_folder_stops_the_writing_and_not_the_trainings(chaos: ChaosLab) -> None:
    first = script(["wait", "read-only"], ["check", 5, 1.0], ["wait", "go"], ["check", 10, 2.0], ["forever"])
    chaos.race({"first": first, "crash": script(["wait", "read-only"], ["exit", 3]), "late": LATE}, race="max_parallel = 2")  # fmt: skip
    chaos.start_race()
    chaos.wait_for(lambda: chaos.worker("crash")["pid"], "both to run")
    home = chaos.root / ".wtrace"
    with mounted(home, "--bind", str(home)):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(home)], check=True)
        chaos.open_gate("read-only")
        chaos.wait_for(says(chaos, "late: waits for the disk"), "the launch to wait")
        assert chaos.worker("first")["state"] == "running"
        assert "error" in chaos.wtrace("stop", "first", expect=4).stderr
    chaos.wait_for(
        lambda: chaos.worker("late")["state"] == "finished", "the late one to be started and to end"
    )
    chaos.open_gate("go")
    chaos.wait_for_end()
    assert chaos.status()["race"]["winner"] == "first"
    assert_intact(chaos, {"first": [40], "crash": [3], "late": [0]})


def test_a_folder_that_vanishes_and_comes_back(chaos: ChaosLab) -> None:
    first = script(["mark", "up"], ["wait", "go"], ["check", 5, 2.0], ["forever"])
    chaos.race({"first": first, "stopped": script(["forever"])})
    chaos.start_race()
    chaos.wait_for_mark("up")
    chaos.wait_for(lambda: chaos.worker("stopped")["pid"], "both to run")
    home, elsewhere = chaos.root / ".wtrace", chaos.root.parent / "elsewhere"
    home.rename(elsewhere)
    pid = int(chaos.noted("starts-first")[0].split()[1])
    chaos.wait_for(lambda: state_of(pid) == "S", "it to sleep on, undisturbed")
    elsewhere.rename(home)
    shutil.rmtree(chaos.latest / "requests")  # somebody tidied up
    chaos.wtrace("stop", "stopped")
    chaos.open_gate("go")
    chaos.wait_for_end()
    assert chaos.status()["race"]["winner"] == "first"
    assert_intact(chaos, {"first": [40], "stopped": [40]})


def test_a_folder_that_vanishes_for_good_leaves_the_trainings_and_nobody_after_them(chaos: ChaosLab) -> None:
    chaos.race({"a": script(["mark", "up"], ["wait", "go"], ["mark", "went on"], ["exit", 0])})
    chaos.start_race()
    chaos.wait_for_mark("up")
    supervisor = chaos.status()["supervisor"]["pid"]
    shutil.rmtree(chaos.root / ".wtrace")
    chaos.open_gate("go")
    chaos.wait_for_mark("went on")
    chaos.wait_for(lambda: state_of(supervisor) in ("", "Z"), "the supervisor to leave")
    chaos.wait_for(lambda: not survivors_of(chaos.root.parent), "nobody to be left")
    chaos.wtrace("run", expect=1)


def test_resuming_a_race_of_which_an_attempt_was_removed(chaos: ChaosLab) -> None:
    chaos.race({"a": script(["wait", "go"], ["check", 5, 2.0], ["forever"]), "b": script(["mark", "up"], ["wait", "go"], ["exit", 0])})  # fmt: skip
    chaos.start_race()
    chaos.wait_for_mark("up")
    chaos.wait_for(lambda: chaos.worker("b")["pid"], "both to run")
    chaos.kill_supervisor()
    shutil.rmtree(chaos.latest / "b" / "attempts")
    chaos.open_gate("go")
    chaos.wtrace("run", "--resume")
    b = chaos.worker("b")
    assert (b["state"], b["exit"]) == ("lost", {"code": None, "signal": None, "known": False})
    assert "its folder is gone" in b["note"]
    assert chaos.survivors() == []


def test_a_race_that_has_no_room_to_start_is_told_so(chaos: ChaosLab) -> None:
    chaos.race({"a": script(["exit", 0])})
    home = chaos.root / ".wtrace"
    with mounted(home, "-t", "tmpfs", "-o", "size=32k", "wtrace-test"):
        fill(home)
        assert "No space left" in chaos.wtrace("run", expect=4).stderr
    with mounted(home, "-t", "tmpfs", "-o", "size=64k", "wtrace-test"):
        assert "cannot be recorded" in chaos.wtrace("run", expect=4).stderr
    chaos.wtrace("run", expect=1)
