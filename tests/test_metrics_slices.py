"""What a worker writes is read in small pieces, whatever it is, and all of it is read in the end."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtrace.config.spec import MetricsSpec
from wtrace.metrics.foreign import check_builder, source_files, trainer_state
from wtrace.metrics.foreign.base import Problem
from wtrace.metrics.foreign.check_builder import Plan, Translator
from wtrace.metrics.foreign.rows import Reading
from wtrace.metrics.foreign.source_files import Where, look, search
from wtrace.metrics.foreign.trainer_state import TrainerState, log_history
from wtrace.metrics.foreign.translation import Translation
from wtrace.metrics.slices import Slice

numbers = st.integers(-(10**6), 10**6) | st.floats()
entries = st.dictionaries(st.text(max_size=5), numbers | st.text(max_size=20) | st.lists(numbers, max_size=3))
histories = st.lists(entries | numbers | st.none() | st.booleans(), max_size=10)


def whole_history(path: Path) -> list[Any]:
    with path.open("rb") as file:
        return [None if entry == () else entry for entry in log_history(file.fileno()) if entry is not None]


@given(
    histories,
    st.dictionaries(st.text(max_size=5), entries, max_size=3),
    st.none() | st.integers(0, 4),
    st.integers(1, 50),
)
@settings(max_examples=200)
def test_a_state_says_the_same_in_pieces_of_any_size(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[Any],
    before: dict[str, Any],
    indent: int | None,
    size: int,
) -> None:
    path = tmp_path_factory.mktemp("state") / "trainer_state.json"
    before.pop("log_history", None)
    path.write_text(
        json.dumps({**before, "log_history": history, "max_steps": 3}, indent=indent), encoding="utf-8"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer_state, "PIECE_BYTES", size)
        assert repr(whole_history(path)) == repr(json.loads(path.read_text())["log_history"])  # repr: NaN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"log_history": [',
        '{"log_history": [1,',
        '{"log_history": [{"a": 1} {}]}',
        '{"a": 1}',
        "[" * 9999,
        '{"log_history": {}}',
        '{"x": "' + "x" * (trainer_state.LARGEST_VALUE + 10**5) + '", "log_history": []}',
    ],
)
def test_what_is_no_state_or_torn_is_a_mistake(tmp_path: Path, text: str) -> None:
    path = tmp_path / "trainer_state.json"
    path.write_text(text)
    with pytest.raises((ValueError, RecursionError)):
        whole_history(path)


def state(epochs: int) -> str:
    return json.dumps({"log_history": [{"epoch": epoch, "loss": 0.5} for epoch in range(epochs)]})


def test_of_a_large_state_a_piece_is_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_state, "PIECE_BYTES", 1000)
    path = tmp_path / "trainer_state.json"
    path.write_text(state(1000))
    reader = TrainerState(path, "epoch")
    pieces = [reader.read()]
    while pieces[-1][1]:
        pieces.append(reader.read())
    assert max(len(items) for items, _ in pieces) < 50
    assert sum(isinstance(item, Reading) for items, _ in pieces for item in items) == 1000
    assert reader.finish(whole=True) == []


def test_a_state_that_is_replaced_while_it_is_read_is_read_to_its_end_and_then_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one that is replaced again and again would never be read to its newest entry."""
    monkeypatch.setattr(trainer_state, "PIECE_BYTES", 1000)
    path = tmp_path / "trainer_state.json"
    path.write_text(state(1000))
    reader = TrainerState(path, "epoch")
    reader.read()
    (tmp_path / "new").write_text(state(1500))
    (tmp_path / "new").rename(path)
    newest = []
    more = True
    while more:
        items, more = reader.read()
        newest += [item.epoch for item in items if isinstance(item, Reading)]
    assert newest.count(999) == 2
    assert newest[-1] == 1499


