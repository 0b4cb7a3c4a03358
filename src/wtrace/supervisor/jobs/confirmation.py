"""A claim's confirmation: the user's command run on its frozen checkpoint, what it reports judged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.config.placeholders import fill, with_python
from wtrace.config.schedule import confirm_divisor
from wtrace.judging import referee
from wtrace.metrics.follower import MetricsFile
from wtrace.metrics.records import Check, printable
from wtrace.race import events as ev
from wtrace.runners.base import Launch
from wtrace.supervisor.jobs.command_intake import CommandIntake
from wtrace.supervisor.jobs.crashes import failure_of, last_words
from wtrace.supervisor.jobs.launch import (
    command_values,
    environment_of,
    needs_of,
    newest_attempt,
    parcel_of,
    python_of,
    working_directory,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wtrace.judging.checks import CriterionStanding
    from wtrace.metrics.follower import Line
    from wtrace.race.claims import Claim
    from wtrace.race.context import RaceContext
    from wtrace.race.resources import Grant
    from wtrace.runners.base import Exit, Runner
    from wtrace.supervisor.journal import Journal

LAST_WORDS_LENGTH = 200


def prepare_confirmation(
    race: RaceContext, claim: Claim, attempt: int, inherited: Mapping[str, str], grant: Grant | None = None
) -> Launch:
    """Make the try's folder and say what is to be started in it. The claim's checkpoint is frozen already.

    It runs on what its worker was given (`grant`): all else may be in use.
    """
    assert race.spec.confirm is not None
    assert claim.frozen is not None
    folder = race.layout.confirmation(claim.number, attempt)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    metrics = folder / "metrics.jsonl"
    metrics.touch(mode=0o600)
    values = {**command_values(race, claim.worker, metrics), "checkpoint": claim.frozen}
    worktree = Path(race.places[claim.worker].worktree)
    return Launch(
        folder=folder,
        command=with_python(fill(race.spec.confirm.command, values), python_of(worktree)),
        cwd=working_directory(race, claim.worker),
        env=environment_of(race, claim.worker, metrics, inherited, grant),
        grace_s=race.spec.grace_s,
        signal=race.spec.signal,
        marker=f"{race.id}/claim/{claim.number}/{attempt}",
        runner=race.spec.runner_of(race.spec.worker(claim.worker)),
        needs=needs_of(race, claim.worker),
        beside=newest_attempt(race, claim.worker),
        parcel=parcel_of(race, claim.worker, metrics, Path(claim.frozen)),
    )


class ConfirmationIntake(CommandIntake):
    """Waits for a confirmation to end, and judges what it reported."""

    def __init__(self, journal: Journal, runner: Runner, folder: Path, claim: Claim, attempt: int) -> None:
        super().__init__(journal, runner, folder)
        self._claim = claim
        self._attempt = attempt

    def _note_waiting(self, now: float) -> None:
        """On an engine the time of a confirmation begins when the engine begins it."""
        number, worker, waits = self._claim.number, self._claim.worker, self._claim_now().waits
        text = self._runner.queued(self.folder)
        if waits and self._runner.started(self.folder) is not None:
            self._journal.note(ev.ConfirmationBegan(now, number, self._attempt, worker))
        elif text is not None and not waits:
            self._journal.note(ev.ConfirmationQueued(now, number, self._attempt, worker, text))

    def _claim_now(self) -> Claim:
        return self._journal.state.claims[self._claim.number - 1]

    def _note_end(self, now: float, exit_: Exit) -> None:
        line = _last_check(self.metrics)
        problem = self._problem(now, exit_, line)
        results = () if problem is not None or line is None else self._judge(now, line)
        claim = self._claim
        self._journal.note(
            ev.ConfirmationEnded(now, claim.number, self._attempt, claim.worker, results, problem)
        )

    def _judge(self, now: float, line: Line) -> tuple[CriterionStanding, ...]:
        spec, check = self._journal.state.spec, line.record
        assert isinstance(check, Check)
        divisor = confirm_divisor(spec)
        results = referee.judge(spec.success, check.metrics, check.samples or {}, divisor=divisor)
        self._journal.writer.add_confirmation(
            self._claim.number, self._attempt, self._claim.worker, now, results=results, raw=line.raw
        )
        return results

    def _problem(self, now: float, exit_: Exit, line: Line | None) -> str | None:
        confirm, started = self._journal.state.spec.confirm, self._claim_now().trying_since
        assert confirm is not None
        if started is not None and now >= started + confirm.timeout_s and exit_.code != 0:
            return self._with_last_words(f"it outlasted its timeout of {confirm.timeout_s:g} s")
        if exit_.taken or exit_.refused:
            return exit_.taken or exit_.refused
        if exit_.code != 0:
            return failure_of(self.folder, exit_)
        return self._with_last_words("it reported no check") if line is None else None

    def _with_last_words(self, problem: str) -> str:
        words = last_words(self.folder / "training.log")
        return problem if words is None else f"{problem}; it last said: {printable(words, LAST_WORDS_LENGTH)}"


def _last_check(path: Path) -> Line | None:
    file = MetricsFile(path)
    found = None
    while True:
        batch = file.read()
        lines = batch.lines if batch.more else [*batch.lines, *filter(None, [file.remainder()])]
        for line in lines:
            if isinstance(line.record, Check):
                found = line
        if not batch.more:
            file.close()
            return found
