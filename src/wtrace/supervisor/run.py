"""The story of a race.

    config -> worktrees -> launch -> metrics -> referee -> claim -> confirm -> verdict -> end the losers -> proof, merge

`start` tells its beginning in the user's terminal and hands over to `supervise`, which runs apart from any
terminal, so that closing one leaves the race running. Everything else is a detail of one of these words.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.errors import ConfigError, DamagedRecordError, RecordError, UsageError
from wtrace.race.paths import Layout
from wtrace.store import approvals, home
from wtrace.supervisor.daemon import only_race, supervisor_ahead, wait_for_race

if TYPE_CHECKING:
    from collections.abc import Callable

    from wtrace.config.spec import RaceSpec
    from wtrace.git.worktrees import Prepared
    from wtrace.race.resources import Machine
    from wtrace.store.writer import Writer


def set_up(root: Path, spec: RaceSpec) -> list[Prepared]:
    """One worktree per worker, made or found again; a hybrid's is made when it is needed.

    UsageError or ToolError with nothing half-made.
    """
    from wtrace.git import copies
    from wtrace.git.worktrees import prepare
    from wtrace.supervisor import create

    for each in spec.workers:  # a hybrid's too, which are brought much later
        copies.check(root, each.name, each.include)
    requests = [create.request_of(each) for each in spec.workers if not each.combines]
    return prepare(root, requests, base=spec.base, parent=create.worktrees_folder(root, spec))


def find_machine(spec: RaceSpec) -> Machine:
    """This machine, as far as the race depends on it."""
    from wtrace.race import resources
    from wtrace.runners import machine

    return machine.look(
        gpus=resources.wants_gpus_counted(spec),
        memory=resources.wants_memory_counted(spec),
        visible=os.environ.get("CUDA_VISIBLE_DEVICES"),
    )


def check_resources(spec: RaceSpec) -> None:
    """ConfigError for a worker that this machine, all idle, could not run."""
    from wtrace.race import resources

    machine = find_machine(spec)
    for worker in spec.workers:
        lack = resources.never_fits(resources.demand_of(spec, worker, machine), machine)
        if lack is not None:
            hint = "`wtrace doctor` tells which GPUs were found, and why none" if worker.gpus else None
            raise ConfigError(f"workers.{worker.name}: {lack}", hint=hint)


def start(
    root: Path,
    spec: RaceSpec,
    *,
    told: Callable[[Prepared], None],
    warned: Callable[[str], None],
    strict: bool = False,
) -> str:
    """Set up a race and let it run under a supervisor of its own; returns its id. Refused while another one runs.

    `told` is called with each worktree once all are there, `warned` with what a person should know first. `strict`:
    workers that run code from outside of their worktree are refused.
    """
    from wtrace.store.reader import Reader
    from wtrace.supervisor import approval
    from wtrace.supervisor.places import check_parcels, require_engines

    layout = Layout(root)
    check_resources(spec)
    with Reader(layout.database):  # one that cannot be read is told before anything is made
        home.make_home(layout)
    if not spec.is_local:
        require_engines(spec)
    with only_race(layout) as lock, supervisor_ahead(layout, lock) as supervisor:
        from wtrace.supervisor import create  # while the supervisor gets ready, too

        prepared = set_up(root, spec)
        for made in prepared:
            told(made)
        create.check_commands(spec, prepared)
        for line in () if spec.is_local else check_parcels(spec, prepared):
            warned(line)
        create.note_worktrees(layout, prepared)
        race_id = create.create(layout, spec, prepared, strict=strict)
        if problem := approval.note_start(root, race_id, create.recorded_spec(layout.race(race_id))):
            warned(problem)
        supervisor.supervise(race_id)
    return race_id


def resume(
    root: Path, *, approved: Callable[[RaceSpec, str], None], warned: Callable[[str], None] | None = None
) -> str:
    """Take up the newest race, which lost its supervisor, with the config that it was started with; returns its id.

    `approved` is asked with what would be started again, and the race's id; it raises where the user has not approved.
    Where the database cannot be read, a new record is begun from the race's files, and `warned` is told; RecordError
    where nobody is there to be told.
    """
    from wtrace.supervisor.create import create_again, recorded_spec

    layout = Layout(root)
    race_id, damage = _to_resume(layout)
    if damage is not None and warned is None:
        raise damage
    home.require_own_race(layout.race(race_id))
    spec = recorded_spec(layout.race(race_id))
    approved(spec, race_id)
    with only_race(layout) as lock, supervisor_ahead(layout, lock) as supervisor:
        if damage is not None and warned is not None:
            aside = create_again(layout, race_id, set_up(root, spec))
            warned(
                f"{damage.what} ({damage.seen}): it lies at {aside} now, and a new record of this race was begun"
            )
        supervisor.supervise(race_id)
    return race_id


def _to_resume(layout: Layout) -> tuple[str, RecordError | None]:
    """The newest race, which has not ended, and what is wrong with its record."""
    from wtrace.store.reader import Reader
    from wtrace.supervisor.create import recall

    try:
        with Reader(layout.database) as reader:
            race_id = reader.latest()
            if race_id is None:
                raise UsageError("there is no race to resume", hint="start one with `wtrace run`")
            closed = reader.closed(race_id)
            recall(layout, race_id)  # all of it can be read, or it is told here and not in a log
    except DamagedRecordError as error:
        return _newest_by_its_folder(layout, error), error
    if closed is not None:  # one that has ended may still want its report
        raise UsageError(f"race {race_id} has ended", hint="`wtrace run` starts a new one")
    return race_id, None


def _newest_by_its_folder(layout: Layout, error: RecordError) -> str:
    """The race that `latest` leads to, if it goes on; else the error, with what there is to do."""
    race_id = layout.latest.resolve().name
    race = layout.race(race_id)
    if layout.latest.is_symlink() and race.config.is_file():
        if not (race.success_report.exists() or race.failure_report.exists()):
            return race_id
        raise RecordError(
            error.what,
            seen=error.seen,
            hint="its newest race has ended; move the file away, and `wtrace run` starts anew",
        ) from error
    raise error


def supervise(root: Path, race_id: str) -> None:
    """Run the race to its end and write its proof. The lock of the repo is inherited from whoever started this."""
    from wtrace.git import command
    from wtrace.race.events import MachineFound, SupervisorStarted
    from wtrace.store.writer import Writer
    from wtrace.supervisor import create, failpoints
    from wtrace.supervisor.checkpoints import retention
    from wtrace.supervisor.clock import Clock
    from wtrace.supervisor.jobs import after
    from wtrace.supervisor.journal import Journal
    from wtrace.supervisor.loop import Supervisor
    from wtrace.supervisor.places import make_runner
    from wtrace.supervisor.publishing.redacting import redact_log, redaction_for

    command.let_act()  # whoever started this process has asked
    layout = Layout(root)
    race, state, positions = create.recall(layout, race_id)
    redact_log(redaction_for(race))
    clock = Clock(not_before=max(state.started, state.latest))
    with Writer(layout.database, race_id) as writer:
        journal = Journal(race, state, writer)
        runner = make_runner(race.spec)
        resumed = state.supervisor_pid is not None
        journal.note(SupervisorStarted(clock.now(), os.getpid(), resumed))
        journal.note(MachineFound(clock.now(), find_machine(race.spec)))
        supervisor = Supervisor(
            race,
            journal,
            runner,
            clock,
            positions=positions,
            curves=create.recall_curves(layout, race_id),
        )
        state = supervisor.run()
        from wtrace.supervisor.merging import merge_at_the_end
        from wtrace.supervisor.publishing.pages import tell_closed
        from wtrace.supervisor.publishing.report import prove, tell_again

        standing = journal.standing(clock.now())
        retention.thin(race, layout, standing, state.claims)
        prove(race, layout, standing, state.claims)
        if race.spec.merge == "auto" and standing.winner is not None:
            merge_at_the_end(race, layout, standing, state.claims)
        if after.run_for_winner(race, journal, runner, clock):
            tell_again(race, layout, journal.standing(clock.now()), state.claims)
        runner.close()  # engines have the last word said to them
        with contextlib.suppress(OSError):
            tell_closed(race)
        writer.close_race(clock.now())
        with failpoints.around("close"):
            writer.commit()
        _fold(writer)
        approvals.forget_start(root, race_id)
        supervisor.let_agents_finish()


def _fold(writer: Writer) -> None:
    """Make the database one whole file. The race is over and stored: what fails here is told, and no more."""
    import logging
    import sqlite3

    try:
        why = None if writer.fold() else "it was read all the time"
    except sqlite3.Error as error:
        why = str(error)
    if why is not None:
        logging.getLogger("wtrace").warning(
            "the history's latest part lies in wtrace.db-wal (%s): copy that along with wtrace.db", why
        )


def main() -> None:
    """`python -m wtrace.supervisor.run ROOT`: the supervisor's process, told on its standard input which race to run."""
    for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_IGN)
    _get_ready()
    root = Path(sys.argv[1])
    race_id = wait_for_race(root)
    if race_id is None:
        return
    import logging

    from wtrace.supervisor.publishing.redacting import start_log

    start_log()
    try:
        supervise(root, race_id)
    except BaseException as error:
        logging.getLogger("wtrace").exception(
            "the supervisor failed; the trainings go on; `wtrace run --resume`"
        )
        if not isinstance(error, Exception):
            raise
        sys.exit(1)  # it is told: Python would tell it again, with this machine's paths


def _get_ready() -> None:
    """Import what a race needs from its first moment, while its worktrees are made."""
    import wtrace.runners.local
    import wtrace.store.writer
    import wtrace.supervisor.loop  # noqa: F401


if __name__ == "__main__":
    main()
