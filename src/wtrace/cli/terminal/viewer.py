"""Show a race while it runs: live on a terminal, in plain lines elsewhere. The race does not depend on it."""

from __future__ import annotations

import os
import select
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from wtrace.cli.common import current_standing
from wtrace.cli.terminal.interrupts import Left, StopChosen, interrupts
from wtrace.cli.terminal.log_file import LogFile, shown_line
from wtrace.errors import ToolError
from wtrace.metrics.watcher import make_watcher
from wtrace.race.paths import Layout
from wtrace.store.reader import Reader
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console

    from wtrace.cli.terminal.keys import Ask, Keyboard, ViewState
    from wtrace.race.paths import RaceLayout
    from wtrace.race.status import Standing

LOOK_EVERY_S = 1.0
"""Looked at this often although nothing changed: a supervisor that dies changes no file."""
TAKE_OVER_S = 10.0
"""How long a supervisor that was just started may take to take its race over."""


def standings(
    root: Path, race_id: str, *, at_most_every_s: float = 0.0, keys: Keyboard | None = None
) -> Iterator[Standing]:
    """Where the race stands, now and after each change, until its reports are written or its supervisor is gone.

    `keys`: whose keys are waited for as well.
    """
    layout = Layout(root)
    with Reader(layout.database) as reader, Changes(layout, at_most_every_s, keys) as changes:
        began = time.monotonic()
        while True:
            closed = reader.closed(race_id)  # read first: what was recorded before it is then certainly seen
            standing = reader.standing(race_id)
            if standing is None:
                return
            standing = current_standing(layout, standing)
            yield standing
            taken_over = standing.supervisor_pid is not None or time.monotonic() > began + TAKE_OVER_S
            if closed is not None or (not standing.supervisor_alive and taken_over):
                return
            changes.wait()


class Changes:
    """Waits until the database of a repo changes; with a pause between two changes, so that a busy race costs little."""

    def __init__(self, layout: Layout, at_most_every_s: float, keys: Keyboard | None = None) -> None:
        self._keys = keys
        self._every_s = at_most_every_s
        self._watcher = make_watcher()
        for path in (layout.database, layout.database.with_name(layout.database.name + "-wal")):
            self._watcher.watch_file(path)
        self._last = float("-inf")

    def __enter__(self) -> Changes:
        return self

    def __exit__(self, *_: object) -> None:
        self._watcher.close()

    def wait(self) -> None:
        """Return after the next change or key, or after a second without one."""
        typed = None if self._keys is None else self._keys.descriptor
        pause_s = self._last + self._every_s - time.monotonic()
        if pause_s > 0 and _ready(typed, timeout_s=pause_s):
            return
        if not self._watcher.changed():
            descriptor, poll_s = self._watcher.fileno(), self._watcher.poll_every_s
            if _ready(descriptor, typed, timeout_s=poll_s or LOOK_EVERY_S) == [typed]:
                return
            self._watcher.changed()
        self._last = time.monotonic()


def _ready(*descriptors: int | None, timeout_s: float) -> list[int]:
    """Which of them can be read, at the latest after so long."""
    return select.select([each for each in descriptors if each is not None], [], [], timeout_s)[0]


REDRAW_AT_MOST_EVERY_S = 0.25  # as often as counters are stored


def view(root: Path, race_id: str, *, may_stop_race: bool = True) -> Standing:
    """Show the race until it is over; returns its last standing.

    Raises Left when whoever watches leaves, StopChosen when they want the race stopped (offered where `may_stop_race`),
    and Interrupted on SIGTERM, or on Ctrl-C where no keys can be read.
    """
    with interrupts():
        if sys.stdout.isatty():
            return _view_live(root, race_id, may_stop_race)
        return _view_lines(root, race_id)


def view_silently(root: Path, race_id: str) -> Standing:
    """Wait for the race to be over without showing anything; else as `view`."""
    with interrupts():
        *_, last = standings(root, race_id)
    return last


