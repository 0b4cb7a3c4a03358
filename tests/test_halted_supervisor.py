"""A supervisor that was halted (SIGSTOP) does not hang whoever asks something of it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from runner_world import state_of

if TYPE_CHECKING:
    from race_lab import Lab


def halted(lab: Lab) -> int:
    """A race of one worker, whose supervisor is halted."""
    lab.race({"a": [["mark", "runs"], ["forever"]]})
    lab.wtrace("run", "--detach")
    lab.wait_for_mark("runs")
    lab.wait_for(lambda: lab.worker("a")["state"] == "running", "it to run")
    pid: int = lab.status()["supervisor"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    lab.wait_for(lambda: state_of(pid) == "T", "the supervisor to be halted")
    return pid


@pytest.mark.parametrize("command", [["stop"], ["stop", "a"]], ids=" ".join)
def test_stop_wakes_it(lab: Lab, command: list[str]) -> None:
    pid = halted(lab)
    done = lab.wtrace(*command)
    assert f"(process {pid}) was halted: it goes on" in done.stderr
    assert done.stdout == "a: stopped\n"


def test_one_that_does_not_stay_awake_is_named_and_a_new_one_ends_the_race(lab: Lab) -> None:
    pid = halted(lab)
    patch = "import wtrace.cli.commands.stop as s, os, sys; s.MOST_WAKES = 1; s.os.kill = lambda *_: None; "
    call = "from wtrace.cli.app import run; sys.exit(run(sys.argv[1:]))"
    command = lab.command("stop")
    lab.command = lambda *args: [command[0], "-c", patch + call, *args]  # type: ignore[method-assign]
    done = lab.wtrace("stop", expect=4)
    assert f"kill -KILL {pid}" in done.stderr
    del lab.command
    os.kill(pid, signal.SIGKILL)
    lab.wtrace("stop")
    assert lab.worker("a")["state"] == "stopped"
