"""Whether each worker could be merged into the base: asked of git without touching anything."""

from __future__ import annotations

import os
import re
import tempfile
from typing import TYPE_CHECKING

from wtrace.data import data, replace
from wtrace.git.branches import branch_commit, commit_of
from wtrace.git.find import common_dir
from wtrace.git.mergetree import Conflict, merge_tree
from wtrace.git.target import find_target

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


SHOWN = 3  # files
WHOLE_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@data
class Forecast:
    """What a merge of one worker into the base would meet: files that conflict, or trouble of another kind."""

    worker: str
    conflicts: tuple[str, ...] = ()
    trouble: str | None = None

    @property
    def clean(self) -> bool:
        """Whether git could merge it alone."""
        return not self.conflicts and self.trouble is None

    @property
    def words(self) -> str:
        """What a merge would meet, in one line."""
        if self.clean:
            return "would merge into the base without a conflict"
        if not self.conflicts:
            return f"could not be merged into the base: {self.trouble}"
        more = f" and {len(self.conflicts) - SHOWN} more" if len(self.conflicts) > SHOWN else ""
        return f"would conflict with the base in {', '.join(self.conflicts[:SHOWN])}{more}"


def conflict_forecast(root: Path, base: str | None, commits: Mapping[str, str]) -> tuple[Forecast, ...]:
    """One forecast per worker (its name to its branch or commit), in the given order; some 10 ms for each commit.

    `base` None is the branch of the main worktree. Not even an object is added to the repository.
    ToolError when git is older than 2.38.
    """
    common = common_dir(root)
    target = find_target(root, common, base)
    if target.commit is None:
        return tuple(Forecast(worker, trouble=target.problem) for worker in commits)
    with tempfile.TemporaryDirectory(prefix="wtrace-") as scratch:
        env = {
            "GIT_OBJECT_DIRECTORY": scratch,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": os.fspath(common / "objects"),
        }
        found: dict[str, Forecast] = {}
        for worker, name in commits.items():
            if name not in found:
                found[name] = _forecast(root, target.commit, worker, name, env)
        return tuple(replace(found[name], worker=worker) for worker, name in commits.items())


def _forecast(root: Path, base: str, worker: str, name: str, env: Mapping[str, str]) -> Forecast:
    # A whole id is a commit that was looked up before: asking again would triple the time.
    commit = name if WHOLE_ID.fullmatch(name) else branch_commit(root, name) or commit_of(root, name)
    if commit is None:
        return Forecast(worker, trouble=f"there is no branch {name!r}")
    merged = merge_tree(root, base, commit, env)
    if isinstance(merged, Conflict):
        return Forecast(worker, merged.files, merged.reason)
    return Forecast(worker)
