"""Show a race while it runs: live on a terminal, in plain lines elsewhere. The race does not depend on it."""

from __future__ import annotations

import os
import select
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wtrace.cli.common import current_standing
from wtrace.cli.terminal.interrupts import interrupts
from wtrace.metrics.watcher import make_watcher
from wtrace.race.paths import Layout
from wtrace.store.reader import Reader
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console

    from wtrace.race.status import Standing

LOOK_EVERY_S = 1.0
"""Looked at this often although nothing changed: a supervisor that dies changes no file."""
TAKE_OVER_S = 10.0
"""How long a supervisor that was just started may take to take its race over."""


def standings(root: Path, race_id: str, *, at_most_every_s: float = 0.0) -> Iterator[Standing]:
    """Where the race stands, now and after each change, until its reports are written or its supervisor is gone."""
    layout = Layout(root)
    with Reader(layout.database) as reader, Changes(layout, at_most_every_s) as changes:
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

    def __init__(self, layout: Layout, at_most_every_s: float) -> None:
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
        """Return after the next change, or after a second without one."""
        pause_s = self._last + self._every_s - time.monotonic()
        if pause_s > 0:
            time.sleep(pause_s)
        if not self._watcher.changed():
            descriptor, poll_s = self._watcher.fileno(), self._watcher.poll_every_s
            select.select([] if descriptor is None else [descriptor], [], [], poll_s or LOOK_EVERY_S)
            self._watcher.changed()
        self._last = time.monotonic()


REDRAW_AT_MOST_EVERY_S = 0.25  # as often as counters are stored


def view(root: Path, race_id: str, *, keys: str | None = None) -> Standing:
    """Show the race until it is over; returns its last standing. Raises Interrupted on Ctrl-C or SIGTERM."""
    with interrupts():
        if sys.stdout.isatty():
            return _view_live(root, race_id, keys)
        return _view_lines(root, race_id)


def view_silently(root: Path, race_id: str) -> Standing:
    """Wait for the race to be over without showing anything; else as `view`."""
    with interrupts():
        *_, last = standings(root, race_id)
    return last


def _view_live(root: Path, race_id: str, keys: str | None) -> Standing:
    from rich.console import Console
    from rich.live import Live

    from wtrace.cli.terminal.live import LiveView
    from wtrace.cli.terminal.usage import Gauges
    from wtrace.mirror import brief
    from wtrace.publish.notify.notices import announcement

    console = Console(highlight=False)
    picture = LiveView() if keys is None else LiveView(keys)
    gauges = Gauges()
    last: Standing | None = None
    folder = str(Layout(root).race(race_id).folder)
    with _own_title(console), Live(console=console, screen=True, auto_refresh=False) as live:
        for standing in standings(root, race_id, at_most_every_s=REDRAW_AT_MOST_EVERY_S):
            _write(console, announcement(last, standing))
            last = standing
            now = time.time()
            frame = picture.render(
                standing,
                gauges.sample(standing.workers, now),
                width=console.width,
                height=console.height,
                now=now,
                sync=brief.read(folder),
            )
            live.update(frame, refresh=True)
    assert last is not None
    return last


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
