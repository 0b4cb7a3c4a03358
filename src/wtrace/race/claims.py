"""Claims and what becomes of them: a claim is a check that met every criterion.

What a claim names is frozen when the claim is made. With `[confirm]` the copy is judged again on held-out data, one
claim at a time, in the order of arrival. Only what held-out data say refutes a claim; one that cannot be confirmed, for
want of an evaluator that works or of a whole checkpoint, is `unconfirmed`, and uses up no attempt.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Literal

from wtrace.data import data, replace
from wtrace.text import beside, bound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wtrace.config.spec import RaceSpec
    from wtrace.judging.checks import CriterionStanding
    from wtrace.race.status import Standing

MOST_TRIES = 2
"""A confirmation that crashes or outlasts its timeout is tried once more, then the claim is unconfirmed."""

ORDER_KEPT_S = 10.0
"""So long a claim whose checkpoint is not whole yet keeps its place before later ones that could be confirmed."""


def reports_first(spec: RaceSpec, worker: str) -> bool:
    """Whether the worker's file may be of another epoch than the report that names it, and be written after it.

    So it is where wtrace itself reads the metrics of a training that keeps one file for all epochs: that prints its
    line before it saves or afterwards, as it likes. A worker that names the file in lines of its own has saved it.
    """
    metrics = spec.metrics_of(spec.worker(worker))
    return metrics.checkpoint is not None and "{epoch}" not in metrics.checkpoint


def names_when_saved(spec: RaceSpec, worker: str) -> bool:
    """Whether the worker itself names its files, in lines that it writes when they are saved."""
    return spec.metrics_of(spec.worker(worker)).checkpoint is None


def missed_by(result: CriterionStanding) -> str:
    """What a confirmation measured and what it needed: `accuracy 0.90, needs ≥ 0.93`."""
    measured = (
        result.reason if result.value is None and result.reason else beside(result.value, result.threshold)
    )
    return f"{result.name} {measured}, needs {bound(result.op, result.threshold)}"


@data
class Due:
    """A check that met every criterion and has not become a claim yet."""

    worker: str
    epoch: int
    checkpoint: str | None
    overtaken: float | None = None  # as a claim's


@data
class Claim:
    """A claim, how far the copy of its checkpoint is, and how far its confirmation."""

    number: int  # from 1, in the order of arrival
    worker: str
    epoch: int
    checkpoint: str | None  # relative to the worker's output folder
    at: float = 0.0  # when it was made
    # "dropped": a later check of its worker took its place, or its worker's attempts were used up
    status: Literal["open", "confirmed", "refuted", "unconfirmed", "dropped"] = "open"
    freezing: bool = False  # its checkpoint is being copied, or waited for
    waits_for: str | None = None  # why it could not be copied at once
    seen_incomplete: bool = False  # because it was not there yet, or was being written
    overtaken: float | None = None  # when its worker first reported a later check that names the same file
    frozen: str | None = None  # the absolute path of the frozen copy
    sha256: str | None = None  # of the frozen copy
    not_frozen: str | None = None  # why there is no frozen copy, and will be none
    tries: int = 0
    trying_since: float | None = None  # a confirmation runs
    waits: bool = False  # it does not run yet: its engine has it in a queue
    results: tuple[CriterionStanding, ...] = ()  # of the confirmation
    why: str | None = None  # it was refuted, is unconfirmed or was dropped

    def after_try(self, results: Sequence[CriterionStanding], problem: str | None) -> Claim:
        """The claim after a confirmation that was judged (`results`) or failed (`problem`)."""
        ended = replace(self, trying_since=None, waits=False, results=tuple(results))
        if problem is not None:
            return ended if self.tries < MOST_TRIES else replace(ended, status="unconfirmed", why=problem)
        missed = [missed_by(result) for result in results if not result.met]
        if missed:
            return replace(ended, status="refuted", why=f"held-out {', '.join(missed)}")
        return replace(ended, status="confirmed")

    @property
    def copy_is_undecided(self) -> bool:
        """Whether there is no frozen copy yet, and there still may be one."""
        return self.frozen is None and self.not_frozen is None

    def holds_others_up(self, now: float) -> bool:
        """Whether later claims wait for this one although it cannot be confirmed yet."""
        return now < self.keeps_its_place_until

    @property
    def keeps_its_place_until(self) -> float:
        """While it is copied without a hitch: for ever."""
        return inf if self.waits_for is None else self.at + ORDER_KEPT_S


def attempts_used_up(spec: RaceSpec, worker: str, claims: Sequence[Claim]) -> bool:
    """Whether held-out data have refuted as many claims of this worker as it may make."""
    refuted = sum(claim.worker == worker and claim.status == "refuted" for claim in claims)
    return spec.confirm is not None and refuted >= spec.confirm.attempts


def open_claim(spec: RaceSpec, claim: Claim) -> bool:
    """Whether the claim waits for its confirmation."""
    return spec.confirm is not None and claim.status == "open"


def winning_claim(standing: Standing, claims: Sequence[Claim]) -> Claim | None:
    """The claim that won; None where nobody has."""
    won = (standing.winner, standing.winner_epoch)
    return next((claim for claim in claims if (claim.worker, claim.epoch) == won), None)


def next_to_confirm(spec: RaceSpec, claims: Sequence[Claim], now: float) -> Claim | None:
    """The earliest open claim that has its frozen copy; None where there is none, or an earlier one is waited for.

    Of one worker the earlier claim always comes first.
    """
    passed: set[str] = set()
    for claim in claims:
        if not open_claim(spec, claim) or claim.worker in passed:
            continue
        if claim.frozen is not None:
            return claim
        if claim.holds_others_up(now):
            return None
        passed.add(claim.worker)
    return None


def with_claim(spec: RaceSpec, claims: Sequence[Claim], new: Claim) -> tuple[Claim, ...]:
    """The claims and one more. While a claim of a worker is open, only its newest later one is kept beside it."""
    beside = [each for each in claims if each.worker == new.worker and open_claim(spec, each)]
    replaced = {each.number for each in beside[1:]}
    why = f"the claim at epoch {new.epoch} took its place"
    kept = (replace(each, status="dropped", why=why) if each.number in replaced else each for each in claims)
    return (*kept, new)


def without_more(spec: RaceSpec, claims: Sequence[Claim], worker: str) -> tuple[Claim, ...]:
    """The claims when this worker's attempts are used up: what else it claimed is dropped."""
    return tuple(
        replace(each, status="dropped", why="its attempts were used up")
        if each.worker == worker and open_claim(spec, each)
        else each
        for each in claims
    )
