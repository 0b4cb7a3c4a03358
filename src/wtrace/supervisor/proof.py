"""The end of a race: its report, made from what was recorded."""

from __future__ import annotations

import logging
import os
import platform
import shlex
import sqlite3
import time
from importlib import metadata
from typing import TYPE_CHECKING

from wtrace.core.plan import confirm_divisor, divisor
from wtrace.results.evidence import CheckRow, Evidence
from wtrace.results.files import write_atomically
from wtrace.results.progress import progress_page
from wtrace.results.report import failure_report, success_report
from wtrace.store.reader import Reader

if TYPE_CHECKING:
    from pathlib import Path

    from wtrace.core.claims import Claim
    from wtrace.core.layout import Layout
    from wtrace.core.standing import Standing
    from wtrace.supervisor.context import RaceContext

log = logging.getLogger("wtrace")


def prove(race: RaceContext, layout: Layout, standing: Standing, claims: tuple[Claim, ...]) -> Path | None:
    """Write the report and the last progress page; returns the report's path.

    A failure here never changes the verdict: it is logged, and None is returned.
    """
    try:
        evidence = gather(race, layout, claims)
        if standing.winner is not None:
            path, text = race.layout.success_report, success_report(standing, evidence)
        else:
            path, text = race.layout.failure_report, failure_report(standing, evidence)
        write_atomically(path, text)
        write_atomically(race.layout.progress, progress_page(standing))
    except (OSError, sqlite3.Error):
        log.exception("the report could not be written")
        return None
    return path


def gather(race: RaceContext, layout: Layout, claims: tuple[Claim, ...]) -> Evidence:
    """What the report rests on, read from the database."""
    with Reader(layout.database) as reader:
        checks = tuple(
            CheckRow(check.worker, check.attempt, check.epoch, check.at, check.results, check.judged)
            for check in reader.checks(race.id)
        )
    return Evidence(
        checks=checks,
        environment=environment(),
        config=race.layout.config.read_text(encoding="utf-8"),
        commands=reproduce(race),
        correction=race.spec.judge.correction,
        divisor=divisor(race.spec),
        confirmed=race.spec.confirm is not None,
        claims=claims,
        confirm_divisor=confirm_divisor(race.spec),
        written_at=time.time(),
    )


def environment() -> dict[str, str]:
    """What the machine is."""
    return {
        "wtrace": metadata.version("wtrace"),
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": str(os.cpu_count()),
    }


def reproduce(race: RaceContext) -> tuple[str, ...]:
    """Shell lines that run the same race again from the same commits."""
    branches = [
        f"git branch {shlex.quote(place.branch)} {place.commit}  # where it is missing, or has moved on"
        for place in race.places.values()
    ]
    return (*branches, f"wtrace run --config {shlex.quote(str(race.layout.config))}")
