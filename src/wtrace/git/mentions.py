"""Whether a branch seems to report to wtrace at all: asked of its files, which are read as data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.config.sources import is_own
from wtrace.errors import WtraceError
from wtrace.git import command
from wtrace.git.branches import commit_of, find_source, read_refs

if TYPE_CHECKING:
    from pathlib import Path

    from wtrace.config.spec import RaceSpec, WorkerSpec

SIGNS = ("WTRACE_METRICS", "import wtrace", "from wtrace")
NO_PROGRAMS = (":!*.md", ":!*.rst", ":!*.txt", ":!*.toml")
"""Texts that may speak of wtrace and report nothing."""


def silence(root: Path, spec: RaceSpec, worker: WorkerSpec, worktree: Path) -> str | None:
    """Why nothing may ever be heard of this worker: no source is configured, and its branch mentions none.

    `worktree` is where it would run; its files count where it is there already. None also where git cannot tell.
    """
    if (
        not is_own(spec.metrics_of(worker))
        or worker.combines
        or any("{metrics}" in arg for arg in worker.command)
    ):
        return None
    try:
        if _mentions(root, spec, worker, worktree):
            return None
    except WtraceError:
        return None
    return (
        f"no source of metrics is configured, and nothing in branch {worker.branch} mentions wtrace or WTRACE_METRICS:"
        " set [metrics], which `wtrace try LOG` proposes"
    )


def _mentions(root: Path, spec: RaceSpec, worker: WorkerSpec, worktree: Path) -> bool:
    signs = [word for sign in SIGNS for word in ("-e", sign)]
    if (worktree / ".git").exists():
        return _found(worktree, "--untracked", *signs, "--", ".", *NO_PROGRAMS)
    source = find_source(root, read_refs(root), worker.branch)
    commit = source.commit if source is not None else commit_of(root, spec.base or "HEAD")
    return commit is None or _found(root, *signs, commit, "--", ".", *NO_PROGRAMS)


def _found(folder: Path, *args: str) -> bool:
    return command.run(folder, "grep", "-q", "-I", "-F", *args, ok=(0, 1)).code == 0
