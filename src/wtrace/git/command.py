"""The one place where git is called, in an environment that nobody else has a say in.

A repository's own settings name commands: hooks, filters, merge drivers, ways to fetch. Until the user has approved what
the race does (`let_act`), git is called so that it starts none of them; a monitor of files it never starts.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.errors import ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

# What the caller may say by GIT_…: where its configuration lies, who it is, how it reaches others.
# All else (GIT_DIR, GIT_INDEX_FILE, … : hooks and aliases set them) would send git to another repository.
_KEPT = {
    "GIT_ALLOW_PROTOCOL",
    "GIT_ASKPASS",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_EXEC_PATH",
    "GIT_TEMPLATE_DIR",
}
_KEPT_PREFIXES = (
    "GIT_AUTHOR_",
    "GIT_COMMITTER_",
    "GIT_CONFIG_KEY_",
    "GIT_CONFIG_VALUE_",
    "GIT_LFS_",
    "GIT_SSH",
    "GIT_SSL_",
)


_NEVER = ("-c", "core.fsmonitor=false", "-c", "log.showSignature=false")
_WITHOUT_HOOKS = ("-c", f"core.hooksPath={os.devnull}")
_NOTHING, _AS_USUAL = "WTRACE_NO_COMMAND", "WTRACE_USUAL_MERGE"
_WITHOUT_FETCHING = {
    "GIT_ALLOW_PROTOCOL": "none",  # no transport is called so: whatever fetches fails
    "GIT_NO_LAZY_FETCH": "1",
    _NOTHING: "",
    _AS_USUAL: "git merge-file --quiet --marker-size=%L %A %O %B",
}
_OF_LFS = re.compile(r"git-lfs (clean|smudge|filter-process)( --skip)?( -- %f)?")
_may_act = False


@data
class Outcome:
    """What a git command came to: its exit code, its output as bytes, its last words."""

    code: int
    out: bytes
    error: str

    @property
    def text(self) -> str:
        """The output as text, without the last line break; file names come back exactly through `os.fsencode`."""
        return os.fsdecode(self.out).removesuffix("\n")

    @property
    def items(self) -> list[str]:
        """The parts of an output that ends each of them by NUL."""
        return [part for part in os.fsdecode(self.out).split("\0") if part]


def run(
    folder: Path,
    *args: str,
    ok: Collection[int] | None = (0,),
    env: Mapping[str, str] | None = None,
    keep_open: Collection[int] = (),
) -> Outcome:
    """Run `git ARGS` in `folder`, the top of a worktree or a git folder; no shell, no terminal, no pager.

    `keep_open` are file descriptors that git and its children inherit. ToolError when git is missing or
    ends with a code that is not in `ok` (None: any will do).
    """
    if any("\0" in arg for arg in args):
        raise UsageError("a name holds a NUL byte", seen=repr(next(arg for arg in args if "\0" in arg)))
    restrained = () if _may_act else (*_WITHOUT_HOOKS, *_without_commands(folder))
    return _run(folder, (*restrained, *args), args, ok=ok, env=env or {}, keep_open=keep_open)


def let_act() -> None:
    """From here on git starts what the repository's own settings name: the user has approved, or asked for a merge.

    Holds for this process, to its end.
    """
    global _may_act  # noqa: PLW0603 - it is about this process, and only ever goes one way
    _may_act = True


def restrained_environment() -> Mapping[str, str]:
    """What keeps a git that somebody else starts for us from fetching, until `let_act`."""
    return {} if _may_act else _WITHOUT_FETCHING


def _run(
    folder: Path,
    words: tuple[str, ...],
    told: tuple[str, ...],
    *,
    ok: Collection[int] | None,
    env: Mapping[str, str],
    keep_open: Collection[int] = (),
) -> Outcome:
    command = ["git", "--no-pager", "-C", str(folder), "-c", "core.quotepath=false", *_NEVER, *words]
    try:
        done = subprocess.run(
            command,
            env={**_environment(folder), **restrained_environment(), **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            pass_fds=tuple(keep_open),
            check=False,
        )
    except FileNotFoundError as error:
        raise ToolError("git was not found", seen=str(error), hint="install git") from error
    except OSError as error:
        raise ToolError("git could not be started", seen=str(error)) from error
    outcome = Outcome(done.returncode, done.stdout, done.stderr.decode(errors="replace").strip())
    if ok is not None and outcome.code not in ok:
        raise _failure(told, outcome)
    return outcome


@functools.cache
def _without_commands(folder: Path) -> tuple[str, ...]:
    """Options that take their commands from the repository's filters and merge drivers: git then does as without.

    Git LFS' own are let be: without them its files would seem changed.
    """
    asked = (
        "config",
        "-z",
        "--show-scope",
        "--get-regexp",
        r"^(filter|merge)\..*\.(clean|smudge|process|driver)$",
    )
    items = _run(folder, asked, asked, ok=None, env={}).items
    options = []
    for scope, item in zip(items[::2], items[1::2], strict=False):
        name, _, value = item.partition("\n")
        if scope in ("local", "worktree") and not _OF_LFS.fullmatch(value):
            options.append(f"--config-env={name}={_AS_USUAL if name.startswith('merge.') else _NOTHING}")
    return tuple(options)


def last_line(outcome: Outcome) -> str:
    """What git said last about its trouble: its `fatal:` or `error:` line where there is one."""
    lines = [line.strip() for line in outcome.error.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return (told or lines or ["no message"])[-1]


def _failure(args: tuple[str, ...], outcome: Outcome) -> ToolError:
    command = " ".join([word for word in args if not word.startswith("-")][:2])
    hint = None
    if "dubious ownership" in outcome.error:
        hint = (
            "another user owns this folder; if you trust it: git config --global --add safe.directory FOLDER"
        )
    return ToolError(f"`git {command}` failed (exit {outcome.code})", seen=last_line(outcome), hint=hint)


def _environment(folder: Path) -> dict[str, str]:
    """Ours, and of the caller's what is not about another repository."""
    kept = {name: value for name, value in os.environ.items() if not _is_foreign(name)}
    return {
        **kept,
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        # Asking must not rewrite an index that the user or a worker may be writing at the same time.
        "GIT_OPTIONAL_LOCKS": "0",
        # A folder that lost its `.git` must not be taken for a part of the repository around it.
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
    }


def _is_foreign(name: str) -> bool:
    return name.startswith("GIT_") and name not in _KEPT and not name.startswith(_KEPT_PREFIXES)
