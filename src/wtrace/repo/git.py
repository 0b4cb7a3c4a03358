"""The one place where git is called, in an environment that nobody else has a say in."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from wtrace.core.data import data
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
    command = ["git", "--no-pager", "-C", str(folder), "-c", "core.quotepath=false", *args]
    try:
        done = subprocess.run(
            command,
            env={**_environment(folder), **(env or {})},
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
        raise _failure(args, outcome)
    return outcome


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
