"""`SUCCESS_VISUALIZATION.png`: the figures on one sheet, under a banner that says how the race ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.publish.figures.style import shown, text_only
from wtrace.publish.figures.values import with_interval
from wtrace.publish.view import FIRST_NOT_BEST, MET, UNMET, confirmation, state_of
from wtrace.text import beside, bound, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

    from wtrace.judging.checks import CriterionStanding
    from wtrace.publish.figures.figure_data import FigureEvidence
    from wtrace.publish.figures.style import Theme

    Draw = Callable[[FigureBase, FigureEvidence, Theme], None]

WIDTH = 23.0
ROW_HEIGHT = 7.4
BANNER_HEIGHT = 2.5
PER_ROW = 5  # criteria
MOST_CRITERIA = 10


def height_of(parts: int) -> float:
    """How high the sheet is, in inches."""
    return BANNER_HEIGHT + ROW_HEIGHT * -(-parts // 2)


def draw(target: Figure, evidence: FigureEvidence, theme: Theme, parts: Sequence[Draw]) -> None:
    """The banner and the parts, two in a row; a last one alone has the row to itself."""
    rows = [parts[at : at + 2] for at in range(0, len(parts), 2)]
    heights = [BANNER_HEIGHT, *[ROW_HEIGHT] * len(rows)]
    bands = target.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    banner(text_only(bands[0].subplots()), evidence, theme)
    for band, row in zip(bands[1:], rows, strict=True):
        for cell, part in zip(band.subfigures(1, len(row), squeeze=False)[0], row, strict=True):
            part(cell, evidence, theme)


def banner(axes: Axes, evidence: FigureEvidence, theme: Theme) -> None:
    """Who won at which epoch, whether that was confirmed, and every criterion with its threshold."""
    won = evidence.standing.winner is not None
    color = theme.passed if won else theme.failed
    axes.axhspan(0, 1, color=color, alpha=0.08, linewidth=0)
    axes.axvspan(0, 0.004, color=color)
    axes.text(0.016, 0.8, headline(evidence), va="center", fontsize=25, fontweight="bold")
    axes.text(0.016, 0.57, " · ".join(details(evidence)), va="center", fontsize=13.5)
    results = () if evidence.chosen is None else evidence.chosen.results[:MOST_CRITERIA]
    lines = -(-len(results) // PER_ROW)
    for index, result in enumerate(results):
        x = 0.016 + 0.98 / PER_ROW * (index % PER_ROW)
        y = (0.27, 0.33)[lines - 1 > 0] - 0.2 * (index // PER_ROW)
        axes.text(
            x,
            y,
            criterion(result, _held_out(evidence, result.name)),
            va="center",
            fontsize=12.5,
            color=theme.passed if result.met else theme.failed,
            fontweight="bold",
        )


def headline(evidence: FigureEvidence) -> str:
    """How the race ended, in one line."""
    standing, chosen = evidence.standing, evidence.chosen
    if standing.winner is not None:
        return f"★ {shown(standing.winner, 60)} won at epoch {standing.winner_epoch}"
    start = "No winner" if standing.state != "running" else "No winner yet"
    if chosen is None:
        return f"{start}: no check was judged"
    return f"{start}. Closest approach: {shown(chosen.worker, 46)} at epoch {chosen.epoch}"


def details(evidence: FigureEvidence) -> list[str]:
    """What stands below the headline."""
    standing = evidence.standing
    race = f"race {shown(standing.name, 60)}"
    if standing.winner is None:
        met = [] if evidence.chosen is None else [_met(evidence.chosen.results)]
        return [race, state_of(standing), *met]
    words = [race, confirmation(standing)]
    if evidence.held_out is not None and evidence.held_out.results:
        first = evidence.held_out.results[0]
        words.append(
            f"held-out {shown(first.name, 26)} {beside(first.value, first.threshold)}{with_interval(evidence.held_out.interval)}"
        )
    if standing.decided is not None:
        words.append(f"decided after {seconds(standing.decided - standing.started)}")
    return [*words, FIRST_NOT_BEST.removesuffix(".").lower()]


def _met(results: Sequence[CriterionStanding]) -> str:
    return f"{sum(result.met for result in results)} of {len(results)} criteria met at that check"


def _held_out(evidence: FigureEvidence, name: str) -> CriterionStanding | None:
    results = () if evidence.held_out is None else evidence.held_out.results
    return next((result for result in results if result.name == name), None)


def criterion(result: CriterionStanding, held_out: CriterionStanding | None) -> str:
    """`✓ val_accuracy 0.81 (≥ 0.75)`, and what held-out data said."""
    text = (
        f"{MET if result.met else UNMET} {shown(result.name, 22)}  {beside(result.value, result.threshold)}"
    )
    text += f" ({bound(result.op, result.threshold)})"
    return text if held_out is None else f"{text}\n   held-out {beside(held_out.value, held_out.threshold)}"