def _view_live(root: Path, race_id: str, may_stop_race: bool) -> Standing:
    from rich.console import Console
    from rich.live import Live

    from wtrace.cli.terminal.keys import ViewState, keyboard, press
    from wtrace.cli.terminal.live import LiveView
    from wtrace.cli.terminal.usage import Gauges
    from wtrace.mirror import brief
    from wtrace.publish.notify.notices import announcement

    console = Console(highlight=False)
    picture, gauges = LiveView(), Gauges()
    last: Standing | None = None
    race = Layout(root).race(race_id)
    chosen = ViewState(dashboard=_short(race.dashboard), may_stop_race=may_stop_race)
    with (
        _own_title(console),
        keyboard() as keys,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        for standing in standings(root, race_id, at_most_every_s=REDRAW_AT_MOST_EVERY_S, keys=keys):
            _write(console, announcement(last, standing))
            last = standing
            for key in keys.pressed():
                chosen, ask = press(chosen, key, standing, picture.order(standing, chosen.sort))
                if ask is not None:
                    chosen = _do(chosen, ask, race)
            now = time.time()
            frame = picture.render(
                standing,
                gauges.sample(standing.workers, now),
                width=console.width,
                height=console.height,
                now=now,
                sync=brief.read(str(race.folder)),
                chosen=chosen if keys.descriptor is not None else None,
                log=_log_lines(race, chosen, console.height) if chosen.shown == "log" else (),
            )
            live.update(frame, refresh=True)
    assert last is not None
    return last


def _do(chosen: ViewState, ask: Ask, race: RaceLayout) -> ViewState:
    """What a key asked for; what cannot be done is said in the footer."""
    from wtrace.supervisor.requests import leave_request

    if ask.what == "leave":
        raise Left
    if ask.what == "stop race":
        raise StopChosen
    try:
        leave_request(
            race.requests, ask.what, (str(ask.worker),), f"a key in the live view (process {os.getpid()})"
        )
    except ToolError as error:
        return replace(chosen, said=plain(f"error: {error.what}"))
    return chosen


def _log_lines(race: RaceLayout, chosen: ViewState, most: int) -> list[str]:
    """The last lines of the selected worker's log, as it is now."""
    path = race.worker(str(chosen.selected)) / "training.log"  # whatever the record calls it
    try:
        with LogFile(path) as log:
            return list(map(shown_line, log.last_lines(most))) if log.reopen() else ["no log yet"]
    except OSError as error:
        return [f"cannot read {path}: {error.strerror}"]


@contextmanager
def _own_title(console: Console) -> Iterator[None]:
    """The window's title is ours as long as we show the race."""
    from wtrace.publish.notify.notices import RESTORE_TITLE, SAVE_TITLE

    _write(console, SAVE_TITLE)
    try:
        yield
    finally:
        _write(console, RESTORE_TITLE)


def _write(console: Console, sequence: str) -> None:
    """What moves no cursor: a title, a bell. A terminal that calls itself dumb would show it as text."""
    if sequence and not console.is_dumb_terminal:
        console.file.write(sequence)
        console.file.flush()


def _view_lines(root: Path, race_id: str) -> Standing:
    told = _Told()
    last: Standing | None = None
    for standing in standings(root, race_id):
        last = standing
        for line in told.new_lines(standing):
            print(line, flush=True)
    assert last is not None
    return last


class _Told:
    """Remembers what was printed already: each happening is told once."""

    def __init__(self) -> None:
        self._seen: tuple[object, ...] = ()

    def new_lines(self, standing: Standing) -> Iterator[str]:
        from wtrace.cli.terminal.table import event_line

        seen = set(self._seen)
        for happening in standing.happenings:
            if happening not in seen:
                yield event_line(happening)
        self._seen = standing.happenings


def print_outcome(root: Path, standing: Standing) -> None:
    """The last word on a terminal or in a log: the table, who won, where the report and the log lie."""
    race = Layout(root).race(standing.id)
    report = race.success_report if standing.winner is not None else race.failure_report
    where = _short(report) if report.exists() else None
    from rich.console import Console

    from wtrace.cli.terminal.live import summary

    console = Console(highlight=False)
    console.print(summary(standing, width=console.width, report=where, log=_short(race.log)), soft_wrap=True)

    if where is None and standing.ended is not None:
        print(
            plain(
                f"the report could not be written; {_short(race.log)} says why, `wtrace report` tries again"
            )
        )


def _short(path: Path) -> str:
    """The path as it is reached from here, where that is shorter."""
    relative = os.path.relpath(path)
    return min(relative, str(path), key=len)
