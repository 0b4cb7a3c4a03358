"""`attention_ratio_progression.png`: the first criterion over the epochs of all workers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from wtrace.publish.figures.figure_data import NotDrawableError
from wtrace.publish.figures.style import MARKERS, heading, shown, tick
from wtrace.publish.figures.values import chosen_of, drawable, which, with_interval
from wtrace.publish.view import rank, winner_of
from wtrace.text import beside, bound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    from wtrace.judging.checks import CriterionInfo
    from wtrace.publish.figures.figure_data import CurvePoint, FigureEvidence
    from wtrace.publish.figures.style import Theme
    from wtrace.race.status import WorkerStanding

MOST_NAMED = 7  # curves of more workers than colours are drawn pale and without a name


def draw(target: FigureBase, evidence: FigureEvidence, theme: Theme) -> None:
    """Curves with their 95 % bands, the threshold, the side of it that is success, the winner's star."""
    if not any(evidence.curves.values()):
        raise NotDrawableError("no check was judged")
    criterion = evidence.standing.criteria[0]
    axes = target.subplots()
    heading(target, f"{shown(criterion.name, 50)} over the epochs", subtitle(evidence))
    axes.set_xlabel("epoch")
    axes.set_ylabel(shown(criterion.text.rpartition(criterion.op)[0].strip() or criterion.name, 60))
    handles = [_curve(axes, evidence, row, theme) for row in evidence.standing.workers]
    _star(axes, evidence, theme)
    _scale(axes, evidence)
    _threshold(axes, criterion, theme)
    _legend(target, evidence, [handle for handle in handles if handle is not None], theme)


def subtitle(evidence: FigureEvidence) -> str:
    """The pictured check with its value, and what the bands are."""
    check = chosen_of(evidence)
    points = evidence.curves.get(check.worker, ())
    interval = next((point.interval for point in points if point.epoch == check.epoch), None)
    banded = any(point.interval is not None for curve in evidence.curves.values() for point in curve)
    bands = " · bands: 95 % bootstrap intervals" if banded else ""
    return f"{which(evidence)}: {beside(check.results[0].value, check.results[0].threshold)}{with_interval(interval)}{bands}"


def named(evidence: FigureEvidence) -> dict[str, int]:
    """The workers that have a colour of their own, and which: all, or of many the best; controls have none."""
    rows = [row for row in evidence.standing.workers if not row.control]
    if len(rows) > MOST_NAMED:
        best = sorted(rows, key=lambda row: _merit(evidence, row), reverse=True)[:MOST_NAMED]
        rows = [row for row in rows if row in best]
    return {row.name: index for index, row in enumerate(rows)}


def _merit(evidence: FigureEvidence, row: WorkerStanding) -> tuple[bool, tuple[float, ...]]:
    best = (-1.0,) if row.best is None else rank(row.best, evidence.standing.criteria)
    return evidence.chosen is not None and row.name == evidence.chosen.worker, best


def _curve(axes: Axes, evidence: FigureEvidence, row: WorkerStanding, theme: Theme) -> Line2D | None:
    """Draw one worker's curve; what stands for it in the legend, or None where it has no name there."""
    points = evidence.curves.get(row.name, ())
    index = named(evidence).get(row.name)
    is_chosen = evidence.chosen is not None and evidence.chosen.worker == row.name
    color = theme.muted if index is None else theme.series[index]
    (line,) = axes.plot(
        [point.epoch for point in points],
        [drawable(point.value) for point in points],
        color=color,
        linestyle="--" if row.control else "-",
        linewidth=2.6 if is_chosen else 1.6,
        marker="" if index is None and not row.control else MARKERS[index or 0],
        markersize=5,
        markerfacecolor=theme.paper if row.control else color,
        alpha=1.0 if index is not None or row.control else 0.35,
        zorder=4 if is_chosen else 3,
        label=_name(row, points),
    )
    _band(axes, points, color)
    return line if index is not None or row.control else None


