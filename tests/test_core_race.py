"""The rules of a race, played without a process, a file or a clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtrace.config.language.criteria import parse_criterion
from wtrace.config.spec import ConfirmSpec, JudgeSpec, MetricsSpec, RaceSpec, WorkerSpec
from wtrace.judging.checks import CriterionStanding
from wtrace.judging.referee import criteria_info
from wtrace.publish.view import best_so_far, how_ended, lead_title, leader_words
from wtrace.race import events as ev
from wtrace.race import policy, view
from wtrace.race.phases import Ended, Launching, Retrying, Running, Stopping, Waiting
from wtrace.race.reduce import evolve
from wtrace.race.rehearsal import rehearse
from wtrace.race.state import State, begin
from wtrace.supervisor.publishing.pages import news_of


def spec(*names: str, **changes: object) -> RaceSpec:
    workers = tuple(WorkerSpec(name, f"try/{name}", ("python", "train.py")) for name in names)
    base = RaceSpec(
        name="race",
        success=(parse_criterion("ratio", "ratio >= 1.5"), parse_criterion("accuracy", "accuracy >= 0.75")),
        workers=workers,
        check_every=5,
        max_epochs=50,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def with_worker(race: RaceSpec, name: str, **changes: object) -> RaceSpec:
    workers = tuple(replace(w, **changes) if w.name == name else w for w in race.workers)  # type: ignore[arg-type]
    return replace(race, workers=workers)


@dataclass
class Story:
    """Plays a race: every deed is answered the way a well-behaved world would, unless the test says otherwise."""

    spec: RaceSpec
    now: float = 1000.0
    state: State = field(init=False)
    deeds: list[policy.Action] = field(default_factory=list)
    journal: list[ev.Event] = field(default_factory=list)
    freezes: bool = True  # what a claim names is whole, and copied at once

    def __post_init__(self) -> None:
        self.state = begin(self.spec, self.now)
        self.settle()

    def note(self, event: ev.Event) -> None:
        self.state = evolve(self.state, event)
        self.journal.append(event)

    def settle(self) -> list[policy.Action]:
        while (fact := policy.conclude(self.state, self.now)) is not None:
            self.note(fact)
        actions = policy.decide(self.state, self.now)
        for action in actions:
            event = policy.intent(action, self.now)
            if event is not None:
                self.note(event)
        self.deeds += actions
        frozen = [each for each in actions if isinstance(each, policy.Freeze)] if self.freezes else []
        for each in frozen:
            self.frozen(each.number)
        return [*actions, *self.settle()] if frozen else actions

    def frozen(self, number: int) -> None:
        self.note(ev.CheckpointFrozen(self.now, number, f"claims/{number}/checkpoint.pt", "0" * 64))

    def started(self, name: str) -> None:
        phase = self.state.workers[name].phase
        assert isinstance(phase, Launching), phase
        self.note(ev.WorkerStarted(self.now, name, phase.attempt, 4242, f"{name}/{phase.attempt}"))
        self.settle()

    def start_all(self) -> None:
        for name in self.spec_names():
            if isinstance(self.state.workers[name].phase, Launching):
                self.started(name)

    def spec_names(self) -> list[str]:
        return [worker.name for worker in self.spec.workers]

    def check(
        self, name: str, epoch: int, ratio: float, accuracy: float = 0.9, *, settle: bool = True
    ) -> None:
        results = (
            CriterionStanding("ratio", ratio, ">=", 1.5, ratio >= 1.5),
            CriterionStanding("accuracy", accuracy, ">=", 0.75, accuracy >= 0.75),
        )
        self.note(ev.LinesRead(self.now, name, 1, 0, epoch))
        self.note(ev.CheckJudged(self.now, name, 1, epoch, results))
        if settle:
            self.settle()

    def exited(
        self, name: str, code: int | None = 0, signal: int | None = None, *, known: bool = True
    ) -> None:
        phase = self.state.workers[name].phase
        attempt = getattr(phase, "attempt", 0)
        self.note(ev.WorkerExited(self.now, name, attempt, code, signal, known))
        self.settle()

    def winner(self) -> str | None:
        return None if self.state.verdict is None else self.state.verdict.worker

    def over(self) -> str | None:
        return self.state.outcome

    def outcome(self, name: str) -> str:
        phase = self.state.workers[name].phase
        assert isinstance(phase, Ended), phase
        return phase.outcome


def test_what_a_worker_does_just_now_is_told_until_a_check_of_it_was_judged() -> None:
    race = Story(spec("a", "b"))
    race.start_all()

    def doing() -> str | None:
        return view.worker_standing(race.state, "a", view.Place("a", "", "", "", "")).doing

    race.note(ev.LinesRead(race.now, "a", 1, 0, 0, doing="step 40/60"))
    race.note(ev.LinesRead(race.now, "a", 1, 0, 1))
    assert doing() == "step 40/60"
    race.check("a", 5, ratio=1.2)
    assert doing() is None


def test_the_first_claim_wins_and_the_others_are_ended() -> None:
    race = Story(spec("a", "b", "c"))
    race.start_all()
    race.check("b", 5, ratio=1.2)
    race.check("b", 10, ratio=1.6)
    verdict = race.state.verdict
    assert verdict is not None
    assert (verdict.worker, verdict.epoch) == ("b", 10)
    assert {(deed.worker, deed.cause) for deed in race.deeds if isinstance(deed, policy.Stop)} == {
        ("a", "beaten"),
        ("b", "winner"),
        ("c", "beaten"),
    }
    for name in "abc":
        race.exited(name, code=None, signal=15)
    assert [race.outcome(name) for name in "abc"] == ["terminated", "won", "terminated"]
    assert race.over() == "won"


def test_the_verdict_is_recorded_before_anyone_is_ended() -> None:
    race = Story(spec("a", "b"))
    race.start_all()
    race.check("a", 5, ratio=2.0)
    kinds = [type(event) for event in race.journal]
    assert kinds.index(ev.VerdictReached) < kinds.index(ev.WorkerStopping)


def test_the_winner_is_shown_at_the_check_by_which_it_won_whatever_it_reports_since() -> None:
    race = Story(spec("a", "b"))
    race.start_all()
    race.check("a", 5, ratio=1.6, settle=False)
    race.check("a", 10, ratio=1.2, settle=False)
    race.settle()
    assert race.state.verdict is not None
    assert race.state.verdict.epoch == 5
    (shown, *_) = view.worker_standing(race.state, "a", PLACE).criteria
    assert (shown.value, shown.met) == (1.6, True)


def test_all_criteria_must_hold_at_one_and_the_same_check() -> None:
    race = Story(spec("a"))
    race.start_all()
    race.check("a", 5, ratio=2.0, accuracy=0.5)
    race.check("a", 10, ratio=1.0, accuracy=0.9)
    assert race.winner() is None
    race.exited("a")
    assert race.over() == "no_winner"
    assert race.outcome("a") == "finished"


def test_two_claims_in_one_turn_are_settled_by_their_order_of_arrival() -> None:
    race = Story(spec("a", "b"))
    race.start_all()
    race.check("b", 5, ratio=2.0, settle=False)
    race.check("a", 5, ratio=3.0, settle=False)
    race.settle()
    assert race.state.verdict is not None
    assert race.state.verdict.worker == "b"


def test_of_two_claims_of_one_worker_in_one_turn_the_first_counts() -> None:
    race = Story(spec("a"))
    race.start_all()
    race.check("a", 5, ratio=2.0, settle=False)
    race.check("a", 10, ratio=1.0, settle=False)
    race.settle()
    assert race.state.verdict is not None
    assert race.state.verdict.epoch == 5


def test_a_control_never_claims() -> None:
    race = Story(with_worker(spec("a", "base"), "base", control=True))
    race.start_all()
    race.check("base", 5, ratio=9.0)
    assert race.winner() is None
    assert race.state.claims == ()


def test_with_stop_at_first_off_everybody_runs_to_the_end_and_the_winner_is_the_same() -> None:
    race = Story(spec("a", "b", judge=JudgeSpec(stop_at_first=False)))
    race.start_all()
    race.check("a", 5, ratio=1.6)
    race.check("b", 5, ratio=3.0)
    assert not [deed for deed in race.deeds if isinstance(deed, policy.Stop)]
    race.exited("a")
    race.exited("b")
    assert (race.outcome("a"), race.outcome("b"), race.over()) == ("won", "finished", "won")


def test_after_the_verdict_nobody_is_shown_as_confirming() -> None:
    """Later claimants run to the end, and no claim of theirs will be judged any more."""
    confirm = ConfirmSpec(("judge",), attempts=2)
    race = Story(spec("a", "b", judge=JudgeSpec(stop_at_first=False), confirm=confirm))
    race.start_all()
    race.check("b", 5, ratio=3.0)
    race.check("a", 5, ratio=1.6)
    assert race.state.is_confirming("a")
    race.note(ev.ConfirmationEnded(race.now, 1, 1, "b", HELD_OUT))
    race.settle()
    race.check("a", 10, ratio=1.6)
    assert race.winner() == "b"
    rows = view.standing(race.state, "id", dict.fromkeys("ab", PLACE), (), race.now).workers
    assert [row.state for row in rows] == ["running", "running"]


def test_a_criterion_that_must_hold_for_two_checks_does() -> None:
    loss = parse_criterion("loss", "loss <= 0.2", for_checks=2)
    race = Story(replace(spec("a"), success=(loss,)))
    race.start_all()

    def check(epoch: int, value: float) -> None:
        met = CriterionStanding("loss", value, "<=", 0.2, value <= 0.2)
        race.note(ev.CheckJudged(race.now, "a", 1, epoch, (met,)))
        race.settle()

    won = []
    for epoch, value in [(5, 0.1), (10, 0.3), (15, 0.1), (20, 0.1)]:
        check(epoch, value)
        won.append(race.state.verdict is not None)
    assert won == [False, False, False, True]


def test_the_highest_priority_starts_first_when_not_all_can() -> None:
    race = spec("a", "b", "c", max_parallel=2)
    race = with_worker(with_worker(race, "c", priority=85), "b", priority=60)
    story = Story(race)
    assert story.deeds == [policy.Launch("c", 1), policy.Launch("b", 1)]
    story.start_all()
    story.exited("c", code=0)
    assert story.deeds[-1] == policy.Launch("a", 1)


def test_who_never_started_when_the_race_is_decided_is_skipped() -> None:
    race = Story(spec("a", "b", max_parallel=1))
    race.start_all()
    race.check("a", 5, ratio=2.0)
    race.exited("a", code=None, signal=15)
    assert race.outcome("b") == "skipped"
    assert race.over() == "won"


def test_a_worker_that_is_being_started_when_the_race_is_decided_is_ended_as_soon_as_it_runs() -> None:
    race = Story(spec("a", "b"))
    race.started("a")
    race.check("a", 5, ratio=2.0)
    assert isinstance(race.state.workers["b"].phase, Launching)
    race.started("b")
    assert race.deeds[-1] == policy.Stop("b", 1, "beaten")


def test_stopping_one_worker_leaves_the_others_and_its_later_claim_does_not_count() -> None:
    race = Story(spec("a", "b"))
    race.start_all()
    race.note(ev.StopAsked(race.now, ("a",), "me"))
    race.settle()
    race.check("a", 5, ratio=2.0)
    assert race.winner() is None
    race.exited("a", code=0)
    assert race.outcome("a") == "stopped"
    assert race.over() is None
    race.check("b", 5, ratio=2.0)
    assert race.state.verdict is not None


def test_stopping_the_race_ends_it_as_stopped() -> None:
    race = Story(spec("a", "b", max_parallel=1))
    race.start_all()
    race.note(ev.StopAsked(race.now, (), "me"))
    race.settle()
    race.exited("a", code=None, signal=15)
    assert (race.outcome("a"), race.outcome("b"), race.over()) == ("stopped", "skipped", "stopped")


def test_a_crash_is_not_retried_unless_asked_for() -> None:
    race = Story(spec("a", "b"))
    race.start_all()
    race.now += 60
    race.exited("a", code=1)
    assert race.outcome("a") == "failed"


def test_what_a_crashed_worker_said_last_is_kept() -> None:
    race = Story(spec("a"))
    race.start_all()
    race.note(ev.WorkerExited(race.now, "a", 1, 1, None, known=True, last_words="no weights"))
    assert race.state.workers["a"].note == "no weights"


def test_retries_double_their_delay_and_run_out() -> None:
    race = Story(spec("a", retries=2))
    delays = []
    for _ in range(2):
        race.start_all()
        race.note(ev.LinesRead(race.now, "a", 1, 0, 1))
        race.now += 60
        race.exited("a", code=1)
        phase = race.state.workers["a"].phase
        assert isinstance(phase, Retrying)
        delays.append(phase.not_before - race.now)
        assert policy.next_deadline(race.state, race.now) == phase.not_before
        race.now = phase.not_before - 0.01
        assert race.settle() == []
        race.now = phase.not_before
        assert race.settle() == [policy.Launch("a", phase.attempt + 1)]
    assert delays == [2.0, 4.0]
    race.start_all()
    race.now += 60
    race.exited("a", code=1)
    assert race.outcome("a") == "failed"
    assert race.over() == "no_winner"


@pytest.mark.parametrize(("code", "after_s"), [(127, 60.0), (1, 1.0)])
def test_a_start_that_fails_at_once_is_not_retried(code: int, after_s: float) -> None:
    race = Story(spec("a", retries=5))
    race.start_all()
    race.now += after_s
    race.exited("a", code=code)
    assert race.outcome("a") == "failed"


def test_silence_is_told_once_and_ends_when_it_reports_again() -> None:
    race = Story(spec("a", stall_after_s=900.0))
    race.start_all()
    assert policy.next_deadline(race.state, race.now) == race.now + 900
    race.now += 900
    race.settle()
    race.settle()
    assert [type(event) for event in race.journal].count(ev.WorkerStalled) == 1
    race.check("a", 5, ratio=1.0)
    phase = race.state.workers["a"].phase
    assert isinstance(phase, Running)
    assert not phase.stalled


def test_a_bad_line_is_no_sign_of_life() -> None:
    race = Story(spec("a", stall_after_s=900.0))
    race.start_all()
    race.now += 600
    race.note(ev.LinesRead(race.now, "a", 1, 1, 0, "not JSON"))
    race.now += 300
    race.settle()
    assert isinstance(race.journal[-1], ev.WorkerStalled)


def test_a_paused_worker_is_not_taken_for_stalled_and_still_ends_with_the_race() -> None:
    race = Story(spec("a", "b", stall_after_s=900.0))
    race.start_all()
    race.note(ev.WorkerPaused(race.now, "a"))
    race.now += 5000
    race.check("b", 5, ratio=1.0, settle=False)
    race.settle()
    assert not [event for event in race.journal if isinstance(event, ev.WorkerStalled)]
    race.check("b", 10, ratio=2.0)
    assert policy.Stop("a", 1, "beaten") in race.deeds


@pytest.mark.parametrize("exit_", [(None, 15), (0, None), (143, None)])  # killed by SIGTERM, or obeying it
@pytest.mark.parametrize(("on_stall", "ends"), [("restart", Retrying), ("stop", Ended)])
def test_a_stalled_worker_is_handled_as_asked(
    on_stall: str, ends: type, exit_: tuple[int | None, int | None]
) -> None:
    race = Story(spec("a", "b", stall_after_s=900.0, on_stall=on_stall))
    race.start_all()
    race.note(ev.LinesRead(race.now, "a", 1, 0, 1))
    race.note(ev.LinesRead(race.now + 890, "b", 1, 0, 1))
    race.now += 900
    race.settle()
    assert race.deeds[-1] == policy.Stop("a", 1, "stalled")
    code, signal = exit_
    race.exited("a", code=code, signal=signal)
    assert isinstance(race.state.workers["a"].phase, ends)


def lose_numbers(race: Story, name: str, *epochs: int) -> None:
    """Its loss is NaN in reports of these epochs, one after the other."""
    for epoch in epochs:
        lost = race.state.workers[name].lost
        running = 1 if lost is None else lost.running + 1
        race.note(ev.MetricNotFinite(race.now, name, epoch, "train_loss", "nan", running))
        race.settle()


def test_three_reports_running_that_are_not_finite_end_a_worker_and_free_its_place() -> None:
    race = Story(spec("a", "b", on_nan="stop", max_parallel=1, retries=3))
    race.start_all()
    lose_numbers(race, "a", 4, 5)
    assert isinstance(race.state.workers["a"].phase, Running)
    race.note(ev.MetricFinite(race.now, "a", 6, "train_loss"))
    lose_numbers(race, "a", 7, 8)
    assert isinstance(race.state.workers["a"].phase, Running), "they were not running"
    lose_numbers(race, "a", 9)
    assert race.deeds[-1] == policy.Stop("a", 1, "not_finite")
    race.exited("a", None, 15)
    ended = race.state.workers["a"]
    assert isinstance(ended.phase, Ended) and ended.phase.outcome == "failed"
    assert ended.note == "train_loss is nan in 3 reports running, the latest at epoch 9"
    assert isinstance(race.state.workers["b"].phase, Launching)


def test_by_default_a_worker_without_a_number_is_told_and_runs_on() -> None:
    race = Story(spec("a", "b"))
    race.start_all()
    lose_numbers(race, "a", 4, 5, 6)
    assert isinstance(race.state.workers["a"].phase, Running)
    assert "3 reports running" in (race.state.workers["a"].note or "")
    race.note(ev.MetricFinite(race.now, "a", 7, "train_loss"))
    assert race.state.workers["a"].note is None


def test_a_claim_that_is_being_confirmed_outlives_the_numbers_of_its_worker() -> None:
    race = Story(spec("a", "b", on_nan="stop", confirm=ConfirmSpec(("judge",))))
    race.start_all()
    race.check("a", 5, 2.0)
    lose_numbers(race, "a", 6, 7, 8)
    assert isinstance(race.state.workers["a"].phase, Running)
    claim = race.state.claims[0]
    missed = (CriterionStanding("ratio", 1.0, ">=", 1.5, False),)
    race.note(ev.ConfirmationEnded(race.now, claim.number, 1, "a", missed))
    race.settle()
    assert race.deeds[-1] == policy.Stop("a", 1, "not_finite")


def test_a_new_attempt_begins_with_numbers() -> None:
    race = Story(spec("a", "b", on_nan="stop", retries=1))
    race.start_all()
    lose_numbers(race, "a", 4, 5)
    race.now += 100
    race.exited("a", 1)
    race.now += 60
    race.settle()
    race.started("a")
    assert race.state.workers["a"].lost is None


def test_a_worker_that_outlives_the_grace_period_is_killed() -> None:
    race = Story(spec("a", "b", grace_s=10.0))
    race.start_all()
    race.check("a", 5, ratio=2.0)
    race.exited("a", code=0)
    race.now += 10 + policy.KILL_AFTER_GRACE_S - 0.1
    assert race.settle() == []
    race.now += 0.1
    assert race.settle() == [policy.Kill("b", 1)]


def test_an_exit_nobody_saw_is_never_guessed() -> None:
    race = Story(spec("a", "b"))
    race.start_all()
    race.exited("a", code=None, known=False)
    assert race.outcome("a") == "lost"


def test_the_winner_keeps_its_exit_whatever_it_was() -> None:
    race = Story(spec("a"))
    race.start_all()
    race.check("a", 5, ratio=2.0)
    race.exited("a", code=None, signal=9)
    phase = race.state.workers["a"].phase
    assert isinstance(phase, Ended)
    assert phase.outcome == "won"
    assert phase.exit is not None
    assert phase.exit.signal == 9


def test_a_worker_that_ended_before_its_claim_was_read_still_wins() -> None:
    race = Story(spec("a", "b"))
    race.start_all()
    race.check("a", 50, ratio=2.0, settle=False)
    race.exited("a", code=0)
    assert race.outcome("a") == "won"


def test_a_new_supervisor_does_again_only_what_may_not_have_been_done() -> None:
    race = Story(spec("a", "b", "c"))
    race.started("a")
    race.started("b")
    race.check("a", 5, ratio=2.0)
    race.exited("a", code=0)
    assert policy.unfinished(race.state) == [policy.Stop("b", 1, "beaten"), policy.Launch("c", 1)]


def test_a_new_supervisor_counts_silence_anew() -> None:
    race = Story(spec("a", stall_after_s=900.0))
    race.start_all()
    race.now += 5000
    race.note(ev.SupervisorStarted(race.now, 1, resumed=True))
    race.settle()
    assert not [event for event in race.journal if isinstance(event, ev.WorkerStalled)]


def test_time_in_which_the_machine_slept_is_nobodys_silence() -> None:
    race = Story(spec("a", "b", stall_after_s=900.0, on_stall="stop"))
    race.start_all()
    race.now += 600
    race.note(ev.LinesRead(race.now, "b", 1, 0, 1))
    race.now += 100
    race.now += 7200
    race.note(ev.MachineSlept(race.now, 7200.0))
    race.settle()
    assert not [event for event in race.journal if isinstance(event, ev.WorkerStalled)]
    assert policy.next_deadline(race.state, race.now) == race.now + 200  # a: 700 s of its 900 were over
    race.now += 200
    race.settle()
    assert race.deeds[-1] == policy.Stop("a", 1, "stalled")


def test_a_winner_settles_as_long_as_if_the_machine_had_not_slept() -> None:
    race = Story(spec("a", on_win="settle"))
    race.start_all()
    race.check("a", 5, ratio=2.0)
    began = settling_since(race)
    race.now += 3600
    race.note(ev.MachineSlept(race.now, 3590.0))
    assert settling_since(race) == began + 3590


def settling_since(race: Story) -> float:
    phase = race.state.workers["a"].phase
    assert isinstance(phase, Running)
    assert phase.settling is not None
    return phase.settling.since


def test_whoever_leaves_while_the_machine_sleeps_has_the_rest_of_the_grace() -> None:
    race = Story(spec("a", "b", grace_s=10.0))
    race.start_all()
    race.check("a", 5, ratio=2.0)
    race.exited("a", code=0)
    race.now += 3600
    race.note(ev.MachineSlept(race.now, 3600.0))
    race.settle()
    assert not [deed for deed in race.deeds if isinstance(deed, policy.Kill)]
    race.now += 600
    race.settle()
    assert [deed for deed in race.deeds if isinstance(deed, policy.Kill)]


def test_replaying_the_journal_gives_the_same_state() -> None:
    race = Story(spec("a", "b", "c", max_parallel=2, retries=1))
    race.start_all()
    race.check("a", 5, ratio=1.0)
    race.now += 30
    race.exited("b", code=1)
    race.check("a", 10, ratio=2.0)
    race.exited("a", code=0)
    again = begin(race.spec, 1000.0)
    for event in race.journal:
        again = evolve(again, event)
    assert again == race.state


def test_the_best_check_met_most_criteria_then_had_the_better_first_value() -> None:
    race = Story(spec("a"))
    race.start_all()
    best = []
    for epoch, ratio, accuracy in [(5, 9.0, 0.1), (10, 1.2, 0.9), (15, 9.5, 0.2), (20, float("nan"), 0.9)]:
        race.check("a", epoch, ratio, accuracy)
        point = race.state.workers["a"].best
        assert point is not None
        best.append(point.epoch)
    assert best == [5, 5, 15, 15]


PLACE = view.Place("try/a", "0" * 40, "/w", "/o", "/l")


def test_a_race_without_its_supervisor_is_told_as_interrupted_and_its_dead_as_lost() -> None:
    race = Story(spec("a", "b", "c"))
    race.start_all()
    standing = view.standing(race.state, "id", dict.fromkeys("abc", PLACE), (), race.now)
    fates = {
        "a": view.Fate(alive=True, exit=None),
        "b": view.Fate(alive=False, exit=None),
        "c": view.Fate(alive=False, exit=(3, None, True)),
    }
    told = view.unsupervised(standing, fates)
    assert told.state == "interrupted"
    assert [worker.state for worker in told.workers] == ["running", "lost", "failed"]
    assert told.workers[1].exit is not None
    assert not told.workers[1].exit.known


WORLD = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.sampled_from(["start", "check", "win", "exit", "crash", "stop", "wait"])
    ),
    max_size=60,
)


def play(race: Story, steps: list[tuple[str, str]]) -> Iterator[None]:
    """Let it happen, as far as it can; yields after each step."""
    for epoch, (name, step) in enumerate(steps, start=1):
        race.now += 7.0
        phase = race.state.workers[name].phase
        alive = isinstance(phase, Running | Stopping)
        match step:
            case "start" if isinstance(phase, Launching):
                race.started(name)
            case "check" if alive:
                race.check(name, epoch, ratio=1.0)
            case "win" if alive:
                race.check(name, epoch, ratio=2.0)
            case "exit" if alive:
                race.exited(name, code=0)
            case "crash" if alive:
                race.exited(name, code=1)
            case "stop" if race.over() is None and not isinstance(phase, Ended):
                race.note(ev.StopAsked(race.now, (name,), "me"))
                race.settle()
            case _:
                race.settle()
        yield


@given(WORLD, st.integers(1, 3), st.integers(0, 2), st.booleans())
def test_whatever_happens_the_rules_hold(
    steps: list[tuple[str, str]], max_parallel: int, retries: int, stop_at_first: bool
) -> None:
    judge = JudgeSpec(stop_at_first=stop_at_first)
    race = Story(spec("a", "b", "c", max_parallel=max_parallel, retries=retries, judge=judge))
    for _ in play(race, steps):
        running = sum(
            isinstance(w.phase, Launching | Running | Stopping) for w in race.state.workers.values()
        )
        assert running <= max_parallel
    kinds = [type(event) for event in race.journal]
    assert kinds.count(ev.VerdictReached) <= 1
    assert kinds.count(ev.RaceEnded) <= 1
    launches = [(d.worker, d.attempt) for d in race.deeds if isinstance(d, policy.Launch)]
    assert len(launches) == len(set(launches)), "an attempt was started twice"
    stops = [(d.worker, d.attempt) for d in race.deeds if isinstance(d, policy.Stop)]
    assert len(stops) == len(set(stops)), "an attempt was ended twice"
    if all(isinstance(w.phase, Ended) for w in race.state.workers.values()):
        assert race.over() is not None
    if all(isinstance(w.phase, Waiting) for w in race.state.workers.values()):
        raise AssertionError("nobody was ever started")


@given(WORLD, st.sampled_from(["warn", "restart"]), st.floats(0, 20))
def test_where_an_event_asks_for_nothing_the_rules_have_nothing_to_add(
    steps: list[tuple[str, str]], on_stall: str, later_s: float
) -> None:
    race = Story(spec("a", "b", "c", stall_after_s=10.0, on_stall=on_stall, retries=1))
    for _ in play(race, steps):
        if policy.conclude(race.state, race.now) is not None or policy.decide(race.state, race.now):
            continue  # it has not come to rest yet
        deadline = policy.next_deadline(race.state, race.now)
        now = race.now + later_s
        if deadline is not None and deadline <= now:
            continue
        for name in race.spec_names():
            lines = ev.LinesRead(now, name, 3, 1, 400, "bad", None)
            if not policy.may_change_policy(race.state, lines):
                state = evolve(race.state, lines)
                assert policy.conclude(state, now) is None
                assert policy.decide(state, now) == []


HELD_OUT = (
    CriterionStanding("ratio", 1.7, ">=", 1.5, met=True),
    CriterionStanding("accuracy", 0.8, ">=", 0.75, met=True),
)
MISSED = (HELD_OUT[0], CriterionStanding("accuracy", 0.6, ">=", 0.75, met=False))


def confirming(*names: str, attempts: int = 1, **changes: object) -> Story:
    race = Story(spec(*names, confirm=ConfirmSpec(("python", "evaluate.py"), attempts=attempts), **changes))
    race.start_all()
    return race


def confirmation(
    race: Story, results: tuple[CriterionStanding, ...] = (), problem: str | None = None
) -> None:
    claim = next(claim for claim in race.state.claims if claim.trying_since is not None)
    race.note(ev.ConfirmationEnded(race.now, claim.number, claim.tries, claim.worker, results, problem))
    race.settle()


def test_a_claim_is_confirmed_while_the_others_run_on() -> None:
    race = confirming("a", "b")
    race.check("a", 5, ratio=2.0)
    assert race.winner() is None
    assert race.deeds[-1] == policy.Confirm(1, 1, "a")
    assert view.worker_standing(race.state, "a", PLACE).state == "confirming"
    assert not [deed for deed in race.deeds if isinstance(deed, policy.Stop)]
    confirmation(race, HELD_OUT)
    assert race.state.verdict == ev.VerdictReached(race.now, "a", 5, confirmed=True)
    assert policy.Stop("b", 1, "beaten") in race.deeds


def leading(race: Story, *names: str) -> tuple[str, str, tuple[str, str]]:
    """Who leads, as every page says it."""
    info = criteria_info(race.spec.success, 1)
    now = view.standing(race.state, "id", dict.fromkeys(names, PLACE), info, race.now)
    best = best_so_far(now)
    assert best is not None
    return lead_title(now, best[0]), best[0].name, leader_words(now, *best, race.now, str)


def test_who_is_refuted_leads_no_more_and_who_is_confirmed_is_said_to_be() -> None:
    race = confirming("a", "b", "c", attempts=2)
    race.check("b", 5, ratio=1.4)
    race.check("a", 5, ratio=2.0)
    race.now += 8
    assert leading(race, *"abc") == (
        "leader",
        "a",
        ("meets all 2 at epoch 5", "being confirmed (8 s of 10 min)"),
    )
    race.check("c", 5, ratio=2.0)
    confirmation(race, MISSED)
    assert leading(race, *"abc")[1:] == ("c", ("meets all 2 at epoch 5", "being confirmed (0 s of 10 min)"))
    confirmation(race, MISSED)
    assert leading(race, *"abc") == ("leader", "b", ("epoch 5, 1 of 2 met", "needs ratio +0.1"))
    assert (
        race.state.workers["a"].note
        == "its claim at epoch 5 was refuted: held-out accuracy 0.6, needs ≥ 0.75"
    )
    race.check("a", 10, ratio=2.0)
    assert leading(race, *"abc")[1] == "a", "with an attempt left it may claim again"
    confirmation(race, MISSED)
    assert leading(race, *"abc")[1] == "b"
    row = view.worker_standing(race.state, "a", PLACE)
    assert (row.ruled_out, row.best and all(row.best.met)) == (
        "refuted: held-out accuracy 0.6, needs ≥ 0.75",
        True,
    )


def test_a_claim_that_waits_or_could_not_be_confirmed_is_not_said_to_lack_nothing() -> None:
    race = confirming("a", "b")
    race.check("a", 5, ratio=1.8)
    race.check("b", 5, ratio=2.0)
    assert leading(race, *"ab")[2] == ("meets all 2 at epoch 5", "waits to be confirmed on held-out data")
    for _ in range(2):
        confirmation(race, problem="no such split")
    race.exited("b")
    assert race.outcome("b") == "finished"
    assert leading(race, *"ab")[1] == "b", "its claim is open although it has ended"
    for _ in range(2):
        confirmation(race, problem="no such split")
    title, name, (_, missing) = leading(race, *"ab")
    assert (title, name, missing) == ("leader", "a", "could not be confirmed: no such split")


def test_what_must_hold_again_is_missing() -> None:
    twice = replace(parse_criterion("ratio", "ratio >= 1.5"), for_checks=2)
    race = Story(spec("a", success=(twice, parse_criterion("accuracy", "accuracy >= 0.75"))))
    race.start_all()
    race.check("a", 5, ratio=2.0)
    assert race.state.verdict is None
    assert leading(race, "a")[2] == ("epoch 5, 2 of 2 met", "needs ratio at 1 more check")


def test_a_check_that_does_not_count_leads_nothing() -> None:
    race = confirming("a", "b")
    race.check("b", 5, ratio=1.4)
    met = tuple(replace(result, met=True) for result in HELD_OUT)
    race.note(ev.CheckJudged(race.now, "a", 1, 5, met, unfair="the judge was changed"))
    assert leading(race, *"ab")[1] == "b"
    row = view.worker_standing(race.state, "a", PLACE)
    assert (row.ruled_out, row.note) == (
        "the judge was changed",
        "its checks do not count: the judge was changed",
    )


def test_who_sends_no_ids_beside_one_who_does_leads_nothing_whatever_it_meets() -> None:
    race = Story(spec("a", "b"))
    race.start_all()
    race.note(ev.SampleIdsFixed(race.now, "b", "digest"))
    race.note(ev.SampleIdsMissing(race.now, "a", "b"))
    race.check("a", 5, ratio=1.9, accuracy=0.1)
    race.check("b", 5, ratio=1.0, accuracy=0.1)
    assert leading(race, *"ab")[1] == "b"
    race.check("b", 10, ratio=1.1, accuracy=0.8)
    assert [text for text in told(race) if "leads" in text] == ["b at epoch 5: it leads with ratio 1"]


def test_claims_are_confirmed_one_at_a_time_in_the_order_of_their_arrival() -> None:
    race = confirming("a", "b", "c")
    for name in "bca":
        race.check(name, 5, ratio=2.0, settle=False)
    race.settle()
    assert [d.worker for d in race.deeds if isinstance(d, policy.Confirm)] == ["b"]
    confirmation(race, MISSED)
    assert [d.worker for d in race.deeds if isinstance(d, policy.Confirm)] == ["b", "c"]
    confirmation(race, HELD_OUT)
    assert race.state.verdict is not None
    assert race.state.verdict.worker == "c"
    assert [d.worker for d in race.deeds if isinstance(d, policy.Confirm)] == ["b", "c"]


def test_a_worker_whose_claims_are_used_up_is_refuted_and_ended() -> None:
    race = confirming("a", "b")
    race.check("a", 5, ratio=2.0)
    confirmation(race, MISSED)
    assert policy.Stop("a", 1, "refuted") in race.deeds
    race.exited("a", code=None, signal=15)
    assert race.outcome("a") == "refuted"
    assert "accuracy" in (race.state.workers["a"].note or "")
    race.exited("b")
    assert race.over() == "no_winner"


def test_a_refuted_worker_is_not_started_again() -> None:
    race = confirming("a", retries=3)
    race.check("a", 5, ratio=2.0)
    confirmation(race, MISSED)
    race.now += 60
    race.exited("a", code=1)
    assert race.outcome("a") == "refuted"


def test_with_two_attempts_a_worker_may_claim_again_but_not_while_the_first_is_open() -> None:
    race = confirming("a", attempts=2)
    race.check("a", 5, ratio=2.0)
    race.check("a", 10, ratio=1.0)
    confirmation(race, MISSED)
    assert not [deed for deed in race.deeds if isinstance(deed, policy.Stop)]
    race.check("a", 15, ratio=2.0)
    confirmation(race, HELD_OUT)
    assert race.state.verdict is not None
    assert race.state.verdict.epoch == 15


def test_while_a_claim_is_open_the_newest_later_check_that_passes_is_kept_as_the_next() -> None:
    race = confirming("a", "b", attempts=2)
    for epoch in (5, 10, 15):
        race.check("a", epoch, ratio=2.0)
    race.check("b", 5, ratio=2.0)
    race.exited("a")  # what it has claimed stands, though it has ended
    assert [(claim.epoch, claim.status) for claim in race.state.claims if claim.worker == "a"] == [
        (5, "open"),
        (10, "dropped"),
        (15, "open"),
    ]
    assert all(claim.frozen for claim in race.state.claims), "a claim that waits its turn is frozen too"
    confirmation(race, MISSED)
    assert [d.number for d in race.deeds if isinstance(d, policy.Confirm)] == [1, 3]
    confirmation(race, HELD_OUT)
    verdict = race.state.verdict
    assert verdict is not None
    assert (verdict.worker, verdict.epoch) == ("a", 15)


def test_when_the_last_attempt_is_refuted_what_else_was_claimed_is_dropped() -> None:
    race = confirming("a", attempts=1)
    race.check("a", 5, ratio=2.0)
    race.check("a", 10, ratio=2.0)
    confirmation(race, MISSED)
    assert [claim.status for claim in race.state.claims] == ["refuted", "dropped"]
    race.exited("a")
    assert (race.outcome("a"), race.over()) == ("refuted", "no_winner")


def test_a_worker_that_leaves_by_itself_when_its_attempts_are_used_up_is_refuted() -> None:
    race = confirming("a", attempts=1)
    race.check("a", 5, ratio=2.0)
    claim = race.state.claims[0]
    race.note(ev.ConfirmationEnded(race.now, claim.number, claim.tries, "a", MISSED))
    race.exited("a", code=0)  # in the same turn: nobody has told it to leave yet
    assert race.outcome("a") == "refuted"


def test_a_confirmation_that_fails_twice_refutes_nothing_and_uses_up_no_attempt() -> None:
    race = confirming("a", attempts=1)
    race.check("a", 5, ratio=2.0)
    confirmation(race, problem="exit code 1: no such split")
    assert race.deeds[-1] == policy.Confirm(1, 2, "a")
    confirmation(race, problem="exit code 1: no such split")
    assert [d.attempt for d in race.deeds if isinstance(d, policy.Confirm)] == [1, 2]
    assert race.state.claims[0].status == "unconfirmed"
    assert "no such split" in (race.state.workers["a"].note or "")
    assert not [deed for deed in race.deeds if isinstance(deed, policy.Stop)]
    race.check("a", 10, ratio=2.0)
    confirmation(race, HELD_OUT)
    assert race.winner() == "a"


def test_a_claim_without_a_whole_checkpoint_is_unconfirmed_and_the_next_goes_on() -> None:
    race = confirming("a", "b", attempts=1)
    race.freezes = False
    race.check("a", 5, ratio=2.0)
    race.check("b", 5, ratio=2.0)
    race.frozen(2)
    assert not [deed for deed in race.settle() if isinstance(deed, policy.Confirm)], "first things first"
    race.note(ev.FreezeFailed(race.now, 1, "a", "best.pt is not there"))
    assert policy.Confirm(2, 1, "b") in race.settle()
    assert (race.state.claims[0].status, race.state.claims[0].why) == ("unconfirmed", "best.pt is not there")
    assert not race.state.is_refuted("a")


def test_a_claim_that_waits_for_its_file_keeps_its_place_for_a_while_and_then_is_overtaken() -> None:
    race = confirming("a", "b")
    race.freezes = False
    race.check("a", 5, ratio=2.0)
    race.check("b", 5, ratio=2.0)
    race.note(ev.FreezeWaits(race.now, 1, "a", "best.pt is being written"))
    race.frozen(2)
    assert race.settle() == []
    race.now = policy.next_deadline(race.state, race.now) or 0.0
    assert race.settle() == [policy.Confirm(2, 1, "b")]


def test_what_the_winning_claim_names_is_copied_also_where_nothing_is_confirmed() -> None:
    race = Story(spec("a", "b"), freezes=False)
    race.start_all()
    race.note(ev.CheckJudged(race.now, "a", 1, 5, HELD_OUT, "best.pt"))
    assert policy.Freeze(1, "a") in race.settle()
    assert policy.Freeze(1, "a") in policy.unfinished(race.state)
    race.exited("a")
    race.exited("b")
    assert race.over() is None, "the race is not over before the copy is made"
    race.frozen(1)
    race.settle()
    assert race.over() == "won"


def test_a_verdict_stands_although_nothing_could_be_copied() -> None:
    race = Story(spec("a"), freezes=False)
    race.start_all()
    race.note(ev.CheckJudged(race.now, "a", 1, 5, HELD_OUT, "best.pt"))
    race.exited("a")  # in the same turn
    race.note(ev.FreezeFailed(race.now, 1, "a", "the disk has no room"))
    race.settle()
    assert (race.over(), race.outcome("a")) == ("won", "won")


@pytest.mark.parametrize(("checkpoint", "is_overtaken"), [("best.pt", True), ("epoch_10.pt", False)])
def test_a_later_check_that_names_the_same_file_overtakes_a_claim(
    checkpoint: str, is_overtaken: bool
) -> None:
    race = confirming("a")
    race.freezes = False
    race.note(ev.CheckJudged(race.now, "a", 1, 5, HELD_OUT, "best.pt"))
    race.settle()
    race.note(ev.LinesRead(race.now, "a", 1, 0, 7))
    race.note(ev.CheckJudged(race.now + 7, "a", 1, 10, MISSED, checkpoint))
    assert race.state.claims[0].overtaken == (race.now + 7 if is_overtaken else None)


@pytest.mark.parametrize(("checkpoint", "is_overtaken"), [("best.pt", True), ("epoch_10.pt", False)])
def test_a_claim_is_overtaken_also_by_a_check_that_was_read_in_the_same_turn(
    checkpoint: str, is_overtaken: bool
) -> None:
    race = confirming("a")
    race.freezes = False
    race.note(ev.CheckJudged(race.now, "a", 1, 5, HELD_OUT, "best.pt"))
    race.note(ev.CheckJudged(race.now, "a", 1, 10, MISSED, checkpoint))
    race.settle()
    assert race.state.claims[0].overtaken == (race.now if is_overtaken else None)


def test_a_claim_of_one_file_is_overtaken_also_by_an_epoch_that_was_read_in_the_same_turn() -> None:
    metrics = MetricsSpec("stdout", pattern=r"epoch (?P<epoch>\d+) loss (?P<loss>\S+)", checkpoint="model.pt")
    race = confirming("a", metrics=metrics)
    race.freezes = False
    race.note(ev.LinesRead(race.now, "a", 2, 0, 6))
    race.note(ev.CheckJudged(race.now, "a", 1, 5, HELD_OUT, "model.pt"))
    race.settle()
    assert race.state.claims[0].overtaken == race.now


def test_any_later_epoch_overtakes_a_claim_of_a_training_that_keeps_one_file_for_all() -> None:
    metrics = MetricsSpec("stdout", pattern=r"epoch (?P<epoch>\d+) loss (?P<loss>\S+)", checkpoint="model.pt")
    race = confirming("a", metrics=metrics)
    race.freezes = False
    race.note(ev.CheckJudged(race.now, "a", 1, 5, HELD_OUT, "model.pt"))
    race.settle()
    race.note(ev.LinesRead(race.now + 1, "a", 1, 0, 5))
    assert race.state.claims[0].overtaken is None
    race.note(ev.LinesRead(race.now + 2, "a", 1, 0, 6))
    assert race.state.claims[0].overtaken == race.now + 2


def test_a_confirmation_that_outlasts_its_timeout_is_ended() -> None:
    race = confirming("a")
    race.check("a", 5, ratio=2.0)
    assert policy.next_deadline(race.state, race.now) == race.now + 600
    race.now += 7200
    race.note(ev.MachineSlept(race.now, 7200.0))
    assert race.settle() == []  # it slept as well
    race.now += 600
    assert race.settle() == [policy.KillConfirmation(1, 1)]


def test_a_race_is_not_over_while_a_claim_of_a_worker_that_finished_is_open() -> None:
    race = confirming("a", "b")
    race.check("a", 50, ratio=2.0)
    race.exited("a")
    race.exited("b")
    assert race.over() is None
    confirmation(race, HELD_OUT)
    assert (race.outcome("a"), race.outcome("b"), race.over()) == ("won", "finished", "won")


def test_stopping_a_race_ends_its_confirmation_too() -> None:
    race = confirming("a")
    race.check("a", 5, ratio=2.0)
    race.note(ev.StopAsked(race.now, (), "me"))
    assert policy.KillConfirmation(1, 1) in race.settle()
    race.exited("a", code=0)
    assert race.over() is None
    confirmation(race, problem="killed by signal 9")
    assert race.over() == "stopped"
    assert race.winner() is None


def test_a_new_supervisor_takes_a_running_confirmation_over() -> None:
    race = confirming("a")
    race.check("a", 5, ratio=2.0)
    assert policy.Confirm(1, 1, "a") in policy.unfinished(race.state)


def waiting_for_a_retry(stop_at_first: bool = True) -> Story:
    race = confirming(
        "a", "b", attempts=1, retries=3, judge=JudgeSpec(stop_at_first=stop_at_first), max_parallel=1
    )
    race.check("a", 5, ratio=2.0)
    race.exited("a", code=1)
    assert isinstance(race.state.workers["a"].phase, Retrying)
    return race


@pytest.mark.parametrize("stop_at_first", [True, False])
def test_a_winner_that_waits_for_a_retry_is_not_started_again(stop_at_first: bool) -> None:
    race = waiting_for_a_retry(stop_at_first)
    confirmation(race, HELD_OUT)
    assert race.outcome("a") == "won"
    race.now += 600
    race.settle()
    assert policy.Launch("a", 2) not in race.deeds


def test_a_refuted_worker_that_waits_for_a_retry_is_not_started_again() -> None:
    race = waiting_for_a_retry()
    confirmation(race, MISSED)
    assert race.outcome("a") == "refuted"
    race.now += 600
    race.settle()
    assert policy.Launch("a", 2) not in race.deeds


def test_a_worker_that_crashes_in_the_turn_that_refutes_it_is_not_started_again() -> None:
    race = confirming("a", attempts=1, retries=3)
    race.check("a", 5, ratio=2.0)
    claim = race.state.claims[0]
    race.note(ev.ConfirmationEnded(race.now, claim.number, claim.tries, "a", MISSED))
    race.exited("a", code=1)
    assert isinstance(race.state.workers["a"].phase, Ended)


def test_a_check_judged_by_changed_files_is_no_claim() -> None:
    race = Story(spec("a"))
    race.start_all()
    met = (HELD_OUT[0], HELD_OUT[1])
    race.note(ev.CheckJudged(race.now, "a", 1, 5, met, unfair="evaluate.py was changed"))
    race.settle()
    assert race.state.claims == ()


def with_hybrid(**changes: object) -> Story:
    race = with_worker(spec("a", "b", "both", "base", **changes), "both", combines=("a", "b"), priority=99)
    story = Story(with_worker(race, "base", control=True))
    story.start_all()
    return story


def test_a_hybrid_is_made_and_started_only_when_all_others_ended_without_success() -> None:
    race = with_hybrid()
    race.exited("a")
    assert policy.MakeHybrid("both") not in race.deeds
    race.exited("b", code=1)
    assert race.deeds[-1] == policy.MakeHybrid("both")
    race.note(ev.HybridMade(race.now, "both", "f" * 40, "/w/both"))
    race.settle()
    assert policy.Launch("both", 1) in race.deeds
    race.started("both")
    race.check("both", 5, ratio=2.0)
    assert race.winner() == "both"


def test_a_hybrid_is_not_needed_when_somebody_won() -> None:
    race = with_hybrid()
    race.check("a", 5, ratio=2.0)
    for name in ("a", "b", "base"):
        race.exited(name)
    assert race.outcome("both") == "skipped"
    assert not [deed for deed in race.deeds if isinstance(deed, policy.MakeHybrid)]


def test_a_race_that_lets_all_run_on_ends_although_a_hybrid_waits() -> None:
    race = with_hybrid(judge=JudgeSpec(stop_at_first=False))
    race.check("a", 5, ratio=2.0)
    for name in ("a", "b", "base"):
        race.exited(name)
    assert (race.outcome("both"), race.over()) == ("skipped", "won")
    assert not [deed for deed in race.deeds if isinstance(deed, policy.MakeHybrid)]


def test_who_stops_every_worker_by_name_wants_no_hybrid() -> None:
    race = with_hybrid()
    for name in ("a", "b"):
        race.note(ev.StopAsked(race.now, (name,), "me"))
        race.settle()
        race.exited(name, code=None, signal=15)
    race.exited("base")
    assert not [deed for deed in race.deeds if isinstance(deed, policy.MakeHybrid)]
    assert (race.outcome("both"), race.over()) == ("skipped", "stopped")


def test_who_stops_one_worker_still_gets_the_hybrid_when_the_others_end_in_vain() -> None:
    race = with_hybrid()
    race.note(ev.StopAsked(race.now, ("a",), "me"))
    race.settle()
    race.exited("a", code=None, signal=15)
    race.exited("b")
    assert race.deeds[-1] == policy.MakeHybrid("both")


def test_a_hybrid_that_cannot_be_made_ends_the_race_with_the_reason() -> None:
    race = with_hybrid()
    for name in ("a", "b", "base"):
        race.exited(name)
    race.note(ev.HybridFailed(race.now, "both", "conflict in model.py"))
    race.settle()
    assert (race.outcome("both"), race.over()) == ("skipped", "no_winner")
    assert race.state.workers["both"].note == "conflict in model.py"


def test_a_hybrid_waits_for_a_claim_that_is_still_open() -> None:
    race = with_worker(spec("a", "both", confirm=ConfirmSpec(("x",), attempts=1)), "both", combines=("a",))
    story = Story(race)
    story.start_all()
    story.check("a", 50, ratio=2.0)
    story.exited("a")
    assert not [deed for deed in story.deeds if isinstance(deed, policy.MakeHybrid)]
    confirmation(story, MISSED)
    assert story.deeds[-1] == policy.MakeHybrid("both")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"confirm": ConfirmSpec(("python", "evaluate.py"))},
        {"judge": JudgeSpec(stop_at_first=False)},
        {"success": (parse_criterion("ratio", "ratio >= 1.5", for_checks=2, min_checks=3),)},
    ],
)
def test_the_end_is_rehearsed_and_nothing_of_it_has_happened(changes: dict[str, object]) -> None:
    race = Story(spec("a", "b", "c", **changes))
    before = race.state
    events = rehearse(race.state, race.now)
    told = [type(event) for event in events]
    assert told.count(ev.VerdictReached) == 1
    assert told.count(ev.WorkerStopping) == (0 if changes.keys() == {"judge"} else 3)
    assert race.state is before
    assert all(isinstance(worker.phase, Launching) for worker in race.state.workers.values())


def test_where_nobody_can_win_any_more_nothing_is_rehearsed() -> None:
    race = Story(spec("a", "b"))
    race.start_all()
    race.check("a", 5, ratio=2.0)
    assert rehearse(race.state, race.now) == []
    assert rehearse(Story(with_worker(spec("a"), "a", control=True)).state, 0.0) == []


def told(race: Story) -> list[str]:
    return [happening.text for happening in race.state.happenings]


def test_a_check_is_told_where_it_changes_something_and_not_otherwise() -> None:
    race = Story(spec("a", "b"))
    race.start_all()
    start = len(told(race))
    race.check("a", 5, ratio=1.0, accuracy=0.5)
    race.check("b", 5, ratio=0.9, accuracy=0.5)  # only now has everybody been judged, and a leads as before
    race.check("b", 10, ratio=1.05, accuracy=0.5)
    race.check("b", 15, ratio=1.08, accuracy=0.5)  # better, but nothing is new
    race.check("a", 10, ratio=1.1, accuracy=0.5)
    race.check("b", 20, ratio=0.9, accuracy=0.8)
    race.check("b", 25, ratio=0.9, accuracy=0.8)
    race.check("b", 30, ratio=0.9, accuracy=0.7)
    assert told(race)[start:] == [
        "b at epoch 10: it leads with ratio 1.05",
        "a at epoch 10: it leads with ratio 1.1",
        "b at epoch 20: accuracy met (0.8); it leads with 1 of 2 criteria met",
        "b at epoch 30: accuracy lost (0.7)",
    ]


def test_an_end_that_was_asked_for_is_silent_and_the_verdict_is_told_once() -> None:
    race = Story(spec("a", "b", "c", "d"))
    race.start_all()
    race.check("a", 5, ratio=2.0)
    start = len(told(race))
    race.exited("b", code=None, signal=15)
    race.exited("c", code=143)
    race.exited("d", code=None, signal=9)
    assert told(race)[start:] == ["d ended: killed by SIGKILL"], "only what was not as it should be"
    assert not [text for text in told(race) if "beaten" in text or "SIGTERM" in text]
    assert [text for text in told(race) if "WINS" in text] == [
        "a WINS at epoch 5 (not confirmed on held-out data)"
    ]
    rows = [view.worker_standing(race.state, name, PLACE) for name in "bcd"]
    assert [how_ended(row) for row in rows] == [
        "terminated",
        "terminated",
        "terminated (signal 9)",
    ]
    assert [row.note for row in rows] == [None, None, None]


def test_a_failure_of_a_worker_that_nobody_asked_to_leave_is_told_also_when_sigterm_ended_it() -> None:
    race = Story(spec("a", "b"))
    race.start_all()
    race.exited("a", code=None, signal=15)
    assert told(race)[-1] == "a ended: killed by SIGTERM"


def test_the_page_of_a_race_is_due_at_each_check_also_where_no_line_tells_of_it() -> None:
    race = Story(spec("a"))
    race.start_all()
    race.check("a", 5, ratio=1.0, accuracy=0.5)
    before = news_of(race.state)
    race.now += 60
    race.check("a", 10, ratio=1.1, accuracy=0.5)
    assert news_of(race.state) != before
    assert race.state.latest == race.now


def test_what_was_said_once_is_known_after_any_number_of_happenings() -> None:
    """The journal of what happened keeps the latest alone."""
    race = Story(spec("a"))
    race.note(ev.Noticed(race.now, "a", "its loss is nan at epoch 3", "loss"))
    for number in range(100):
        race.note(ev.Noticed(race.now, None, f"notice {number}"))
    assert race.state.topics == {("a", "loss")}
    assert len(race.state.happenings) < 100
    assert race.state.latest == race.now
