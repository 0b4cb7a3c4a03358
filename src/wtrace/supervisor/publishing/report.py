"""The end of a race: its report, made from what was recorded, with what was seen of its fairness."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import platform
import shlex
import sqlite3
import time
from importlib import metadata
from typing import TYPE_CHECKING

from wtrace.config import load
from wtrace.config.schedule import confirm_divisor, divisor
from wtrace.data import replace
from wtrace.files import write_atomically
from wtrace.judging import referee
from wtrace.metrics.records import Check, Start, decode
from wtrace.publish import savings as saving
from wtrace.publish.dashboard.charts import whose_bands
from wtrace.publish.markdown.report import failure_report, success_report
from wtrace.publish.markdown.report_html import report_html
from wtrace.publish.markdown.report_parts import CHECKS_SHOWN
from wtrace.publish.markdown.validity import FairPlay, Measured
from wtrace.publish.record import CheckRow, Evidence
from wtrace.race import events as ev
from wtrace.race.redaction import published
from wtrace.store.reader import Reader
from wtrace.supervisor import failpoints
from wtrace.supervisor.checkpoints import retention
from wtrace.supervisor.checkpoints.whole import Wholeness
from wtrace.supervisor.create import recall_curves
from wtrace.supervisor.jobs import after
from wtrace.supervisor.merging import merge_outlook
from wtrace.supervisor.publishing import figures
from wtrace.supervisor.publishing.bands import AT_THE_END_S, Bands
from wtrace.supervisor.publishing.pages import write_pages
from wtrace.supervisor.publishing.redacting import redaction_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from wtrace.publish.dashboard.curves import Curves
    from wtrace.race.claims import Claim
    from wtrace.race.context import RaceContext
    from wtrace.race.paths import Layout
    from wtrace.race.redaction import Redaction
    from wtrace.race.status import Standing


def fair_play(reader: Reader, race: RaceContext) -> FairPlay:
    """All of it for one race; the uses of its held-out data are counted over every race of the database."""
    judge_files: dict[str, str] = {}
    data: dict[str, str] = {}
    foreign: dict[str, str] = {}
    uncounted: list[tuple[str, int, str]] = []
    without_ids: list[str] = []
    strict = ids_agree = False
    for event in reader.events(race.id):
        match event:
            case ev.JudgeFilesFixed(digests=digests):
                judge_files = digests
            case ev.DataReported(worker=worker, digest=digest):
                data[worker] = digest
            case ev.ForeignCodeReported(worker=worker, files=files):
                foreign[worker] = files
            case ev.StrictnessAsked():
                strict = True
            case ev.SampleIdsFixed():
                ids_agree = True
            case ev.SampleIdsMissing(worker=worker):
                without_ids.append(worker)
            case ev.CheckJudged(worker=worker, epoch=epoch, unfair=str(why)):
                uncounted.append((worker, epoch, why))
            case _:
                pass
    return FairPlay(
        judge_files=judge_files,
        data=data,
        ids_agree=ids_agree,
        without_ids=without_ids,
        foreign=foreign,
        strict=strict,
        patches=_patches(race),
        uncounted=uncounted,
        held_out_uses=_uses(reader, race.id),
    )


def _patches(race: RaceContext) -> dict[str, str]:
    found = {}
    for name in race.places:
        file = race.layout.worker(name) / "uncommitted.patch"
        if file.is_file():
            found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def _uses(reader: Reader, race_id: str) -> tuple[int, int] | None:
    """How often the held-out data of this race's confirmations were used to confirm, and in how many races.

    Data are the same where the training's checksum and the ids of the samples are. (0, 0): no claim was confirmed yet;
    None: the samples carry no ids.
    """
    by_race = {race.id: _held_out_data(reader, race.id) for race in reader.races()}
    own = by_race.get(race_id, [])
    if None in own:
        return None
    counts = [sum(each in own for each in used) for used in by_race.values()]
    return sum(counts), sum(count > 0 for count in counts)


def _held_out_data(reader: Reader, race_id: str) -> list[tuple[str, str] | None]:
    """What each confirmation of a race was judged on: checksum and digest of the ids; None where there are none."""
    confirmations = list(reader.confirmations(race_id))
    if not confirmations:
        return []
    checksums = {}
    for worker, _, raw in reader.records(race_id, "start"):
        start = decode(raw)
        if isinstance(start, Start):
            checksums[worker] = str((start.info or {}).get("data", ""))
    used: list[tuple[str, str] | None] = []
    for _, worker, _, raw in confirmations:
        check = decode(raw)
        digest = referee.ids_digest(check.samples or {}) if isinstance(check, Check) else None
        used.append(None if digest is None else (checksums.get(worker, ""), digest))
    return used


log = logging.getLogger("wtrace")


def prove(race: RaceContext, layout: Layout, standing: Standing, claims: tuple[Claim, ...]) -> Path | None:
    """Write the report (as Markdown and as HTML) and the last progress page, draw the figures; returns the report's path.

    A failure here never changes the verdict: it is logged, and None is returned where there is no report.
    """
    try:
        evidence = gather(race, layout, standing, claims)
        with failpoints.around("report"):
            path = _write(race, standing, evidence)
        curves, closed = _curves(race, layout, standing)
        with failpoints.around("page"):
            write_pages(race, standing, curves, closed=closed, left_out=tuple(evidence.doubts))
    except Exception:
        log.exception("the report could not be written")
        return None
    pictures = draw(race, layout, standing)
    if pictures:
        with contextlib.suppress(OSError, sqlite3.Error):
            _write(race, standing, replace(evidence, figures=pictures))
            files = [race.layout.results / path for path in pictures]
            write_pages(race, standing, curves, files, closed=closed, left_out=tuple(evidence.doubts))
    return path


def tell_again(race: RaceContext, layout: Layout, standing: Standing, claims: tuple[Claim, ...]) -> None:
    """Write the report and the pages again with what has happened since; the figures stay. What fails is logged."""
    try:
        pictures = _shown(figures.drawn_in(race.layout.results), race)
        evidence = replace(gather(race, layout, standing, claims), figures=pictures)
        _write(race, standing, evidence)
        curves, closed = _curves(race, layout, standing)
        files = [race.layout.results / path for path in pictures]
        write_pages(race, standing, curves, files, closed=closed, left_out=tuple(evidence.doubts))
    except Exception:
        log.exception("the report could not be written again")


def _curves(race: RaceContext, layout: Layout, standing: Standing) -> tuple[Curves, bool]:
    """The curves as the last page shows them, and whether the race has been closed."""
    curves = recall_curves(layout, race.id)
    Bands(layout.database, race.id, race.spec).add_to(curves, whose_bands(standing), AT_THE_END_S)
    with Reader(layout.database) as reader:
        return curves, reader.closed(race.id) is not None


def _write(race: RaceContext, standing: Standing, evidence: Evidence) -> Path:
    standing = redaction_for(race).standing(standing)
    if standing.winner is not None:
        path, text = race.layout.success_report, success_report(standing, evidence)
    else:
        path, text = race.layout.failure_report, failure_report(standing, evidence)
    write_atomically(path, text)
    try:
        figures = {name: race.layout.results / name for name in evidence.figures}
        write_atomically(path.with_suffix(".html"), report_html(text, figures))
    except Exception:
        log.exception("the report could not be written as HTML")
    return path


def draw(race: RaceContext, layout: Layout, standing: Standing) -> tuple[str, ...]:
    """Draw the figures; returns their paths as seen from the report, the sheet first. What fails is logged.

    WTRACE_FIGURES=off leaves them to `wtrace plot`.
    """
    if os.environ.get("WTRACE_FIGURES") == "off":
        return ()
    try:
        drawn = figures.picture(race, layout, standing)
    except Exception:
        log.exception("the figures could not be drawn")
        return ()
    for name, why in drawn.left_out.items():
        log.info("figure %s is left out: %s", name, why)
    return _shown(figures.in_order(drawn.paths), race)


def _shown(pictures: Iterable[Path], race: RaceContext) -> tuple[str, ...]:
    """Their paths as seen from the report."""
    return tuple(str(path.relative_to(race.layout.results)) for path in pictures)


def gather(race: RaceContext, layout: Layout, standing: Standing, claims: tuple[Claim, ...]) -> Evidence:
    """What the report rests on, read from the database; texts as they may be published."""
    redaction = redaction_for(race)
    confirmed = {claim.number for claim in claims if claim.status == "confirmed"}
    with Reader(layout.database) as reader:
        checks = []
        measured: list[Measured] = []
        for check in reader.checks(race.id, unjudged_among_latest=CHECKS_SHOWN):
            checks.append(
                CheckRow(check.worker, check.attempt, check.epoch, check.at, check.results, check.judged)
            )
            if check.judged and (check.worker, check.epoch) == (standing.winner, standing.winner_epoch):
                measured += _measured("the data of the checks", check.raw)
        for number, _, _, raw in reader.confirmations(race.id):
            if number in confirmed:
                measured += _measured("held-out data", raw)
        recorded = reader.count_checks(race.id)
        fair = fair_play(reader, race)
        starts = {worker: _start_info(raw) for worker, _, raw in reader.records(race.id, "start")}
    return Evidence(
        checks=tuple(checks),
        recorded=recorded,
        environment=environment(),
        config=load.dump(published(race.spec, redaction)),
        commands=reproduce(race),
        correction=race.spec.judge.correction,
        divisor=divisor(race.spec),
        confirmed=race.spec.confirm is not None,
        claims=tuple(_claim(each, redaction) for each in claims),
        doubts={redaction.text(name): why for name, why in _doubts(race, layout, standing).items()},
        confirm_divisor=confirm_divisor(race.spec),
        success=race.spec.success,
        measured=tuple(measured),
        starts={worker: _redacted(info, redaction) for worker, info in starts.items() if info},
        saved=_saved(race, standing),
        kept=redaction.texts(retention.told(race, layout, standing, claims)),
        after=redaction.texts(after.told(race, standing)),
        merges={worker: redaction.text(words) for worker, words in _merges(race).items()},
        fair=_fair(fair, redaction),
        written_at=time.time(),
    )


def _claim(claim: Claim, redaction: Redaction) -> Claim:
    return replace(
        claim,
        why=claim.why and redaction.text(claim.why),
        not_frozen=claim.not_frozen and redaction.text(claim.not_frozen),
    )


def _doubts(race: RaceContext, layout: Layout, standing: Standing) -> Mapping[str, str]:
    return {} if standing.winner is None else Wholeness(race, layout).doubts(standing.winner)


def _fair(fair: FairPlay, redaction: Redaction) -> FairPlay:
    return replace(
        fair,
        data={worker: redaction.text(digest) for worker, digest in fair.data.items()},
        foreign={worker: redaction.text(files) for worker, files in fair.foreign.items()},
        uncounted=[(worker, epoch, redaction.text(why)) for worker, epoch, why in fair.uncounted],
    )


def _redacted(info: Mapping[str, object], redaction: Redaction) -> dict[str, object]:
    return {redaction.text(name): redaction.text(str(value)) for name, value in info.items()}


def _measured(split: str, raw: bytes) -> list[Measured]:
    record = decode(raw)
    return [Measured(split, record.metrics, record.samples or {})] if isinstance(record, Check) else []


def _start_info(raw: bytes) -> Mapping[str, object]:
    record = decode(raw)
    return (record.info or {}) if isinstance(record, Start) else {}


def _merges(race: RaceContext) -> dict[str, str]:
    commits = {name: place.commit for name, place in race.places.items()}
    return {each.worker: each.words for each in merge_outlook(race.root, race.spec, commits)}


def _saved(race: RaceContext, standing: Standing) -> str | None:
    saved = saving.savings(standing)
    return saving.told(saved, race.spec.cost_per_hour).capitalize() + "." if saved else None


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
    recorded = race.layout.config.relative_to(race.root)
    return (*branches, f"wtrace run --config {shlex.quote(str(recorded))}")
