"""The commands that prepare a worktree before its worker's first attempt, and the stamp that says they have."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.config.placeholders import fill, with_python
from wtrace.data import replace
from wtrace.errors import ToolError, WtraceError
from wtrace.git import registry
from wtrace.git.branches import head_commit
from wtrace.race import events as ev
from wtrace.race.context import RaceContext
from wtrace.race.paths import Layout
from wtrace.race.phases import Waiting
from wtrace.runners.base import Launch
from wtrace.store import home
from wtrace.supervisor.create import place_of
from wtrace.supervisor.daemon import only_race
from wtrace.supervisor.jobs.command_intake import CommandIntake
from wtrace.supervisor.jobs.crashes import failure_of
from wtrace.supervisor.jobs.launch import command_values, environment_of, python_of, working_directory
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from wtrace.config.spec import RaceSpec, WorkerSpec
    from wtrace.git.worktrees import Prepared
    from wtrace.race.resources import Grant
    from wtrace.runners.base import Exit, Runner
    from wtrace.supervisor.journal import Journal

ENVIRONMENT = ".venv"

LOCK_FILES = (
    "*.lock", "*-lock.*", "Pipfile", "environment*.y*ml", "package*.json", "pylock*.toml", "pyproject.toml",
    "requirements*.txt", "setup.cfg", "setup.py",
)  # fmt: skip
"""What environments are made from, at the top of the worktree and in the worker's own folder."""


