"""How a standing is put into words: states, gaps to a threshold, the best so far, the verdict.

What it returns may hold names from outside, as they are; whoever renders makes them safe.
"""

from __future__ import annotations

import math

from wtrace.judging import checks, forecast
from wtrace.judging.forecast import Estimate, estimate, seconds_per_epoch
from wtrace.text import beside, digits_for, number, seconds, signed

TYPE_CHECKING = False  # importing `typing` costs as much as reading the whole race
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from wtrace.judging.checks import CheckSummary, CriterionInfo, CriterionStanding
    from wtrace.race.status import ClaimStanding, RaceStateName, Standing, WorkerStanding, WorkerState

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

MAY_WIN: frozenset[WorkerState] = frozenset(
    {"waiting", "running", "paused", "stalled", "confirming", "retrying"}
)
"""States of a worker that may win yet, if it is no control and nothing has ruled it out."""

SIGTERM = 15
ENDED_BY_THE_RACE: frozenset[WorkerState] = frozenset({"won", "terminated", "stopped", "refuted"})
"""States of a worker that was asked to leave: that it obeyed SIGTERM is no news."""

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


def needs(
    point: CheckSummary, criteria: Sequence[CriterionInfo], worker: WorkerStanding | None = None
) -> list[str]:
    """What a check still lacks, one phrase per criterion that is not met or must hold again: `accuracy +0.04`.

    `worker`: whose check it is; its row tells why a criterion has no value, and how often one has held.
    """
    rows = enumerate(zip(criteria, point.values, point.met, strict=False))
    reasons = _reasons(worker, point)
    lacks: list[str] = []
    for index, (criterion, value, met) in rows:
        if not met:
            lacks.append(f"{criterion.name} {_lack(criterion, value, reasons.get(criterion.name))}")
        elif worker is not None and (more := _checks_left(worker, point, index, criterion)) > 0:
            lacks.append(f"{criterion.name} at {more} more check{'s' if more > 1 else ''}")
    return lacks


def _reasons(worker: WorkerStanding | None, point: CheckSummary) -> dict[str, str]:
    """Why criteria have no value; known of the latest check alone."""
    if worker is None or not worker.recent or worker.recent[-1].epoch != point.epoch:
        return {}
    return {criterion.name: criterion.reason for criterion in worker.criteria if criterion.reason}


def _lack(criterion: CriterionInfo, value: float | None, reason: str | None) -> str:
    missing = gap(value, criterion.applied)
    if value is None or missing is None:
        return f"({reason})" if reason else "has no value"
    return "must hold again" if holds(value, criterion.op, criterion.applied) else signed(missing)


def _checks_left(worker: WorkerStanding, point: CheckSummary, index: int, criterion: CriterionInfo) -> int:
    """At how many more checks a criterion that holds at this one must hold (`for_checks`, `min_checks`)."""
    for_checks, min_checks = forecast.checks_asked(criterion)
    upto = [each for each in worker.recent if each.epoch <= point.epoch]
    running = next((n for n, each in enumerate(reversed(upto)) if not each.met[index]), len(upto))
    judged = worker.checks - (len(worker.recent) - len(upto))
    return max(for_checks - running, min_checks - judged, 0)


def rank(point: CheckSummary, criteria: Sequence[CriterionInfo]) -> tuple[int, float, float]:
    """A key by which checks compare: criteria met, then the first criterion's value, then the earlier one."""
    met, first = (
        checks.rank(point, criteria[0].op) if criteria and point.values else (sum(point.met), -math.inf)
    )
    return met, first, -point.at


def best_so_far(standing: Standing) -> tuple[WorkerStanding, CheckSummary] | None:
    """Who leads and by which check: of those that can still win, else of those that nothing has ruled out.

    Controls never lead, nor does a check that held-out data have refuted.
    """
    stood = [
        (worker, point)
        for worker in standing.workers
        if (point := check_that_stands(worker, standing.criteria))
    ]
    racing = [pair for pair in stood if can_win(pair[0])]
    return max(racing or stood, key=lambda pair: rank(pair[1], standing.criteria), default=None)


def by_standing(standing: Standing) -> list[WorkerStanding]:
    """The workers, the best first: the winner, who can still win, the others; each by the check that stands."""

    def key(worker: WorkerStanding) -> tuple[bool, bool, bool, tuple[int, float]]:
        point = check_that_stands(worker, standing.criteria)
        best = (-1, -math.inf) if point is None else rank(point, standing.criteria)[:2]
        return (
            worker.name == standing.winner,
            can_win(worker) and not worker.control,
            not ruled_out(worker),
            best,
        )

    return sorted(standing.workers, key=key, reverse=True)


def can_win(worker: WorkerStanding) -> bool:
    """Whether the worker may still win: it trains or will, or a claim of it is open."""
    claim = claim_of(worker)
    is_open = claim is not None and claim.status in ("waiting", "confirming")
    return worker.state in MAY_WIN or is_open


