"""Standings and evidence to render: a race of four, its endings, and races of any size."""

from __future__ import annotations

import random
from dataclasses import replace

from wtrace.cli.terminal.usage import Gauge
from wtrace.judging.checks import CheckSummary, CriterionInfo, CriterionStanding
from wtrace.publish.record import CheckRow, Evidence
from wtrace.race.status import ExitStanding, Happening, Standing, WorkerStanding, WorkerState

STARTED = 1_790_000_000.0
CRITERIA = (
    CriterionInfo("attention_ratio", "mean(persistent) / mean(transient) >= 1.5", ">=", 1.5, 1.5),
    CriterionInfo("val_accuracy", "mean(accuracy) >= 0.75", ">=", 0.75, 0.75),
    CriterionInfo(
        "separation", "p_greater(persistent, transient, 1.3) < 0.01", "<", 0.01, 0.01 / 40, p_value=True
    ),
    CriterionInfo("consistency", "fraction(persistent / transient > 1.3) >= 0.70", ">=", 0.7, 0.7),
    CriterionInfo("samples", "count(persistent) >= 20", ">=", 20, 20),
)
CURVES: dict[str, list[tuple[float, ...]]] = {
    "attention-supervised": [(1.05, 0.55, 0.9, 0.4, 400), (1.31, 0.66, 0.08, 0.58, 400), (1.62, 0.71, 3.1e-05, 0.81, 400)],
    "pretrained-features": [(1.02, 0.70, 0.95, 0.38, 400), (1.18, 0.79, 0.6, 0.47, 400)],
    "contrastive": [(1.01, 0.52, 0.97, 0.35, 400), (1.14, 0.6, 0.8, 0.45, 400), (1.32, 0.64, 0.02, 0.6, 400)],
}  # fmt: skip
_SIX_RUNNING: tuple[WorkerState, ...] = ("running",) * 6
WON = (1.94, 0.81, 1.2e-09, 0.88, 400)


def met_by(values: tuple[float, ...]) -> tuple[bool, ...]:
    return tuple(
        value < criterion.applied if criterion.op == "<" else value >= criterion.applied
        for value, criterion in zip(values, CRITERIA, strict=True)
    )


def point(epoch: int, values: tuple[float, ...]) -> CheckSummary:
    return CheckSummary(epoch, STARTED + 40 * epoch, values, met_by(values))


def standings_of(values: tuple[float, ...]) -> tuple[CriterionStanding, ...]:
    return tuple(
        CriterionStanding(criterion.name, value, criterion.op, criterion.applied, met)
        for criterion, value, met in zip(CRITERIA, values, met_by(values), strict=True)
    )


def worker(
    name: str, curve: list[tuple[float, ...]], state: WorkerState = "running", **more: object
) -> WorkerStanding:
    points = tuple(point(5 * (index + 1), values) for index, values in enumerate(curve))
    best = max(points, key=lambda p: (sum(p.met), p.values[0] or 0), default=None)
    row = WorkerStanding(
        name=name,
        branch=f"early-persistence/{name}",
        commit="3f2a9c1d4b5e6f708192a3b4c5d6e7f801234567",
        state=state,
        max_epochs=50,
        pid=4711 if state == "running" else None,
        attempt=1 if curve or state == "running" else 0,
        epoch=5 * len(curve) + (2 if state == "running" else 0),
        criteria=standings_of(curve[-1]) if curve else (),
        checks=len(curve),
        lines=6 * len(curve),
        log=f"/race/{name}/training.log",
        started=STARTED,
        recent=points,
        best=best,
    )
    return replace(row, **more)  # type: ignore[arg-type]


def running_race() -> Standing:
    """Four workers, of which one waits; nobody has won."""
    return Standing(
        id="20260921-101320-early-persistence",
        name="early-persistence",
        state="running",
        at=STARTED + 700,
        started=STARTED,
        supervisor_pid=4242,
        supervisor_alive=True,
        workers=(
            worker("attention-supervised", CURVES["attention-supervised"]),
            worker("pretrained-features", CURVES["pretrained-features"], "stalled", pid=4712),
            worker("contrastive", CURVES["contrastive"], bad_lines=2, note="line 7 is not JSON"),
            worker("multitask", [], "waiting"),
        ),
        criteria=CRITERIA,
        check_every=5,
        happenings=(
            Happening(STARTED + 1, "attention-supervised started (pid 4711)"),
            Happening(STARTED + 2, "pretrained-features started (pid 4712)"),
            Happening(STARTED + 600, "attention-supervised check at epoch 15: 4 of 5 criteria met"),
            Happening(STARTED + 690, "pretrained-features stalled: no metric for 900 s"),
        ),
    )