def _name(row: WorkerStanding, points: Sequence[CurvePoint]) -> str:
    notes = [*(["control"] if row.control else []), *([] if points else ["no check"])]
    return shown(row.name) + (f" ({', '.join(notes)})" if notes else "")


def _band(axes: Axes, points: Sequence[CurvePoint], color: str) -> None:
    known = [(point.epoch, point.interval) for point in points if point.interval is not None]
    if len(known) > 1:
        axes.fill_between(
            [epoch for epoch, _ in known],
            [drawable(interval.low) for _, interval in known],
            [drawable(interval.high) for _, interval in known],
            color=color,
            alpha=0.16,
            linewidth=0,
            zorder=2,
        )


def _star(axes: Axes, evidence: FigureEvidence, theme: Theme) -> None:
    """The winning check; of a race without one, nothing."""
    check = evidence.chosen
    if check is None or winner_of(evidence.standing) is None:
        return
    index = named(evidence).get(check.worker, 0)
    axes.plot(
        [check.epoch],
        [drawable(check.results[0].value)],
        marker="*",
        markersize=21,
        color=theme.series[index],
        markeredgecolor=theme.ink,
        linestyle="",
        zorder=5,
        label="the winning check",
    )


def _scale(axes: Axes, evidence: FigureEvidence) -> None:
    """Limits that hold every curve and the threshold with some room beyond it; p values are on a log scale."""
    criterion = evidence.standing.criteria[0]
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlim(left=0)
    values = [drawable(point.value) for points in evidence.curves.values() for point in points]
    known = [value for value in values if not math.isnan(value)]
    if evidence.success[0].is_p_value:
        least = min(value for value in (*known, criterion.applied) if value > 0)
        axes.set_yscale("log", nonpositive="clip")
        axes.set_ylim(max(least**1.1 / 2, 1e-300), 5)
        axes.yaxis.set_major_locator(LogLocator(numticks=8))
        axes.yaxis.set_major_formatter(FuncFormatter(tick))
    else:
        axes.set_ylim(_limits([*known, criterion.applied], evidence))


def _limits(values: Sequence[float], evidence: FigureEvidence) -> tuple[float, float]:
    """All values, the bands as far as they do not squeeze the curves, and some room."""
    low, high = min(values), max(values)
    span = (high - low) or 0.5 * abs(high) or 1.0
    for point in (point for curve in evidence.curves.values() for point in curve):
        if point.interval is not None:
            low = min(low, max(point.interval.low, min(values) - span))
            high = max(high, min(point.interval.high, max(values) + span))
    return low - 0.08 * span, high + 0.08 * span


def _threshold(axes: Axes, criterion: CriterionInfo, theme: Theme) -> None:
    """The threshold that is applied, and the zone of success on its one side. Its words stand beside the axes."""
    low, high = axes.get_ylim()
    rising = not criterion.op.startswith("<")
    axes.axhspan(criterion.applied, high if rising else low, color=theme.zone, alpha=0.09, zorder=0)
    axes.axhline(criterion.applied, color=theme.zone, linestyle=(0, (6, 3)), linewidth=1.6, zorder=1)
    axes.set_ylim(low, high)
    words = [bound(criterion.op, criterion.applied), "success"]
    axes.annotate(
        "\n".join(reversed(words) if rising else words),
        (1.0, criterion.applied),
        xycoords=("axes fraction", "data"),
        xytext=(6, 0),
        textcoords="offset points",
        va="bottom" if rising else "top",
        color=theme.zone,
        fontweight="bold",
    )


def _legend(target: FigureBase, evidence: FigureEvidence, handles: list[Line2D], theme: Theme) -> None:
    hidden = len(evidence.standing.workers) - len(handles)
    if hidden:
        handles.append(Line2D([], [], color=theme.muted, alpha=0.35, label=f"{hidden} others"))
    if winner_of(evidence.standing) is not None:
        handles.append(
            Line2D(
                [], [], marker="*", markersize=13, color=theme.ink, linestyle="", label="the winning check"
            )
        )
    target.legend(handles=handles, loc="outside lower left", ncols=3, columnspacing=1.6)
