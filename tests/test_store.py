"""The database, looked at while it is made."""

from __future__ import annotations

import sqlite3
from pathlib import Path

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


def test_the_tables_appear_all_at_once(tmp_path: Path) -> None:
    """Whoever finds one finds all: the version is written in the same transaction."""
    path = tmp_path / "wtrace.db"
    open_writer(path).close()
    open_writer(path).close()  # a second time does no harm
    with Reader(path) as reader:
        assert reader.races() == []
        assert reader.latest() is None