def won_race(*, confirmed: bool = False) -> Standing:
    """The same race, won by attention-supervised at epoch 20."""
    race = running_race()
    beaten = "beaten by attention-supervised"
    return replace(
        race,
        state="won",
        at=STARTED + 830,
        workers=(
            worker("attention-supervised", [*CURVES["attention-supervised"], WON], "won", exit=ExitStanding(0, None, True)),
            replace(race.workers[1], state="terminated", exit=ExitStanding(None, 15, True), note=beaten),
            replace(race.workers[2], state="failed", exit=ExitStanding(1, None, True), note="CUDA out of memory"),
            replace(race.workers[3], state="skipped", note="the race was decided before its turn"),
        ),
        winner="attention-supervised",
        winner_epoch=20,
        decided=STARTED + 800,
        ended=STARTED + 803,
        confirmed=confirmed,
        happenings=(*race.happenings, Happening(STARTED + 800, "attention-supervised WINS at epoch 20")),
    )  # fmt: skip


def lost_race() -> Standing:
    """The same race, which nobody won; one worker crashed."""
    race = running_race()
    ends: list[WorkerStanding] = [
        replace(race.workers[0], state="finished", exit=ExitStanding(0, None, True)),
        replace(
            race.workers[1], state="failed", exit=ExitStanding(3, None, True), note="RuntimeError: NaN loss"
        ),
        replace(
            race.workers[2], state="lost", exit=ExitStanding(None, None, False), note="its guardian is gone"
        ),
        replace(race.workers[3], state="stopped", note="stopped by the user"),
    ]
    return replace(race, state="no_winner", at=STARTED + 3601, ended=STARTED + 3600, workers=tuple(ends))


def evidence_of(standing: Standing) -> Evidence:
    """Every recent check of a standing as evidence, with an environment and a config."""
    checks = [
        CheckRow(row.name, 1, p.epoch, p.at, standings_of(tuple(float(v or 0) for v in p.values)))
        for row in standing.workers
        for p in row.recent
    ]
    return Evidence(
        checks=tuple(sorted(checks, key=lambda check: check.at)),
        environment={"python": "3.11.9", "torch": "2.13.0", "cores": "2"},
        config='[race]\nname = "early-persistence"\n',
        commands=("git clone … && cd repo", "git checkout 3f2a9c1d", "wtrace run --config wtrace.toml"),
        correction="bonferroni",
        divisor=40,
        written_at=standing.at,
    )


def gauges_of(standing: Standing, gpu: bool = False) -> dict[str, Gauge]:
    return {
        row.name: Gauge(97.5, 1_234_000_000, 6_100_000_000 if gpu else None, f"epoch {row.epoch} loss 0.4213 lr 3e-4")
        for row in standing.workers
        if row.state == "running"
    }  # fmt: skip


def big_race(count: int, seed: int = 0) -> Standing:
    """A race of many workers in all kinds of states, with 32 checks each."""
    chance = random.Random(seed)
    states: list[WorkerState] = [*_SIX_RUNNING, "waiting", "failed", "finished", "stalled"]
    rows = []
    for index in range(count):
        state = states[index % len(states)] if index else "running"
        start = chance.uniform(0.9, 1.3)
        curve: list[tuple[float, ...]] = [
            (start + 0.02 * k + chance.gauss(0, 0.03), 0.4 + 0.01 * k, 10 ** -(k / 8), 0.3 + 0.012 * k, 400)
            for k in range(32)
        ]
        rows.append(
            worker(f"approach-{index:02}", [] if state == "waiting" else curve, state, max_epochs=200)
        )
    return replace(running_race(), workers=tuple(rows))
