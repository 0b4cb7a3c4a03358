"""A race on record: written down before it starts, and recalled by every supervisor that takes it over."""

from __future__ import annotations

import contextlib
import datetime
import re
import sqlite3
import time
from functools import cache
from typing import TYPE_CHECKING

from wtrace.config import load
from wtrace.config.schedule import divisor
from wtrace.data import replace
from wtrace.errors import ConfigError, ToolError, UsageError, WtraceError
from wtrace.judging import referee
from wtrace.judging.checks import CheckSummary
from wtrace.race import view
from wtrace.race.context import RaceContext
from wtrace.race.events import JudgeFilesFixed, LinesRead, StrictnessAsked, WorkerLaunched
from wtrace.race.reduce import evolve
from wtrace.race.state import State, begin
from wtrace.store import home
from wtrace.store.reader import Reader
from wtrace.store.writer import Writer
from wtrace.supervisor.integrity import judge_digests

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from wtrace.config.spec import RaceSpec, SyncSpec, WorkerSpec
    from wtrace.git.worktree_plan import WorktreeRequest
    from wtrace.git.worktrees import Prepared
    from wtrace.publish.dashboard.curves import Curves
    from wtrace.race.events import Event
    from wtrace.race.paths import Layout, RaceLayout
    from wtrace.store.reader import StoredPosition


def create(layout: Layout, spec: RaceSpec, prepared: Sequence[Prepared], *, strict: bool = False) -> str:
    """Record a new race (its folder, its resolved config, its first standing); returns its id.

    `strict`: a worker that runs code from outside of its worktree will be refused.

    ConfigError when the files that judge are not the same in every branch; nothing is recorded then.
    """
    at = time.time()
    judge_files = judge_digests({made.branch: made.path for made in prepared}, spec.judge.files)
    race_id = _new_id(layout, spec.name, at)
    race = layout.race(race_id)
    try:
        for folder in (race.folder, race.requests, race.results):
            folder.mkdir(mode=0o700, parents=True)
        race.config.touch(mode=0o600)
        race.config.write_text(load.dump(_with_frozen_files(layout.root, race, spec)), encoding="utf-8")
        for made in prepared:
            _record_changes(race.worker(made.worker), made)
        began: list[Event] = [JudgeFilesFixed(at, judge_files), *([StrictnessAsked(at)] if strict else [])]
        _store(layout, race_id, spec, prepared, began)
        home.point_latest(layout, race_id)
    except (OSError, sqlite3.Error) as error:
        raise ToolError(f"the race cannot be recorded in {race.folder}", seen=str(error)) from error
    return race_id


def create_again(layout: Layout, race_id: str, prepared: Sequence[Prepared]) -> Path:
    """Begin a new record of a race whose database cannot be read, from what lies in its folder; returns where the old
    one lies now.

    The supervisor finds the attempts by their claims, starts none again that was started, and reads their metrics from
    the beginning. What only the database knew is lost: when each thing happened, and the races before.
    """
    race = layout.race(race_id)
    spec = recorded_spec(race)
    at = race.config.stat().st_mtime
    judge_files = judge_digests({made.branch: made.path for made in prepared}, spec.judge.files)
    try:
        aside = _move_aside(layout.database)
        _store(layout, race_id, spec, prepared, [JudgeFilesFixed(at, judge_files)])
    except (OSError, sqlite3.Error) as error:
        raise ToolError(f"no new record can be begun in {layout.home}", seen=str(error)) from error
    return aside


