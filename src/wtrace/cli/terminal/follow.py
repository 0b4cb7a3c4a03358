"""Follow a race from outside: read where it stands whenever its record changes."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

from wtrace.cli.standing import current_standing
from wtrace.metrics.watcher import make_watcher
from wtrace.race.paths import Layout
from wtrace.store.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
