"""Files that lay there before an attempt began: what they held then is not read, unless they are written anew."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from wtrace.files import read_small, write_atomically
from wtrace.metrics.foreign.source_files import Leftover, not_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Sign = tuple[int, int, int]


LEFTOVERS = "leftovers.json"


def write_leftovers(file: Path, left: Mapping[str, Leftover]) -> None:
    """Note what lies there before an attempt begins, or what is left of that. OSError."""
    write_atomically(file, json.dumps(left))


def read_leftovers(folder: Path) -> dict[str, Leftover]:
    """What lay there before the attempt whose folder this is began, as it was noted.

    A file that is damaged says nothing: all that lies there then counts as the attempt's.
    """
    try:
        noted = json.loads(read_small(folder / LEFTOVERS))
        return {path: Leftover(*each) for path, each in noted.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


class OldFiles:
    """Watches them until it is clear what becomes of them. One that was written anew once is the attempt's for good."""

    def __init__(
        self, known: Mapping[str, Leftover], note: Callable[[Mapping[str, Leftover]], None] | None = None
    ) -> None:
        """`note` writes down what is left of them, for whoever reads the attempt after this process."""
        self._known = dict(known)
        self._note = note
        self._unclear: dict[Path, Sign | None] = {}

    def bytes_to_skip(self, path: Path) -> int:
        """How much at the beginning of this file is not the attempt's."""
        if str(path) not in self._known:
            return 0
        self._unclear[path] = _sign(path)
        skip = not_ours(path, self._known)
        if not skip:
            self._take_over(path)
        return skip

    def written_anew(self) -> list[Path]:
        """Of those of which something was skipped, the ones that turned out to be the attempt's since the last call."""
        return [path for path in list(self._unclear) if self._is_anew(path)]

    def _is_anew(self, path: Path) -> bool:
        sign = _sign(path)
        if sign is None or sign == self._unclear[path]:
            return False
        self._unclear[path] = sign
        if not not_ours(path, self._known):
            self._take_over(path)
            return True
        if sign[1] > self._known[str(path)].size:
            del self._unclear[path]  # something was appended to it
        return False

    def _take_over(self, path: Path) -> None:
        del self._unclear[path], self._known[str(path)]
        if self._note is not None:
            self._note(self._known)


def _sign(path: Path) -> Sign | None:
    try:
        info = path.lstat()
    except OSError:
        return None
    return info.st_ino, info.st_size, info.st_mtime_ns
