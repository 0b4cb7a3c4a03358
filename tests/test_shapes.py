"""Every shape of `shapes.py` is read as it must be: at once, and in arbitrary pieces with restarts in between."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapes import SHAPES, Checks, Shape
from wtrace.core.config import parse
from wtrace.core.sources import files_place
from wtrace.core.translate import plan_of
from wtrace.metrics.sources.places import located
from wtrace.metrics.translation import Translation

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


@settings(max_examples=250, deadline=None)
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
