"""A race outlives its supervisor, its guardians, its disk and its machine, and tells what it knows, no more."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runner_world import World, patched_shim, state_of, until
from wtrace.runners import attempt_folder, local, processes
from wtrace.runners.local import LocalRunner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAITS_FOR_WORD = (
    "note('ready')\nwhile not is_noted('go'): time.sleep(0.01)\nprint('last words')\nsys.exit(42)"
)
FILLS_THE_DISK = """
try:
    while True:
        os.write(1, b"x" * 1000)
except OSError:
    os._exit(5)
"""
SUPERVISOR = """
import os, sys, time
from pathlib import Path
from wtrace.runners.base import Launch
from wtrace.runners.local import LocalRunner
folder, cwd, *command = sys.argv[1:]
LocalRunner().start(Launch(Path(folder), tuple(command), Path(cwd), os.environ, 0.3, folder))
print("started", flush=True)
time.sleep(60)
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as world:
        yield world


def supervised(world: World, script: str) -> tuple[Path, subprocess.Popen[str]]:
    """A worker whose supervisor is another process."""
    launch = world.launch(script)
    command = [sys.executable, "-c", SUPERVISOR, str(launch.folder), str(launch.cwd), *launch.command]
    supervisor = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert supervisor.stdout is not None
    assert supervisor.stdout.readline() == "started\n"
    return launch.folder, supervisor


def end(supervisor: subprocess.Popen[str], signum: signal.Signals = signal.SIGKILL) -> None:
    os.killpg(supervisor.pid, signum)
    supervisor.communicate()


@pytest.mark.parametrize("when", ["at once", "when it runs"])
def test_a_killed_supervisor_takes_nobody_along_and_the_exit_stays_exact(world: World, when: str) -> None:
    folder, supervisor = supervised(world, WAITS_FOR_WORD)
    if when == "when it runs":
        world.wait_for("ready")
    end(supervisor)
    until(lambda: world.runner.started(folder))
    assert world.runner.adopt(folder)
    world.wait_for("ready")
    (world.cwd / "notes").write_text("go\n")
    ending = world.end_of(folder)
    assert (ending.code, ending.signal, ending.known) == (42, None, True)
    assert (folder / "training.log").read_text() == "last words\n"
    assert world.losses() == []


def test_a_hangup_and_an_interrupt_of_the_terminal_reach_no_worker(world: World) -> None:
    folder, supervisor = supervised(world, WAITS_FOR_WORD)
    world.wait_for("ready")
    for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        os.kill(world.guardian_of(folder), signum)
    end(supervisor, signal.SIGHUP)
    (world.cwd / "notes").write_text("go\n")
    assert world.end_of(folder).code == 42


def test_a_later_process_stops_by_the_folder_alone(world: World) -> None:
    folder, supervisor = supervised(world, "escape(os.setsid)")
    world.wait_for("ready")
    end(supervisor)
    world.runner.stop(folder)
    assert world.end_of(folder).signal == signal.SIGTERM


def test_supervisor_and_guardian_killed_together(world: World) -> None:
    folder, supervisor = supervised(world, "ignore_sigterm(); escape(double_fork, be_another)")
    world.wait_for("ready")
    end(supervisor)
    os.kill(world.guardian_of(folder), signal.SIGKILL)
    until(lambda: state_of(world.guardian_of(folder)) in ("", "Z"))
    assert world.living() != []
    assert not world.runner.adopt(folder)
    assert world.losses() == [folder]
    assert world.end_of(folder).known is False
    assert not world.runner.adopt(folder)
    assert world.runner.lost() == []


def test_stop_ends_what_a_killed_guardian_left_without_waiting_to_be_asked(world: World) -> None:
    folder, supervisor = supervised(world, "escape(os.setsid)")
    world.wait_for("ready")
    end(supervisor)
    os.kill(world.guardian_of(folder), signal.SIGKILL)
    until(lambda: state_of(world.guardian_of(folder)) in ("", "Z"))
    world.runner.stop(folder)
    assert world.end_of(folder).known is False
    assert world.runner.lost() == [folder]


def test_a_guardian_that_dies_before_its_claim_is_told_as_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch = (
        "        shim_guard.write_whole(folder, draft, text, sync=False)\n",
        "        raise OSError(28, 'No space')\n",
    )
    monkeypatch.setattr(local, "SHIM", patched_shim(world.root, patch))
    launch = world.launch("note('run')")
    world.runner.start(launch)
    assert until(world.losses) == [launch.folder]
    assert world.end_of(launch.folder).known is False
    assert (launch.folder / "training.log").read_text() == "wtrace: cannot write start.claim: No space\n"
    assert world.notes() == []