def stamp_of(worker: WorkerSpec, worktree: Path, commit: str) -> str:
    """SHA-256 over what the set-up depends on: the commands, the commit, lock files and files that a command names."""
    files = {
        str(file.relative_to(worktree)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted({*_lock_files(worker, worktree), *_named_files(worker, worktree)})
    }
    return hashlib.sha256(json.dumps([worker.setup, worker.cwd, commit, files]).encode()).hexdigest()


def is_set_up(race: RaceContext, name: str) -> bool:
    """Whether the set-up was done in this worktree, and nothing that it depends on has changed since."""
    place = race.places[name]
    return is_stamped(race.spec.worker(name), Path(place.worktree), place.commit)


def note_set_up(race: RaceContext, journal: Journal, worker: str, now: float) -> None:
    """Note that a worktree needs no set-up: it was done, and nothing that it depends on has changed since."""
    known = journal.state.workers[worker]
    wanted = journal.state.spec.worker(worker).setup and not known.set_up
    if isinstance(known.phase, Waiting) and wanted and is_set_up(race, worker):
        journal.note(ev.SetupSkipped(now, worker))


def is_stamped(worker: WorkerSpec, worktree: Path, commit: str) -> bool:
    """The same, of a worktree without a race. An environment that somebody removed is made again."""
    try:
        noted = registry.read_setup(worktree)
        gone = ENVIRONMENT in registry.made_by_setup(worktree) and not (worktree / ENVIRONMENT).exists()
        return noted.get("stamp") == stamp_of(worker, worktree, commit) and not gone
    except OSError:
        return False


def begin(worktree: Path) -> None:
    """Note, before the first command, whether an environment would be the set-up's own: `clean` may then remove it."""
    made = set(registry.made_by_setup(worktree))
    if not (worktree / ENVIRONMENT).exists():
        made.add(ENVIRONMENT)
    registry.write_note(worktree, registry.SETUP, json.dumps({"made": sorted(made)}))


def stamp(worker: WorkerSpec, worktree: Path, commit: str) -> None:
    """Note that the set-up was done. Where that cannot be written, it is done again next time."""
    with contextlib.suppress(OSError):
        made = [name for name in registry.made_by_setup(worktree) if (worktree / name).exists()]
        noted = {"stamp": stamp_of(worker, worktree, commit), "made": made}
        registry.write_note(worktree, registry.SETUP, json.dumps(noted))


def commit_left(worktree: Path, before: str) -> str:
    """The commit that a set-up has left, which is what its worker races: a set-up may commit. `before` if none can be
    told."""
    try:
        return head_commit(worktree)
    except WtraceError:
        return before


def prepare_setup(
    race: RaceContext, worker: str, step: int, inherited: Mapping[str, str], grant: Grant | None = None
) -> Launch:
    """Make the folder of one command and say what is to be started in it. It reports no metrics."""
    if step == 1:
        begin(Path(race.places[worker].worktree))
    folder = race.layout.setup(worker, step)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    race.layout.output(worker).mkdir(mode=0o700, exist_ok=True)
    metrics = folder / "metrics.jsonl"
    command = fill(race.spec.worker(worker).setup[step - 1], command_values(race, worker, metrics))
    return Launch(
        folder=folder,
        command=with_python(command, python_of(Path(race.places[worker].worktree))),
        cwd=working_directory(race, worker),
        env=environment_of(race, worker, metrics, inherited, grant),
        grace_s=race.spec.grace_s,
        signal=race.spec.signal,
        marker=f"{race.id}/setup/{worker}/{step}",
    )


def failed(command: tuple[str, ...], folder: Path, why: str) -> str:
    """A command of a set-up that failed, in one line that names its log."""
    return f"{plain(shlex.join(command), 80)}: {why} (its log: {folder / 'training.log'})"


class SetupIntake(CommandIntake):
    """Waits for a command that prepares a worktree to end."""

    def __init__(self, journal: Journal, runner: Runner, race: RaceContext, worker: str, step: int) -> None:
        super().__init__(journal, runner, race.layout.setup(worker, step))
        self._race = race
        self._worker = worker
        self._step = step

    def _note_end(self, now: float, exit_: Exit) -> None:
        spec = self._race.spec.worker(self._worker)
        why = failure_of(self.folder, exit_)
        problem = None if why is None else failed(spec.setup[self._step - 1], self.folder, why)
        if problem is None and self._step == len(spec.setup):
            place = self._race.places[self._worker]
            place = replace(place, commit=commit_left(Path(place.worktree), place.commit))
            self._race.places[self._worker] = place
            stamp(spec, Path(place.worktree), place.commit)
        self._journal.note(
            ev.SetupEnded(
                now, self._worker, self._step, exit_.code, exit_.signal, exit_.known, problem=problem
            )
        )


def _lock_files(worker: WorkerSpec, worktree: Path) -> Iterator[Path]:
    for folder in {worktree, worktree / (worker.cwd or "")}:
        for pattern in LOCK_FILES:
            yield from (file for file in folder.glob(pattern) if file.is_file())


def _named_files(worker: WorkerSpec, worktree: Path) -> Iterator[Path]:
    """Files of the worktree that a command names: `requirements/gpu.txt`, `setup.sh`."""
    for argument in (argument for command in worker.setup for argument in command):
        if len(argument) < 255 and not argument.startswith(("/", "~", "-")) and ".." not in argument:
            file = worktree / (worker.cwd or "") / argument
            if file.is_file():
                yield file


LOOK_EVERY_S = 0.5


def set_up_now(
    root: Path, spec: RaceSpec, prepared: Sequence[Prepared], told: Callable[[str], None]
) -> list[Prepared]:
    """Run the set-up of each worktree that needs it; the worktrees at the commits that it left.

    UsageError while a race runs; ToolError when one failed. One that fails keeps the others from nothing.
    """
    waiting = [
        made
        for made in prepared
        if (worker := spec.worker(made.worker)).setup and not is_stamped(worker, made.path, made.commit)
    ]
    if not waiting:
        return list(prepared)
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
    return [replace(made, commit=commit_left(made.path, made.commit)) for made in prepared]


def _set_up(race: RaceContext, runner: Runner, made: Prepared, told: Callable[[str], None]) -> str | None:
    """All commands of one worker, one after the other; what went wrong, or None."""
    worker = race.spec.worker(made.worker)
    for step, command in enumerate(worker.setup, 1):
        told(f"set up   {made.worker}: {shlex.join(command)}")
        folder = race.layout.setup(made.worker, step)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            runner.start(prepare_setup(race, made.worker, step, os.environ))
        except OSError as error:
            raise ToolError(f"the set-up of {made.worker} could not be started", seen=str(error)) from error
        why = _wait(runner, folder)
        if why is not None:
            return f"{made.worker}: {failed(command, folder, why)}"
    stamp(worker, made.path, commit_left(made.path, made.commit))
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
