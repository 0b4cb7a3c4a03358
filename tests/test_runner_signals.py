"""Who hears SIGTERM when: the worker's own process first, which may need its children in order to save."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Literal

import pytest

from runner_world import World, patched_shim, state_of, until
from wtrace.runners import local

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRAINER = """
import multiprocessing

class Shard:
    "A child that holds a part of the model, as a data loader's worker holds its place in the data."
    def __init__(self, number):
        self.pipe, theirs = multiprocessing.Pipe()
        self.pid = os.fork()
        if self.pid == 0:
            while True:
                theirs.recv()
                theirs.send([number] * 1000)
        theirs.close()

shards = [Shard(number) for number in range(2)]

def save(*_):
    note("leader term")
    with open("model.pt", "w") as file:
        for shard in shards:
            while children_hear and state(shard.pid) not in "ZX":
                time.sleep(0.001)
            shard.pipe.send("state")
            file.write(repr(shard.pipe.recv()) + "\\n")
            file.flush()
        file.write("whole\\n")
    os._exit(0)

def state(pid):
    return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0]

time.sleep(0.6)  # a younger child may have been forked in order to save
children_hear = "tree" in open("first").read()
signal.signal(signal.SIGTERM, save)
note(" ".join(["shards", *(str(shard.pid) for shard in shards)]))
linger()
"""
CHILD = """
def hear(*_):
    note("told"); os._exit(0)
if os.fork() == 0:
    signal.signal(signal.SIGTERM, hear)
    linger("bystander")
while not is_noted("bystander"):
    time.sleep(0.003)
time.sleep(0.6)  # a younger child may have been forked in order to save
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as world:
        yield world


def train(world: World, first: Literal["leader", "tree"]) -> Path:
    (world.cwd / "first").write_text(first)
    folder = world.start(TRAINER, grace_s=10, first=first)
    world.wait_for("ready")
    return folder


def model(world: World) -> list[str]:
    path = world.cwd / "model.pt"
    return path.read_text().splitlines() if path.exists() else []


def test_a_trainer_that_needs_its_children_saves_a_whole_file(world: World) -> None:
    folder = train(world, "leader")
    world.runner.stop(folder)
    ending = world.end_of(folder)
    assert (ending.code, ending.leftovers) == (0, 0)
    assert (len(model(world)), model(world)[-1]) == (3, "whole")


def test_with_the_signal_to_the_tree_at_once_it_does_not(world: World) -> None:
    folder = train(world, "tree")
    world.runner.stop(folder)
    assert world.end_of(folder).code == 1  # EOFError, in the middle of its file
    assert "whole" not in model(world)


@pytest.mark.parametrize("guarded", [True, False])
def test_a_halted_trainer_saves_too(world: World, guarded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its children go on with it, although they hear nothing yet."""
    if not guarded:
        patch = ("            send(pid, signal.SIGCONT)\n        now", "            pass\n        now")
        monkeypatch.setattr(local, "SHIM", patched_shim(world.root, patch))
    (world.cwd / "first").write_text("leader")
    folder = world.start(TRAINER, grace_s=10 if guarded else 1)
    world.wait_for("ready")
    pids = [int(pid) for line in world.notes() if "shards" in line for pid in line.split()[1:]]
    world.runner.pause(folder)
    until(lambda: {state_of(pid) for pid in pids} == {"T"})
    world.runner.stop(folder)
    assert (world.end_of(folder).code == 0) is guarded
    assert ("whole" in model(world)) is guarded


def test_the_rest_hears_when_the_leader_has_ended(world: World) -> None:
    leader = 'signal.signal(signal.SIGTERM, lambda *_: (note("leader"), os._exit(7)))\nlinger()'
    folder = world.start(CHILD + leader, grace_s=60)
    world.wait_for("ready")
    world.runner.stop(folder)
    ending = world.end_of(folder)
    assert [note for note in world.notes() if note in {"leader", "told"}] == ["leader", "told"]
    assert (ending.code, ending.leftovers) == (7, 0)


@pytest.mark.parametrize("guarded", [True, False])
def test_the_rest_hears_when_half_of_the_grace_is_over(
    world: World, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not guarded:
        patch = ("self.term_at = now + self.grace_s / 2", "self.term_at = None")
        monkeypatch.setattr(local, "SHIM", patched_shim(world.root, patch))
    folder = world.start(CHILD + "ignore_sigterm()\nlinger()", grace_s=1)
    world.wait_for("ready")
    world.runner.stop(folder)
    assert world.end_of(folder).signal == signal.SIGKILL
    assert ("told" in world.notes()) is guarded


@pytest.mark.parametrize("guarded", [True, False])
def test_what_the_leader_starts_in_order_to_save_has_the_whole_grace(
    world: World, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not guarded:
        patch = ("and not self.may_save(pid) and", "and")
        monkeypatch.setattr(local, "SHIM", patched_shim(world.root, patch))
    leader = """
def save(*_):
    saver = os.fork()
    if saver == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        note("saving")
        while not is_noted("told"):
            time.sleep(0.003)
        time.sleep(0.2)
        note("saved"); os._exit(0)
    os.waitpid(saver, 0)
    os._exit(7)
signal.signal(signal.SIGTERM, save)
linger()
"""
    folder = world.start(CHILD + leader, grace_s=2)
    world.wait_for("ready")
    world.runner.stop(folder)
    assert world.end_of(folder).code == 7
    assert ("saved" in world.notes()) is guarded
