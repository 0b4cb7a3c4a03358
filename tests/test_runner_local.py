"""A worker is started once, as its own, told once, and how it ended is exact: against real processes."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner_world import World, patched_shim, state_of, until
from wtrace.errors import ToolError
from wtrace.runners import attempt_folder, local, processes
from wtrace.runners.local import LocalRunner

if TYPE_CHECKING:
    from collections.abc import Iterator

SAVES_ON_SIGTERM = """
def save(*_):
    note("term")
    time.sleep(0.25)
    os._exit(7)
signal.signal(signal.SIGTERM, save)
linger()
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as world:
        yield world


@pytest.mark.parametrize("code", [0, 3, 255])
def test_the_exit_code_is_exact(world: World, code: int) -> None:
    ending = world.end_of(world.start(f"sys.exit({code})"))
    assert (ending.code, ending.signal, ending.known, ending.leftovers) == (code, None, True, 0)
    assert abs(ending.at - time.time()) < 20


@pytest.mark.parametrize(
    "signum", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGPIPE, signal.SIGINT]
)
def test_the_signal_that_ended_it_is_exact(world: World, signum: signal.Signals) -> None:
    reset = "" if signum == signal.SIGKILL else f"signal.signal({int(signum)}, signal.SIG_DFL)"
    ending = world.end_of(world.start(f"{reset}\nos.kill(os.getpid(), {int(signum)}); time.sleep(60)"))
    assert (ending.code, ending.signal, ending.known) == (None, signum, True)


def test_a_worker_is_given_its_environment_and_nothing_else(world: World) -> None:
    seen = """
import json
fds = [int(name) for name in os.listdir("/proc/self/fd")]
print(json.dumps({
    "env": open("/proc/self/environ").read().split("\\0")[:-1], "cwd": os.getcwd(), "stdin": os.readlink("/proc/self/fd/0"),
    "fds": [fd for fd in fds if os.path.exists(f"/proc/self/fd/{fd}")], "argv": sys.argv[1:], "umask": os.umask(0),
    "leads": os.getsid(0) == os.getpgid(0) == os.getpid(),
    "status": [line.split() for line in open("/proc/self/status") if line.startswith(("SigBlk", "SigIgn"))],
}))
"""
    inherited, other_end = os.pipe()
    os.set_inheritable(inherited, True)
    launch = world.launch(seen, env={"A": "1", "LANG": "x"})
    launch = replace(launch, command=(*launch.command, "--x", "a b", "$(id)"))
    LocalRunner(umask=0o027).start(launch)
    os.close(inherited)
    os.close(other_end)
    assert world.end_of(launch.folder).code == 0
    told = json.loads((launch.folder / "training.log").read_text())
    assert sorted(told["env"]) == ["A=1", "LANG=x", f"WTRACE_ATTEMPT={launch.marker}"]
    assert (told["cwd"], told["stdin"], told["fds"]) == (str(world.cwd), "/dev/null", [0, 1, 2])
    assert (told["argv"], told["umask"], told["leads"]) == (["--x", "a b", "$(id)"], 0o027, True)
    # Python itself ignores SIGPIPE (13) and SIGXFSZ (25), glibc its own 32 and 33; nothing else may be ignored or blocked
    masks = {name: int(mask, 16) & ~(3 << 31) for name, mask in told["status"]}
    assert masks == {"SigBlk:": 0, "SigIgn:": 1 << 12 | 1 << 24}


def test_the_files_of_an_attempt_are_private_and_its_log_is_only_ever_appended_to(world: World) -> None:
    folder = world.root / "attempts" / "1"
    folder.mkdir(parents=True)
    (folder / "training.log").write_text("before\n")
    (folder / "training.log").chmod(0o600)
    world.start("print('out', flush=True); os.write(2, b'err\\n')")
    world.end_of(folder)
    assert (folder / "training.log").read_text() == "before\nout\nerr\n"
    files = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert files == dict.fromkeys(["exit.json", "shim.lock", "start.claim", "training.log"], 0o600)


@pytest.mark.parametrize(
    ("command", "cwd", "line"),
    [
        (("no-such-program",), ".", "wtrace: cannot start 'no-such-program': No such file or directory\n"),
        (("/etc/passwd",), ".", "wtrace: cannot start '/etc/passwd': Permission denied\n"),
        (("ev\x1bil",), ".", "wtrace: cannot start 'ev\\x1bil': No such file or directory\n"),
        (("true",), "no-such-folder", "wtrace: cannot enter '{cwd}': No such file or directory\n"),
    ],
)
def test_a_command_that_cannot_be_started(
    world: World, command: tuple[str, ...], cwd: str, line: str
) -> None:
    launch = replace(world.launch(""), command=command, cwd=world.cwd / cwd)
    world.runner.start(launch)
    assert world.end_of(launch.folder).code == 127
    assert (launch.folder / "training.log").read_text() == line.format(cwd=launch.cwd)


