"""The name that was probably meant: for every message about a name that wtrace does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

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
