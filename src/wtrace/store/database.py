"""The SQLite file: its tables and how it is opened. One connection writes; readers open it read-only.

It may have come with somebody else's repo: only tables as they are made here are read, and nothing else in it is used.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from typing import TYPE_CHECKING

from wtrace.errors import DamagedRecordError, NewerRecordError, RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OF_CONTENT = ("no such table", "no such column", "Could not decode")
"""How an OperationalError begins that is about what the file holds."""
MAY_GO_BY = "try again; `wtrace stop` ends what runs all the same"
MEND = "`wtrace stop` ends what runs; `wtrace run --resume` goes on with a new record beside it, or move the file away"

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS races (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, started REAL NOT NULL,
    view TEXT NOT NULL,          -- the standing without its workers, JSON
    closed REAL                  -- when the reports were written and the supervisor left; seconds since 1970
);
CREATE TABLE IF NOT EXISTS views (
    race TEXT NOT NULL, position INTEGER NOT NULL, worker TEXT NOT NULL,
    view TEXT NOT NULL,          -- the worker's row of the standing, JSON
    PRIMARY KEY (race, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, race TEXT NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_of_race ON events (race);
CREATE TABLE IF NOT EXISTS positions (
    race TEXT NOT NULL, worker TEXT NOT NULL, attempt INTEGER NOT NULL,
    offset INTEGER NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL,
    lines INTEGER NOT NULL, bad_lines INTEGER NOT NULL, epoch INTEGER NOT NULL, first_bad TEXT,
    PRIMARY KEY (race, worker, attempt)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS epochs (
    race TEXT NOT NULL, worker TEXT NOT NULL, attempt INTEGER NOT NULL, epoch INTEGER NOT NULL, at REAL NOT NULL,
    record BLOB NOT NULL         -- the line as it was written
);
CREATE INDEX IF NOT EXISTS epochs_of_race ON epochs (race);  -- and so by rowid: each is added at its end
CREATE TABLE IF NOT EXISTS checks (
    race TEXT NOT NULL, worker TEXT NOT NULL, attempt INTEGER NOT NULL, epoch INTEGER NOT NULL, at REAL NOT NULL,
    offset INTEGER NOT NULL,     -- where the line ends in its file
    judged INTEGER NOT NULL,     -- 1: it counted; 0: not a planned epoch, or a second check of one
    results TEXT NOT NULL,       -- the criteria as judged, JSON
    record BLOB NOT NULL         -- the line as it was written, samples included
);
CREATE INDEX IF NOT EXISTS checks_of_race ON checks (race);
CREATE TABLE IF NOT EXISTS confirmations (
    race TEXT NOT NULL, claim INTEGER NOT NULL, attempt INTEGER NOT NULL, worker TEXT NOT NULL, at REAL NOT NULL,
    results TEXT NOT NULL,       -- the criteria as judged on held-out data, JSON
    record BLOB NOT NULL         -- the line as it was written, samples included
);
CREATE TABLE IF NOT EXISTS records (
    race TEXT NOT NULL, worker TEXT NOT NULL, attempt INTEGER NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL,
    record BLOB NOT NULL         -- start, end, and lines with an event that is not known
);
CREATE INDEX IF NOT EXISTS records_of_race ON records (race);
"""


def open_writer(path: Path) -> sqlite3.Connection:
    """The connection that writes; makes the file (mode 0600) and its tables where they are missing.

    RecordError for a file that is damaged, of a newer version, or not of our making: it is left as it is.
    sqlite3.OperationalError where the disk does not let us.
    """
    path.touch(mode=0o600, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None, timeout=10.0)
    try:
        version = _require_own(connection, path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        if version != SCHEMA_VERSION:
            connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")
    except BaseException as error:
        connection.close()
        if type(error) is sqlite3.DatabaseError:
            raise damaged(path, str(error)) from error
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection | None:
    """A read-only connection, or None when there is no database yet, nor tables in it. RecordError as above."""
    if not path.exists():
        return None
    with readable(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10.0
        )
        try:
            version = _require_own(connection, path)
        except BaseException:
            connection.close()
            raise
    if version == 0:  # another process is just making it
        connection.close()
        return None
    return connection


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Within this, what SQLite says of a file that it cannot read becomes a RecordError that names it."""
    try:
        yield
    except sqlite3.OperationalError as error:  # a lock, a disk: it may go by
        if str(error).startswith(OF_CONTENT):
            raise damaged(path, str(error)) from error
        raise RecordError(f"the record {path} cannot be read", seen=str(error), hint=MAY_GO_BY) from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise damaged(path, str(error)) from error


def damaged(path: Path, seen: str) -> DamagedRecordError:
    """That the record cannot be read, and what to do."""
    return DamagedRecordError(f"the record {path} cannot be read", seen=seen, hint=MEND)


def _require_own(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the schema; 0: there is none yet. RecordError for one that this wtrace must not use."""
    connection.execute("PRAGMA trusted_schema=OFF")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise NewerRecordError(
            f"the record {path} was written by a newer wtrace",
            seen=f"its form is {version}, and this wtrace knows {SCHEMA_VERSION}",
            hint="update wtrace (pip install --upgrade wtrace); the file is left as it is",
        )
    for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_master"):
        if not _is_own(kind, name, sql):
            raise damaged(path, f"it holds {kind} {name}, which wtrace did not make")
    return int(version)


def _is_own(kind: str, name: str, sql: str | None) -> bool:
    """A table as it is made here, or one that is never asked; an index of plain columns."""
    if sql is None or name.startswith("sqlite_"):  # SQLite's own
        return kind in ("table", "index")
    plain = _plain(sql)
    if kind == "table":
        return plain == _OWN.get(name, plain) and plain.startswith("CREATE TABLE ")
    return kind == "index" and re.fullmatch(r"CREATE INDEX \w+ ON \w+ \([\w, ]+\)", plain) is not None


def _plain(sql: str) -> str:
    return " ".join(re.sub("--[^\n]*", " ", sql).split()).replace(" IF NOT EXISTS", "")


_OWN = {
    each.split(" ")[2]: each
    for each in map(str.strip, _plain(_SCHEMA).split(";"))
    if each.startswith("CREATE TABLE ")
}


ROOM_BYTES = 1024


def notice_file(database: Path) -> Path:
    """The file, beside the database."""
    return database.with_name(f"{database.name}-trouble")


def write_notice(path: Path, race: str, at: float, text: str) -> None:
    """Say what is wrong with that race's record. Where even that cannot be written: nothing."""
    _write_notice(path, f"{race}\n{at}\n{' '.join(text.split())}")


def clear_notice(path: Path) -> None:
    """All is well. Makes the file where it is missing, so that there is room when there is none."""
    _write_notice(path, "")


def read_notice(path: Path, race: str) -> tuple[float, str] | None:
    """When the trouble of that race began, and what it is; None: there is none."""
    try:
        told, at, text = path.read_text(encoding="utf-8", errors="replace").split("\n", 2)
        return (float(at), text.rstrip()) if told == race else None
    except (OSError, ValueError):
        return None


def _write_notice(path: Path, text: str) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.pwrite(descriptor, text.encode()[:ROOM_BYTES].ljust(ROOM_BYTES), 0)
        finally:
            os.close(descriptor)
