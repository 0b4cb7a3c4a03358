"""Why something failed that ran for the race, read from the end of its log; and the mend, where its worktree lacks a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.config import kinds
from wtrace.config.names import path_problem
from wtrace.errors import WtraceError
from wtrace.git import command
from wtrace.metrics.foreign.source_files import open_if_regular
from wtrace.race import crash

if TYPE_CHECKING:
    from wtrace.runners.base import Exit

TAIL_BYTES = 128 * 1024
"""Of a log; the traceback of every rank of a large training fits."""


def words_of(log: Path, exit_: Exit) -> str | None:
    """Why the program failed that wrote this log; None where it ended well, or its log does not say.

    Of one that was killed by a signal only an exception or a fatal error counts: the last line of its log says nothing.
    """
    if not exit_.known or exit_.code == 0:
        return None
    tail = _tail(log)
    return crash.exception(tail) if exit_.signal is not None else crash.reason(tail)


def last_words(log: Path) -> str | None:
    """What the program said last that wrote this log, however it ended; None where it said nothing."""
    return crash.reason(_tail(log))


def failure_of(folder: Path, exit_: Exit) -> str | None:
    """How what ran in that folder failed, and why by its log; None: it ended well."""
    if exit_.code == 0:
        return None
    how = "its exit is unknown" if not exit_.known else f"exit code {exit_.code}"
    how = f"killed by signal {exit_.signal}" if exit_.signal is not None else how
    words = words_of(folder / "training.log", exit_)
    return f"{how}: {words}" if words else how


def mend_of(words: str, *, root: Path, worktree: Path, cwd: str | None) -> str | None:
    """What to set where the program did not find a path that the main worktree has and git does not know.

    `include` is named with the topmost folder that its own worktree lacks. None where nothing of the kind is seen.
    """
    for path in crash.missing_paths(words):
        lacking = _lacking(os.path.normpath(worktree / (cwd or "") / path), root, worktree)
        if lacking is not None:
            return f"the main worktree has it untracked: include = [{kinds.toml_string(lacking)}] brings it along"
    return None


def _lacking(path: str, root: Path, worktree: Path) -> str | None:
    """The topmost part of the path that lies untracked in the main worktree and not in this one."""
    try:
        inside = Path(path).relative_to(worktree)
        parts = [*reversed(inside.parents[:-1]), inside]
        if path_problem(str(inside)) or not (root / inside).exists():
            return None
        topmost = next((part for part in parts if not os.path.lexists(worktree / part)), None)
        if (
            topmost is None
            or command.run(root, "--literal-pathspecs", "ls-files", "-z", "--", str(topmost)).items
        ):
            return None
        return f"{topmost}/" if (root / topmost).is_dir() else str(topmost)
    except (OSError, ValueError, WtraceError):
        return None  # a hint is not worth a failure


def _tail(log: Path) -> str:
    fd = open_if_regular(log)
    if fd is None:
        return ""
    try:
        size = os.fstat(fd).st_size
        return os.pread(fd, TAIL_BYTES, max(0, size - TAIL_BYTES)).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(fd)
