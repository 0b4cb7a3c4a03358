"""What a tree of processes holds open for writing, asked of real processes, escaped ones included."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner_world import World, until
from wtrace.runners import processes
from wtrace.runners.attempt_folder import read_claim

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtrace.race.open_file import OpenFile

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which files are open")

HOLD = "file = open('model.pt', 'wb'); file.write(b'x' * 20000); file.flush()\n"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


def writing(world: World, folder: Path, *below: Path) -> dict[str, OpenFile]:
    found = world.runner.writing(folder, below or (world.cwd,))
    assert found is not None
    return {Path(file.path).name: file for file in found}


def test_a_file_that_the_worker_writes_is_seen_with_its_size_and_position(world: World) -> None:
    folder = world.start(HOLD + "linger()")
    world.wait_for("ready")
    (name, file), *others = writing(world, folder).items()
    assert others == []
    status = (world.cwd / "model.pt").stat()
    assert (name, file.path) == ("model.pt", str(world.cwd / "model.pt"))
    assert (file.device, file.inode, file.size) == (status.st_dev, status.st_ino, 20000)
    assert (file.position, file.appends) == (20000, False)


def test_what_is_read_deleted_closed_or_elsewhere_is_no_file_that_is_written(world: World) -> None:
    elsewhere = world.root / "elsewhere"
    script = f"""
open("closed", "w").write("x")
reads = open("closed")
deleted = open("deleted", "w"); os.unlink("deleted")
os.mkfifo("pipe"); pipe = os.open("pipe", os.O_RDWR)
other = open({str(elsewhere)!r}, "w")
log = open("log", "a")
linger()
"""
    folder = world.start(script)
    world.wait_for("ready")
    assert {name: file.appends for name, file in writing(world, folder).items()} == {"log": True}
    assert set(writing(world, folder, world.cwd, elsewhere)) == {"log", "elsewhere"}


def test_the_folder_may_be_named_through_a_link(world: World) -> None:
    (world.root / "link").symlink_to(world.cwd)
    folder = world.start(HOLD + "linger()")
    world.wait_for("ready")
    assert set(writing(world, folder, world.root / "link")) == {"model.pt"}


HOLD_ON = """
def hold():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.set_inheritable(os.open("model.pt", os.O_WRONLY | os.O_CREAT), True)
"""


@pytest.mark.parametrize("leave", [False, True], ids=["the leader stays", "the leader leaves"])
@pytest.mark.parametrize("steps", ["os.setsid", "double_fork", "double_fork, be_another"])
def test_what_an_escaped_process_writes_is_seen(world: World, steps: str, *, leave: bool) -> None:
    launch = world.launch(f"{HOLD_ON}escape(hold, {steps})", grace_s=10.0, leave=leave)
    world.runner.start(launch)
    world.wait_for("ready")
    if leave:
        until(lambda: (claim := read_claim(launch.folder)) and not processes.is_alive(claim.worker))
    assert set(writing(world, launch.folder)) == {"model.pt"}


def test_it_is_seen_without_the_guardian_too(world: World) -> None:
    folder = world.start(f"{HOLD_ON}escape(hold, double_fork)")
    world.wait_for("ready")
    before = writing(world, folder)
    stranger = world.another_runner()
    os.kill(world.guardian_of(folder), 9)
    until(lambda: not processes.is_alive(world.runner._attempts[folder].shim.identity))
    found = stranger.writing(folder, [world.cwd])
    assert found is not None
    assert {file.identity for file in found} == {file.identity for file in before.values()}


def test_of_an_attempt_that_has_ended_or_never_began_nothing_is_written(world: World) -> None:
    folder = world.start(HOLD)
    world.end_of(folder)
    assert writing(world, folder) == {}
    assert writing(world, world.root / "attempts" / "never") == {}


BUSY = """
import threading
def keep_busy(name):
    while True:
        note(name)
        time.sleep(0.002)
threading.Thread(target=keep_busy, args=("thread",), daemon=True).start()
if not os.fork():
    os.setsid()
    keep_busy("child")
note("ready")
keep_busy("leader")
"""


def test_a_tree_comes_to_a_halt_with_all_its_threads_and_goes_on(world: World) -> None:
    folder = world.start(BUSY)
    for name in ("leader", "thread", "child"):
        world.wait_for(name)
    assert world.runner.halt(folder, 5.0)
    before = world.notes()
    time.sleep(0.1)
    assert world.notes() == before
    world.runner.unpause(folder)
    names = ("leader", "thread", "child")
    until(lambda: all(world.notes().count(name) > before.count(name) for name in names))


def test_a_halted_tree_hears_sigterm(world: World) -> None:
    folder = world.start(BUSY)
    world.wait_for("child")
    assert world.runner.halt(folder, 5.0)
    world.runner.stop(folder)
    assert world.end_of(folder).signal == signal.SIGTERM


def test_what_cannot_be_halted_says_so(world: World) -> None:
    folder = world.start("")
    world.end_of(folder)
    assert world.runner.halt(folder, 0.1) is None
    assert world.runner.halt(world.root / "attempts" / "never", 0.1) is None
