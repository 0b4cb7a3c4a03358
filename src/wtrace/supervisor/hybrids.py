"""The fallback: when all others ended without success, the branches that a hybrid combines become its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.errors import WtraceError
from wtrace.race.view import Place
from wtrace.supervisor.create import missing_script, request_of, worktrees_folder
from wtrace.supervisor.integrity import changed_judge_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wtrace.git.hybrid import HybridConflict
    from wtrace.race.context import RaceContext


class HybridError(Exception):
    """The hybrid cannot be made; the text says why, and how to go on by hand."""


def make(race: RaceContext, worker: str, judge_files: Mapping[str, str]) -> tuple[Place, str]:
    """Merge what the hybrid combines and give it a worktree; returns its place, and what was done in words.

    HybridError with nothing of the user's changed.
    """
    from wtrace.git import hybrid
    from wtrace.git.worktrees import prepare

    spec, own = race.spec, race.spec.worker(worker)
    combines = [(name, race.places[name].commit) for name in own.combines]
    try:
        made = hybrid.make_hybrid(race.root, branch=own.branch, base=spec.base or "HEAD", combines=combines)
        if isinstance(made, hybrid.HybridConflict):
            raise HybridError(_conflict(made))
        (prepared,) = prepare(
            race.root, [request_of(own)], base=spec.base, parent=worktrees_folder(race.root, spec)
        )
    except WtraceError as error:
        raise HybridError(f"{error.what}{f' ({error.seen})' if error.seen else ''}") from error
    unfair = changed_judge_file(prepared.path, judge_files)
    script = missing_script(own, prepared.path)
    if unfair is not None or script is not None:
        raise HybridError(unfair or f"the merged branch has no {script}")
    place = race.places[worker]
    return Place(own.branch, prepared.commit, str(prepared.path), place.output, place.log), made.note


def _conflict(conflict: HybridConflict) -> str:
    files = f" in {', '.join(conflict.files)}" if conflict.files else ""
    by_hand = f"; by hand: {' && '.join(conflict.finish)}" if conflict.finish else ""
    return f"{conflict.reason}{files}{by_hand}"
