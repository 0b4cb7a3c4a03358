"""`wtrace evidence`: run a worker's tests and keep the outcome on its branch."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from wtrace.cli import common as complete
from wtrace.cli.commands.merge import busy_worktrees
from wtrace.cli.common import ConfigOption, TrustOption, find_root, read_config, require_trust
from wtrace.data import data, replace
from wtrace.errors import ToolError, UsageError
from wtrace.git import lock, refs, registry
from wtrace.git.branches import head_commit
from wtrace.git.changes import changed_files
from wtrace.git.commit import Message, commit_files, require_identity
from wtrace.git.find import common_dir
from wtrace.publish.markdown.junit import Tried, broken_promise, evidence_page, read_junit, without_host
from wtrace.supervisor.jobs.launch import GIT_LOCAL, python_of
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wtrace.config.spec import RaceSpec, WorkerSpec
    from wtrace.git.refs import Held
    from wtrace.publish.markdown.junit import Colour
    from wtrace.race.redaction import Redaction

KEPT, NO_EVIDENCE = 0, 1


class ColourChoice(StrEnum):
    """Tests that must fail, or tests that must pass."""

    RED = "red"
    GREEN = "green"


def evidence(
    colour: Annotated[ColourChoice, typer.Argument(metavar="red|green", help="What the tests must do.")],
    worker: Annotated[str, typer.Argument(metavar="WORKER", autocompletion=complete.configured)],
    pytest_args: Annotated[list[str] | None, typer.Argument(metavar="[-- PYTEST ARGS]")] = None,
    config: ConfigOption = None,
    trust: TrustOption = False,
) -> int:
    """Run a worker's tests in its worktree, and commit the outcome on its branch, under artifacts/.

    red must fail and green must pass; what cannot run is neither. Exit code 1: it was not so, and nothing is kept;
    or it was, but the branch could not be moved, and the command that finishes is printed.
    """
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
    from wtrace.config.names import did_you_mean

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


@data
class Kept:
    """What became of the evidence: `problem` says why it is none; `held` why the branch was not moved to `commit`."""

    tried: Tried
    problem: str | None = None
    commit: str | None = None
    files: tuple[str, ...] = ()
    held: Held | None = None
    ref: str | None = None  # what keeps the commit then


def gather_evidence(
    root: Path,
    worker: WorkerSpec,
    worktree: Path,
    colour: Colour,
    args: Sequence[str],
    *,
    redaction: Redaction,
) -> Kept:
    """Run the tests with pytest and, if the outcome is what the colour asks for, commit it on the worker's branch.

    What `redaction` takes out is not in it. Only the evidence is committed; other changes in the worktree stay as they are, staged or not. UsageError where
    the worktree is not ready for it; ToolError when git fails or Python cannot be started.
    """
    require_identity(root)
    _require_worktree(root, worker, worktree)
    commit, changed = head_commit(worktree), changed_files(worktree)
    command = (python_of(worktree), "-m", "pytest", *args)
    at = time.time()
    exit_code, junit = _run_pytest(worker, worktree, command)
    try:
        cases, unread = (read_junit(junit) if junit else ()), None
    except ValueError as error:
        cases, unread = (), str(error)
    problem = unread or broken_promise(colour, exit_code, cases)
    cases = tuple(replace(case, message=redaction.text(case.message)) for case in cases)
    facts = {"command": redaction.text(shlex.join(("python", *command[1:])))}
    tried = Tried(colour, worker.name, worker.branch, commit, changed, exit_code, cases, at, facts)
    if problem:
        return Kept(tried, problem)
    report = redaction.text(without_host(junit).decode("utf-8", "surrogateescape"))
    return _commit(root, tried, report.encode("utf-8", "surrogateescape"))


def _require_worktree(root: Path, worker: WorkerSpec, worktree: Path) -> None:
    entry = registry.find_linked(common_dir(root), worktree)
    if entry is None:
        raise UsageError(f"worker {worker.name} has no worktree {worktree}", hint="`wtrace setup` makes it")
    if entry.operation or entry.branch != worker.branch:
        state = (
            f"{entry.operation} is in progress"
            if entry.operation
            else f"it is on {entry.branch or 'no branch'}"
        )
        raise UsageError(f"the worktree {worktree} should be on branch {worker.branch}", seen=state)


def _run_pytest(worker: WorkerSpec, worktree: Path, command: Sequence[str]) -> tuple[int, bytes]:
    """pytest's exit code and its report (empty where it wrote none). The user sees what it prints."""
    kept = {name: value for name, value in os.environ.items() if name not in GIT_LOCAL}
    # A bytecode file from before an edit within the same second would answer for the new source.
    env = {**kept, **worker.env, "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryDirectory(prefix="wtrace-") as folder:
        report = Path(folder) / "junit.xml"
        try:
            done = subprocess.run([*command, f"--junitxml={report}"], cwd=worktree, env=env, check=False)
        except OSError as error:
            raise ToolError(f"cannot start {command[0]}", seen=str(error)) from error
        return done.returncode, report.read_bytes() if report.is_file() else b""


def _commit(root: Path, tried: Tried, junit: bytes) -> Kept:
    folder = f"artifacts/{tried.colour}"
    # Named by worker: branches that are merged into one do not meet in these files.
    files: dict[str, bytes | Path] = {
        f"{folder}/{tried.worker}.junit.xml": junit,
        f"{folder}/{tried.worker}.md": evidence_page(tried).encode("utf-8", errors="backslashreplace"),
    }
    subject = f"Evidence ({tried.colour}): {tried.counts}"
    trailers = (("Wtrace-Worker", tried.worker), ("Wtrace-Tested", tried.commit))
    common = common_dir(root)
    with lock.writing(common):
        commit = commit_files(root, tried.commit, files, Message(subject, trailers=trailers))
        step = refs.Move(tried.branch, tried.commit, commit, f"wtrace: {subject}")
        try:
            held = refs.move(root, common, step, only_if_clean=False)
        except refs.MovedMeanwhile as moved:
            raise UsageError(
                f"branch {tried.branch} was moved while its tests ran", hint="run the command again"
            ) from moved
        ref = f"refs/wtrace/evidence/{tried.worker}/{tried.colour}"
        if held is not None:
            refs.keep(root, ref, commit)
    return Kept(tried, commit=commit, files=tuple(files), held=held, ref=None if held is None else ref)
