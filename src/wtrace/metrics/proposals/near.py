"""The line that comes nearest to a pattern which matches none, and how far the pattern goes along with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wtrace.config import compound_kinds
from wtrace.data import data

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_TRIED = 20  # lines
LONGEST_PREFIX = 400  # characters of a pattern
LONGEST_TOLD = 120
LEAST = 3  # characters; less in common is chance


@data
class Near:
    """A line, and how many of its characters, from `begin` to `end`, the pattern's beginning matches."""

    line: str
    begin: int
    end: int
    but_for_case: bool = False  # all of the pattern would match, were capital letters small ones

    @property
    def told(self) -> str:
        """The line and the place, in words."""
        line = self.line.strip()[:LONGEST_TOLD]
        if self.but_for_case:
            return f"nearest: {line!r}, but for its capital letters"
        return f"nearest: {line!r}, up to {self.line[self.begin : self.end].strip()[-LONGEST_TOLD:]!r}"


def nearest(pattern: str, lines: Sequence[str]) -> Near | None:
    """The line of which the longest beginning of the pattern matches; None where none has anything in common with it.

    Alternatives (`A|B`) are looked at one by one, those that match a line left out. Of equal lines the last one is named.
    """
    words = _words(pattern)
    likely = sorted(lines, key=lambda line: -sum(word in line.lower() for word in words))[:MOST_TRIED]
    found: Near | None = None
    silent = (each for each in _alternatives(pattern) if not _matches_any(each, lines))
    for beginnings in map(_beginnings, silent):
        for line in likely:
            here = _longest(beginnings, line)
            if here is not None and (found is None or here.end - here.begin >= found.end - found.begin):
                found = here
    return found if found is not None and found.end - found.begin >= LEAST else None


def _matches_any(pattern: str, lines: Sequence[str]) -> bool:
    try:
        compiled = compound_kinds.compiled(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    return any(compiled.search(line) for line in lines)


def _words(pattern: str) -> set[str]:
    """What stands in the pattern as it is, in small letters."""
    bare = re.sub(r"\(\?P<\w+>|\\[a-zA-Z]|\[[^\]]*\]", " ", pattern)
    return {word.lower() for word in re.findall(r"[A-Za-z_]{2,}", bare)}


def _alternatives(pattern: str) -> list[str]:
    """The parts between the `|` that stand in no group."""
    parts, depth, begin, at = [], 0, 0, 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            at += 1
        elif char == "[":
            closed = pattern.find("]", at + 2)
            at = closed if closed > 0 else at
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char == "|" and depth == 0:
            parts.append(pattern[begin:at])
            begin = at + 1
        at += 1
    return [*parts, pattern[begin:]]


def _beginnings(pattern: str) -> list[re.Pattern[str]]:
    """Its beginnings that are patterns themselves, the longest first; capital letters are not told from small ones."""
    found = []
    for length in range(min(len(pattern), LONGEST_PREFIX), 0, -1):
        try:
            found.append(compound_kinds.compiled(pattern[:length], ignore_case=True))
        except (re.error, RecursionError, OverflowError):
            continue
    return found


def _longest(beginnings: Sequence[re.Pattern[str]], line: str) -> Near | None:
    for pattern in beginnings:
        match = pattern.search(line)
        if match is not None:
            whole = pattern is beginnings[0]
            return Near(line, *match.span(), but_for_case=whole) if match.end() > match.start() else None
    return None