def _move_aside(database: Path) -> Path:
    """Rename the database and what SQLite keeps beside it; nothing of it is deleted."""
    stamp = datetime.datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    aside = database.with_name(f"{database.name}.damaged-{stamp}")
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            database.with_name(database.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def _store(
    layout: Layout, race_id: str, spec: RaceSpec, prepared: Sequence[Prepared], began: Sequence[Event]
) -> None:
    """The first standing and the first events of a race, which begins with them."""
    at = began[0].at
    race = layout.race(race_id)
    places = {made.worker: place_of(race.output(made.worker), made) for made in prepared}
    places |= {
        each.name: _place_of_hybrid(race.output(each.name), each, worktrees_folder(layout.root, spec))
        for each in spec.workers
        if each.name not in places
    }
    criteria = referee.criteria_info(spec.success, divisor(spec))
    with Writer(layout.database, race_id) as writer:
        writer.create_race(view.standing(begin(spec, at), race_id, places, criteria, at))
        for event in began:
            writer.add_event(event)
        writer.commit()


def recorded_spec(race: RaceLayout) -> RaceSpec:
    """What the race was when it started. ConfigError or ToolError where its record does not say."""
    try:
        text = race.config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ToolError(
            f"{race.config} cannot be read", seen=str(error), hint="that race cannot go on"
        ) from error
    return load.parse(text, source=str(race.config), recorded=True)


def recall(
    layout: Layout, race_id: str
) -> tuple[RaceContext, State, Mapping[tuple[str, int], StoredPosition]]:
    """A race as its record tells it: what it is, its state, and how far each metrics file was read."""
    race = layout.race(race_id)
    spec = recorded_spec(race)
    with Reader(layout.database) as reader:
        standing = reader.standing(race_id)
        if standing is None:
            raise UsageError(f"there is no race {race_id}")
        positions = reader.positions(race_id)
        state = begin(spec, standing.started)
        for event in reader.events(race_id):
            state = evolve(state, event)
            if isinstance(event, WorkerLaunched) and (event.worker, event.attempt) in positions:
                state = evolve(state, _lines_of(event, positions[event.worker, event.attempt]))
    places = {
        row.name: view.Place(row.branch, row.commit, row.worktree, row.output, row.log)
        for row in standing.workers
    }
    return RaceContext(race_id, spec, race, places), state, positions


def _lines_of(launched: WorkerLaunched, read: StoredPosition) -> LinesRead:
    """All that was read of an attempt. Told at its beginning, so that what was noted later stands."""
    return LinesRead(launched.at, launched.worker, read.lines, read.bad_lines, read.epoch, read.first_bad)


def recall_curves(layout: Layout, race_id: str) -> Curves:
    """The judged checks of a race so far, as the dashboard draws them."""
    from wtrace.publish.dashboard.curves import Curves

    curves = Curves()
    with Reader(layout.database) as reader:
        for check in reader.checks(race_id, judged_only=True):
            values = tuple(result.value for result in check.results)
            met = tuple(result.met for result in check.results)
            curves.add(check.worker, CheckSummary(check.epoch, check.at, values, met))
    return curves


def _with_frozen_files(root: Path, race: RaceLayout, spec: RaceSpec) -> RaceSpec:
    """The race with copies of what its targets name: they are used as they were approved, whatever becomes of them."""
    frozen = [_with_frozen_config(root, race, target) for target in spec.sync]
    return replace(spec, sync=tuple(frozen))


def _with_frozen_config(root: Path, race: RaceLayout, target: SyncSpec) -> SyncSpec:
    from wtrace.mirror import ssh_config

    if target.ssh_config is None:
        return target
    copy = race.ssh_config(target.name)
    copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    copy.touch(mode=0o600)
    try:
        copy.write_bytes(ssh_config.read(ssh_config.anchored(root, target.ssh_config)))
    except WtraceError:  # its agent tells that it is not there, and the race goes on without that mirror
        copy.unlink()
    return replace(target, ssh_config=str(copy))


def note_worktrees(layout: Layout, prepared: Sequence[Prepared]) -> None:
    """Note what lies in the worktrees before a race begins there: it is not the race's, whatever becomes of it."""
    from wtrace.git.race_files import note_before
    from wtrace.supervisor.spans import spans

    known = cache(lambda: spans(layout))
    for made in prepared:
        if made.made == "kept":
            note_before(made.path, known)


def check_commands(spec: RaceSpec, prepared: Sequence[Prepared]) -> None:
    """Every script that a command names must be there in its branch. ConfigError says which is not."""
    for made in prepared:
        worker = spec.worker(made.worker)
        script = missing_script(worker, made.path)
        if script is not None:
            sparse = "add its folder to `sparse`, " if worker.sparse else ""
            raise ConfigError(
                f"workers.{worker.name}.command: branch {worker.branch} has no {script}",
                hint=f"commit it there, {sparse}or name another command (the worktree is {made.path})",
            )


def missing_script(worker: WorkerSpec, worktree: Path) -> str | None:
    """The script that the worker's command names and its worktree has not; None: nothing is missing."""
    script = _script_of(worker.command)
    there = script is None or (worktree / (worker.cwd or "") / script).exists()
    return None if there else script


def request_of(worker: WorkerSpec) -> WorktreeRequest:
    """What the worker's worktree shall be, for the room that makes it."""
    from wtrace.git.worktree_plan import WorktreeRequest

    return WorktreeRequest(worker.name, worker.branch, worker.include, worker.sparse)


def worktrees_folder(root: Path, spec: RaceSpec) -> Path:
    """The parent folder of the worktrees, `{repo}` filled in."""
    return (root / spec.worktrees.replace("{repo}", root.name)).resolve()


def _script_of(command: Sequence[str]) -> str | None:
    """The file in the worktree that the command runs, where that can be told without running it."""
    first = command[0]
    if re.fullmatch(r"python(3(\.\d+)?)?", first) and len(command) > 1:
        second = command[1]
        return second if second.endswith(".py") and not second.startswith(("-", "/", "{")) else None
    return first if "/" in first and not first.startswith(("/", "{", "~")) else None


def _record_changes(folder: Path, made: Prepared) -> None:
    """What is raced beside the commit: uncommitted changes, as a patch on it."""
    if made.dirty:
        from wtrace.git.changes import patch

        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / "uncommitted.patch"
        file.touch(mode=0o600)
        file.write_bytes(patch(made.path))


def place_of(output: Path, made: Prepared) -> view.Place:
    """Where a worker lives whose worktree has been made."""
    log = output.parent / "training.log"
    return view.Place(made.branch, made.commit, str(made.path), str(output), str(log))


def _place_of_hybrid(output: Path, worker: WorkerSpec, parent: Path) -> view.Place:
    """Where a hybrid will live; it has no commit yet."""
    log = output.parent / "training.log"
    return view.Place(worker.branch, "", str(parent / worker.name), str(output), str(log))


def _new_id(layout: Layout, name: str, at: float) -> str:
    """The local time and the race's name; a number is added where two races start within a second."""
    stamp = datetime.datetime.fromtimestamp(at).astimezone().strftime("%Y%m%d-%H%M%S")
    plain = f"{stamp}-{name}"
    candidates = [plain, *(f"{plain}-{number}" for number in range(2, 1000))]
    return next(candidate for candidate in candidates if not layout.race(candidate).folder.exists())
