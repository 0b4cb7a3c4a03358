"""`wtrace clean`: remove the worktrees that hold no work of the user's."""

from __future__ import annotations

from pathlib import Path

from wtrace.cli.common import find_root, latest_standing
from wtrace.text import plain


def clean() -> None:
    """Remove worktrees that wtrace made and that hold no work of yours. Those that do are kept and named."""
    from wtrace.git.clean import clean as clean_worktrees

    root = find_root()
    cleaned = clean_worktrees(root, busy=_busy(root))
    for worktree in cleaned:
        if worktree.removed:
            print(plain(f"removed  {worktree.path}"))
        else:
            print(plain(f"kept     {worktree.path}: {'; '.join(worktree.reasons)}"))
    if not cleaned:
        print("there are no worktrees of wtrace's")


def _busy(root: Path) -> list[Path]:
    """Where a worker of the newest race may still be running."""
    standing = latest_standing(root)
    if standing is None:
        return []
    supervised = standing.supervisor_alive and standing.ended is None
    return [
        Path(worker.worktree)
        for worker in standing.workers
        if worker.exit is None and (supervised or worker.pid is not None)
    ]
