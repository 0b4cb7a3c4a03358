"""Every shape of `shapes.py` is read as it must be: at once, and in arbitrary pieces with restarts in between."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shapes import SHAPES, Checks, Shape
from wtrace.config.load import parse
from wtrace.config.sources import files_place
from wtrace.metrics import follower
from wtrace.metrics.foreign.check_builder import plan_of
from wtrace.metrics.foreign.log_lines import LogLines
from wtrace.metrics.foreign.source_files import located
from wtrace.metrics.foreign.translation import Translation
from wtrace.metrics.foreign.witness import Witness

CONFIG = """\
[race]
name = "shapes"
check_every = {every}
max_epochs = {most}
[success]
it = "{criterion}"
[metrics]
{metrics}
[workers.a]
branch = "a"
command = ["true"]
"""


class Reading:
    """A worker's files while they grow, and a supervisor that reads them and may be replaced by another one."""

    def __init__(self, shape: Shape, folder: Path) -> None:
        text = CONFIG.format(
            every=shape.check_every, most=shape.max_epochs, criterion=shape.criterion, metrics=shape.metrics
        )
        self.shape = shape
        self.spec = parse(text)
        self.folder = folder
        self.records = folder / "metrics.jsonl"
        self.records.touch()
        self.hints: list[str] = []
        self.restart()

    def restart(self) -> None:
        worker = self.spec.worker("a")
        metrics = self.spec.metrics_of(worker)
        place = files_place(metrics)
        where = None if place is None else located(place, output=self.folder, worktree=self.folder, cwd=None)
        self.translation = Translation(
            metrics,
            plan_of(self.spec, worker, metrics),
            metrics=self.records,
            log=self.folder / "training.log",
            where=where,
            leftovers={},
        )

    def write(self, path: str, piece: bytes) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        with (self.folder / path).open("ab") as file:
            file.write(piece)

    def pump(self) -> None:
        while self.translation.pump(ended=False):
            pass
        self.hints += self.translation.take_hints()

    def end(self) -> None:
        """As the supervisor does at the worker's end, if it does end."""
        self.pump()
        if self.shape.end != "running":
            while self.translation.pump(ended=True, whole=self.shape.end == "exit 0"):
                pass
            self.hints += self.translation.take_hints()
        self.translation.close()

    @property
    def checks(self) -> Checks:
        found = [json.loads(line) for line in self.records.read_text().splitlines()]
        return [(each["epoch"], each["metrics"]) for each in found if each["event"] == "check"]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_shape_is_read_as_it_must_be(shape: Shape, tmp_path: Path) -> None:
    reading = Reading(shape, tmp_path)
    for path, content in shape.files.items():
        reading.write(path, content)
    reading.end()
    assert reading.checks == shape.checks
    told = "\n".join(reading.hints)
    for hint in shape.hints:
        assert hint in told
    if shape.quiet:
        assert len(reading.hints) == len(shape.hints), told


PIECEMEAL = [
    shape for shape in SHAPES if len(shape.files) == 1 and sum(map(len, shape.files.values())) < 20_000
]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(PIECEMEAL),
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=6),
)
def test_pieces_and_restarts_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, shape: Shape, cuts: Sequence[tuple[float, bool]]
) -> None:
    """`cuts`: where the writer pauses (a part of the whole), and whether the supervisor is replaced there."""
    reading = Reading(shape, tmp_path_factory.mktemp("shape"))
    [(path, content)] = shape.files.items()
    begin = 0
    for at, restarts in [*sorted(cuts), (1.0, False)]:
        stop = round(at * len(content))
        reading.write(path, content[begin:stop])
        reading.pump()
        if restarts:
            reading.translation.close()
            reading.restart()
        begin = stop
    reading.end()
    assert reading.checks == shape.checks


class Rows(Witness):
    """The lines of a log, as they are searched."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def saw(self, line: str, items: Sequence[object]) -> None:
        self.seen.append(line.rstrip())
        super().saw(line, items)


def rows_of(path: Path, pieces: Sequence[bytes]) -> list[str]:
    path.write_bytes(b"")
    rows = Rows()
    lines = LogLines(path, "epoch", pattern="(?P<epoch>x)", witness=rows)
    for piece in pieces:
        with path.open("ab") as file:
            file.write(piece)
        while lines.read()[1]:
            pass
    lines.finish(whole=True)
    lines.close()
    return rows.seen


SIGNS = [
    "\r",
    "\n",
    "\n",
    "\b",
    "\x1b[K",
    "\x1b[2K",
    "\x1b[A",
    "\x1b[3C",
    "\x1b[31m",
    "█",
    "é",
    "loss=0.5",
    "12%",
    "\0",
    "\r\n",
]


@pytest.mark.parametrize("fold_bytes", [4, 64 * 1024])
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.lists(st.sampled_from(SIGNS), max_size=40).map("".join),
    cuts=st.lists(st.integers(0, 200), max_size=6),
)
def test_lines_do_not_depend_on_where_a_file_was_cut_nor_on_what_was_folded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fold_bytes: int, text: str, cuts: list[int]
) -> None:
    content = text.encode()
    monkeypatch.setattr(follower, "_FOLD_BYTES", 10**9)
    at_once = rows_of(tmp_path / "log", [content])
    monkeypatch.setattr(follower, "_FOLD_BYTES", fold_bytes)
    ends = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    assert rows_of(tmp_path / "log", [content[a:b] for a, b in itertools.pairwise(ends)]) == at_once
