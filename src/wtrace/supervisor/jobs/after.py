"""The user's own commands for the winner, once the race is over and its report is written."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.config.placeholders import fill, with_python
from wtrace.errors import ToolError
from wtrace.race import events as ev
from wtrace.race.paths import Layout
from wtrace.race.redaction import after_shown
from wtrace.runners.attempt_folder import read_exit
from wtrace.runners.base import Launch
from wtrace.supervisor.checkpoints.whole import Wholeness
from wtrace.supervisor.jobs.crashes import failure_of
from wtrace.supervisor.jobs.launch import command_values, environment_of, python_of, working_directory
from wtrace.supervisor.publishing.redacting import redaction_for
from wtrace.supervisor.requests import events_of_request, pending_requests, put_aside, read_request, remove
from wtrace.text import plain

if TYPE_CHECKING:
    from wtrace.config.spec import Argv
    from wtrace.race.context import RaceContext
    from wtrace.race.resources import Grant
    from wtrace.race.status import Standing
    from wtrace.runners.base import Runner
    from wtrace.supervisor.clock import Clock
    from wtrace.supervisor.journal import Journal

log = logging.getLogger("wtrace")

MOST_DOUBTS = 5
LOOK_EVERY_S = 0.5
"""A request to stop is looked for this often while a command runs."""


def run_for_winner(race: RaceContext, journal: Journal, runner: Runner, clock: Clock) -> bool:
    """Run them one after the other, up to the first that fails; whether there was anything to run.

    A command that an earlier supervisor started is waited for, not started again. A failure is told, no more.
    """
    winner = journal.state.verdict
    if winner is None or not race.spec.after_winner:
        return False
    grant = journal.state.workers[winner.worker].grant
    won = (winner.worker, winner.epoch)
    copies = (claim.frozen for claim in journal.state.claims if (claim.worker, claim.epoch) == won)
    checkpoint = next(copies, None) or ""
    for name, doubt in list(Wholeness(race, Layout(race.root)).doubts(winner.worker).items())[:MOST_DOUBTS]:
        _tell(journal, clock, f"{name} of {winner.worker} may not be whole: {doubt}")
    for step, command in enumerate(race.spec.after_winner, 1):
        folder = race.layout.after(winner.worker, step)
        try:
            why = _run(race, journal, runner, _launch(race, winner.worker, step, checkpoint, grant), clock)
        except (OSError, ToolError) as error:
            why = f"it could not be started: {error}"
        _tell(journal, clock, _line(race, command, folder, why))
        if why is not None:
            break
    return True


def told(race: RaceContext, standing: Standing) -> tuple[str, ...]:
    """How each of the commands ended, a line for each, for the report."""
    if standing.winner is None:
        return ()
    lines = []
    for step, command in enumerate(race.spec.after_winner, 1):
        folder = race.layout.after(standing.winner, step)
        exit_ = read_exit(folder)
        if exit_ is None:
            lines.append(f"{_shown(race, command)}: has not run")
        else:
            lines.append(_line(race, command, folder, failure_of(folder, exit_)))
    return tuple(lines)


def _line(race: RaceContext, command: Argv, folder: Path, why: str | None) -> str:
    how = "done" if why is None else f"failed: {why}"
    log_file = (folder / "training.log").relative_to(race.root)
    return f"{_shown(race, command)}: {how} (its log: {log_file})"


def _shown(race: RaceContext, command: Argv) -> str:
    return plain(" ".join(after_shown(command, redaction_for(race))), 80)


def _launch(race: RaceContext, winner: str, step: int, checkpoint: str, grant: Grant | None) -> Launch:
    folder = race.layout.after(winner, step)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    metrics = folder / "metrics.jsonl"
    values = {**command_values(race, winner, metrics), "checkpoint": checkpoint}
    command = fill(race.spec.after_winner[step - 1], values)
    return Launch(
        folder=folder,
        command=with_python(command, python_of(Path(race.places[winner].worktree))),
        cwd=working_directory(race, winner),
        env=environment_of(race, winner, metrics, os.environ, grant),
        grace_s=race.spec.grace_s,
        signal=race.spec.signal,
        marker=f"{race.id}/after/{winner}/{step}",
    )


def _run(race: RaceContext, journal: Journal, runner: Runner, launch: Launch, clock: Clock) -> str | None:
    """Start the command unless that was done, and wait for its end; why it failed, or None."""
    folder = launch.folder
    stopped_by = _stop_asked(race, journal, clock)
    if stopped_by is not None:
        return f"not run: stopped by {stopped_by}"
    if runner.started(folder) is None and runner.exited(folder) is None:
        runner.start(launch)
    else:
        runner.adopt(folder)
    while (exit_ := runner.exited(folder)) is None:
        select.select([runner], [], [], LOOK_EVERY_S)
        runner.lost()
        asked = _stop_asked(race, journal, clock)
        if asked is not None and stopped_by is None:
            stopped_by = asked
            runner.stop(folder)
    why = failure_of(folder, exit_)
    return why if stopped_by is None else f"stopped by {stopped_by}"


def _stop_asked(race: RaceContext, journal: Journal, clock: Clock) -> str | None:
    """Who asks to stop the race: this is what is left of it. Requests are taken."""
    by = None
    for path in pending_requests(race.layout.requests):
        request = read_request(path)
        if request is None:
            log.warning("%s", put_aside(path))
            continue
        events = events_of_request(request, journal.state, clock.now())
        by = next((event.by for event in events if isinstance(event, ev.StopAsked)), by)
        remove(path)
    return by


def _tell(journal: Journal, clock: Clock, line: str) -> None:
    """In the journal and the log, once, however many supervisors it took."""
    text = f"after the race: {line}"
    if (None, text) not in journal.state.topics:
        log.info("%s", text)
        journal.note(ev.Noticed(clock.now(), None, text, topic=text))
        with contextlib.suppress(sqlite3.Error):  # kept, and stored with what comes next
            journal.commit(clock.now())
