"""Which names, branches, paths and hosts are safe to use, and which known name is nearest to one that is not."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
LONGEST_NAME = 64
LONGEST_REF_PART = 250  # bytes; git adds ".lock", and file systems end at 255
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

SET_BY_WTRACE = frozenset(
    f"WTRACE_{name}" for name in ("METRICS", "OUTPUT", "WORKER", "RACE", "CHECK_EVERY", "MAX_EPOCHS")
)


def name_problem(name: str) -> str | None:
    """A name that is a folder's name and a part of a git ref, on every file system."""
    if not NAME.fullmatch(name):
        return "expected letters, digits, `.`, `_` and `-`, beginning with a letter or a digit"
    if len(name) > LONGEST_NAME:
        return f"expected at most {LONGEST_NAME} characters"
    if ".." in name or name.endswith((".", ".lock")):
        return "a name holds no `..` and ends neither with `.` nor with `.lock`"
    return None


def worker_name_problem(name: str) -> str | None:
    """A worker's name: its folder lies beside files of wtrace's own."""
    if name.casefold() in RESERVED_NAMES:
        return "this name is taken by wtrace's own files"
    return name_problem(name)


def branch_problem(branch: str) -> str | None:
    """A branch's name by the rules of `git check-ref-format --branch`."""
    if branch.startswith("-"):
        return "a branch name cannot begin with `-`"
    if branch in {"", "@", "HEAD"}:
        return "this cannot be the name of a branch"
    if branch.startswith("refs/heads/"):
        return "expected the branch's own name, without `refs/heads/`"
    forbidden = re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//", branch)
    if forbidden:
        return f"a branch name cannot hold {forbidden[0]!r}"
    if branch.startswith("/") or branch.endswith(("/", ".")):
        return "a branch name neither begins nor ends with `/`, nor ends with `.`"
    return _ref_part_problem(branch)


def path_problem(path: str) -> str | None:
    """A path inside a worktree: relative, and never out of it."""
    parts = path.split("/")
    if not path.strip() or CONTROL.search(path):
        return "expected a path without control characters"
    if path.startswith(("/", "~")) or ".." in parts:
        return "expected a path inside the worktree, relative and without `..`"
    if any(part.casefold() == ".git" for part in parts):
        return "git's own folder cannot be named here"
    return None


def acting_problem(name: str) -> str | None:
    """A file's or folder's own name that tools act upon where it lies: a hidden one, an option's, a repository's mark.

    Git takes a folder with `HEAD`, `objects` and `refs` for a repository, and runs what its config names.
    """
    if name.startswith((".", "-")):
        return "tools act upon hidden files, and take a dash for an option"
    if name.casefold() == "head" or re.fullmatch(r"(?i)git~\d.*", name):
        return "git would take its folder for a repository"
    if re.search(r"[\x00-\x1f\x7f]", name):
        return "it holds control characters"
    return None


def arriving_problem(path: str) -> str | None:
    """A relative path that comes from another machine: also none that looks like another."""
    for name in path.split("/"):
        if problem := acting_problem(name):
            return problem
        if plain(name) != name:
            return "it holds characters that cannot be seen"
    return None


def host_problem(host: str) -> str | None:
    """A name for ssh that cannot be read as an option, as a path or as more than one word."""
    if (
        host.startswith("-")
        or "@-" in host
        or not re.fullmatch(r"[A-Za-z0-9_.+-]+(@[A-Za-z0-9_.+-]+)?", host)
    ):
        return "expected a name that ssh knows, such as `macbook` or `user@host`"
    return None


def variable_problem(name: str) -> str | None:
    """The name of an environment variable."""
    if not name or "=" in name or CONTROL.search(name):
        return "expected the name of an environment variable"
    if name in SET_BY_WTRACE:
        return "wtrace sets this variable itself"
    return None


def text_problem(text: str) -> str | None:
    """Text on one line."""
    if not text.strip() or CONTROL.search(text):
        return "expected text on one line, not empty"
    return None


def _ref_part_problem(branch: str) -> str | None:
    for part in branch.split("/"):
        if part.startswith(".") or part.endswith(".lock"):
            return "no part of a branch name begins with `.` or ends with `.lock`"
        if len(part.encode(errors="replace")) > LONGEST_REF_PART:
            return f"no part of a branch name is longer than {LONGEST_REF_PART} bytes"
    return None


RESERVED_NAMES = frozenset({"claims", "requests", "results", "sync", "config.toml", "wtrace.log"})
"""Entries of a race's folder that a worker's name must not take."""


STEPS = frozenset(
    {
        "step", "steps", "globalstep", "iter", "iters", "iteration", "iterations", "it", "itr",
        "batch", "batches", "batchidx", "batchid", "batchindex", "minibatch", "update", "updates", "totaltimesteps",
    }
)  # fmt: skip
"""What tells apart several readings of one epoch, in small letters alone; none of these is a metric."""


@lru_cache(maxsize=1000)
def is_step(name: str) -> bool:
    """Whether something of this name counts steps, however it is written: `global_step`, `Step`, `batch_idx`."""
    return re.sub(r"[^a-z]", "", re.split(r"[/.]", name)[-1].lower()) in STEPS


LONGEST_GUESSED = 80  # difflib is quadratic, and nobody mistypes a longer name


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` is most like, upper and lower case alike, or None when none is near."""
    if not name or len(name) > LONGEST_GUESSED:
        return None
    import difflib

    by_folded = {each.casefold(): each for each in known}
    found = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?` with the nearest name, or nothing: the end of a message."""
    guess = nearest(name, known)
    return "" if guess is None else f"; did you mean `{guess}`?"