def test_a_folder_is_looked_at_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_files, "ENTRIES_AT_ONCE", 10)
    for number in range(100):
        (tmp_path / f"{number}.txt").touch()
        (tmp_path / f"{number}.csv").touch()
    found = list(search(Where(tmp_path, ("*.csv",))))
    assert found[:-1] == [None] * 20
    assert found[-1] is not None and len(found[-1].files) == 100


def test_of_too_many_files_the_first_by_their_numbers_are_read(tmp_path: Path) -> None:
    for number in range(1000):
        (tmp_path / f"{number}.csv").touch()
    found = look(Where(tmp_path, ("*.csv",)))
    assert found.too_many
    assert [path.stem for path in found.files] == [str(number) for number in range(source_files.MOST_FILES)]


def test_a_folder_with_no_end_is_not_looked_at_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_files, "MOST_ENTRIES", 100)
    for number in range(200):
        (tmp_path / f"{number}.txt").touch()
    assert look(Where(tmp_path, ("*.csv",))).too_many


def translation(folder: Path, spec: MetricsSpec, where: Where) -> Translation:
    (folder / "metrics.jsonl").touch()
    plan = Plan(1, 10**6, frozenset({"loss"}))
    return Translation(
        spec, plan, metrics=folder / "metrics.jsonl", log=folder / "log", where=where, leftovers={}
    )


def epochs(folder: Path) -> list[int]:
    return [json.loads(line)["epoch"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_of_each_file_a_piece_is_read_in_turn_when_the_slice_is_used_up(tmp_path: Path) -> None:
    """So that no file waits for the end of another one."""
    table = "epoch,loss\n" + "".join(f"{{0}}{epoch},0.5\n" for epoch in range(10000, 40000))
    for number in (1, 2):
        (tmp_path / f"{number}.csv").write_text(table.replace("{0}", str(number)))
    both = translation(tmp_path, MetricsSpec("csv", path="*.csv"), Where(tmp_path, ("*.csv",)))
    used = Slice(0)
    for _ in range(4):
        assert both.pump(ended=False, within=used)
    seen = epochs(tmp_path)
    assert {str(epoch)[0] for epoch in seen} == {"1", "2"}
    assert len(seen) < 30_000
    while both.pump(ended=True, within=used):
        pass
    assert sorted(epochs(tmp_path)) == [*range(110000, 140000), *range(210000, 240000)]
    both.close()


def test_files_that_were_removed_make_room_for_others(tmp_path: Path) -> None:
    """A trainer that keeps its last checkpoints makes more than are followed at once."""
    both = translation(tmp_path, MetricsSpec("csv", path="*.csv"), Where(tmp_path, ("*.csv",)))
    for epoch in range(source_files.MOST_FILES + 50):
        (tmp_path / f"{epoch}.csv").write_text(f"epoch,loss\n{epoch},0.5\n")
        if epoch >= 2:
            (tmp_path / f"{epoch - 2}.csv").unlink()
        both.pump(ended=False)
    both.pump(ended=True)
    assert sorted(epochs(tmp_path)) == list(range(source_files.MOST_FILES + 50))
    both.close()


def test_what_a_worker_makes_others_remember_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_builder, "MOST_EPOCHS", 3)
    monkeypatch.setattr(check_builder, "MOST_METRICS", 2)
    translator = Translator(Plan(1, 100, frozenset({"zz"})))
    records = []
    for epoch in range(1, 6):
        values = {"a": 1.0, "b": 2.0, "c": 3.0, "zz": 4.0}
        records += translator.take(Reading(epoch, values, settled=True))
    assert [record["epoch"] for record in records] == [1, 2, 3]
    assert all(record["metrics"] == {"a": 1.0, "b": 2.0, "zz": 4.0} for record in records)
    assert len(translator.hints) == 2


def test_a_state_that_is_a_link_or_a_fifo_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "there").write_text(state(3))
    (tmp_path / "link").symlink_to("there")
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo"):
        reader = TrainerState(tmp_path / name, "epoch")
        assert reader.read() == ([], False)
        assert isinstance(reader.finish(whole=True)[0], Problem)
