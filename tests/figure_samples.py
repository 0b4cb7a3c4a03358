"""Races to draw: four workers with samples of any number, won, lost, hostile, and without samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from wtrace.config import load
from wtrace.config.schedule import divisor, is_planned
from wtrace.judging import referee
from wtrace.judging.checks import CheckSummary
from wtrace.publish.figures.figure_data import Content, FigureEvidence, RecordedLine, assemble
from wtrace.race import events as ev
from wtrace.race.status import ExitStanding, Standing, WorkerStanding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wtrace.config.spec import RaceSpec
    from wtrace.judging.checks import CriterionStanding
    from wtrace.race.status import RaceStateName, WorkerState

STARTED = 1_790_000_000.0
SUCCESS = """
attention_ratio = "mean(persistent) / mean(transient) >= 1.5"
val_accuracy = "mean(accuracy) >= 0.75"
separation = "p_greater(persistent, transient, 1.3) < 0.01"
consistency = "fraction(persistent / transient > 1.3) >= 0.70"
samples = "count(persistent) >= 20"
"""
SAMPLE_PASS = '["persistent / transient > 1.3", "accuracy >= 0.75"]'
PLAIN = 'val_loss = "val_loss <= 0.2"\n'
NAMES = ("attention-supervised", "pretrained-features", "contrastive", "multi-task")
REACHED = {"attention-supervised": 1.95, "pretrained-features": 1.22, "contrastive": 1.3, "multi-task": 1.42}
EPOCH_S = {"attention-supervised": 75.0, "pretrained-features": 41.0, "contrastive": 88.0, "multi-task": 70.0}


def spec_of(
    success: str = SUCCESS,
    sample_pass: str = SAMPLE_PASS,
    max_epochs: int = 50,
    extra: str = "",
    control: str = "",
) -> RaceSpec:
    workers = "".join(
        f'[workers.{name}]\nbranch = "try/{name}"\ncommand = ["python", "t.py"]\n'
        + ("control = true\n" if name == control else "")
        for name in NAMES
    )
    return load.parse(
        f'[race]\nname = "early-persistence"\nmax_epochs = {max_epochs}\ncost_per_hour = 3.06\n{extra}'
        f"[success]\n{success}\n[figures]\nbefore = 0\nsample_pass = {sample_pass}\n{workers}"
    )


def content_at(ratio: float, epoch: int, n: int, seed: int = 0) -> Content:
    """A check whose samples have about this ratio; few clips' objects go with it."""
    rng = np.random.default_rng([seed, epoch, n])
    transient = rng.lognormal(-0.25 * np.log(ratio), 0.16, n)
    persistent = transient * rng.lognormal(np.log(ratio) - 0.02, 0.24, n)
    right = 0.52 + 0.3 * min(1.0, epoch / 20)
    accuracy = rng.binomial(26, min(0.97, right + 0.04), n) / 26
    kinds, clips, values = [], [], []
    for clip in range(4):
        for kind, many, level in (("persistent", 2, ratio**0.7), ("transient", 7 + clip, ratio**-0.3)):
            kinds += [kind] * many
            clips += [8000 + clip] * many
            values += rng.lognormal(np.log(level), 0.2, many).round(4).tolist()
    return Content(
        {"val_loss": 0.7 - 0.012 * epoch, "val_attention_ratio": ratio},
        {
            "id": list(range(8000, 8000 + n)),
            "persistent": persistent.round(4).tolist(),
            "transient": transient.round(4).tolist(),
            "accuracy": accuracy.round(4).tolist(),
        },
        {"sample": clips, "kind": kinds, "value": values},
    )


@dataclass
class Race:
    """What `assemble` is given."""

    spec: RaceSpec
    standing: Standing
    lines: list[RecordedLine]
    events: list[ev.Event]

    def evidence(self, held_out: Content | None = None) -> FigureEvidence:
        return assemble(self.spec, self.standing, self.lines, self.events, held_out)


def line_of(
    spec: RaceSpec, worker: str, epoch: int, at: float, content: Content, every: int = 5
) -> RecordedLine:
    judged = is_planned(epoch, every, spec.max_epochs)
    results: tuple[CriterionStanding, ...] = ()
    if judged:
        results = referee.judge(spec.success, content.metrics, content.samples, divisor=divisor(spec))
    return RecordedLine(worker, epoch, at, judged, results, lambda: content)


