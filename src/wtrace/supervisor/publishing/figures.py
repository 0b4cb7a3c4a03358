"""The figures of a race, drawn from what the database holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.metrics.records import Check, decode
from wtrace.publish.figures.figure_data import Content, RecordedLine, assemble
from wtrace.store.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from wtrace.publish.figures.draw import Drawn
    from wtrace.publish.figures.figure_data import FigureEvidence
    from wtrace.race.context import RaceContext
    from wtrace.race.paths import Layout
    from wtrace.race.status import Standing
    from wtrace.store.reader import StoredCheck


def picture(race: RaceContext, layout: Layout, standing: Standing, *, dark: bool = False) -> Drawn:
    """Draw every figure of the race into its results, in dark colours too where asked. OSError passes through."""
    from wtrace.publish.figures.draw import draw_all
    from wtrace.publish.figures.style import DARK, LIGHT

    evidence = gather(race, layout, standing)
    return draw_all(race.layout.results / "success_viz", evidence, (LIGHT, DARK) if dark else (LIGHT,))


def drawn_in(results: Path) -> list[Path]:
    """The figures that lie there, in the order in which they are shown."""
    return in_order((results / "success_viz").glob("*.png"))


def in_order(figures: Iterable[Path]) -> list[Path]:
    """As they are shown: the sheet that holds the others first; those in dark colours are left out."""
    light = [path for path in figures if "_dark" not in path.stem]
    return sorted(light, key=lambda path: ("SUCCESS_VISUALIZATION" not in path.name, path.name))


def gather(race: RaceContext, layout: Layout, standing: Standing) -> FigureEvidence:
    """What the figures rest on, read from the database."""
    with Reader(layout.database) as reader:
        confirmed = [raw for _, worker, _, raw in reader.confirmations(race.id) if worker == standing.winner]
        held_out = _content(confirmed[-1]) if confirmed else None
        return assemble(race.spec, standing, _lines(reader, race.id), reader.events(race.id), held_out)


def _lines(reader: Reader, race_id: str) -> Iterator[RecordedLine]:
    for check in reader.checks(race_id):
        yield _line(check)


def _line(check: StoredCheck) -> RecordedLine:
    return RecordedLine(
        check.worker, check.epoch, check.at, check.judged, check.results, lambda: _content(check.raw)
    )


def _content(raw: bytes) -> Content:
    record = decode(raw)
    if not isinstance(record, Check):
        return Content()
    return Content(record.metrics, record.samples or {}, record.objects or {})
