"""A race as the sum of what happened; how an event changes it stands in `core.evolve`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.judging.checks import CheckSummary
from wtrace.race import events as ev
from wtrace.race.claims import Claim, Due, attempts_used_up, open_claim
from wtrace.race.phases import Ended, Phase, Waiting
from wtrace.race.status import Happening
from wtrace.race.whole import Ending

if TYPE_CHECKING:
    from wtrace.config.spec import RaceSpec
    from wtrace.judging.checks import CriterionStanding
    from wtrace.race.resources import Grant, Machine


@data
class Worker:
    """What is known of one worker."""

    phase: Phase = field(default_factory=Waiting)
    max_epochs: int = 0  # that it may train, as the config says
    epoch: int = 0
    lines: int = 0
    bad_lines: int = 0
    checks: int = 0
    judged: int = 0  # one bit per judged epoch
    results: tuple[CriterionStanding, ...] = ()
    streaks: tuple[int, ...] = ()  # how often each criterion held in a row, up to the latest check
    recent: tuple[CheckSummary, ...] = ()
    best: CheckSummary | None = None
    started: float | None = None
    ended: float | None = None
    note: str | None = None
    doing: str | None = None  # what its running attempt said that it does just now
    reported: bool = False  # the running attempt has sent a line
    reported_epoch: int = 0  # the latest of the running attempt
    stop_asked: bool = False
    saves_late: bool = False  # it said so: after it has reported
    merged: bool = False  # a hybrid whose branch has been made
    set_up: bool = False  # its worktree has been prepared
    grant: Grant | None = None  # what it was given last
    passed_over: int = 0  # how often others went ahead of it that are ranked below it
    chance: float | None = None  # that it may still succeed, where that matters and can be told
    ending: Ending = Ending()  # how its latest attempt ended
    lost: ev.MetricNotFinite | None = None  # the metric that is not finite, as it was told last
    lost_since: int = 0  # the epoch in which that was told first
    hopeless: bool = False  # it was found to have no chance left
    unfair: str | None = None  # why its latest check that met every criterion does not count

    def has_judged(self, epoch: int) -> bool:
        """Whether a check of that epoch has been judged already."""
        return bool(self.judged >> epoch & 1)

    def lost_behind(self, results: Sequence[CriterionStanding]) -> ev.MetricNotFinite | None:
        """What is not finite any more, where a check only repeats the values of the one before; None: it is a check."""
        repeats = bool(self.results) and [r.value for r in results] == [r.value for r in self.results]
        return self.lost if repeats else None


@data
class State:
    """A race at one moment."""

    spec: RaceSpec
    started: float
    workers: Mapping[str, Worker]
    supervisor_pid: int | None = None
    machine: Machine | None = None  # None until a supervisor looked
    due: tuple[
        Due, ...
    ] = ()  # checks that met every criterion and have not become claims yet, as they arrived
    claims: tuple[Claim, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)  # checksum of the data by worker, as first reported
    judge_files: Mapping[str, str] = field(default_factory=dict)  # sha256 of each, as the race began
    strict: bool = False  # who runs code from outside of its worktree is refused
    foreign: Mapping[str, str] = field(default_factory=dict)  # such files by worker, in words
    verdict: ev.VerdictReached | None = None
    stop_asked: bool = False
    outcome: ev.RaceOutcome | None = None
    ended: float | None = None
    sample_ids: str | None = None  # digest of the ids of everybody's samples, once somebody sent ids
    ids_first: str | None = None  # who sent them first
    without_ids: tuple[str, ...] = ()  # whose samples carry none all the same, and who has been told
    happenings: tuple[Happening, ...] = ()  # the latest of them, to be shown
    latest: float = 0.0  # of all events, also of those that are not told; 0: there was none
    topics: frozenset[tuple[str | None, str]] = frozenset()  # of the notices so far, each with its worker

    def other_data(self, worker: str) -> str | None:
        """Who reported first that it trains on other data than this worker says; None: they agree, or nobody said."""
        own = self.data.get(worker)
        first, digest = next(iter(self.data.items()), (worker, own))
        return first if own is not None and own != digest else None

    @property
    def is_stopped(self) -> bool:
        """Whether somebody asked to stop the race, or one by one all whom a hybrid could take the place of."""
        firsts = [each.name for each in self.spec.workers if not each.combines and not each.control]
        return self.stop_asked or (bool(firsts) and all(self.workers[name].stop_asked for name in firsts))

    def is_over_for(self, worker: str) -> bool:
        """Whether the race asks this worker to leave, or not to start at all."""
        beaten = self.verdict is not None and self.spec.judge.stop_at_first
        return beaten or self.stop_asked or self.workers[worker].stop_asked

    def is_ended_as_winner(self, worker: str) -> bool:
        """Whether this worker has won a race that ends with its first winner."""
        won = self.verdict is not None and self.verdict.worker == worker
        return won and self.spec.judge.stop_at_first

    def is_past_its_end(self, worker: str) -> bool:
        """Whether the worker trains on although nothing of what it may report will be judged any more."""
        known = self.workers[worker]
        beyond = known.epoch - known.max_epochs
        return beyond > 0 and (known.has_judged(known.max_epochs) or beyond >= self.spec.check_every)

    def is_refused(self, worker: str) -> bool:
        """Whether no verdict may rest on this worker: what it trains is not its branch."""
        return self.strict and worker in self.foreign

    def is_refuted(self, worker: str) -> bool:
        """Whether all the claims that this worker may make have been refuted."""
        return attempts_used_up(self.spec, worker, self.claims)

    def wants_frozen(self, claim: Claim) -> bool:
        """Whether a copy of what the claim names is wanted, and may still come.

        Of every claim that may be confirmed; where nothing is confirmed, of the one that won.
        """
        if not claim.copy_is_undecided:
            return False
        if self.spec.confirm is not None:
            return claim.status == "open" and self.verdict is None and not self.stop_asked
        won = self.verdict is not None and (claim.worker, claim.epoch) == (
            self.verdict.worker,
            self.verdict.epoch,
        )
        return won and claim.checkpoint is not None

    def is_fallback_due(self) -> bool:
        """Whether everybody but hybrids and controls ended without success, and no claim is open."""
        firsts = [each.name for each in self.spec.workers if not each.combines and not each.control]
        ended = all(isinstance(self.workers[name].phase, Ended) for name in firsts)
        undecided = any(open_claim(self.spec, claim) for claim in self.claims)
        return ended and self.verdict is None and not self.is_stopped and not undecided

    def has_lost_hope(self, worker: str) -> bool:
        """Whether this worker's chance fell below the limit. A control has none to lose; a claimant is waited for."""
        chance = self.workers[worker].chance
        if chance is None or chance >= self.spec.hopeless_below:
            return False
        claims = self.is_confirming(worker) or any(due.worker == worker for due in self.due)
        return not claims and self.verdict is None and not self.spec.worker(worker).control

    def has_lost_its_numbers(self, worker: str) -> bool:
        """Whether the worker is to be ended because what it reports is not finite any more. A claimant is waited for."""
        lost = self.workers[worker].lost
        if self.spec.on_nan != "stop" or lost is None or lost.running < ev.NOT_FINITE_LIMIT:
            return False
        return not self.is_confirming(worker) and not any(due.worker == worker for due in self.due)

    def is_confirming(self, worker: str) -> bool:
        """Whether a claim of this worker waits for its confirmation; after the verdict none does any more."""
        return self.verdict is None and any(
            open_claim(self.spec, claim) and claim.worker == worker for claim in self.claims
        )


def begin(spec: RaceSpec, at: float) -> State:
    """A race that has just been created: everybody waits."""
    workers = {worker.name: Worker(max_epochs=spec.epochs_of(worker)) for worker in spec.workers}
    return State(spec=spec, started=at, workers=workers)
