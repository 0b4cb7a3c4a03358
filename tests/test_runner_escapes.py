"""Nothing of a worker's tree outlives it, whichever way it tries to get out."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Literal

import pytest

from runner_world import World, patched_shim, uncollected, until
from wtrace.runners import local

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GRACE_S = 0.3
ESCAPES = {
    "own group": "escape(lambda: os.setpgid(0, 0))",
    "setsid": "escape(os.setsid)",
    "double fork": "escape(double_fork)",
    "cleared environment": "escape(double_fork, be_another)",
    "changed title": "escape(double_fork, lambda: be_another('[kworker/0:1]'))",
    "SIGTERM ignored": "escape(ignore_sigterm)",
    "halted": "escape(lambda: note('ready'), lambda: os.kill(os.getpid(), signal.SIGSTOP))",
    "keeps forking": "escape(double_fork, ignore_sigterm, keep_forking)",
    "all ignore SIGTERM": "ignore_sigterm(); escape(os.setsid)",
}
CHILDREN = ('CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")', "CHILDREN = False")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as world:
        yield world


@pytest.mark.parametrize("first", ["leader", "tree"])
@pytest.mark.parametrize("escape", ESCAPES)
def test_stop_ends_the_whole_tree_within_the_grace(
    world: World, escape: str, first: Literal["leader", "tree"]
) -> None:
    folder = world.start(ESCAPES[escape], grace_s=GRACE_S, first=first)
    world.wait_for("ready")
    began = time.monotonic()
    world.runner.stop(folder)
    world.end_of(folder)
    assert time.monotonic() - began < GRACE_S + 2  # the machine may be busy; the grace itself is timed below


@pytest.mark.parametrize("escape", ESCAPES)
def test_what_outlives_its_leader_is_ended_too(world: World, escape: str) -> None:
    folder = world.start(ESCAPES[escape], grace_s=GRACE_S, leave=True)
    ending = world.end_of(folder)
    assert (ending.code, ending.signal, ending.known) == (9, None, True)
    assert ending.leftovers > 0


@pytest.mark.parametrize("escape", ESCAPES)
def test_the_tree_of_a_killed_guardian_is_ended(world: World, escape: str) -> None:
    folder = world.start(ESCAPES[escape], grace_s=GRACE_S)
    world.wait_for("ready")
    tree = set(world.living(shims=True))
    os.kill(world.guardian_of(folder), signal.SIGKILL)
    assert until(world.losses) == [folder]
    ending = world.end_of(folder)
    assert (ending.code, ending.signal, ending.known) == (None, None, False)
    assert not uncollected() & tree  # others' orphans of earlier tests may die meanwhile


@pytest.mark.parametrize(
    ("escape", "guard"),
    [
        ("double fork", ("    become_subreaper()\n", "")),
        (
            "SIGTERM ignored",
            ("                self.status = status\n", "                self.status = status; return True\n"),
        ),
        ("all ignore SIGTERM", ("            self.kill()\n", "")),
    ],
)
def test_without_its_guard_a_tree_gets_away(
    world: World, escape: str, guard: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "SHIM", patched_shim(world.root, guard))
    folder = world.start(ESCAPES[escape], grace_s=GRACE_S)
    world.wait_for("ready")
    world.runner.stop(folder)
    with pytest.raises(AssertionError):
        until(lambda: world.runner.exited(folder) and not world.living(), GRACE_S + 0.7)


@pytest.mark.parametrize("escape", ["cleared environment", "changed title"])
def test_without_the_stamp_a_killed_guardian_leaves_somebody_behind(
    world: World, escape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "SHIM", patched_shim(world.root, ("        put_stamp(stamp)\n", "")))
    folder = world.start(ESCAPES[escape], grace_s=GRACE_S)
    world.wait_for("ready")
    os.kill(world.guardian_of(folder), signal.SIGKILL)
    assert until(world.losses) == [folder]
    assert world.living() != []


@pytest.mark.parametrize("escape", ["double fork", "keeps forking", "halted"])
def test_a_kernel_without_the_files_of_children(
    world: World, escape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "SHIM", patched_shim(world.root, CHILDREN))
    folder = world.start(ESCAPES[escape], grace_s=GRACE_S)
    world.wait_for("ready")
    world.runner.stop(folder)
    world.end_of(folder)


def test_a_system_without_subreapers_finds_orphans_by_their_marker(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = patched_shim(
        world.root,
        CHILDREN,
        ('SUBREAPER = sys.platform == "linux"', "SUBREAPER = False"),
        ("    become_subreaper()\n", ""),
    )
    monkeypatch.setattr(local, "SHIM", shim)
    folder = world.start(ESCAPES["double fork"], grace_s=GRACE_S)
    world.wait_for("ready")
    world.runner.stop(folder)
    world.end_of(folder)


@pytest.mark.parametrize("first", ["leader", "tree"])
def test_sixteen_hostile_trees_are_gone_soon_after_the_grace(
    world: World, first: Literal["leader", "tree"]
) -> None:
    hostile = "ignore_sigterm()\n" + ESCAPES["cleared environment"]
    folders = [world.start(hostile, name=str(number), grace_s=1.0, first=first) for number in range(16)]
    until(lambda: world.notes().count("ready") == 16)
    began = time.monotonic()
    world.runner.stop_all(folders)
    for folder in folders:
        until(lambda folder=folder: world.runner.exited(folder))  # type: ignore[misc]
    took_s = time.monotonic() - began
    assert world.living() == []
    assert 1.0 <= took_s < 1.0 + 2.0
