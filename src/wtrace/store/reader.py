"""What status, resume, replay and the reports read. Read-only: it never waits for a writer and never blocks one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from wtrace.data import data, replace
from wtrace.race.status import Happening
from wtrace.store import codec, database
from wtrace.store.database import damaged, open_reader, readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any, Self

    from wtrace.judging.checks import CriterionStanding
    from wtrace.race.events import Event
    from wtrace.race.status import Standing


class StoredPosition(NamedTuple):
    """How far an attempt's metrics file has been read."""

    offset: int
    device: int
    inode: int
    lines: int
    bad_lines: int
    epoch: int
    first_bad: str | None


class StoredEpoch(NamedTuple):
    """An epoch line."""

    worker: str
    attempt: int
    epoch: int
    at: float
    raw: bytes


@data
class StoredCheck:
    """A check line as it was judged."""

    worker: str
    attempt: int
    epoch: int
    at: float
    judged: bool
    results: tuple[CriterionStanding, ...]
    raw: bytes


@data
class StoredRace:
    """One race of the history."""

    id: str
    name: str
    started: float
    closed: float | None


_IN_ITS_LINE = (b"checkpoint", b"\\")
"""What stands in the line of a check that names a checkpoint: the key, or a backslash where it is written with escapes."""


class Reader:
    """A read-only view of the database; empty when there is no file yet."""

    def __init__(self, path: Path) -> None:
        """RecordError, here and from every question, for a file that cannot be read, or that wtrace did not make."""
        self._path = path
        self._db = open_reader(path)
        self._trouble = database.notice_file(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._db is not None:
            self._db.close()

    def races(self) -> list[StoredRace]:
        """All races, oldest first."""
        return [
            StoredRace(*row)
            for row in self._rows("SELECT id, name, started, closed FROM races ORDER BY rowid")
        ]

    def latest(self) -> str | None:
        """The id of the newest race."""
        rows = list(self._rows("SELECT id FROM races ORDER BY rowid DESC LIMIT 1"))
        return rows[0][0] if rows else None

    def standing(self, race: str) -> Standing | None:
        """Where that race stands, as its supervisor last wrote it; None: no such race."""
        if self._db is None:
            return None
        with readable(self._path):
            self._db.execute("BEGIN")  # one snapshot for both reads
            try:
                rows = list(self._rows("SELECT view FROM races WHERE id = ?", race))
                views = list(self._rows("SELECT view FROM views WHERE race = ? ORDER BY position", race))
            finally:
                self._db.execute("COMMIT")
        if not rows:
            return None
        workers = tuple(self._decoded(codec.decode_worker, view) for (view,) in views)
        standing: Standing = self._decoded(codec.decode_race, rows[0][0], workers)
        told = database.read_notice(self._trouble, race)
        if told is None or standing.ended is not None:
            return standing
        return replace(standing, happenings=(*standing.happenings, Happening(*told)))

    def closed(self, race: str) -> float | None:
        """When that race was closed, or None while somebody may still write to it."""
        rows = list(self._rows("SELECT closed FROM races WHERE id = ?", race))
        return rows[0][0] if rows else None

    def events(self, race: str) -> Iterator[Event]:
        """The journal, in order."""
        for kind, content in self._rows("SELECT kind, data FROM events WHERE race = ? ORDER BY seq", race):
            yield self._decoded(codec.decode_event, kind, content)

    def positions(self, race: str) -> dict[tuple[str, int], StoredPosition]:
        """How far each attempt (worker, number) has been read."""
        query = (
            "SELECT worker, attempt, offset, device, inode, lines, bad_lines, epoch, first_bad "
            "FROM positions WHERE race = ?"
        )
        return {(row[0], row[1]): StoredPosition(*row[2:]) for row in self._rows(query, race)}

    def checks(
        self,
        race: str,
        *,
        judged_only: bool = False,
        with_checkpoints: bool = False,
        unjudged_among_latest: int | None = None,
    ) -> Iterator[StoredCheck]:
        """Every check of that race in the order of arrival, samples included; or those that were judged.

        `with_checkpoints`: only those that may name a checkpoint; of a million others none is handed out.
        `unjudged_among_latest`: of those that were not judged only the ones among the latest so many checks.
        """
        query = (
            "SELECT worker, attempt, epoch, at, judged, results, record FROM checks "
            "WHERE race = ? AND judged >= ? AND (NOT ? OR instr(record, ?) OR instr(record, ?)) "
            "AND (judged OR rowid >= ?) ORDER BY rowid"
        )
        first = 0 if unjudged_among_latest is None else self._first_of_latest(race, unjudged_among_latest)
        values = (race, int(judged_only), int(with_checkpoints), *_IN_ITS_LINE, first)
        for worker, attempt, epoch, at, judged, results, raw in self._rows(query, *values):
            decoded = self._decoded(codec.decode_results, results)
            yield StoredCheck(worker, attempt, epoch, at, bool(judged), decoded, raw)

    def _first_of_latest(self, race: str, many: int) -> int:
        query = "SELECT min(rowid) FROM (SELECT rowid FROM checks WHERE race = ? ORDER BY rowid DESC LIMIT ?)"
        return next((first or 0 for (first,) in self._rows(query, race, many)), 0)

    def count_checks(self, race: str) -> int:
        """How many checks of that race are on record."""
        return next((many for (many,) in self._rows("SELECT count(*) FROM checks WHERE race = ?", race)), 0)

    def check(self, race: str, worker: str, epoch: int) -> bytes | None:
        """The line of the check that was judged at that epoch, samples included."""
        query = (
            "SELECT record FROM checks WHERE race = ? AND worker = ? AND epoch = ? AND judged = 1 "
            "ORDER BY rowid DESC LIMIT 1"
        )
        return next((raw for (raw,) in self._rows(query, race, worker, epoch)), None)

    def epochs(self, race: str) -> Iterator[StoredEpoch]:
        """Every epoch line of that race in the order of arrival."""
        query = "SELECT worker, attempt, epoch, at, record FROM epochs WHERE race = ? ORDER BY rowid"
        yield from map(StoredEpoch._make, self._rows(query, race))

    def confirmations(self, race: str) -> Iterator[tuple[int, str, float, bytes]]:
        """What confirmations reported, in the order of arrival: claim, worker, at, and the line."""
        query = "SELECT claim, worker, at, record FROM confirmations WHERE race = ? ORDER BY rowid"
        yield from self._rows(query, race)

    def records(self, race: str, kind: str) -> Iterator[tuple[str, int, bytes]]:
        """Lines of that kind (`start`, `end`, …): worker, attempt and the line."""
        query = "SELECT worker, attempt, record FROM records WHERE race = ? AND kind = ? ORDER BY rowid"
        yield from self._rows(query, race, kind)

    def _rows(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        if self._db is not None:
            with readable(self._path):
                yield from self._db.execute(query, values)

    def _decoded(self, decode: Callable[..., Any], *stored: object) -> Any:
        try:
            return decode(*stored)
        except codec.UNREADABLE as error:
            raise damaged(self._path, f"a row of it: {error}") from error
