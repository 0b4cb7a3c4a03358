"""Metrics that a worker writes in a form of its own: what is needed to translate them, attempt by attempt."""

from __future__ import annotations

import contextlib
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.config import sources
from wtrace.files import read_small
from wtrace.metrics.foreign import source_files
from wtrace.metrics.foreign.check_builder import plan_of
from wtrace.metrics.foreign.source_files import Leftover, Where
from wtrace.metrics.foreign.translation import Translation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wtrace.race.context import RaceContext

LEFTOVERS = "leftovers.json"


def translation_of(race: RaceContext, worker: str, folder: Path) -> Translation | None:
    """The translation of an attempt whose folder this is; None where the worker writes records itself."""
    spec = race.spec.worker(worker)
    metrics = race.spec.metrics_of(spec)
    if sources.is_own(metrics):
        return None
    return Translation(
        metrics,
        plan_of(race.spec, spec, metrics),
        metrics=folder / "metrics.jsonl",
        log=folder / "training.log",
        where=_where(race, worker),
        leftovers=read_leftovers(folder),
        note_leftovers=partial(_note_again, folder),
        hints=sources.doubts(race.spec, spec),
    )


def note_leftovers(race: RaceContext, worker: str, folder: Path) -> None:
    """Write down, once and before the attempt begins, which of the files that will be read lie there already.

    What they hold comes from an earlier attempt or from a run by hand, and is not this attempt's.
    """
    where, file = _where(race, worker), folder / LEFTOVERS
    if where is None or file.exists():
        return
    _write(file, source_files.leftovers(where))


def _note_again(folder: Path, left: Mapping[str, Leftover]) -> None:
    """One of them was written anew since. Where the disk does not take it, it is found out once more."""
    with contextlib.suppress(OSError):
        _write(folder / LEFTOVERS, left)


def _write(file: Path, left: Mapping[str, Leftover]) -> None:
    draft = file.with_name(f".{LEFTOVERS}.new")
    draft.write_text(json.dumps(left))
    draft.replace(file)


def _where(race: RaceContext, worker: str) -> Where | None:
    spec = race.spec.worker(worker)
    place = sources.files_place(race.spec.metrics_of(spec))
    if place is None:
        return None
    worktree = Path(race.places[worker].worktree)
    return source_files.located(place, output=race.layout.output(worker), worktree=worktree, cwd=spec.cwd)


def read_leftovers(folder: Path) -> dict[str, Leftover]:
    """What lay there before the attempt whose folder this is began."""
    """What was noted. A file that is damaged says nothing: all that lies there then counts as the attempt's."""
    try:
        noted = json.loads(read_small(folder / LEFTOVERS))
        return {path: Leftover(*each) for path, each in noted.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