def test_a_request_that_no_process_can_be_made_for(world: World) -> None:
    with pytest.raises(ToolError, match="cannot start a process"):
        world.runner.start(replace(world.launch(""), command=("a\0b",)))


def test_two_shims_at_once_start_one_worker(world: World) -> None:
    other = world.another_runner()
    for number in range(15):
        launch = world.launch(f"note('run {number}')", name=str(number))
        for runner in (world.runner, other):
            runner.start(launch)
        assert world.end_of(launch.folder).code == 0
        until(lambda: not (world.losses() if select.select([world.runner], [], [], 0)[0] else other.lost()))
    assert sorted(world.notes()) == sorted(f"run {number}" for number in range(15))


@pytest.mark.parametrize("guarded", [True, False])
def test_an_attempt_that_has_ended_is_never_started_again(
    world: World, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not guarded:
        patch = (
            "os.link(draft, ",
            "os.rename(draft, ",
        )
        monkeypatch.setattr(local, "SHIM", patched_shim(world.root, patch))
    launch = world.launch("note('run')")
    for _ in range(2):
        runner = world.another_runner()
        runner.start(launch)
        until(lambda: select.select([runner], [], [], 0)[0])  # noqa: B023
        assert runner.lost() == []
    assert world.notes() == ["run"] * (1 if guarded else 2)


@pytest.mark.parametrize("held", [True, False])
def test_a_stop_before_the_start_leaves_the_command_unrun(
    world: World, held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not held:
        patch = ('if os.access("stop.request", os.F_OK, dir_fd=self.folder):', "if False:")
        monkeypatch.setattr(local, "SHIM", patched_shim(world.root, patch))
    launch = world.launch("note('run'); linger()")
    stopper = world.another_runner()
    stopper.stop(launch.folder)  # by somebody who knows the folder alone
    world.runner.start(launch)
    if held:
        ending = world.end_of(launch.folder)
        assert (ending.code, ending.signal, world.notes()) == (None, signal.SIGTERM, [])
    else:
        world.wait_for("run")


def test_a_stop_right_after_the_start_is_not_lost(world: World) -> None:
    for number in range(10):
        launch = world.launch("linger()", name=str(number))
        world.runner.start(launch)
        time.sleep(number * 0.003)  # from before the shim runs to after the claim
        world.runner.stop(launch.folder)
        assert world.end_of(launch.folder).signal == signal.SIGTERM


@pytest.mark.parametrize("who", ["one, twice", "two", "the later one first", "one that died"])
def test_a_worker_gets_one_sigterm_whoever_stops_it(world: World, who: str) -> None:
    folder = stopped_by(world, who)
    ending = world.end_of(folder)
    assert world.notes() == ["ready", "term"]
    assert (ending.code, ending.leftovers) == (7, 0)


@pytest.mark.parametrize(
    ("who", "guard"), [("two", "lock"), ("one that died", "note"), ("one that died", "shim")]
)
def test_without_its_guard_a_worker_gets_two(
    world: World, who: str, guard: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch = ("if not self.tells_leader():", "if False:")
    if guard == "shim":
        monkeypatch.setattr(local, "SHIM", patched_shim(world.root, patch))
    elif guard == "note":
        monkeypatch.setattr(processes, "is_pending", lambda *_: False)
    else:
        monkeypatch.setattr(attempt_folder, "lock_stop", lambda _claim: True)
    folder = stopped_by(world, who)
    world.end_of(folder)
    assert world.notes() == ["ready", "term", "term"]


def test_a_worker_whose_folder_is_gone_gets_one_too(world: World) -> None:
    """The shim cannot see a lock on what is not there; it sees the note."""
    folder = world.start(SAVES_ON_SIGTERM, grace_s=5)
    world.wait_for("ready")
    shutil.rmtree(folder)
    world.runner.stop(folder)
    until(lambda: not world.living(shims=True))
    assert world.notes() == ["ready", "term"]


def stopped_by(world: World, who: str) -> Path:
    """A worker that takes its time to save, stopped by two runners, the second one after the first SIGTERM arrived."""
    folder = world.start(SAVES_ON_SIGTERM, grace_s=5)
    world.wait_for("ready")
    first, second = world.runner, world.runner if who == "one, twice" else world.another_runner()
    if who == "one that died":  # as far as it came: the note, the signal; its lock ended with it
        attempt = first._reach(folder)
        assert attempt is not None
        attempt.shim.send(signal.SIGUSR2)
        attempt.tell_worker(signal.SIGTERM)
    else:
        assert second.adopt(folder)
        if who == "the later one first":
            first, second = second, first
        first.stop(folder)
    world.wait_for("term")  # so that a second one is not merged with the first
    second.stop(folder)
    return folder


@pytest.mark.parametrize("guarded", [True, False])
def test_what_a_worker_starts_in_order_to_save_has_the_grace(
    world: World, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the leader was told some time before its guardian."""
    delay = ("self.knows_since = uptime()", "time.sleep(0.2); self.knows_since = uptime()")
    careless = ("self.knows_since -= TOLD_AGO_S", "pass")
    patches = [delay] if guarded else [delay, careless]
    monkeypatch.setattr(local, "SHIM", patched_shim(world.root, *patches))
    saver = """
def save(*_):
    if os.fork() == 0:
        note("saving"); time.sleep(0.4); note("saved"); os._exit(0)
    os.wait()
    os._exit(7)
signal.signal(signal.SIGTERM, save)
linger()
"""
    folder = world.start(saver, grace_s=5, first="tree")
    world.wait_for("ready")
    world.runner.stop(folder)
    assert world.end_of(folder).code == 7
    assert (world.notes() == ["ready", "saving", "saved"]) is guarded


def test_kill_does_not_wait_for_the_grace(world: World) -> None:
    folder = world.start("ignore_sigterm(); escape(os.setsid)", grace_s=60)
    world.wait_for("ready")
    world.runner.kill(folder)
    assert world.end_of(folder).signal == signal.SIGKILL


COUNTS = """
def count():
    while True:
        note(str(os.getpid()))
        time.sleep(0.01)
signal.signal(signal.SIGTERM, lambda *_: (note("term"), os._exit(7)))
if os.fork() == 0:
    os.setsid()
count()
"""


@pytest.mark.parametrize("guarded", [True, False])
def test_a_halted_tree_goes_on_or_dies(world: World, guarded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not guarded:
        patch = ("send(pid, STOP, signal.SIGCONT)", "send(pid, STOP)")
        monkeypatch.setattr(local, "SHIM", patched_shim(world.root, patch))
    folder = world.start(COUNTS, first="tree")
    until(lambda: len(set(world.notes())) == 2)
    pids = {int(pid) for pid in world.notes()}
    world.runner.pause(folder)
    until(lambda: {state_of(pid) for pid in pids} == {"T"})
    halted_at = len(world.notes())
    world.runner.unpause(folder)
    until(lambda: len(world.notes()) > halted_at + 20)
    world.another_runner().pause(folder)
    until(lambda: {state_of(pid) for pid in pids} == {"T"})
    world.runner.stop(folder)
    assert world.end_of(folder).code == 7
    assert world.notes().count("term") == (2 if guarded else 1)


def test_a_descriptor_of_descriptors_tells_of_the_end_and_no_zombie_stays(world: World) -> None:
    folder = world.start("sys.exit(0)")
    shim = world.guardian_of(folder)
    outer = select.epoll()
    outer.register(world.runner, select.EPOLLIN)
    assert outer.poll(20)
    assert world.runner.lost() == []
    assert world.end_of(folder).code == 0
    assert state_of(shim) == ""
    assert not outer.poll(0)
    outer.close()


def test_the_guardian_is_small(world: World) -> None:
    folder = world.start("linger()")
    world.wait_for("ready")
    rollup = Path(f"/proc/{world.guardian_of(folder)}/smaps_rollup").read_text().splitlines()
    private = [int(line.split()[1]) for line in rollup if line.startswith("Private_")]
    assert sum(private) < 6 * 1024  # KiB


def test_python_finds_no_module_of_the_branch_in_the_guardian(world: World) -> None:
    for name in ("os", "fcntl", "time", "shim_guard", "shim_kernel"):
        (world.cwd / f"{name}.py").write_text("raise SystemExit('shadowed')")
    launch = world.launch("note('run')")
    world.runner.start(replace(launch, env={**os.environ, "PYTHONPATH": str(world.cwd)}))
    assert world.end_of(launch.folder).code == 0
    assert world.notes() == ["run"]
    assert sys.executable
