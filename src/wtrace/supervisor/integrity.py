"""Fair play: the files that judge are the same in every branch, when the race begins and when somebody claims."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.errors import ConfigError
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LARGEST_BYTES = 64 * 1024 * 1024


def judge_digests(worktrees: Mapping[str, Path], files: Sequence[str]) -> dict[str, str]:
    """The sha256 of each file that judges, by its path in the repo. `worktrees` are by branch.

    ConfigError names the branch that lacks a file or has another one, and the first line that differs.
    """
    digests: dict[str, str] = {}
    for name in files:
        contents = {branch: read(worktree, name) for branch, worktree in worktrees.items()}
        first, expected = next(iter(contents.items()))
        for branch, content in contents.items():
            if content is None:
                raise ConfigError(
                    f"judge.files: branch {branch} has no {name}",
                    hint="every branch is judged by the same files: merge it there",
                )
            if content != expected:
                raise ConfigError(
                    f"judge.files: {name} of branch {branch} is not that of branch {first}",
                    seen=_first_difference(expected or b"", content),
                    hint="every branch is judged by the same files: make them byte-equal",
                )
        digests[name] = hashlib.sha256(expected or b"").hexdigest()
    return digests


def changed_judge_file(worktree: Path, digests: Mapping[str, str]) -> str | None:
    """Why a claim from this worktree cannot count: which file that judges is not what it was; None: all are."""
    for name, digest in digests.items():
        content = read(worktree, name)
        if content is None:
            return f"{name}, which judges, is gone from its worktree"
        if hashlib.sha256(content).hexdigest() != digest:
            return f"{name}, which judges, was changed in its worktree"
    return None


def read(worktree: Path, name: str) -> bytes | None:
    """The file's bytes; None where there is no such file, or something else than one that could judge. It never waits."""
    try:
        file = os.open(
            worktree / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        )  # a link of the branch's is followed
        with os.fdopen(file, "rb") as opened:
            info = os.fstat(file)
            is_one = stat.S_ISREG(info.st_mode) and info.st_size <= LARGEST_BYTES
            return opened.read() if is_one else None
    except OSError:
        return None


def _first_difference(one: bytes, other: bytes) -> str:
    import difflib

    lines = difflib.unified_diff(
        one.decode("utf-8", "replace").splitlines(),
        other.decode("utf-8", "replace").splitlines(),
        lineterm="",
        n=0,
    )
    changed = [plain(line, 120) for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    return "\n".join(changed[:2]) or "they differ in line ends or in bytes that cannot be shown"
