"""Which of a loser's checkpoints are kept, and which are in nobody's way of being removed."""

from __future__ import annotations

import posixpath
from dataclasses import field
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.race.whole import NOT_THERE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from wtrace.config.spec import KeepCheckpoints


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
    doubts: Mapping[str, str] = field(default_factory=dict)  # why some that are kept may not be whole


def thinning(
    policy: KeepCheckpoints,
    named: Sequence[Named],
    best_epoch: int | None,
    claimed: Iterable[str],
    doubt: Callable[[str], str | None] = lambda _: None,
) -> Thinning:
    """What becomes of the checkpoints that checks named, in the order of their arrival.

    "best" is that of the check which met most criteria; where it named none, the last one stands for it. A path that
    several checks name is one checkpoint. One that was claimed with is always kept. `doubt` says why one may not be
    whole: it is not removed, and where it is the one to be kept, nothing is.
    """
    inside = [(each, path) for each in named if (path := _inside(each.path)) is not None]
    every = tuple(dict.fromkeys(path for _, path in inside))
    if policy == "all" or not every:
        return Thinning(every, ())
    best = [path for each, path in inside if each.judged and each.epoch == best_epoch]
    wanted = best[:1] if policy == "best" and best else [inside[-1][1]]
    doubts = {path: why for path in every if (why := doubt(path)) is not None}
    if any(path in doubts for path in wanted):
        return Thinning(every, (), doubts)
    doubts = {path: why for path, why in doubts.items() if why != NOT_THERE}  # removed already
    kept = {*wanted, *doubts, *(path for each in claimed if (path := _inside(each)) is not None)}
    return Thinning(
        tuple(path for path in every if path in kept),
        tuple(path for path in every if path not in kept),
        doubts,
    )


def _inside(path: str) -> str | None:
    """The path in one spelling; None where it does not lie below the output folder."""
    plain = posixpath.normpath(path)
    return None if plain.startswith(("/", "../")) or plain in (".", "..") or "\0" in plain else plain
