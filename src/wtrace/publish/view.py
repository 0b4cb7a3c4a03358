"""How a standing is put into words: states, gaps to a threshold, the best so far, the verdict.

What it returns may hold names from outside, as they are; whoever renders makes them safe.
"""

from __future__ import annotations

import math

from wtrace.judging.forecast import Estimate, estimate, seconds_per_epoch
from wtrace.text import beside, digits_for, number, seconds, signed

TYPE_CHECKING = False  # importing `typing` costs as much as reading the whole race
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wtrace.judging.checks import CheckSummary, CriterionInfo, CriterionStanding
    from wtrace.race.status import RaceStateName, Standing, WorkerStanding, WorkerState

SYMBOLS: Mapping[WorkerState, str] = {
    "waiting": "○",
    "running": "●",
    "paused": "‖",
    "stalled": "!",
    "confirming": "?",
    "refuted": "✗",
    "retrying": "↻",
    "stopping": "↓",
    "won": "★",
    "terminated": "■",
    "stopped": "■",
    "finished": "□",
    "failed": "✗",
    "lost": "✗",
    "skipped": "·",
}
"""One cell per state; the word always stands beside it."""

ALIVE: frozenset[WorkerState] = frozenset({"running", "paused", "stalled", "confirming", "stopping"})
"""States in which a process of the worker lives."""

RACE_WORDS: Mapping[RaceStateName, str] = {
    "running": "running",
    "won": "won",
    "no_winner": "no winner",
    "stopped": "stopped",
    "interrupted": "interrupted",
}

MET, UNMET = "✓", "✗"


def state_of(standing: Standing) -> str:
    """The race's state in words; a race whose supervisor is gone without an end is told as such."""
    if standing.state == "running" and not standing.supervisor_alive:
        return "running, but its supervisor is gone"
    return RACE_WORDS[standing.state]


def holds(value: float, op: str, threshold: float) -> bool:
    """Whether the number alone meets the threshold (a criterion may ask for more, such as several checks running)."""
    return {">=": value >= threshold, ">": value > threshold, "<=": value <= threshold}.get(
        op, value < threshold
    )


def gap(value: float | None, threshold: float) -> float | None:
    """What is missing to the threshold, signed: what must be added to the value. None where there is no number."""
    if value is None or not math.isfinite(value):
        return None
    return threshold - value


def digits_of(standing: Standing) -> dict[str, int]:
    """For each criterion how many digits tell the workers' values from the threshold and from one another."""
    values: dict[str, list[float | None]] = {}
    for worker in standing.workers:
        for criterion in worker.criteria:
            values.setdefault(criterion.name, []).append(criterion.value)
    return {
        criterion.name: digits_for(values.get(criterion.name, ()), criterion.applied)
        for criterion in standing.criteria
    }


def value_of(criterion: CriterionStanding, digits: Mapping[str, int] | None = None) -> str:
    """A criterion's value, with the digits that `digits_of` says; on its own with those that tell it from the threshold."""
    if digits is None or criterion.name not in digits:
        return beside(criterion.value, criterion.threshold)
    return number(criterion.value, digits[criterion.name])


def verdict_of(criterion: CriterionStanding, digits: Mapping[str, int] | None = None) -> tuple[str, str]:
    """A criterion's sign and value, and by how much it falls short, or why: `("✗ 1.32", "(-0.18)")`."""
    if criterion.met:
        return f"{MET} {value_of(criterion, digits)}", ""
    missing = gap(criterion.value, criterion.threshold)
    why = criterion.reason or ("" if missing is None else signed(-missing))
    return f"{UNMET} {value_of(criterion, digits)}", f"({why})" if why else ""


def needs(point: CheckSummary, criteria: Sequence[CriterionInfo]) -> list[str]:
    """What a check still lacks, one phrase per criterion that is not met: `accuracy +0.04`."""
    rows = zip(criteria, point.values, point.met, strict=False)
    return [f"{criterion.name} {_lack(criterion, value)}" for criterion, value, met in rows if not met]


