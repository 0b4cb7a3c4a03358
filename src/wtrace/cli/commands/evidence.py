"""`wtrace evidence`: run a worker's tests and keep the outcome on its branch."""

from __future__ import annotations

import sys
from enum import StrEnum
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from wtrace.cli import complete
from wtrace.cli.commands.merge import busy_worktrees
from wtrace.cli.common import ConfigOption, TrustOption, find_root, read_config, require_trust
from wtrace.errors import UsageError
from wtrace.text import plain

if TYPE_CHECKING:
    from pathlib import Path

    from wtrace.cli.commands.testing import Kept
    from wtrace.config.spec import RaceSpec, WorkerSpec

KEPT, NO_EVIDENCE = 0, 1


class Colour(StrEnum):
    """Tests that must fail, or tests that must pass."""

    RED = "red"
    GREEN = "green"


def evidence(
    colour: Annotated[Colour, typer.Argument(metavar="red|green", help="What the tests must do.")],
    worker: Annotated[str, typer.Argument(metavar="WORKER", autocompletion=complete.configured)],
    pytest_args: Annotated[list[str] | None, typer.Argument(metavar="[-- PYTEST ARGS]")] = None,
    config: ConfigOption = None,
    trust: TrustOption = False,
) -> int:
    """Run a worker's tests in its worktree, and commit the outcome on its branch, under artifacts/.

    red must fail and green must pass; what cannot run is neither. Exit code 1: it was not so, and nothing is kept;
    or it was, but the branch could not be moved, and the command that finishes is printed.
    """
    from wtrace.cli.commands.testing import gather_evidence
    from wtrace.supervisor.publishing.redacting import redaction_in

    root = find_root()
    spec = read_config(root, config)
    found = _worker(spec, worker)
    require_trust(root, spec, approve=trust)
    worktree = _worktree(root, spec, found)
    sys.stdout.flush()  # pytest writes to the same place
    redaction = redaction_in(root, spec)
    kept = gather_evidence(root, found, worktree, colour.value, pytest_args or [], redaction=redaction)
    return _tell(kept)


def _worker(spec: RaceSpec, name: str) -> WorkerSpec:
    from wtrace.config.nearest import did_you_mean

    known = [worker.name for worker in spec.workers]
    if name not in known:
        raise UsageError(f"there is no worker {name} in this config{did_you_mean(name, known)}")
    return spec.worker(name)


def _worktree(root: Path, spec: RaceSpec, worker: WorkerSpec) -> Path:
    from wtrace.supervisor.create import worktrees_folder

    worktree = worktrees_folder(root, spec) / worker.name
    if worktree in busy_worktrees(root):
        raise UsageError(f"worker {worker.name} is in a race that runs", hint="`wtrace stop` ends it")
    return worktree


def _tell(kept: Kept) -> int:
    tried = kept.tried
    if kept.problem or kept.commit is None:
        print(plain(f"no evidence ({tried.colour}) of {tried.worker}: {kept.problem}"))
        return NO_EVIDENCE
    print(plain(f"{tried.colour}: {tried.worker}: {tried.counts}"))
    if tried.changed:
        print(plain(f"tested with changes that are not committed: {', '.join(tried.changed[:5])}"))
    if kept.held is not None:
        print(plain(f"branch {tried.branch} was left as it is: {kept.held.reason}"))
        where = quote(str(kept.held.path)) if kept.held.path else "WORKTREE"
        print(plain(f"kept at {kept.ref}; to finish: git -C {where} merge --ff-only {kept.ref}"))
        return NO_EVIDENCE
    print(plain(f"committed on {tried.branch} as {kept.commit[:12]}:"))
    for file in kept.files:
        print(plain(f"  {file}"))
    return KEPT
