"""What the figures say of the check that they show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.publish.figures.figure_data import NotDrawableError
from wtrace.publish.figures.style import shown
from wtrace.text import numbers

if TYPE_CHECKING:
    from wtrace.judging.referee import Interval
    from wtrace.publish.figures.figure_data import FigureEvidence, PicturedCheck


def chosen_of(evidence: FigureEvidence) -> PicturedCheck:
    """The check that is drawn. NotDrawableError where none was judged."""
    if evidence.chosen is None:
        raise NotDrawableError("no check was judged")
    return evidence.chosen


def which(evidence: FigureEvidence) -> str:
    """Which check a figure shows: the winning one, or how near one came."""
    check = chosen_of(evidence)
    return f"{role(evidence)}: {shown(check.worker)}, epoch {check.epoch}"


def role(evidence: FigureEvidence) -> str:
    """What the drawn check is to the race."""
    if evidence.standing.winner is not None:
        return "winning check"
    return "best check so far" if evidence.standing.state == "running" else "closest approach (no winner)"


def with_interval(interval: Interval | None) -> str:
    """` (95 % interval 1.57 to 1.70)`; nothing where there is none."""
    if interval is None:
        return ""
    low, high = numbers(interval.low, interval.high)
    return f" ({interval.level:.0%} interval {low} to {high})".replace("%", " %")
