"""The database, looked at while it is made."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from race_lab import Lab
from wtrace.store.database import open_writer
from wtrace.store.reader import Reader
from wtrace.store.writer import Writer


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


def copied(database: Path, to: Path) -> Path:
    """The one file, as somebody copies it who knows nothing of the ones beside it."""
    made = to / "copy.db"
    shutil.copyfile(database, made)
    return made


def test_once_a_race_is_closed_the_file_alone_is_the_history(lab: Lab, tmp_path: Path) -> None:
    """Also where somebody has the database open at that moment, as a viewer has: the last one to leave would fold it."""
    lab.race({"a": [["mark", "started"], ["wait", "go"], ["check", 5, 2.0]]})
    lab.wtrace("run", "--detach")
    lab.wait_for_mark("started")
    database = lab.root / ".wtrace" / "wtrace.db"
    with Reader(database) as reader:
        race = reader.latest()
        assert race is not None
        lab.open_gate("go")
        lab.wait_for(lambda: reader.closed(race), "the race to be closed")
        lab.wait_for(lambda: not database.with_name("wtrace.db-wal").stat().st_size, "the file to be whole")
        with Reader(copied(database, tmp_path)) as copy:
            standing = copy.standing(race)
            assert copy.closed(race) is not None
            assert standing is not None
            assert standing.winner == "a"


def test_a_reader_in_the_way_of_folding_is_told_and_harms_nothing(lab: Lab, tmp_path: Path) -> None:
    lab.race({"a": [["mark", "started"], ["wait", "go"], ["check", 5, 2.0]]})
    running = lab.start("run")
    lab.wait_for_mark("started")
    database = lab.root / ".wtrace" / "wtrace.db"
    reading = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, isolation_level=None)
    reading.execute("BEGIN")
    reading.execute("SELECT * FROM races").fetchall()
    lab.open_gate("go")
    told, _ = running.communicate(timeout=60)
    assert running.returncode == 0, told
    log = lab.latest / "wtrace.log"
    lab.wait_for(lambda: "copy that along" in log.read_text(), "it to be told")
    assert "it was read all the time" in log.read_text()
    reading.execute("COMMIT")
    reading.close()
    assert lab.status()["race"]["winner"] == "a"
    with contextlib.closing(open_writer(database)):
        pass  # the next race's: whoever is the last to leave
    with Reader(copied(database, tmp_path)) as copy:
        assert copy.closed(lab.latest.name) is not None


def test_a_fold_that_fails_says_so_and_loses_nothing(tmp_path: Path) -> None:
    database = tmp_path / "wtrace.db"
    with Writer(database, "r") as writer:
        writer.commit()
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as reading:
            reading.execute("BEGIN")
            reading.execute("SELECT * FROM races").fetchall()
            writer.add_record("w", 1, "start", 0.0, b"{}")
            writer.commit()
            assert not writer.fold(0.0)
            reading.execute("COMMIT")
        assert writer.fold(0.0)
    with Reader(copied(database, tmp_path)) as copy:
        assert len(list(copy.records("r", "start"))) == 1


def test_checks_that_name_a_checkpoint_are_found_however_the_key_is_written(tmp_path: Path) -> None:
    lines = [
        b'{"event":"check","epoch":1,"checkpoint":"a.pt"}',
        b'{"event":"check","epoch":2,"metrics":{"loss":1}}',
        b'{"event":"check","epoch":3,"\\u0063heckpoint":"c.pt"}',
        b'{"event":"check","epoch":4,"metrics":{"l\xc3\xb6ss":1}}',
    ]
    database = tmp_path / "wtrace.db"
    with Writer(database, "r") as writer:
        for epoch, line in enumerate(lines, start=1):
            writer.add_check("w", 1, epoch, 0.0, offset=0, judged=epoch > 2, results=(), raw=line)
        writer.commit()
    with Reader(database) as reader:
        assert [check.epoch for check in reader.checks("r", with_checkpoints=True)] == [1, 3]
        assert [check.epoch for check in reader.checks("r")] == [1, 2, 3, 4]
        assert [check.epoch for check in reader.checks("r", unjudged_among_latest=1)] == [3, 4]
        assert [check.epoch for check in reader.checks("r", unjudged_among_latest=3)] == [2, 3, 4]
        assert list(reader.checks("other", unjudged_among_latest=3)) == []
        assert (reader.count_checks("r"), reader.count_checks("other")) == (4, 0)
