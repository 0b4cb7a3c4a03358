"""The keys of the live view: what each does to what is shown, and what it asks for; and how they are read."""

from __future__ import annotations

import os
import sys
import termios
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wtrace.race.status import Standing

Shown = Literal["table", "log", "keys"]
Sort = Literal["standing", "config", "name"]
SORTS: tuple[Sort, ...] = ("standing", "config", "name")
MAY_PAUSE, MAY_STOP = (
    ("running", "stalled"),
    ("waiting", "running", "stalled", "paused", "confirming", "retrying"),
)

HELP = (
    ("q", "leave; the race goes on"),
    ("Ctrl-C", "stop the race, or leave it running (`wtrace watch`: leave)"),
    ("↑ ↓", "select a worker"),
    ("enter", "its log; again, or Esc: back to the table"),
    ("p", "pause it, or let it go on"),
    ("x", "stop it, after a question"),
    ("s", "sort by standing, by the config, by name"),
    ("d", "where the dashboard lies"),
    ("?", "these keys"),
)


@dataclass(frozen=True)
class Ask:
    """What a key asks for: to leave, to stop the race, or something of the supervisor for one worker."""

    what: Literal["leave", "stop race", "stop", "pause", "unpause"]
    worker: str | None = None


@dataclass(frozen=True)
class ViewState:
    """What the person who watches has chosen."""

    dashboard: str = ""  # where it lies
    may_stop_race: bool = True  # Ctrl-C asks whether to stop it; else it leaves
    shown: Shown = "table"
    sort: Sort = "standing"
    selected: str | None = None
    question: Ask | None = None  # what waits for a yes
    said: str = ""  # in the footer until the next key

    def footer(self) -> str:
        """The last line of the screen."""
        if self.question is not None and self.question.what == "stop race":
            return "Stop the race, or leave it running?  s: stop  l or Enter: leave  Esc: go on watching"
        if self.question is not None:
            return f"Stop {self.question.worker}?  y: stop it  any other key: no"
        if self.said:
            return self.said
        if self.shown != "table":
            return "Esc: back to the table  q: leave"
        leave = (
            "q: leave  Ctrl-C: stop or leave"
            if self.may_stop_race
            else "q or Ctrl-C: leave, the race goes on"
        )
        return f"{leave}  ↑↓ enter: log  p: pause  x: stop  s: sort  d: dashboard  ?: keys"


def press(
    view: ViewState, key: str, standing: Standing, order: Sequence[str]
) -> tuple[ViewState, Ask | None]:
    """What a key does; `order` is how the table names the workers, from the top. Pure."""
    if view.question is not None:
        return _answer(view, view.question, key)
    view = replace(view, said="")
    match key:
        case "q":
            return view, Ask("leave")
        case "ctrl-c":
            return (
                (replace(view, question=Ask("stop race")), None)
                if view.may_stop_race
                else (view, Ask("leave"))
            )
        case "up" | "k" | "down" | "j":
            return replace(
                view, selected=_next(view.selected, order, 1 if key in ("down", "j") else -1)
            ), None
        case "escape":
            return replace(
                view, shown="table", selected=view.selected if view.shown != "table" else None
            ), None
        case "?":
            return replace(view, shown="table" if view.shown == "keys" else "keys"), None
        case "s":
            after = SORTS[(SORTS.index(view.sort) + 1) % len(SORTS)]
            return replace(
                view, sort=after, said=f"sorted by {'the config' if after == 'config' else after}"
            ), None
        case "d":
            return replace(view, said=f"dashboard: {view.dashboard}"), None
        case "enter" | "p" | "x":
            return _of_worker(view, key, standing)
    return view, None


def _answer(view: ViewState, question: Ask, key: str) -> tuple[ViewState, Ask | None]:
    view = replace(view, question=None)
    if question.what != "stop race":
        return (
            (replace(view, said=f"asked to stop {question.worker}"), question) if key == "y" else (view, None)
        )
    if key == "s":
        return view, question
    if key in ("l", "enter", "q", "ctrl-c"):
        return view, Ask("leave")
    return (view, None) if key == "escape" else (replace(view, question=question), None)


def _next(selected: str | None, order: Sequence[str], step: int) -> str | None:
    if not order:
        return None
    if selected not in order:
        return order[0] if step > 0 else order[-1]
    return order[max(0, min(len(order) - 1, order.index(selected) + step))]


def _of_worker(view: ViewState, key: str, standing: Standing) -> tuple[ViewState, Ask | None]:
    row = next((worker for worker in standing.workers if worker.name == view.selected), None)
    if row is None:
        return replace(view, said="select a worker first: ↑ ↓"), None
    if key == "enter":
        return replace(view, shown="table" if view.shown == "log" else "log"), None
    if key == "x":
        if row.state not in MAY_STOP:
            return replace(view, said=f"{row.name} cannot be stopped: it is {row.state}"), None
        return replace(view, question=Ask("stop", row.name)), None
    if row.state == "paused":
        return replace(view, said=f"asked {row.name} to go on"), Ask("unpause", row.name)
    if row.state not in MAY_PAUSE:
        return replace(view, said=f"{row.name} cannot be paused: it is {row.state}"), None
    return replace(view, said=f"asked to pause {row.name}"), Ask("pause", row.name)


_SEQUENCES = {
    b"\x1b[A": "up", b"\x1bOA": "up", b"\x1b[B": "down", b"\x1bOB": "down",
    b"\r": "enter", b"\n": "enter", b"\x03": "ctrl-c", b"\x1b": "escape",
}  # fmt: skip


def parse(data: bytes) -> list[str]:
    """The keys in what a terminal sent; sequences that mean nothing here are passed over whole."""
    keys: list[str] = []
    while data:
        known = next((start for start in _SEQUENCES if len(start) > 1 and data.startswith(start)), None)
        if known is None and data.startswith((b"\x1b[", b"\x1bO")):
            end = next((i for i, byte in enumerate(data[2:], 3) if 0x40 <= byte <= 0x7E), len(data))
            data = data[end:]
            continue
        start = known or data[:1]
        keys.append(_SEQUENCES.get(start) or start.decode("ascii", "replace"))
        data = data[len(start) :]
    return keys


class Keyboard:
    """The keys that were pressed since the last call. Without a terminal at standard input there are none."""

    def __init__(self, descriptor: int | None) -> None:
        self.descriptor = descriptor

    def pressed(self) -> list[str]:
        """What was typed and not read yet; does not wait."""
        import select

        if self.descriptor is None or not select.select([self.descriptor], [], [], 0)[0]:
            return []
        data = os.read(self.descriptor, 1024)
        if not data:
            self.descriptor = None  # the terminal is gone
        return parse(data)


@contextmanager
def keyboard() -> Iterator[Keyboard]:
    """Keys come one by one, unechoed, Ctrl-C as one of them; at the end the terminal is as it was."""
    if not sys.stdin.isatty():
        yield Keyboard(None)
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    mode = termios.tcgetattr(descriptor)
    mode[3] &= ~(termios.ECHO | termios.ICANON)
    mode[6][termios.VINTR] = os.fpathconf(descriptor, "PC_VDISABLE").to_bytes(1, "little")
    mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
    termios.tcsetattr(descriptor, termios.TCSADRAIN, mode)
    try:
        yield Keyboard(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