def race(
    n: int = 400,
    spec: RaceSpec | None = None,
    *,
    idle: str = "",
    until: int = 20,
    winner: str | None = NAMES[0],
    confirmed: bool = False,
) -> Race:
    """Four workers that check every fifth epoch until the winner has reached `until`; `idle` never starts."""
    spec = spec or spec_of()
    active = [name for name in NAMES if name != idle]
    decided = STARTED + EPOCH_S[NAMES[0]] * until
    lines = []
    for seed, name in enumerate(active):
        last = int((decided - STARTED) / EPOCH_S[name])
        for epoch in range(0, min(last, spec.max_epochs) + 1, 5):
            ratio = 1 + (REACHED[name] - 1) * min(1.0, epoch / until) ** 1.5
            at = STARTED + EPOCH_S[name] * epoch
            lines.append(line_of(spec, name, epoch, at, content_at(ratio, epoch, n, seed)))
    lines.sort(key=lambda line: line.at)
    events: list[ev.Event] = [
        ev.WorkerStarted(STARTED + i, name, 1, 100 + i, "h") for i, name in enumerate(active)
    ]
    if confirmed and winner is not None:
        check = next(line for line in lines if line.worker == winner and line.epoch == until)
        events.append(ev.ConfirmationStarted(decided - 60, 1, 1, winner))
        events.append(ev.ConfirmationEnded(decided, 1, 1, winner, check.results))
    events += [ev.WorkerExited(decided + 3 + i, name, 1, None, 15, True) for i, name in enumerate(active)]
    rows = tuple(_row(spec, name, lines, decided, winner) for name in NAMES)
    state: RaceStateName = "won" if winner else "no_winner"
    standing = Standing(
        id="20260921-101320-early-persistence",
        name=spec.name,
        state=state,
        at=decided + 8,
        started=STARTED,
        supervisor_pid=1,
        supervisor_alive=False,
        workers=rows,
        criteria=referee.criteria_info(spec.success, divisor(spec)),
        check_every=5,
        winner=winner,
        winner_epoch=until if winner else None,
        decided=decided if winner else None,
        ended=decided + 8,
        confirmed=confirmed,
    )
    return Race(spec, standing, lines, events)


def _row(
    spec: RaceSpec, name: str, lines: list[RecordedLine], decided: float, winner: str | None
) -> WorkerStanding:
    points = tuple(
        CheckSummary(
            line.epoch, line.at, tuple(r.value for r in line.results), tuple(r.met for r in line.results)
        )
        for line in lines
        if line.worker == name and line.judged
    )
    has_run = any(line.worker == name for line in lines)
    state: WorkerState = "won" if name == winner else "terminated" if winner else "finished"
    best = max(points, key=lambda point: (sum(point.met), point.values[0] or 0), default=None)
    return WorkerStanding(
        name=name,
        branch=f"try/{name}",
        commit="3f2a9c1d4b5e6f708192a3b4c5d6e7f801234567",
        state=state if has_run else "skipped",
        max_epochs=spec.max_epochs,
        control=spec.worker(name).control,
        epoch=int((decided - STARTED) / EPOCH_S[name]) if has_run else 0,
        exit=ExitStanding(None, 15, True) if has_run else None,
        checks=len(points),
        started=STARTED if has_run else None,
        ended=decided + 4 if has_run else None,
        recent=points[-32:],
        best=best,
    )


def renamed(made: Race, names: Mapping[str, str]) -> Race:
    """The same race with other workers' names, which may be anything."""

    def called(name: str) -> str:
        return names.get(name, name)

    standing = made.standing
    rows = tuple(replace(row, name=called(row.name)) for row in standing.workers)
    winner = None if standing.winner is None else called(standing.winner)
    events: list[ev.Event] = []
    for event in made.events:
        if isinstance(
            event, ev.WorkerStarted | ev.WorkerExited | ev.ConfirmationStarted | ev.ConfirmationEnded
        ):
            event = replace(event, worker=called(event.worker))  # noqa: PLW2901
        events.append(event)
    return Race(
        made.spec,
        replace(standing, workers=rows, winner=winner),
        [replace(line, worker=called(line.worker)) for line in made.lines],
        events,
    )
