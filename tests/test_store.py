"""The database, looked at while it is made."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from wtrace.store.database import open_writer
from wtrace.store.reader import Reader


@pytest.mark.parametrize("made", ["not at all", "empty", "without tables"])
def test_a_database_that_is_just_being_made_holds_no_race(tmp_path: Path, made: str) -> None:
    path = tmp_path / "wtrace.db"
    if made != "not at all":
        path.touch()
    if made == "without tables":
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
    with Reader(path) as reader:
        assert (reader.latest(), reader.races()) == (None, [])


def test_the_tables_appear_all_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever finds the version finds all tables, at whatever statement of the one who makes them he looks."""
    path, connect = tmp_path / "wtrace.db", sqlite3.connect
    seen = []

    def look(_statement: str) -> None:
        with (
            contextlib.suppress(sqlite3.OperationalError),
            contextlib.closing(connect(path, timeout=0)) as reader,
        ):
            (version,) = reader.execute("PRAGMA user_version").fetchone()
            (tables,) = reader.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()
            seen.append((version, tables))

    def watched(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **kwargs)
        connection.set_trace_callback(look)
        return connection

    monkeypatch.setattr(sqlite3, "connect", watched)
    open_writer(path).close()
    open_writer(path).close()  # a second time does no harm
    monkeypatch.undo()
    look("")
    assert len(seen) > 10
    assert set(seen) == {seen[0], seen[-1]}
    assert seen[0] == (0, 0)
    with Reader(path) as reader:
        assert (reader.races(), reader.latest()) == ([], None)
