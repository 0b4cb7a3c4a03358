"""`wtrace setup` and `wtrace clean`: one worktree per worker, made and removed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wtrace.cli.common import (
    ConfigOption,
    TrustOption,
    find_root,
    latest_standing,
    read_config,
    require_trust,
)
from wtrace.race.paths import Layout
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtrace.git.worktrees import Prepared


def setup(config: ConfigOption = None, trust: TrustOption = False) -> None:
    """Make one worktree per worker, and the branches that are missing; what is there already is kept.

    Brings along what `include` names, and runs the commands of `setup` where they have not run yet.
    """
    from wtrace.supervisor import run
    from wtrace.supervisor.create import check_commands
    from wtrace.supervisor.jobs.setup import set_up_now
    from wtrace.supervisor.merging import merge_outlook

    root = find_root()
    spec = read_config(root, config)
    require_trust(root, spec, approve=trust)
    prepared = run.set_up(root, spec)
    for made in prepared:
        for line in describe(made):
            print(line)
    check_commands(spec, prepared)
    prepared = set_up_now(root, spec, prepared, told=lambda line: print(plain(line), flush=True))
    for forecast in merge_outlook(root, spec, {made.worker: made.commit for made in prepared}):
        if not forecast.clean:
            print(plain(f"if {forecast.worker} wins, it {forecast.words}"))


def describe(made: Prepared) -> Iterator[str]:
    """What was done for one worker, in a line or a few."""
    yield plain(f"{made.made:8} {made.worker}: {made.path} on {made.branch} at {made.commit[:12]}")
    if made.dirty:
        shown = ", ".join(made.dirty[:3]) + (", …" if len(made.dirty) > 3 else "")
        yield plain(f"         uncommitted changes are kept, used, and recorded as a patch: {shown}")
    for note in made.notes:
        yield plain(f"         {note}")


def clean(
    keep_files: Annotated[
        bool,
        typer.Option(
            "--keep-files", help="Keep worktrees in which a race left files, instead of moving these."
        ),
    ] = False,
) -> None:
    """Remove worktrees that wtrace made and that hold no work of yours. Those that do are kept and named.

    What a training made in its worktree is the race's, and is moved into the race's folder below .wtrace/.
    """
    from wtrace.git.clean import clean as clean_worktrees
    from wtrace.supervisor.spans import spans

    root = find_root()
    busy = _busy(root)
    cleaned = clean_worktrees(root, busy=busy, spans=spans(Layout(root)), keep_files=keep_files)
    for worktree in cleaned:
        if worktree.removed:
            print(plain(f"removed  {worktree.path}"))
            for reason in worktree.reasons:
                print(plain(f"         {reason}"))
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
