"""A dropped SSH line does nothing: hang-up, a terminal that vanishes, a pipe that closes, a viewer that is halted."""

from __future__ import annotations

import os
import pty
import shlex
import shutil
import signal
import subprocess
from contextlib import suppress

import pytest

from chaos_lab import ChaosLab, script
from race_lab import wait_for

GOES_ON = script(["mark", "up"], ["wait", "go"], ["check", 5, 2.0], ["forever"])


def assert_it_goes_on(chaos: ChaosLab) -> None:
    """The race runs, and is won when it is let go on."""
    chaos.wait_for_mark("up")
    status = chaos.status()
    assert (status["race"]["state"], status["supervisor"]["alive"]) == ("running", True)
    chaos.open_gate("go")
    chaos.wait_for_end()
    assert chaos.status()["race"]["winner"] == "a"


def in_a_terminal(chaos: ChaosLab) -> tuple[subprocess.Popen[bytes], int]:
    """`wtrace run` as the leader of a terminal's session; returns it and the terminal's other end."""
    ours, theirs = pty.openpty()
    viewer = subprocess.Popen(
        ["env", "--default-signal=HUP", "setsid", "--ctty", *chaos.command("run")], cwd=chaos.root, env={**chaos.env, "TERM": "xterm"},
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    while b"running" not in seen:  # a terminal that nobody reads would block it
        seen += os.read(ours, 65536)
    return viewer, ours


@pytest.mark.parametrize("how", ["the terminal vanishes", "hang-up"])
def test_a_dropped_line_does_nothing(chaos: ChaosLab, how: str) -> None:
    chaos.race({"a": GOES_ON})
    viewer, ours = in_a_terminal(chaos)
    if how == "hang-up":
        os.killpg(viewer.pid, signal.SIGHUP)
        viewer.wait(20)
    os.close(ours)
    viewer.wait(20)
    assert_it_goes_on(chaos)


@pytest.mark.parametrize(
    ("pipeline", "prints"),
    [("{wtrace} run | head -n 1", True), ("{wtrace} run >&-", False), ("{wtrace} run >&- 2>&- <&-", False)],
)
def test_a_closed_pipe_does_nothing(chaos: ChaosLab, pipeline: str, prints: bool) -> None:
    chaos.race({"a": GOES_ON})
    line = pipeline.format(wtrace=shlex.join(chaos.command()))
    shell = subprocess.Popen(["sh", "-c", line], cwd=chaos.root, env=chaos.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert_it_goes_on(chaos)
    told, errors = shell.communicate(timeout=30)
    assert (told.count("\n"), "Traceback" in errors, "bug" in errors) == (int(prints), False, False)


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_a_halted_viewer_halts_nobody_and_goes_on(chaos: ChaosLab) -> None:
    chaos.race({"a": GOES_ON})
    socket = str(chaos.root.parent / "tmux")

    def tmux(*words: str) -> str:
        return subprocess.run(
            ["tmux", "-S", socket, *words], capture_output=True, text=True, check=True
        ).stdout

    environment = [word for name in ("HOME", "LAB_GATES", "WTRACE_TRUST", "WTRACE_FIGURES") for word in ("-e", f"{name}={chaos.env[name]}")]  # fmt: skip
    tmux("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "24", "-c", str(chaos.root), *environment, "env PS1='$ ' bash --norc")  # fmt: skip
    try:
        tmux("send-keys", shlex.join(chaos.command("run")), "Enter")
        wait_for(lambda: "running" in tmux("capture-pane", "-p"), "the live view")
        tmux("send-keys", "C-z")
        wait_for(lambda: "Stopped" in tmux("capture-pane", "-p"), "the viewer to be halted")
        assert_it_goes_on(chaos)
        tmux("send-keys", "fg; echo code $?", "Enter")
        wait_for(lambda: "code 0" in tmux("capture-pane", "-p"), "the viewer to go on and to see the end")
        assert "won" in tmux("capture-pane", "-p")
    finally:
        with suppress(subprocess.CalledProcessError):
            tmux("kill-server")
