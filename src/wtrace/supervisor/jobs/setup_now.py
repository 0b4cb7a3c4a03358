"""The set-up of worktrees outside of any race, for `wtrace setup`: the same commands, by the same runner."""

from __future__ import annotations

import os
import select
import shlex
import shutil
from typing import TYPE_CHECKING

from wtrace.errors import ToolError
from wtrace.race.context import RaceContext
from wtrace.race.paths import Layout
from wtrace.store import home
from wtrace.supervisor.create import place_of
from wtrace.supervisor.daemon import only_race
from wtrace.supervisor.jobs import setup
from wtrace.supervisor.jobs.crashes import failure_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from wtrace.config.spec import RaceSpec
    from wtrace.git.worktrees import Prepared
    from wtrace.runners.base import Runner

LOOK_EVERY_S = 0.5


def set_up_now(root: Path, spec: RaceSpec, prepared: Sequence[Prepared], told: Callable[[str], None]) -> None:
    """Run the set-up of each worktree that needs it. UsageError while a race runs; ToolError when one failed.

    One that fails keeps the others from nothing.
    """
    waiting = [
        made
        for made in prepared
        if (worker := spec.worker(made.worker)).setup and not setup.is_stamped(worker, made.path, made.commit)
    ]
    if not waiting:
        return
    from wtrace.runners.local import LocalRunner

    layout = Layout(root)
    places = {made.worker: place_of(layout.setups.output(made.worker), made) for made in prepared}
    race = RaceContext("setup", spec, layout.setups, places)
    runner = LocalRunner()
    with only_race(layout) as lock:
        home.write_holder(lock, "wtrace setup")
        problems = [problem for made in waiting if (problem := _set_up(race, runner, made, told))]
    if problems:
        raise ToolError(
            "a set-up failed", seen="\n".join(problems), hint="mend it, then `wtrace setup` again"
        )


def _set_up(race: RaceContext, runner: Runner, made: Prepared, told: Callable[[str], None]) -> str | None:
    """All commands of one worker, one after the other; what went wrong, or None."""
    worker = race.spec.worker(made.worker)
    for step, command in enumerate(worker.setup, 1):
        told(f"set up   {made.worker}: {shlex.join(command)}")
        folder = race.layout.setup(made.worker, step)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            runner.start(setup.prepare_setup(race, made.worker, step, os.environ))
        except OSError as error:
            raise ToolError(f"the set-up of {made.worker} could not be started", seen=str(error)) from error
        why = _wait(runner, folder)
        if why is not None:
            return f"{made.worker}: {setup.failed(command, folder, why)}"
    setup.stamp(worker, made.path, made.commit)
    return None


def _wait(runner: Runner, folder: Path) -> str | None:
    """Until the command has ended: why it failed, or None. An interrupt ends it first."""
    try:
        return _ended(runner, folder)
    except KeyboardInterrupt:
        runner.stop(folder)
        _ended(runner, folder)
        raise


def _ended(runner: Runner, folder: Path) -> str | None:
    while (exit_ := runner.exited(folder)) is None:
        select.select([runner], [], [], LOOK_EVERY_S)
        runner.lost()
    return failure_of(folder, exit_)
