"""What in `.wtrace/` cannot be wtrace's own. A repo's content must not pass for what was recorded on this machine.

Standard library only, and of that `os` and `stat`: `wtrace status` asks here first.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False  # importing `typing` costs as much as the whole question
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Refuse = Callable[[str], str | None]

HOME = ".wtrace"
LATEST = "latest"
NEWEST = ("training.log", "metrics.jsonl", "exit.json")
"""Of a worker's folder: links to these files of its newest attempt."""
MOST_DEPTH = 8


def problem(root: str) -> str | None:
    """Why `.wtrace/` of the repo at `root` cannot be relied on; None where there is none, or it is our own."""
    home = os.path.join(root, HOME)  # noqa: PTH118 (pathlib costs more than the whole answer)
    try:
        about = os.lstat(home)
    except OSError:
        return None
    if not stat.S_ISDIR(about.st_mode):
        return f"{home} is {_kind(about.st_mode)}, not a folder"
    if about.st_uid != os.geteuid():
        return f"{home} belongs to another user"
    entries = _problem_of_entries(
        home, is_ours=lambda entry: entry.name == LATEST and _leads_to_race(entry.path)
    )
    return entries or _problem_of_races(os.path.join(home, "races"))  # noqa: PTH118


def problem_of_race(folder: str) -> str | None:
    """The same of one race's folder. What a worker has put into its output, and a claim's copy of it, are not asked."""
    return next(filter(None, _problems_below(folder, 0)), None)


def _problem_of_races(races: str) -> str | None:
    try:
        with os.scandir(races) as entries:
            found = next((entry for entry in entries if not entry.is_dir(follow_symlinks=False)), None)
    except OSError:
        return None
    return None if found is None else f"{found.path} is {_kind(_mode(found))}, not a folder"


def _problem_of_entries(folder: str, is_ours: Callable[[os.DirEntry[str]], bool]) -> str | None:
    with os.scandir(folder) as entries:
        for entry in entries:
            mode = _mode(entry)
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and not (stat.S_ISLNK(mode) and is_ours(entry)):
                return f"{entry.path} is {_kind(mode)}"
    return None


def _problems_below(folder: str, depth: int) -> Iterator[str | None]:
    try:
        mode = os.lstat(folder).st_mode
    except OSError:
        return
    if not stat.S_ISDIR(mode):
        yield f"{folder} is {_kind(mode)}, not a folder"
        return
    if os.path.basename(folder) == "requests":  # noqa: PTH119 - the supervisor puts aside what is no request
        return
    yield _problem_of_entries(folder, is_ours=lambda entry: depth == 1 and _leads_to_attempt(entry))
    with os.scandir(folder) as entries:
        below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    for path in below:
        if depth < MOST_DEPTH and not _is_others(path, depth):
            yield from _problems_below(path, depth + 1)


def _is_others(path: str, depth: int) -> bool:
    """A worker's output, or what a claim has kept of it: a training puts there what it likes."""
    parent, name = os.path.split(path)
    return depth == 1 and (name == "output" or os.path.basename(parent) == "claims")  # noqa: PTH119


def _leads_to_race(path: str) -> bool:
    parts = _text_of(path)
    return len(parts) == 2 and parts[0] == "races" and parts[1] not in ("", ".", "..")


def _leads_to_attempt(entry: os.DirEntry[str]) -> bool:
    """`training.log -> attempts/2/training.log`, and the draft of such a link."""
    name = entry.name.removeprefix(".").removesuffix(".new")
    parts = _text_of(entry.path)
    return name in NEWEST and len(parts) == 3 and parts[::2] == ["attempts", name] and parts[1].isdigit()


def _text_of(link: str) -> list[str]:
    try:
        return os.readlink(link).split("/")  # noqa: PTH115
    except OSError:  # replaced just now: whoever replaces it is the supervisor
        return []


def _mode(entry: os.DirEntry[str]) -> int:
    if entry.is_file(follow_symlinks=False):  # known from the folder itself
        return stat.S_IFREG
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    try:
        return entry.stat(follow_symlinks=False).st_mode
    except OSError:  # gone meanwhile
        return stat.S_IFREG


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a link"
    return "a file" if stat.S_ISREG(mode) else "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
