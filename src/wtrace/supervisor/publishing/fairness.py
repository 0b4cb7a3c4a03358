"""What the record says about fair play: read again for the report."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from wtrace.judging import referee
from wtrace.metrics.records import Check, Start, decode
from wtrace.publish.markdown.validity import FairPlay
from wtrace.race import events as ev

if TYPE_CHECKING:
    from wtrace.race.context import RaceContext
    from wtrace.store.reader import Reader


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
