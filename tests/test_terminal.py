"""The live view in a real terminal (tmux), as a person sees it and types at it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from race_lab import Lab, wait_for

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")

TRAINING: list[list[Any]] = [
    ["save_on_term"],
    ["print", "loss 0.5"],
    ["epoch", 1],
    ["check", 5, 1.2],
    ["mark", "up"],
    ["forever"],
]


class Terminal:
    """A tmux session of its own server, so that no other session is touched."""

    def __init__(self, lab: Lab, columns: int, rows: int = 24) -> None:
        self.socket = lab.root.parent / "tmux"
        environment = [
            word
            for name in ("HOME", "LAB_GATES", "WTRACE_TRUST")
            for word in ("-e", f"{name}={lab.env[name]}")
        ]
        self.tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", str(lab.root), *environment,
            "env PS1='$ ' sh",
        )  # fmt: skip
        self.columns = columns

    def tmux(self, *args: str) -> str:
        done = subprocess.run(["tmux", "-S", self.socket, *args], capture_output=True, text=True, check=True)
        return done.stdout

    def type(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def told(self, form: str) -> str:
        """What tmux knows of the first window."""
        return self.tmux("display-message", "-p", "-t", ":0", form).strip()

    def wait_for_text(self, text: str) -> str:
        try:
            wait_for(lambda: text in self.screen(), f"{text!r} on the screen", timeout_s=30)
        except AssertionError:
            raise AssertionError(self.screen()) from None
        return self.screen()

    def close(self) -> None:
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True, check=False)


@pytest.fixture(params=[80, 160])
def terminal(request: pytest.FixtureRequest, lab: Lab) -> Iterator[Terminal]:
    lab.race({"first": TRAINING, "second": [["check", 5, 1.0], ["exit", 3]]})
    opened = Terminal(lab, request.param)
    yield opened
    opened.close()


def run(terminal: Terminal, lab: Lab, *words: str) -> None:
    terminal.type(shlex.join(lab.command(*words)) + "; echo code $?", "Enter")


def test_the_table_fits_and_shows_the_race(lab: Lab, terminal: Terminal) -> None:
    run(terminal, lab, "run")
    screen = terminal.wait_for_text("failed")
    wait_for(lambda: "1.2" in terminal.screen(), "the value of the criterion")
    screen = terminal.screen()
    assert all(len(line) <= terminal.columns for line in screen.splitlines())
    for shown in ("first", "second", "ratio", "accuracy", "running", "exit code 3", "Ctrl-C"):
        assert shown in screen
    lab.wtrace("stop")
    screen = terminal.wait_for_text("code 1")
    assert "stopped" in screen


def test_ctrl_c_asks_and_leaves_the_race_running(lab: Lab, terminal: Terminal) -> None:
    run(terminal, lab, "run")
    lab.wait_for_mark("up")
    terminal.wait_for_text("running")
    terminal.type("C-c")
    terminal.wait_for_text("leave it running?")
    terminal.type("Enter")
    terminal.wait_for_text("code 0")
    assert lab.status()["race"]["state"] == "running"
    run(terminal, lab, "watch")
    terminal.wait_for_text("the race goes on")
    terminal.type("C-c")
    terminal.wait_for_text("wtrace stop")
    lab.wtrace("stop")


def test_ctrl_c_asks_and_stops_the_race(lab: Lab, terminal: Terminal) -> None:
    run(terminal, lab, "run")
    lab.wait_for_mark("up")
    terminal.wait_for_text("running")
    terminal.type("C-c")
    terminal.wait_for_text("leave it running?")
    terminal.type("s")
    terminal.wait_for_text("code 130")
    assert lab.status()["race"]["state"] == "stopped"
    assert (Path(lab.worker("first")["output"]) / "saved").exists()


@pytest.mark.parametrize("command", ["run", "watch"])
def test_q_leaves_and_the_terminal_is_as_it_was(lab: Lab, terminal: Terminal, command: str) -> None:
    if command == "watch":
        lab.wtrace("run", "--detach")
    run(terminal, lab, command)
    lab.wait_for_mark("up")
    terminal.wait_for_text("enter: log")
    terminal.type("q")
    terminal.wait_for_text("code 0")
    assert lab.status()["race"]["state"] == "running"
    terminal.type("clear; stty -a > settings; echo written", "Enter")
    terminal.wait_for_text("written\n")
    settings = (lab.root / "settings").read_text()
    assert "intr = ^C" in settings
    assert " icanon" in settings
    assert " echo " in settings
    lab.wtrace("stop")


def test_keys_select_pause_and_stop_a_worker_and_show_its_log(lab: Lab, terminal: Terminal) -> None:
    run(terminal, lab, "run")
    lab.wait_for_mark("up")
    terminal.wait_for_text("failed")
    terminal.type("p")
    terminal.wait_for_text("select a worker first")
    terminal.type("Down")
    terminal.type("Enter")
    terminal.wait_for_text("log of first")
    assert "loss 0.5" in terminal.screen()
    terminal.type("Escape")
    terminal.wait_for_text("worker ")
    terminal.type("p")
    wait_for(lambda: lab.worker("first")["state"] == "paused", "first to be paused")
    terminal.wait_for_text("‖ paused")
    terminal.type("p")
    wait_for(lambda: lab.worker("first")["state"] == "running", "first to go on")
    terminal.type("d")
    terminal.wait_for_text("dashboard: .wtrace/")
    terminal.type("?")
    terminal.wait_for_text("where the dashboard lies")
    terminal.type("?")
    terminal.wait_for_text("worker ")
    terminal.type("x")
    terminal.wait_for_text("Stop first?")
    terminal.type("n")
    terminal.wait_for_text("enter: log")
    assert lab.worker("first")["state"] == "running"
    terminal.type("x")
    terminal.wait_for_text("Stop first?")
    terminal.type("y")
    terminal.wait_for_text("code 1")
    assert lab.worker("first")["state"] == "stopped"


def test_the_question_stands_over_the_picture_that_goes_on(lab: Lab, terminal: Terminal) -> None:
    run(terminal, lab, "run")
    lab.wait_for_mark("up")
    terminal.wait_for_text("running")
    terminal.type("C-c")
    screen = terminal.wait_for_text("leave it running?").rstrip("\n").splitlines()
    assert len(screen) == 24
    assert "leave it running?" in screen[-1], "the footer stands on the last row"
    assert "first" in "".join(screen[:-1])
    terminal.type("Escape")
    terminal.wait_for_text("q: leave")
    lab.wtrace("stop")
    terminal.wait_for_text("code 1")


def test_closing_the_terminal_leaves_the_race_running(lab: Lab, terminal: Terminal) -> None:
    run(terminal, lab, "run")
    lab.wait_for_mark("up")
    terminal.close()
    status = lab.status()
    assert status["race"]["state"] == "running"
    assert status["supervisor"]["alive"]
    lab.wtrace("stop")


@pytest.fixture
def window(lab: Lab) -> Iterator[Terminal]:
    lab.race({"first": TRAINING, "second": [["wait", "fail"], ["exit", 3]]})
    opened = Terminal(lab, 100)
    yield opened
    opened.close()


def test_the_window_tells_the_news_by_title_and_bell(lab: Lab, window: Terminal) -> None:
    window.tmux("set-option", "-g", "bell-action", "other")
    window.tmux("new-window", "-d")  # tmux notes a bell only of a window that nobody looks at
    run(window, lab, "run")
    lab.wait_for_mark("up")
    wait_for(lambda: window.told("#{pane_title}") == "lab: running", "the title")
    window.tmux("next-window")
    lab.open_gate("fail")
    wait_for(lambda: window.told("#{pane_title}") == "lab: running (1 failed)", "the title of the failure")
    wait_for(lambda: window.told("#{window_bell_flag}") == "1", "the bell")
    lab.wtrace("stop")