def claim_of(worker: WorkerStanding) -> ClaimStanding | None:
    """The worker's claim; a standing that an earlier version stored tells of none."""
    return getattr(worker, "claim", None)


def ruled_out(worker: WorkerStanding) -> str | None:
    """Why the worker cannot win although its checks meet every criterion."""
    return getattr(worker, "ruled_out", None)


def check_that_stands(worker: WorkerStanding, criteria: Sequence[CriterionInfo]) -> CheckSummary | None:
    """The check by which a worker is ranked: the one of its open claim, else its best that has not been refuted."""
    best, claim = worker.best, claim_of(worker)
    if best is None or worker.control or ruled_out(worker):
        return None
    if claim is None or claim.status == "unconfirmed":
        return best
    if claim.status == "refuted":
        later = [point for point in worker.recent if point.epoch > claim.epoch]
        return max(later, key=lambda point: rank(point, criteria), default=None)
    return next((point for point in (*worker.recent, best) if point.epoch == claim.epoch), best)


def leader_words(
    standing: Standing, worker: WorkerStanding, point: CheckSummary, now: float, safe: Callable[[str], str]
) -> tuple[str, str]:
    """What the leader has reached and what is missing: `epoch 15, 4 of 5 met`, `needs accuracy +0.04`.

    `safe` makes a phrase that holds words from outside fit for where it is shown.
    """
    claim, count = claim_of(worker), len(standing.criteria)
    if claim is not None and claim.status in ("waiting", "confirming"):
        return f"meets all {count} at epoch {claim.epoch}", _confirming(claim, standing, now)
    lacking = needs(point, standing.criteria, worker)
    return f"epoch {point.epoch}, {sum(point.met)} of {count} met", _missing(claim, lacking, safe)


def _confirming(claim: ClaimStanding, standing: Standing, now: float) -> str:
    if standing.ended is not None:
        return "not confirmed before the race ended"
    if claim.status == "waiting" or claim.since is None:
        return "waits to be confirmed on held-out data"
    limit = "" if claim.timeout_s is None else f" of {seconds(claim.timeout_s)}"
    return f"being confirmed ({seconds(max(0.0, now - claim.since))}{limit})"


def _missing(claim: ClaimStanding | None, lacking: Sequence[str], safe: Callable[[str], str]) -> str:
    if lacking:
        return f"needs {', '.join(map(safe, lacking))}"
    if claim is not None and claim.status == "unconfirmed":
        return f"could not be confirmed: {safe(claim.why or '')}"
    return ""


def nobody_leads(standing: Standing) -> str:
    """Why there is no leader, in a sentence."""
    judged = [worker for worker in standing.workers if worker.best is not None and not worker.control]
    if not judged:
        return "No check has been judged yet." if standing.ended is None else "No check has been judged."
    return (
        "Nobody who has been judged can win any more." if standing.ended is None else "Nobody's checks stand."
    )


def lead_title(standing: Standing, worker: WorkerStanding) -> str:
    """`leader` of somebody who can still win, else `closest`."""
    return "leader" if standing.state == "running" and can_win(worker) else "closest"


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
    if worker.state in ENDED_BY_THE_RACE and (exit_.signal == SIGTERM or exit_.code == 128 + SIGTERM):
        return state_word(worker)
    if exit_.signal is not None:
        return f"{worker.state} (signal {exit_.signal})"
    return f"{worker.state} (exit code {exit_.code})" if exit_.code else worker.state


def elapsed_s(standing: Standing, now: float) -> float:
    """How long the race has been running, or ran."""
    return max(0.0, (now if standing.ended is None else standing.ended) - standing.started)


def duration(standing: Standing, now: float) -> str:
    """`12 min`: `elapsed_s` in words."""
    return seconds(elapsed_s(standing, now))


def _forbidden(worker: WorkerStanding) -> str | None:
    """Why no success of the worker can be foretold, whatever its curves say."""
    claim = claim_of(worker)
    if claim is not None and claim.status in ("waiting", "confirming"):
        return "its claim is being confirmed"
    if (why := ruled_out(worker)) is not None:
        return "refuted" if why.startswith("refuted") else "its checks do not count"
    return {"paused": "it is paused", "stalled": "it is silent", "stopping": "it is being ended"}.get(
        worker.state
    )


def of_worker(worker: WorkerStanding, standing: Standing, now: float) -> Estimate | None:
    """The forecast for a worker of a race; None for one that does not run or cannot win (any more)."""
    if worker.state not in ALIVE or worker.control or standing.winner is not None:
        return None
    if (forbidden := _forbidden(worker)) is not None:
        return Estimate(None, reason=forbidden)
    return estimate(
        worker.recent,
        standing.criteria,
        check_every=standing.check_every,
        max_epochs=worker.max_epochs,
        now=now,
        checks=worker.checks,
    )
