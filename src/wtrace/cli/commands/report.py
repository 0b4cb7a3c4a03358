"""`wtrace report`, `plot` and `replay`: what was recorded, written, drawn and judged again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wtrace.cli.common import ConfigOption, JsonOption, RaceOption, find_root, read_config, require_standing
from wtrace.errors import ToolError, UsageError
from wtrace.race.paths import Layout
from wtrace.race.status_json import iso
from wtrace.text import beside, bound, plain, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wtrace.race.replay import Outcome, RecordedCheck
    from wtrace.race.status import Standing


def report(race: RaceOption = None) -> None:
    """Write the report of a race that has ended again, as Markdown and as HTML, and say where both lie."""
    from wtrace.supervisor.create import recall
    from wtrace.supervisor.publishing.report import prove

    root = find_root()
    layout = Layout(root)
    standing = require_standing(root, race)
    if standing.ended is None:
        raise UsageError(f"race {standing.id} has not ended", hint="`wtrace status` tells where it stands")
    context, state, _ = recall(layout, standing.id)
    path = prove(context, layout, standing, state.claims)
    if path is None:
        raise ToolError(
            f"the report of race {standing.id} could not be written", hint="the lines above say why"
        )
    for written in (path, path.with_suffix(".html")):
        if written.exists():
            print(plain(str(written)))


def plot(
    race: RaceOption = None,
    dark: Annotated[bool, typer.Option("--dark", help="Draw them in dark colours too (*_dark.png).")] = False,
) -> None:
    """Draw the figures of a race again from what was recorded, also while it runs, and say where they lie."""
    from wtrace.supervisor.create import recall
    from wtrace.supervisor.publishing.figures import picture

    root = find_root()
    layout = Layout(root)
    standing = require_standing(root, race)
    context, _, _ = recall(layout, standing.id)
    try:
        drawn = picture(context, layout, standing, dark=dark)
    except OSError as error:
        raise ToolError("the figures cannot be written", seen=str(error)) from error
    for path in drawn.paths:
        print(plain(str(path)))
    for name, why in drawn.left_out.items():
        print(f"{name} is left out: {plain(why)}")
    if drawn.failed:
        raise ToolError(
            "some figures could not be drawn",
            seen="\n".join(f"{name}: {why}" for name, why in drawn.failed.items()),
            hint="this is a bug in wtrace: please report it",
        )


LABEL = "exploratory: who has seen the curves can find criteria that any worker passes"


def replay(race: RaceOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Judge a race again from what was recorded: who would have won, and when. Nothing is started or changed.

    With --config the criteria and the correction come from that file; which epochs are judged stays as it was.
    """
    from wtrace.race import replay as replays
    from wtrace.supervisor.create import recall

    root = find_root()
    standing = require_standing(root, race)
    context, state, _ = recall(Layout(root), standing.id)
    spec = context.spec if config is None else replays.under(context.spec, read_config(root, config))
    given_up = {
        (claim.worker, claim.epoch) for claim in state.claims if claim.status in ("unconfirmed", "dropped")
    }
    outcome = replays.replay(
        spec,
        _checks(root, standing.id),
        _confirmations(root, standing.id),
        given_up,
        _stale(root, standing.id),
    )
    if as_json:
        print(json.dumps(_as_json(outcome), allow_nan=False))
    else:
        for line in _lines(outcome, standing):
            print(plain(line))


def _checks(root: Path, race_id: str) -> Iterator[RecordedCheck]:
    from wtrace.store.reader import Reader

    with Reader(Layout(root).database) as reader:
        for check in reader.checks(race_id):
            yield _recorded(check.worker, check.epoch, check.at, check.raw)


def _stale(root: Path, race_id: str) -> set[tuple[str, int, float]]:
    from wtrace.race.events import CheckStale
    from wtrace.store.reader import Reader

    with Reader(Layout(root).database) as reader:
        return {
            (event.worker, event.epoch, event.at)
            for event in reader.events(race_id)
            if isinstance(event, CheckStale)
        }


def _confirmations(root: Path, race_id: str) -> dict[tuple[str, int], RecordedCheck]:
    """The last recorded confirmation of each claim, by the claim's worker and epoch."""
    from wtrace.race.events import ClaimMade
    from wtrace.store.reader import Reader

    with Reader(Layout(root).database) as reader:
        claims = {event.number: event for event in reader.events(race_id) if isinstance(event, ClaimMade)}
        return {
            (claims[number].worker, claims[number].epoch): _recorded(worker, claims[number].epoch, at, raw)
            for number, worker, at, raw in reader.confirmations(race_id)
        }


def _recorded(worker: str, epoch: int, at: float, raw: bytes) -> RecordedCheck:
    from wtrace.metrics.records import Check, decode
    from wtrace.race.replay import RecordedCheck

    record = decode(raw)
    assert isinstance(record, Check)
    return RecordedCheck(worker, epoch, at, record.metrics, record.samples or {})


def _as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "schema": 1,
        "winner": outcome.winner,
        "epoch": outcome.epoch,
        "at": iso(outcome.at),
        "exploratory": True,
        "unconfirmed": outcome.unconfirmed,
        "refuted": [{"worker": worker, "epoch": epoch} for worker, epoch in outcome.refuted],
    }


def _lines(outcome: Outcome, standing: Standing) -> Iterator[str]:
    for worker, epoch in outcome.refuted:
        yield f"{worker}'s claim at epoch {epoch} is refuted by its recorded confirmation"
    if outcome.winner is None or outcome.at is None:
        yield "nobody would have won"
    else:
        after = seconds(outcome.at - standing.started)
        yield f"{outcome.winner} would have won at epoch {outcome.epoch}, after {after} (at {iso(outcome.at)})"
        for result in outcome.results:
            yield f"  {result.name}: {beside(result.value, result.threshold)} ({bound(result.op, result.threshold)})"
        if outcome.unconfirmed:
            yield "  its claim was never tried on held-out data"
    yield LABEL
