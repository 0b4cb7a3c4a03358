"""What the supervisor writes: whole turns of its loop, each in one transaction.

Rows are collected first and written by `commit`. When the disk is full the rows stay collected, and the next
`commit` tries again: the trainings go on meanwhile.
"""

from __future__ import annotations

import sqlite3
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from wtrace.store import codec, database
from wtrace.store.database import open_writer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any, Self

    from wtrace.judging.checks import CriterionStanding
    from wtrace.race.events import Event
    from wtrace.race.status import Standing, WorkerStanding
    from wtrace.store.reader import StoredPosition

_EVENT = "INSERT INTO events (race, at, kind, data) VALUES (?, ?, ?, ?)"
_EPOCH = "INSERT INTO epochs VALUES (?, ?, ?, ?, ?, ?)"
_CHECK = "INSERT INTO checks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_CONFIRMATION = "INSERT INTO confirmations VALUES (?, ?, ?, ?, ?, ?, ?)"
_RECORD = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)"
_POSITION = "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_VIEW = "INSERT OR REPLACE INTO views VALUES (?, ?, ?, ?)"
_RACE = "INSERT INTO races (id, name, started, view) VALUES (?, ?, ?, ?)"
_RACE_VIEW = "UPDATE races SET view = ? WHERE id = ?"
_CLOSED = "UPDATE races SET closed = ? WHERE id = ?"


class Writer:
    """The one connection that writes. Methods only collect; `commit` writes all of it or nothing."""

    def __init__(self, path: Path, race_id: str) -> None:
        self._db = open_writer(path)
        self._race = race_id
        self._trouble = database.notice_file(path)
        self.end_trouble()
        self._pending: list[tuple[str, tuple[Any, ...]]] = []
        self._positions: dict[tuple[str, int], StoredPosition] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def create_race(self, standing: Standing) -> None:
        """A new race with its first standing."""
        self._add(_RACE, self._race, standing.name, standing.started, codec.encode_race(standing))
        for position, worker in enumerate(standing.workers):
            self.set_worker(position, worker)

    def set_race(self, standing: Standing) -> None:
        """The race's own part of the standing; its workers' rows are set one by one."""
        self._add(_RACE_VIEW, codec.encode_race(standing), self._race)

    def set_worker(self, position: int, worker: WorkerStanding) -> None:
        """A worker's row of the standing."""
        self._add(_VIEW, self._race, position, worker.name, codec.encode(worker))

    def add_event(self, event: Event) -> None:
        """An entry of the journal."""
        self._add(_EVENT, self._race, event.at, type(event).__name__, codec.encode(event))

    def add_epoch(self, worker: str, attempt: int, epoch: int, at: float, raw: bytes) -> None:
        """An epoch line."""
        self._add(_EPOCH, self._race, worker, attempt, epoch, at, raw)

    def add_check(
        self,
        worker: str,
        attempt: int,
        epoch: int,
        at: float,
        *,
        offset: int,
        judged: bool,
        results: Sequence[CriterionStanding],
        raw: bytes,
    ) -> None:
        """A check line with what the referee said of it."""
        self._add(
            _CHECK,
            self._race,
            worker,
            attempt,
            epoch,
            at,
            offset,
            int(judged),
            codec.encode(tuple(results)),
            raw,
        )

    def add_confirmation(
        self,
        claim: int,
        attempt: int,
        worker: str,
        at: float,
        *,
        results: Sequence[CriterionStanding],
        raw: bytes,
    ) -> None:
        """What a confirmation reported, and what the referee said of it."""
        self._add(_CONFIRMATION, self._race, claim, attempt, worker, at, codec.encode(tuple(results)), raw)

    def add_record(self, worker: str, attempt: int, kind: str, at: float, raw: bytes) -> None:
        """A start, an end, or a line with an event that is not known."""
        self._add(_RECORD, self._race, worker, attempt, kind, at, raw)

    def set_position(self, worker: str, attempt: int, position: StoredPosition) -> None:
        """How far an attempt's metrics file has been read, and what was counted in it."""
        self._positions[worker, attempt] = position

    def close_race(self, at: float) -> None:
        """The reports are written; nobody will write to this race again."""
        self._add(_CLOSED, at, self._race)

    def commit(self) -> None:
        """Write all that was collected, in one transaction. sqlite3.Error: nothing was written, all is kept."""
        if not self._pending and not self._positions:
            return
        positions = [(self._race, *which, *where) for which, where in self._positions.items()]
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for statement, rows in groupby(self._pending, key=itemgetter(0)):
                self._db.executemany(statement, [values for _, values in rows])
            self._db.executemany(_POSITION, positions)
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._pending.clear()
        self._positions.clear()

    def tell_trouble(self, at: float, text: str) -> None:
        """Let readers know that the record lags behind, and why: `commit` fails."""
        database.write_notice(self._trouble, self._race, at, text)

    def end_trouble(self) -> None:
        """`commit` works again."""
        database.clear_notice(self._trouble)

    def fold(self, timeout_s: float = 2.0) -> bool:
        """Bring what lies in the file beside it into the database, so that the one file is whole by itself.

        False: somebody read it all the time. sqlite3.Error: the disk does not let us. Either way nothing is lost, and
        whoever is the last to close the database tries again.
        """
        self._db.execute(f"PRAGMA busy_timeout={int(timeout_s * 1000)}")
        ((held_up, *_),) = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return not held_up

    def close(self) -> None:
        """Close the connection; what was not committed is dropped."""
        self._db.close()

    def _add(self, statement: str, *values: Any) -> None:
        self._pending.append((statement, values))