def _lack(criterion: CriterionInfo, value: float | None) -> str:
    missing = gap(value, criterion.applied)
    if value is None or missing is None:
        return "has no value"
    return "must hold again" if holds(value, criterion.op, criterion.applied) else signed(missing)


def better(op: str, value: float | None) -> float:
    """A key that is greater for a value closer to meeting `op`, and least where there is no number."""
    if value is None or not math.isfinite(value):
        return -math.inf
    return -value if op.startswith("<") else value


def rank(point: CheckSummary, criteria: Sequence[CriterionInfo]) -> tuple[int, float, float]:
    """A key by which checks compare: criteria met, then the first criterion's value, then the earlier one."""
    first = better(criteria[0].op, point.values[0]) if criteria and point.values else -math.inf
    return sum(point.met), first, -point.at


def best_so_far(standing: Standing) -> tuple[WorkerStanding, CheckSummary] | None:
    """The worker (no control) whose best check is the best of all, and that check."""
    found = [(worker, worker.best) for worker in standing.workers if worker.best and not worker.control]
    return max(found, key=lambda pair: rank(pair[1], standing.criteria), default=None)


def winner_of(standing: Standing) -> WorkerStanding | None:
    """The winner's row, where there is a winner."""
    return next((worker for worker in standing.workers if worker.name == standing.winner), None)


FIRST_NOT_BEST = "First by the clock, not best."


def confirmation(standing: Standing) -> str:
    """Whether the verdict was confirmed on held-out data."""
    return "confirmed on held-out data" if standing.confirmed else "not confirmed on held-out data"


def epoch_of(worker: WorkerStanding) -> str:
    """`15/50`."""
    return f"{worker.epoch}/{worker.max_epochs}"


def epoch_pace_s(worker: WorkerStanding) -> float | None:
    """Seconds per epoch: between the recent checks, or from the start to the first; None before that."""
    points = worker.recent
    pace_s = seconds_per_epoch(points)
    if pace_s is not None or len(points) != 1 or worker.started is None:
        return pace_s
    elapsed_s = points[0].at - worker.started
    return elapsed_s / points[0].epoch if points[0].epoch > 0 and elapsed_s > 0 else None


def counts(workers: Iterable[WorkerStanding]) -> str:
    """`3 running, 1 waiting`, the most frequent first."""
    states = [worker.state for worker in workers]
    found = {state: states.count(state) for state in states}
    return ", ".join(f"{n} {state}" for state, n in sorted(found.items(), key=lambda item: -item[1]))


def state_word(worker: WorkerStanding) -> str:
    """The worker's state; of a winner whose process still lives, that it may be saving."""
    return "won, saving" if worker.state == "won" and worker.exit is None else worker.state


def how_ended(worker: WorkerStanding) -> str:
    """How a worker ended, with its exit code or signal where that tells something: `failed (exit code 1)`."""
    exit_ = worker.exit
    if exit_ is None:
        return state_word(worker)
    if not exit_.known:
        return f"{worker.state} (nobody saw how)"
    if exit_.signal is not None:
        return f"{worker.state} (signal {exit_.signal})"
    return f"{worker.state} (exit code {exit_.code})" if exit_.code else worker.state


def elapsed_s(standing: Standing, now: float) -> float:
    """How long the race has been running, or ran."""
    return max(0.0, (now if standing.ended is None else standing.ended) - standing.started)


def duration(standing: Standing, now: float) -> str:
    """`12 min`: `elapsed_s` in words."""
    return seconds(elapsed_s(standing, now))


def of_worker(worker: WorkerStanding, standing: Standing, now: float) -> Estimate | None:
    """The forecast for a worker of a race; None for one that does not run or cannot win (any more)."""
    from wtrace.publish.view import ALIVE

    if worker.state not in ALIVE or worker.control or standing.winner is not None:
        return None
    return estimate(
        worker.recent,
        standing.criteria,
        check_every=standing.check_every,
        max_epochs=worker.max_epochs,
        now=now,
        checks=worker.checks,
    )
