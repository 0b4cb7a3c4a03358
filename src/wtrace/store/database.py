"""The SQLite file: its tables and how it is opened. One connection writes; readers open it read-only."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

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
    """The connection that writes; makes the file (mode 0600) and its tables where they are missing."""
    path.touch(mode=0o600, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None, timeout=10.0)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    if _version(connection) != SCHEMA_VERSION:
        connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")
    return connection


def open_reader(path: Path) -> sqlite3.Connection | None:
    """A read-only connection, or None when there is no database yet, nor tables in it."""
    if not path.exists():
        return None
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10.0
    )
    if _version(connection) == 0:  # another process is just making it
        connection.close()
        return None
    return connection


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
