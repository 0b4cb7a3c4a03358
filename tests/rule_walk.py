"""A random history of a race by its rules: a world of processes, commands and files that does whatever it may.

The rules are called as the supervisor calls them; the world answers what they do, late or wrongly or not at all, and
does things of its own. After every step it is asked whether anything happened that never may.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from wtrace.config.language.criteria import parse_criterion
from wtrace.config.schedule import divisor, planned_epochs
from wtrace.config.spec import ConfirmSpec, JudgeSpec, MetricsSpec, RaceSpec, WorkerSpec
from wtrace.judging.referee import judge
from wtrace.race import events as ev
from wtrace.race import policy
from wtrace.race.phases import BUSY, Ended, Launching, Running, Stopping
from wtrace.race.reduce import evolve
from wtrace.race.replay import RecordedCheck, replay
from wtrace.race.state import State, begin
from wtrace.store import codec

MOST_FACTS = 200  # that follow from one event
MOST_STEPS_TO_THE_END = 600  # of a world that wants to end

GOAL = (parse_criterion("score", "score >= 1"), parse_criterion("loss", "loss <= 0.5", for_checks=2))


def random_spec(rng: random.Random) -> RaceSpec:
    """Two to four workers, some of them controls, perhaps a hybrid, and any mixture of rules."""
    names = "abcd"[: rng.randint(2, 4)]
    own, foreign = (
        MetricsSpec(),
        MetricsSpec(source="stdout", pattern=r"(?P<score>\S+)", checkpoint="last.pt"),
    )
    workers = [
        WorkerSpec(
            name,
            f"try/{name}",
            ("train",),
            priority=rng.randint(0, 2),
            control=index > 0 and rng.random() < 0.2,
            max_epochs=rng.choice((None, None, 3)),
            setup=(("make",),) * rng.choice((0, 0, 1, 2)),
            metrics=rng.choice((own, foreign)),
        )
        for index, name in enumerate(names)
    ]
    if rng.random() < 0.4:
        workers.append(WorkerSpec("mix", "try/mix", ("train",), combines=("a", "b")))
    return RaceSpec(
        name="walk",
        success=GOAL[: rng.randint(1, 2)],
        workers=tuple(workers),
        check_every=1,
        max_epochs=7,
        max_parallel=rng.choice((1, 2, None)),
        retries=rng.randint(0, 2),
        on_stall=rng.choice(("warn", "restart", "stop")),
        on_nan=rng.choice(("warn", "stop")),
        on_win=rng.choice(("auto", "stop", "settle", "finish")),
        stall_after_s=60.0,
        hopeless_below=rng.choice((0.0, 0.0, 0.3)),
        judge=JudgeSpec(stop_at_first=rng.random() < 0.7),
        confirm=ConfirmSpec(("judge",), attempts=rng.randint(1, 3)) if rng.random() < 0.6 else None,
    )


@dataclass
class Walk:
    """One history. `wild`: how the world behaves; it is calm when it wants to end."""

    seed: int
    rng: random.Random = field(init=False)
    spec: RaceSpec = field(init=False)
    state: State = field(init=False)
    now: float = 1000.0
    journal: list[ev.Event] = field(default_factory=list)
    processes: dict[str, int] = field(default_factory=dict)  # attempt by worker
    setups: dict[str, int] = field(default_factory=dict)  # step by worker
    copies: set[int] = field(default_factory=set)  # claims whose file is being copied
    judging: tuple[int, int] | None = None  # the confirmation that runs: claim, try
    hybrids: set[str] = field(default_factory=set)  # that are being merged
    launched: set[tuple[str, int]] = field(default_factory=set)
    stopped: set[tuple[str, int]] = field(default_factory=set)
    passed: set[tuple[str, int]] = field(default_factory=set)  # checks that met every criterion
    checks: list[RecordedCheck] = field(default_factory=list)
    interfered: bool = False  # somebody asked for something that a replay of the checks does not know of

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.spec = random_spec(self.rng)
        self.state = begin(self.spec, self.now)
        self.note(ev.SupervisorStarted(self.now, 1, resumed=False))
        if self.rng.random() < 0.5:
            self.note(ev.StrictnessAsked(self.now))

    # -- what the supervisor does

    def note(self, event: ev.Event) -> None:
        """An event happens."""
        assert self.state.outcome is None, f"{event} after the end"
        self.check_event(event)
        self.state = evolve(self.state, event)
        self.journal.append(event)
        self.check_state()

    def turn(self) -> None:
        """What follows by rule, and what is done about it."""
        for count in range(MOST_FACTS + 1):
            fact = policy.conclude(self.state, self.now)
            if fact is None:
                break
            assert count < MOST_FACTS, f"facts without end: {fact}"
            self.note(fact)
        for action in policy.decide(self.state, self.now):
            intent = policy.intent(action, self.now)
            if intent is not None:
                self.note(intent)
            self.carry_out(action)

    def carry_out(self, action: policy.Action, *, again: bool = False) -> None:
        """The world does what it is asked to."""
        match action:
            case policy.Launch(worker, attempt):
                assert again or (worker, attempt) not in self.launched, f"{worker}/{attempt} launched twice"
                self.launched.add((worker, attempt))
                assert self.processes.get(worker, attempt) == attempt, f"{worker} launched while it lives"
                self.processes[worker] = attempt
            case policy.SetUp(worker, step):
                assert again or worker not in self.setups
                self.setups[worker] = step
            case policy.Stop(worker, attempt):
                assert again or (worker, attempt) not in self.stopped, f"{worker}/{attempt} ended twice"
                self.stopped.add((worker, attempt))
            case policy.Freeze(number):
                self.copies.add(number)
            case policy.Confirm(number, attempt):
                assert again or self.judging is None, "two confirmations at once"
                self.judging = (number, attempt)
            case policy.MakeHybrid(worker):
                self.hybrids.add(worker)
            case policy.Kill() | policy.KillConfirmation() | policy.StopSetup():
                pass

    # -- what never may happen

    def check_event(self, event: ev.Event) -> None:
        """Whether this may happen now, by what the state was."""
        state = self.state
        match event:
            case ev.ClaimMade(worker=worker, epoch=epoch, number=number):
                assert not self.spec.worker(worker).control, "a control claims"
                assert (worker, epoch) in self.passed, "a claim without a check that passed"
                assert number == len(state.claims) + 1
            case ev.VerdictReached(worker=worker, epoch=epoch, confirmed=confirmed):
                assert state.verdict is None, "two verdicts"
                assert not self.spec.worker(worker).control, "a control wins"
                assert not state.is_refused(worker), "one that was refused wins"
                claim = next(each for each in state.claims if (each.worker, each.epoch) == (worker, epoch))
                assert confirmed == (self.spec.confirm is not None) == (claim.status == "confirmed")
            case ev.WorkerLaunched(worker=worker) | ev.SetupStarted(worker=worker):
                assert not state.is_over_for(worker), f"{worker} starts although the race is over for it"
            case ev.ConfirmationStarted(number=number):
                claim = state.claims[number - 1]
                assert claim.status == "open"
                assert claim.frozen is not None, "judged by a file that may change"
                assert state.verdict is None
            case ev.RaceEnded(outcome=outcome):
                assert not self.processes, f"the race ends while {sorted(self.processes)} run"
                assert self.judging is None
                wanted = [number for number in self.copies if state.wants_frozen(state.claims[number - 1])]
                assert not wanted, f"the race ends while claims {wanted} are copied"
                assert (outcome == "won") == (state.verdict is not None)
            case _:
                pass

    def check_state(self) -> None:
        """Whether the state may be as it is."""
        phases = [worker.phase for worker in self.state.workers.values()]
        busy = sum(isinstance(phase, BUSY) for phase in phases)
        assert busy <= (self.spec.max_parallel or len(phases)), "more run than may"
        assert sum(claim.trying_since is not None for claim in self.state.claims) <= 1
        if self.spec.confirm is not None:
            refuted = [claim.worker for claim in self.state.claims if claim.status == "refuted"]
            assert all(refuted.count(name) <= self.spec.confirm.attempts for name in self.state.workers)

    def check_history(self) -> None:
        """Whether the same events, stored and read again, amount to the same race; and the same checks to its winner."""
        state = begin(self.spec, 1000.0)
        for event in self.journal:
            stored = codec.decode_event(type(event).__name__, codec.encode(event))
            assert stored == event
            state = evolve(state, stored)
        assert state == self.state, "a replay of the journal is another race"
        if self.is_replayed:
            found = replay(self.spec, self.checks, {})
            verdict = self.state.verdict
            won = (None, None) if verdict is None else (verdict.worker, verdict.epoch)
            assert (found.winner, found.epoch) == won, "a replay of the checks has another winner"

    @property
    def is_replayed(self) -> bool:
        """Whether the checks alone say who wins: nobody asked for anything, and held-out data have no say."""
        return self.spec.confirm is None and not self.interfered

    # -- what the world does

    def step(self, *, calm: bool = False) -> bool:
        """Something happens; False where nothing can. Calm: everything ends well, and nobody asks for anything."""
        happenings = [*self.answers(calm=calm), *([] if calm else self.whims())]
        if not happenings:
            return False
        self.now += (
            self.rng.choice((0.0, 0.1, 3.0))
            if calm
            else self.rng.choice((0.0, 0.1, 1.0, 3.0, 3.0, 10.0, 20.0, 61.0))
        )
        self.rng.choice(happenings)()
        self.turn()
        return True

    def answers(self, *, calm: bool) -> Iterator[Callable[[], None]]:
        """What is under way, and may go on or end."""
        for name in list(self.processes):
            yield from self.lives(name, calm=calm)
        for name in list(self.setups):
            yield partial(self.set_up, name, None if calm else self.rng.choice((*[None] * 4, "no")))
        for number in list(self.copies):
            yield partial(self.copied, number, calm=calm)
        if self.judging is not None:
            yield partial(self.confirmed, calm=calm)
        for name in list(self.hybrids):
            yield partial(self.merged, name, calm=calm)

    def lives(self, name: str, *, calm: bool) -> Iterator[Callable[[], None]]:
        """What a process may do: start, report, save, end; in its grace a last line, too."""
        phase = self.state.workers[name].phase
        if isinstance(phase, Launching):
            yield partial(self.starts, name, calm=calm)
        elif isinstance(phase, Stopping):
            yield partial(self.ends, name, self.rng.choice((0, None)))
            yield partial(self.reports, name)
        elif isinstance(phase, Running):
            if calm or self.rng.random() < 0.1:
                yield partial(self.ends, name, 0 if calm else self.rng.choice((0, 0, 1, None)))
            if not phase.paused:
                yield partial(self.reports, name)
            if phase.settling is not None:
                yield partial(self.settled, name)

    def settled(self, name: str) -> None:
        """Its saves are whole, or it was waited for long enough."""
        self.note(ev.WorkerSettled(self.now, name, self.rng.choice((None, "last.pt"))))

    def starts(self, name: str, *, calm: bool) -> None:
        """The runner says that it runs; or that it is queued; or it was never born."""
        attempt = self.processes[name]
        kind = "runs" if calm else self.rng.choice((*["runs"] * 7, *["queued"] * 2, "never"))
        if kind == "runs":
            self.note(ev.WorkerStarted(self.now, name, attempt, 4242, f"{name}/{attempt}"))
        elif kind == "queued":
            self.note(ev.WorkerQueued(self.now, name, attempt, "waits for a node"))
        else:
            self.ends(name, 127)

    def ends(self, name: str, code: int | None) -> None:
        """Its last process is gone."""
        attempt = self.processes.pop(name)
        known = self.rng.random() < 0.95
        self.note(ev.WorkerExited(self.now, name, attempt, code, None if code is not None else 15, known))

    def reports(self, name: str) -> None:
        """It reports the next planned epoch, or goes on past the last."""
        worker, spec = self.state.workers[name], self.spec.worker(name)
        planned = planned_epochs(self.spec.check_every, self.spec.epochs_of(spec))
        epoch = next((each for each in planned if not worker.has_judged(each)), max(planned) + 1)
        self.note(ev.LinesRead(self.now, name, 1, 0, epoch))
        self.loses_or_finds_its_numbers(name, epoch)
        if epoch > max(planned):
            return
        metrics = {"score": self.rng.choice((0.5, 0.7, 0.9, 1.1)), "loss": self.rng.choice((0.4, 0.4, 0.6))}
        results = judge(self.spec.success, metrics, {}, divisor=divisor(self.spec))
        unfair = "its judge's files were changed" if self.rng.random() < 0.05 else None
        self.interfered |= unfair is not None
        if all(result.met for result in results):
            self.passed.add((name, epoch))
        self.checks.append(RecordedCheck(name, epoch, self.now, metrics, {}))
        checkpoint = self.rng.choice((None, f"epoch_{epoch}.pt", "last.pt"))
        self.note(ev.CheckJudged(self.now, name, self.processes[name], epoch, results, checkpoint, unfair))

    def loses_or_finds_its_numbers(self, name: str, epoch: int) -> None:
        """Its loss is NaN now and then, and seldom comes back; then it may repeat what it has measured before."""
        lost = self.state.workers[name].lost
        if lost is None and self.rng.random() < 0.05:
            self.note(ev.MetricNotFinite(self.now, name, epoch, "loss", "nan", 1))
        elif lost is not None and self.rng.random() < 0.2:
            self.note(ev.MetricFinite(self.now, name, epoch, "loss"))
        elif lost is not None and lost.running < ev.NOT_FINITE_LIMIT:
            self.note(ev.MetricNotFinite(self.now, name, epoch, "loss", "nan", lost.running + 1))
            if self.rng.random() < 0.3:
                self.note(ev.CheckStale(self.now, name, epoch, "loss", self.state.workers[name].lost_since))

    def set_up(self, name: str, problem: str | None) -> None:
        """A command that prepares the worktree has ended."""
        step = self.setups.pop(name)
        self.note(ev.SetupEnded(self.now, name, step, 1 if problem else 0, None, known=True, problem=problem))

    def copied(self, number: int, *, calm: bool) -> None:
        """A claim's file was copied; or is waited for; or will never come."""
        worker = self.state.claims[number - 1].worker
        kind = "copied" if calm else self.rng.choice(("copied", "copied", "waits", "gone"))
        if kind == "waits":
            self.note(ev.FreezeWaits(self.now, number, worker, "it is being written"))
            return
        self.copies.discard(number)
        if kind == "gone":
            self.note(ev.FreezeFailed(self.now, number, worker, "it is not there"))
        else:
            self.note(ev.CheckpointFrozen(self.now, number, f"claims/{number}/last.pt", "0" * 64))

    def confirmed(self, *, calm: bool) -> None:
        """The confirmation ends: met, missed, or without a result."""
        assert self.judging is not None
        (number, attempt), self.judging = self.judging, None
        worker = self.state.claims[number - 1].worker
        score = self.rng.choice((1.1, 0.5))
        results = judge(self.spec.success, {"score": score, "loss": 0.4}, {}, divisor=1)
        broken = not calm and self.rng.random() < 0.3
        self.note(
            ev.ConfirmationEnded(
                self.now, number, attempt, worker, () if broken else results, "it crashed" if broken else None
            )
        )

    def merged(self, name: str, *, calm: bool) -> None:
        """The branches of a hybrid were merged, or could not be."""
        self.hybrids.discard(name)
        if calm or self.rng.random() < 0.7:
            self.note(ev.HybridMade(self.now, name, "c0ffee", "/tmp/mix"))
        else:
            self.note(ev.HybridFailed(self.now, name, "they conflict"))

    def whims(self) -> Iterator[Callable[[], None]]:
        """What comes from outside: people, a supervisor that dies, a machine that sleeps, code from elsewhere."""
        yield self.nothing
        if self.rng.random() < 0.05:
            yield self.take_over
        if self.rng.random() < 0.05:
            yield partial(self.note, ev.MachineSlept(self.now, 500.0))
        if self.rng.random() < 0.01:
            yield partial(self.interfere, ev.StopAsked(self.now, (), "me"))
        for name, worker in self.state.workers.items():
            phase = worker.phase
            if self.rng.random() < 0.01:
                yield partial(self.interfere, ev.StopAsked(self.now, (name,), "me"))
            if isinstance(phase, Running) and self.rng.random() < 0.1:
                change = ev.WorkerUnpaused if phase.paused else ev.WorkerPaused
                yield partial(self.note, change(self.now, name))
            if isinstance(phase, Running) and self.rng.random() < 0.04:
                yield partial(self.interfere, ev.ForeignCodeReported(self.now, name, "model.py"))

    def nothing(self) -> None:
        """Time goes by."""

    def interfere(self, event: ev.Event) -> None:
        """Somebody asks for what changes who may win."""
        self.interfered = True
        self.note(event)

    def take_over(self) -> None:
        """The supervisor dies, and another one does again what may not have been done."""
        self.note(ev.SupervisorStarted(self.now, 2, resumed=True))
        for action in policy.unfinished(self.state):
            self.carry_out(action, again=True)

    def play(self, steps: int) -> None:
        """A wild history, which then comes to its end."""
        self.turn()
        for _ in range(steps):
            if self.state.outcome is not None:
                break
            self.step()
        for _ in range(MOST_STEPS_TO_THE_END):
            if self.state.outcome is not None:
                break
            if not self.step(calm=True):
                self.wait()
        assert self.state.outcome is not None, f"the race hangs: {self.pending()}"
        assert all(isinstance(worker.phase, Ended) for worker in self.state.workers.values())
        self.check_history()

    def wait(self) -> None:
        """Nothing is under way: the rules must say when they want to be asked again, or have ended the race."""
        deadline = policy.next_deadline(self.state, self.now)
        assert deadline is not None, f"the race hangs: {self.pending()}"
        self.now = max(self.now, deadline)
        before = len(self.journal)
        self.turn()
        assert len(self.journal) > before or self.state.outcome is not None, (
            f"nothing at the deadline: {self.pending()}"
        )

    def pending(self) -> str:
        """What the race waits for, for a failed test."""
        phases = {name: worker.phase for name, worker in self.state.workers.items()}
        return f"{phases}, claims {self.state.claims}, verdict {self.state.verdict}"


def played(seed: int, steps: int) -> Walk:
    """One history to its end. AssertionError with its seed where anything happened that never may."""
    walk = Walk(seed)
    try:
        walk.play(steps)
    except Exception as error:
        raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
    return walk
