"""The confidence intervals of a race's curves, worked out a few at a time: each takes about ten milliseconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from wtrace.config.language.expressions import has_interval
from wtrace.judging import referee
from wtrace.metrics.records import Check, decode
from wtrace.store.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from wtrace.config.spec import RaceSpec
    from wtrace.publish.dashboard.curves import Band, Curves

WHILE_RACING_S = 0.03  # each time that the pages are rewritten: a check that comes meanwhile waits for it
AT_THE_END_S = 2.0
FEWEST_CHECKS = 2  # a band has a beginning and an end


class Bands:
    """Gives the checks of curves their intervals, the newest first; the samples are read from the database."""

    def __init__(self, database: Path, race_id: str, spec: RaceSpec) -> None:
        self._database = database
        self._race_id = race_id
        self._success = spec.success
        self._banded = [has_interval(criterion.expression) for criterion in spec.success]
        self._known: set[tuple[str, int]] = set()

    def add_to(self, curves: Curves, workers: Sequence[str], budget_s: float) -> None:
        """Work out those of these workers' checks that lack them, within the time; what is left comes next time."""
        lacking = self._lacking(curves, workers) if any(self._banded) else []
        if not lacking:
            return
        until = time.perf_counter() + budget_s
        with Reader(self._database) as reader:
            for worker, epoch in lacking:
                if time.perf_counter() >= until:
                    return
                raw = reader.check(self._race_id, worker, epoch)
                if raw is not None:
                    curves.add_bands(worker, epoch, list(self._bands(raw)))
                self._known.add((worker, epoch))

    def _lacking(self, curves: Curves, workers: Sequence[str]) -> list[tuple[str, int]]:
        found: set[tuple[str, int]] = set()
        for worker in workers:
            for index, banded in enumerate(self._banded):
                points = curves.of(worker, index) if banded else ()
                if len(points) >= FEWEST_CHECKS:
                    found.update((worker, point.epoch) for point in points if point.band is None)
        return sorted(found - self._known, key=lambda check: (-check[1], check[0]))

    def _bands(self, raw: bytes) -> Iterator[Band | None]:
        record = decode(raw)
        for criterion, banded in zip(self._success, self._banded, strict=True):
            found = None
            if banded and isinstance(record, Check):
                found = referee.interval(criterion, record.metrics, record.samples or {})
            yield None if found is None else (found.low, found.high)
