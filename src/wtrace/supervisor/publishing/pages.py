"""What tells where the race stands: rewritten at every check, and now and then when nothing happens."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from wtrace.data import replace
from wtrace.files import write_atomically
from wtrace.mirror import brief, snapshot
from wtrace.mirror.rsync import MOST_LEFT_OUT, UNTOLD
from wtrace.publish.dashboard.charts import whose_bands
from wtrace.publish.dashboard.curves import Curves
from wtrace.publish.markdown.progress import progress_page
from wtrace.race.paths import Layout
from wtrace.supervisor.publishing.bands import WHILE_RACING_S, Bands
from wtrace.supervisor.publishing.redacting import redaction_for
from wtrace.supervisor.publishing.snapshots import snapshot_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wtrace.mirror.snapshot import Snapshot
    from wtrace.race.context import RaceContext
    from wtrace.race.state import State
    from wtrace.race.status import Standing, WorkerStanding
    from wtrace.supervisor.journal import Journal

log = logging.getLogger("wtrace")

AT_MOST_EVERY_S = 1.0
COST_SHARE = 100  # the pages may take one part in so many of the supervisor's time
AT_LEAST_EVERY_S = 10.0  # when there is something new, whatever they cost


def pause_s(latest_s: float, before_s: float) -> float:
    """How long to wait before the pages are drawn again, from what the two latest drawings took of the processor.

    The cheaper one counts: what a drawing imports, or reads for the first time, is paid once.
    """
    return min(max(AT_MOST_EVERY_S, COST_SHARE * min(latest_s, before_s)), AT_LEAST_EVERY_S)


def news_of(state: State) -> tuple[object, ...]:
    """What is worth a new page when it changes: what happened, and how many checks have been judged."""
    return state.happenings, sum(worker.checks for worker in state.workers.values())


class Pages:
    """What is published while the race runs, rewritten when there is something new to tell."""

    def __init__(self, race: RaceContext, journal: Journal, curves: Curves) -> None:
        self._race = race
        self._journal = journal
        self._curves = curves
        # A mirror that is asked for oftener than the page is rewritten would be sent the same page again.
        self._bands = Bands(Layout(race.root).database, race.id, race.spec)
        self._every_s = min([race.spec.progress_every_s, *(target.every_s for target in race.spec.sync)])
        self._drawn: dict[str, int] = {worker.name: worker.checks for worker in self._rows(0.0)}
        self._written = float("-inf")
        self._pause_s = AT_MOST_EVERY_S
        self._cost_s = 0.0
        self._told: object = None
        self._verdict: object = journal.state.verdict

    def due(self) -> float:
        """When they should be rewritten (seconds since 1970)."""
        if self._verdict is not self._journal.state.verdict:
            return self._written + AT_MOST_EVERY_S  # once in a race: it costs what it may
        at_the_latest = self._written + self._every_s
        if self._told == news_of(self._journal.state):
            return at_the_latest
        return min(at_the_latest, self._written + self._pause_s)

    def write(self, now: float) -> None:
        """Rewrite them if that is due, or the race has just ended. What fails is logged; the race goes on."""
        if now < self.due() and self._journal.state.outcome is None:
            return
        began = time.thread_time()
        standing = self._journal.standing(now)
        self._told, self._verdict = news_of(self._journal.state), self._journal.state.verdict
        try:
            self._add_checks(standing.workers)
            if standing.ended is None:
                self._bands.add_to(self._curves, whose_bands(standing), WHILE_RACING_S)
            write_pages(self._race, standing, self._curves)
        except Exception:
            log.exception("the pages cannot be written")
        cost_s = time.thread_time() - began  # what others take of the processor is not the pages'
        self._written, self._pause_s, self._cost_s = now, pause_s(cost_s, self._cost_s), cost_s

    def _rows(self, now: float) -> Sequence[WorkerStanding]:
        return self._journal.standing(now).workers

    def _add_checks(self, workers: Sequence[WorkerStanding]) -> None:
        """The checks since the last rewriting; the row keeps the latest ones."""
        for worker in workers:
            new = worker.checks - self._drawn.get(worker.name, 0)
            for point in worker.recent[-new:] if new else ():
                self._curves.add(worker.name, point)
            self._drawn[worker.name] = worker.checks


def write_pages(
    race: RaceContext,
    standing: Standing,
    curves: Curves,
    figures: Sequence[Path] = (),
    *,
    closed: bool = False,
    left_out: Sequence[str] = (),
) -> None:
    """Write the pages, and the same as data for a mirror.

    `closed`: nothing will change any more. `left_out`: files of the winner's that no mirror takes.
    OSError: the disk does not let us.
    """
    from wtrace.publish.dashboard.page import dashboard_page

    race.layout.results.mkdir(mode=0o700, exist_ok=True)
    redaction = redaction_for(race)
    standing = redaction.standing(standing)
    mirrors = redaction.texts(brief.line(row, standing.at) for row in brief.read(str(race.layout.folder)))
    write_atomically(race.layout.progress, progress_page(standing, mirrors))
    every_s = max(race.spec.progress_every_s, *(target.every_s for target in race.spec.sync), 0.0)
    page = dashboard_page(standing, curves, figures=figures, now=standing.at, every_s=every_s)
    write_atomically(race.layout.dashboard, page)
    written = snapshot_of(standing, curves, every_s=every_s, closed=closed)
    names = tuple(snapshot.UNWRITABLE.sub(UNTOLD[0], name) for name in left_out[: MOST_LEFT_OUT + 1])
    _write_snapshot(race, replace(written, winner_left_out=names))


def tell_closed(race: RaceContext) -> None:
    """Who pulls the race learns that nothing will change any more. OSError: the disk does not let us."""
    if (written := snapshot.read(race.layout.results)) is not None:
        _write_snapshot(race, replace(written, closed=True))


def _write_snapshot(race: RaceContext, written: Snapshot) -> None:
    write_atomically(race.layout.results / snapshot.NAME, snapshot.encode(written))
