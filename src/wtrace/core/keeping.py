"""Which of a loser's checkpoints are kept, and which are in nobody's way of being removed."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from wtrace.core.data import data

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wtrace.core.spec import KeepCheckpoints


@data
class Named:
    """A checkpoint that a check named; `path` is relative to the worker's output folder."""

    epoch: int
    path: str
    judged: bool


@data
class Thinning:
    """What is kept of a worker's checkpoints, and what is not. Both are paths below its output folder."""

    kept: tuple[str, ...]
    removed: tuple[str, ...]


def thinning(
    policy: KeepCheckpoints, named: Sequence[Named], best_epoch: int | None, claimed: Iterable[str]
) -> Thinning:
    """What becomes of the checkpoints that checks named, in the order of their arrival.

    "best" is that of the check which met most criteria; where it named none, the last one stands for it. A path that
    several checks name is one checkpoint. One that was claimed with is always kept.
    """
    inside = [(each, path) for each in named if (path := _inside(each.path)) is not None]
    every = tuple(dict.fromkeys(path for _, path in inside))
    if policy == "all" or not every:
        return Thinning(every, ())
    best = [path for each, path in inside if each.judged and each.epoch == best_epoch]
    wanted = best[:1] if policy == "best" and best else [inside[-1][1]]
    kept = {*wanted, *(path for each in claimed if (path := _inside(each)) is not None)}
    return Thinning(
        tuple(path for path in every if path in kept), tuple(path for path in every if path not in kept)
    )


def _inside(path: str) -> str | None:
    """The path in one spelling; None where it does not lie below the output folder."""
    plain = posixpath.normpath(path)
    return None if plain.startswith(("/", "../")) or plain in (".", "..") or "\0" in plain else plain
