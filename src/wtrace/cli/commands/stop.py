"""`wtrace stop`, `pause` and `unpause`: requests to the race that runs."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from wtrace.cli import common
from wtrace.cli.common import find_root, require_standing, require_trust, require_workers
from wtrace.cli.terminal.viewer import standings
from wtrace.errors import RecordError, ToolError, TrustError, UsageError
from wtrace.race.paths import Layout
from wtrace.store import home
from wtrace.supervisor.requests import leave_request
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wtrace.config.spec import RaceSpec
    from wtrace.race.status import Standing, WorkerStanding

Workers = Annotated[
    list[str] | None,
    typer.Argument(metavar="[WORKER]...", help="Only these workers.", autocompletion=common.workers),
]
Worker = Annotated[str, typer.Argument(metavar="WORKER", autocompletion=common.workers)]

PATIENCE_S = (
    15.0  # for a supervisor that has lost its record; what it has not ended by then is ended without it
)
MOST_WAKES = 10  # of a supervisor that is halted, about a second apart
OVER = ("won", "terminated", "stopped", "finished", "failed", "lost", "skipped", "refuted")


def stop(workers: Workers = None) -> None:
    """End the race, or some workers of it: SIGTERM, and after the grace period SIGKILL, to the whole tree."""
    root = find_root()
    names = tuple(workers or ())
    try:
        _stop(root, names)
    except RecordError as error:
        _stop_without_record(root, names, error)


def _stop(root: Path, names: tuple[str, ...]) -> None:
    standing = require_standing(root)
    if standing.ended is not None and standing.supervisor_alive and not names:
        end_race(root, standing.id, by=f"wtrace stop (process {os.getpid()})")
        return  # only commands of `[after]` were left of it
    standing = _running(root)
    require_workers(standing, names)
    _wake_if_needed(root, standing, names)
    _ask(root, standing.id, "stop", names)
    _wait_for_stop(root, standing.id, names)


def _stop_without_record(root: Path, names: tuple[str, ...], error: RecordError) -> None:
    """The database cannot be read: what runs is found by the claims on disk, and its supervisor is asked, if it lives."""
    from wtrace.supervisor import unsupervised

    layout = Layout(root)
    if home.is_locked(layout) and (race_id := home.who_holds(layout)):
        home.require_own_race(layout.race(race_id))
        before = unsupervised.owners(layout.race(race_id), names)
        _ask(root, race_id, "stop", names)
        unsupervised.wait(layout.race(race_id), names, at_most_s=PATIENCE_S)
    else:
        before = []
    ended = set(before)
    for folder in sorted(layout.races.glob("*")):
        race = layout.race(folder.name)
        home.require_own_race(race)
        ended.update(unsupervised.end_all(race, names))
    if not ended:
        raise RecordError(
            f"{error.what}; nothing of a race runs", seen=error.seen, hint=error.hint
        ) from error
    for name in sorted(ended):
        print(plain(f"{name}: ended"))
    print(
        plain(f"warning: {error.what} ({error.seen}): what ran was found by its claims on disk"),
        file=sys.stderr,
    )


def end_race(root: Path, race_id: str, by: str) -> Standing:
    """End the whole race in good order and wait until it is over; returns its last standing."""
    leave_request(Layout(root).race(race_id).requests, "stop", (), by)
    *_, last = _answered(root, race_id)
    return last


def _answered(root: Path, race_id: str) -> Iterator[Standing]:
    """As `standings`; a supervisor that is halted (SIGSTOP, a Ctrl-Z that was meant for something else) is let go on.

    ToolError where it does not stay awake.
    """
    from wtrace.runners import processes

    woken = 0
    for standing in standings(root, race_id):
        pid = standing.supervisor_pid
        if standing.supervisor_alive and pid is not None and processes.is_halted(pid):
            if woken == 0:
                print(plain(f"the race's supervisor (process {pid}) was halted: it goes on"), file=sys.stderr)
            if woken == MOST_WAKES:
                raise ToolError(
                    f"the race's supervisor (process {pid}) is halted again and again, and takes no request",
                    hint=f"`kill -KILL {pid}`, then the same command again: a new one takes the race up and does it",
                )
            woken += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        yield standing


def pause(worker: Worker) -> None:
    """Halt a worker, its whole tree, until `wtrace unpause`. It still ends with the race."""
    _ask_one(worker, "pause", until="paused")


def unpause(worker: Worker) -> None:
    """Let a halted worker go on."""
    _ask_one(worker, "unpause", until="running")


def _running(root: Path) -> Standing:
    standing = require_standing(root)
    if standing.ended is not None:
        raise UsageError(f"race {standing.id} has ended already", hint="`wtrace status` shows how")
    return standing


def _wake_if_needed(root: Path, standing: Standing, names: tuple[str, ...]) -> None:
    """A race whose supervisor is gone gets a new one first: ending it in good order is the supervisor's work.

    It would start what the record says. Where that was not approved here, what runs is ended all the same, and nothing
    is started.
    """
    if standing.supervisor_alive:
        return
    from wtrace.supervisor import run

    def approved(recorded: RaceSpec, race_id: str) -> None:
        require_trust(root, recorded, approve=False, may_ask=False, race_id=race_id)

    try:
        run.resume(root, approved=approved)
    except TrustError as error:
        ended = _end_from_claims(root, standing.id, names)
        raise TrustError(f"{error.what}; {ended}, and its record is left open", hint=error.hint) from error


def _end_from_claims(root: Path, race_id: str, names: tuple[str, ...]) -> str:
    """End what runs of a race without a supervisor; what came of it, in words."""
    from wtrace.supervisor.daemon import only_race
    from wtrace.supervisor.unsupervised import end_all

    layout = Layout(root)
    with only_race(layout):
        ended = end_all(layout.race(race_id), names)
    return f"what ran of it was ended ({', '.join(ended)})" if ended else "nothing of it ran"


def _ask(root: Path, race_id: str, ask: str, names: tuple[str, ...]) -> None:
    leave_request(Layout(root).race(race_id).requests, ask, names, by=f"wtrace {ask} (process {os.getpid()})")


def _ask_one(worker: str, ask: str, until: str) -> None:
    root = find_root()
    standing = _running(root)
    require_workers(standing, [worker])
    state = next(row.state for row in standing.workers if row.name == worker)
    if ask == "pause" and state not in ("running", "stalled"):
        raise UsageError(f"{worker} cannot be paused: it is {state}")
    if ask == "unpause" and state != "paused":
        raise UsageError(f"{worker} cannot go on: it is {state}, not paused")
    if not standing.supervisor_alive:
        raise UsageError(
            "the race's supervisor is gone", hint="`wtrace run --resume` takes the race up again"
        )
    _ask(root, standing.id, ask, (worker,))
    for now in _answered(root, standing.id):
        row = next(row for row in now.workers if row.name == worker)
        if row.state == until or row.state in OVER:
            print(plain(f"{worker} is {row.state}"))
            return


def _has_ended(worker: WorkerStanding) -> bool:
    """A winner that settles is told as `won` while it still lives."""
    return worker.state in OVER and (worker.state != "won" or worker.exit is not None)


def _wait_for_stop(root: Path, race_id: str, names: tuple[str, ...]) -> None:
    """Until those workers, or the race, have ended: whoever asked may rely on it."""
    from wtrace.supervisor.daemon import wait_for_close

    for standing in _answered(root, race_id):
        asked = [worker for worker in standing.workers if not names or worker.name in names]
        if standing.ended is not None or (names and all(map(_has_ended, asked))):
            for worker in asked:
                print(plain(f"{worker.name}: {worker.state}"))
            if standing.ended is not None:
                wait_for_close(Layout(root), race_id)  # then another race may start at once
            return
    raise ToolError("the race's supervisor is gone", hint="`wtrace status` tells where the race stands")
