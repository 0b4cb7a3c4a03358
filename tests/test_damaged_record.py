"""A database that is damaged, newer, or not of wtrace's making: named in every command, never used, never rewritten."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import forgery
from forgery import EVERY_COMMAND, home_of
from race_lab import Lab
from wtrace.errors import DamagedRecordError, NewerRecordError, RecordError
from wtrace.store.database import open_writer, readable
from wtrace.store.reader import Reader

SLOW = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"  # without end


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database as wtrace makes it, with a race in it."""
    path = tmp_path / "wtrace.db"
    open_writer(path).close()
    with edited(path) as made:
        made.execute("INSERT INTO races (id, name, started, view) VALUES ('r', 'lab', 0, '{}')")
    return path


@contextmanager
def edited(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection:
        yield connection
        connection.commit()


def view_for_a_table(made: sqlite3.Connection) -> None:
    made.execute("DROP TABLE races")
    made.execute(
        f"CREATE VIEW races AS SELECT 'r' AS id, 'lab' AS name, 0 AS started, ({SLOW}) AS view, 0 AS closed"
    )


def trigger(made: sqlite3.Connection) -> None:
    made.execute(f"CREATE TRIGGER slow AFTER INSERT ON races BEGIN INSERT INTO races (id) {SLOW}; END")


def column_that_is_worked_out(made: sqlite3.Connection) -> None:
    made.execute("DROP TABLE views")
    made.execute(
        "CREATE TABLE views (race TEXT, position INT, worker TEXT, view AS (hex(zeroblob(900000000))))"
    )


def check_of_rows(made: sqlite3.Connection) -> None:
    made.execute("DROP TABLE events")
    made.execute("CREATE TABLE events (seq, race, at, kind, data, CHECK (length(randomblob(900000000)) > 0))")


def virtual_table(made: sqlite3.Connection) -> None:
    made.execute("CREATE VIRTUAL TABLE more USING fts5(text)")


def index_of_an_expression(made: sqlite3.Connection) -> None:
    made.execute("CREATE INDEX slow ON races (hex(name))")


FOREIGN: list[Callable[[sqlite3.Connection], None]] = [
    view_for_a_table, trigger, column_that_is_worked_out, check_of_rows, virtual_table,
    index_of_an_expression,
]  # fmt: skip


@pytest.mark.parametrize("forge", FOREIGN)
def test_what_wtrace_did_not_make_is_not_used(
    database: Path, forge: Callable[[sqlite3.Connection], None]
) -> None:
    with edited(database) as made:
        forge(made)
    before = database.read_bytes()
    for opened in (Reader, open_writer):
        with pytest.raises(RecordError, match="cannot be read") as caught:
            opened(database)
        assert "which wtrace did not make" in str(caught.value.seen)
    assert database.read_bytes() == before


def test_databases_of_earlier_versions_are_read(database: Path) -> None:
    with edited(database) as made:
        for index in ("events_of_race", "epochs_of_race", "checks_of_race", "records_of_race"):
            made.execute(f"DROP INDEX {index}")
        made.execute("CREATE INDEX epochs_of_worker ON epochs (race, worker, epoch)")
        made.execute("ANALYZE")
    with Reader(database) as reader:
        assert reader.latest() == "r"
    open_writer(database).close()


def test_a_newer_database_is_refused_and_not_rewritten(database: Path) -> None:
    with edited(database) as made:
        made.execute("PRAGMA user_version=2")
    before = database.read_bytes()
    for opened in (Reader, open_writer):
        with pytest.raises(NewerRecordError, match="newer wtrace") as caught:
            opened(database)
        assert "update wtrace" in str(caught.value.hint)
    assert database.read_bytes() == before


@pytest.mark.parametrize(
    "broken", [b"", b"{", b"[7]", b"null", b"\xff", b"1e999", b'{"state": 7}', b"[" * 100_000, b'{"id": "r"}']
)
def test_a_row_that_cannot_be_read_is_damage(database: Path, broken: bytes) -> None:
    with edited(database) as made:
        made.execute("UPDATE races SET view = ?", (broken.decode("latin-1"),))
        made.execute("INSERT INTO events VALUES (1, 'r', 0, 'WorkerExited', ?)", (broken.decode("latin-1"),))
        made.execute("INSERT INTO events VALUES (2, 'r', 0, 'Unheard', '{}')")
        made.execute(
            "INSERT INTO checks VALUES ('r', 'a', 1, 1, 0, 0, 1, ?, x'00')", (broken.decode("latin-1"),)
        )
    with Reader(database) as reader:
        for asked in (
            lambda: reader.standing("r"),
            lambda: list(reader.events("r")),
            lambda: list(reader.checks("r")),
        ):
            with pytest.raises(RecordError, match=r"wtrace\.db cannot be read"):
                asked()


def torn(file: Path) -> None:
    """As a disk that failed leaves it: whole at the beginning, and then nothing of use."""
    os.truncate(file, 4096)
    with file.open("r+b") as opened:
        opened.seek(200)
        opened.write(os.urandom(3000))
    for beside in ("-wal", "-shm"):
        file.with_name(file.name + beside).unlink(missing_ok=True)


def nonsense(file: Path) -> None:
    file.write_bytes(b"no database at all, and longer than a header of one would be: " * 10)
    for beside in ("-wal", "-shm"):
        file.with_name(file.name + beside).unlink(missing_ok=True)


@pytest.mark.parametrize("damage", [torn, nonsense])
def test_every_command_names_the_file_and_the_mend(lab: Lab, damage: Callable[[Path], None]) -> None:
    lab.race({"a": [["check", 5, 2.0]]})
    lab.wtrace("run")
    file = home_of(lab) / "wtrace.db"
    damage(file)
    left = file.read_bytes()
    assert "kept     a" in lab.wtrace("setup").stdout  # it asks nothing of the record
    for command in [command for command in EVERY_COMMAND if command != ["setup"]]:
        told = lab.wtrace(*command, expect=4).stderr
        assert f"{file} cannot be read" in told, command
        assert "try: " in told, command
    assert file.read_bytes() == left


def test_stop_ends_what_runs_from_the_claims_on_disk(lab: Lab) -> None:
    training = forgery.cut_off(lab)
    nonsense(home_of(lab) / "wtrace.db")
    done = lab.wtrace("stop")
    assert "a: ended" in done.stdout
    assert "found by its claims on disk" in done.stderr
    assert not Path(f"/proc/{training}").exists()


def test_stop_asks_a_supervisor_that_lost_its_record(lab: Lab) -> None:
    lab.race({"a": [["mark", "began"], ["save_on_term"], ["forever"]]})
    lab.wtrace("run", "--detach")
    lab.wait_for_mark("began")
    training = lab.wait_for(lambda: lab.worker("a").get("pid"), "the training to be on record")
    nonsense(home_of(lab) / "wtrace.db")
    assert "a: ended" in lab.wtrace("stop").stdout
    assert not Path(f"/proc/{training}").exists()
    assert (lab.latest / "a" / "output" / "saved").exists()


def test_resume_goes_on_with_a_new_record_beside_the_damaged_one(lab: Lab) -> None:
    """The training that runs is found again, nothing is started twice, and what it reported before counts."""
    lab.race(
        {
            "a": [["check", 5, 1.0], ["mark", "began"], ["wait", "go"], ["check", 10, 2.0]],
            "b": [["check", 5, 1.0]],
        }
    )
    lab.wtrace("run", "--detach")
    lab.wait_for_mark("began")
    lab.wait_for(
        lambda: lab.worker("b")["state"] == "finished" and lab.worker("a")["checks"] == 1, "the first checks"
    )
    training = lab.worker("a")["pid"]
    forgery.kill_supervisor(lab)
    file = home_of(lab) / "wtrace.db"
    nonsense(file)
    damaged = file.read_bytes()
    lab.wtrace("run", "--resume", "--detach")
    (kept,) = home_of(lab).glob("wtrace.db.damaged-*")
    assert kept.read_bytes() == damaged
    lab.wait_for(
        lambda: lab.worker("a")["pid"] == training and lab.worker("b")["state"] == "finished", "the same race"
    )
    lab.open_gate("go")
    lab.wait_for(lambda: lab.status()["race"]["state"] == "won", "the race to end")
    assert (lab.status()["race"]["winner"], lab.worker("a")["checks"]) == ("a", 2)
    assert [path.name for path in (lab.latest / "a" / "attempts").iterdir()] == ["1"]
    lab.wait_for(lambda: not lab.status()["supervisor"]["alive"], "the supervisor to leave")


def test_a_view_without_end_does_not_hold_status_up(lab: Lab) -> None:
    home_of(lab).mkdir(mode=0o700)
    open_writer(home_of(lab) / "wtrace.db").close()
    with edited(home_of(lab) / "wtrace.db") as made:
        view_for_a_table(made)
    for words in (["status"], ["status", "--json"], ["history"]):
        assert "it holds view races" in lab.wtrace(*words, expect=4, timeout_s=30).stderr


def test_what_may_go_by_is_no_damage(database: Path) -> None:
    """A lock, a full disk: `run --resume` must not put the record aside for that."""
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RecordError, match="cannot be read") as caught, readable(database):
            sqlite3.connect(database, timeout=0).execute("SELECT * FROM races")
    assert not isinstance(caught.value, DamagedRecordError)
