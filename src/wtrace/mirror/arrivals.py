"""What comes from another machine, looked at before it lies where somebody works.

rsync puts it into a folder of its own. From there only regular files of names that do nothing by themselves, and links
that stay inside, are given their places; the rest is taken away again. An honest machine is not even asked for it.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace import files
from wtrace.config.names import acting_problem, arriving_problem
from wtrace.mirror.rsync import PARTIAL
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FOLDER = ".arriving"
FILE_MODE = 0o600
LARGEST_PAGE = 4_000_000  # bytes
MOST_NAMED = 5


def take_over(arrived: Path, place: Path, wanted: Callable[[str], bool]) -> list[str]:
    """Give every file below `arrived` that is wanted its place below `place`; the others' paths, which are gone now.

    `wanted` is asked about files, by their relative paths. Nothing else that lies at `place` is touched. Pages in
    Markdown get there without what would steer a terminal. OSError passes through.
    """
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    refused: list[str] = []
    for root, folders, names, here in os.fwalk(arrived, follow_symlinks=False):
        below = Path(root).relative_to(arrived).parts
        for name in [*folders, *names]:
            path = "/".join((*below, name))
            mode = os.lstat(name, dir_fd=here).st_mode
            if name == PARTIAL:
                continue
            refusing = arriving_problem(name) is not None
            if stat.S_ISDIR(mode) and not refusing:
                continue
            if refusing or not wanted(path) or not _place(place, below, name, here, mode):
                refused.append(path)
                _take_away(name, here, mode)
        folders[:] = [name for name in folders if name != PARTIAL and arriving_problem(name) is None]
    return refused


def _place(place: Path, below: tuple[str, ...], name: str, here: int, mode: int) -> bool:
    """Whether it could be given its place: a regular file, or a link that stays inside."""
    if stat.S_ISLNK(mode):
        target = os.readlink(name, dir_fd=here)
        if not files.leads_inside(target, len(below)):
            return False
        with files.opened(place, below, make=True, over_links=True) as folder:
            files.put_link(folder, name, target)
        return True
    if not stat.S_ISREG(mode):
        return False
    os.chmod(name, FILE_MODE, dir_fd=here)
    with files.opened(place, below, make=True, over_links=True) as folder:
        if name.endswith(".md"):
            _put_page(folder, name, here)
        else:
            files.put_same(folder, name, here, name)
    return True


def _put_page(folder: int, name: str, here: int) -> None:
    with os.fdopen(files.open_regular(name, here), "rb") as file:
        text = file.read(LARGEST_PAGE).decode("utf-8", "replace")
    with files.draft(folder, name) as page:
        page.write("\n".join(map(plain, text.split("\n"))).encode())


def _take_away(name: str, here: int, mode: int) -> None:
    if stat.S_ISDIR(mode):
        shutil.rmtree(name, dir_fd=here)
    else:
        os.unlink(name, dir_fd=here)


def left_there(told: str) -> list[str]:
    """Of the names that rsync lists, `-v`, those that are not fetched: the topmost of each, as they can be shown."""
    lines = (re.sub(r"\\#(\d{3})", lambda found: chr(int(found[1], 8)), line) for line in told.splitlines())
    return list(dict.fromkeys(top for line in lines if (top := _acting_part(line)) is not None))


def left_here(folder: Path) -> list[str]:
    """What below this folder is not sent."""
    found: list[str] = []
    for root, folders, names in os.walk(folder):
        below = Path(root).relative_to(folder)
        found += [str(below / name) for name in [*folders, *names] if acting_problem(name) is not None]
        folders[:] = [name for name in folders if acting_problem(name) is None]
    return found


def _acting_part(path: str) -> str | None:
    """The path up to the first name that is not to be used; None where all are."""
    parts = path.rstrip("/").split("/")
    for index, name in enumerate(parts):
        if name not in ("", ".") and acting_problem(name) is not None:
            return "/".join(parts[: index + 1])
    return None


def in_words(left_out: Iterable[str]) -> str | None:
    """What was left out, in a line that is safe to print; None: nothing was."""
    named = _named(left_out)
    return named and f"left out, since tools may act upon such names: {named}"


def not_whole_in_words(left_out: Iterable[str]) -> str | None:
    """The same of files that may be torn."""
    named = _named(left_out)
    return named and f"left out, since it may not be whole, as the report says: {named}"


def _named(paths: Iterable[str]) -> str | None:
    names = [plain(name, 80) for name in dict.fromkeys(paths)]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}" if names else None