def rewrite_claim(folder: Path, **changes: object) -> str:
    """Change what the claim says of both processes; returns what it said."""
    path = folder / "start.claim"
    before = path.read_text()
    path.write_text(
        "".join(json.dumps({**json.loads(line), **changes}) + "\n" for line in before.splitlines())
    )
    return before


def test_a_worker_of_another_boot_is_never_signalled(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, supervisor = supervised(world, "linger()")
    world.wait_for("ready")
    before = rewrite_claim(folder, boot_id="another")
    reader = world.another_runner()
    assert reader.boot_lost(folder)
    started = reader.started(folder)
    assert started is not None
    assert started.pid is None
    living = world.living()
    for ask in (reader.stop, reader.kill, reader.pause, reader.adopt):
        ask(folder)
    assert reader.lost() == [folder]
    ending = reader.exited(folder)
    assert ending is not None
    assert not ending.known
    assert reader.boot_lost(folder)
    assert world.living() == living
    assert {state_of(pid) for pid in living} == {"S"}

    (folder / "exit.json").unlink()
    (folder / "start.claim").write_text(before)
    world.another_runner().stop(folder)  # with the right claim it is, so the boot made the difference
    assert world.end_of(folder).known
    end(supervisor)


def test_a_pid_that_is_used_again_is_never_signalled(world: World) -> None:
    innocent = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"])
    folder = world.start("sys.exit(0)")
    world.end_of(folder)
    (folder / "exit.json").unlink()
    ticks = processes._start_ticks(innocent.pid)
    rewrite_claim(folder, pid=innocent.pid, start_ticks=ticks - 1)
    later = world.another_runner()
    later.stop(folder)
    later.kill(folder)
    assert later.lost() == [folder]
    assert innocent.poll() is None
    (folder / "exit.json").unlink()
    rewrite_claim(folder, start_ticks=ticks)
    later.stop(folder)  # its ticks are what protected it
    assert innocent.wait() < 0


def test_a_claim_torn_by_a_power_cut_counts_as_one_of_another_boot(world: World) -> None:
    folder = world.root / "attempts" / "1"
    folder.mkdir(parents=True)
    (folder / "start.claim").write_text("")
    assert world.runner.boot_lost(folder)
    assert not world.runner.adopt(folder)
    assert world.runner.lost() == [folder]


@pytest.mark.parametrize("guarded", [True, False])
def test_a_full_disk_delays_the_exit_but_loses_nothing(
    world: World, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = world.root / "attempts"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "wtrace-test", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small file system can be mounted by root only")
    try:
        if not guarded:
            monkeypatch.setattr(
                local,
                "SHIM",
                patched_shim(world.root, ("            wait(FULL_DISK_S)\n", "            return\n")),
            )
        folder = world.start(FILLS_THE_DISK)
        shim = world.guardian_of(folder)
        until(lambda: state_of(world_leader(folder)) in ("", "Z"))  # it died of the full disk itself
        if guarded:
            assert world.runner.exited(folder) is None
            assert state_of(shim) in ("R", "S")
        else:
            until(lambda: state_of(shim) in ("", "Z"))
        (folder / "training.log").write_text("")
        ending = until(lambda: world.runner.exited(folder) or guarded is False)
        assert (getattr(ending, "code", None), getattr(ending, "known", None)) == (
            (5, True) if guarded else (None, None)
        )
        until(lambda: world.losses() == [] if guarded else world.losses() == [folder])
    finally:
        world.kill_all()
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def world_leader(folder: Path) -> int:
    claim = attempt_folder.read_claim(folder)
    assert claim is not None
    return claim.worker.pid


def test_a_vanished_folder_leaves_the_training_alone_and_its_tree_still_ends(world: World) -> None:
    folder = world.start("ignore_sigterm(); escape(os.setsid)")
    world.wait_for("ready")
    shim, living = world.guardian_of(folder), world.living()
    shutil.rmtree(folder)
    assert world.living() == living
    world.runner.stop(folder)
    until(lambda: state_of(shim) == "Z")
    assert world.living() == []
    assert select.select([world.runner], [], [], 20)[0]
    world.runner.lost()
    assert not folder.exists()


def test_an_attempt_never_begun_can_still_be(world: World) -> None:
    launch = world.launch("sys.exit(5)")
    assert not world.runner.adopt(launch.folder)
    assert not world.runner.boot_lost(launch.folder)
    assert world.runner.lost() == []
    world.runner.start(launch)
    assert world.end_of(launch.folder).code == 5


def test_letting_go_leaves_the_workers_running(world: World) -> None:
    runner = LocalRunner()
    launch = world.launch(WAITS_FOR_WORD)
    runner.start(launch)
    world.wait_for("ready")
    runner.close()
    assert len(world.living()) == 1
    (world.cwd / "notes").write_text("go\n")
    assert world.end_of(launch.folder).code == 42
