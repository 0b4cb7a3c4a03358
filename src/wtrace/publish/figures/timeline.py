"""`race_timeline.png`: who ran when, how each ended, and what stopping early saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from wtrace.publish.figures.figure_data import NotDrawableError
from wtrace.publish.figures.progression import named
from wtrace.publish.figures.style import heading, shown
from wtrace.publish.savings import savings, told
from wtrace.publish.view import SYMBOLS, confirmation, epoch_of, how_ended, state_of
from wtrace.text import seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    from wtrace.publish.figures.figure_data import FigureEvidence, Span
    from wtrace.publish.figures.style import Theme
    from wtrace.publish.savings import Saving
    from wtrace.race.status import WorkerStanding

MOST_ROWS = 64
HEIGHT = 0.56  # of a bar, where a row is 1


def rows_of(evidence: FigureEvidence) -> tuple[WorkerStanding, ...]:
    """The workers that are drawn, the first on top."""
    return evidence.standing.workers[:MOST_ROWS]


def height_of(evidence: FigureEvidence) -> float:
    """How high the figure is, in inches: every worker has its row."""
    return 2.6 + 0.5 * len(rows_of(evidence))


def draw(target: FigureBase, evidence: FigureEvidence, theme: Theme) -> None:
    """A bar per attempt, from its start to its end, a tick per check; what was not trained any more is outlined."""
    if not evidence.runs:
        raise NotDrawableError("no worker has started")
    axes = target.subplots()
    saved = {each.worker: each for each in savings(evidence.standing)}
    title = f"{shown(evidence.standing.name, 60)}: who ran when, and how each ended"
    heading(target, title, *subtitle(evidence, saved.values()))
    unit, per_unit = _unit(evidence, saved)
    spans = _Drawer(axes, evidence, theme, per_unit)
    for at, row in enumerate(rows_of(evidence)):
        spans.row(at, row, saved.get(row.name))
    spans.verdict()
    _frame(axes, evidence, unit)
    _legend(target, evidence, theme, bool(saved))


def subtitle(evidence: FigureEvidence, saved: Iterable[Saving]) -> list[str]:
    """How the race went, and what stopping early saved."""
    standing = evidence.standing
    if standing.winner is None or standing.decided is None:
        return [state_of(standing)]
    after = seconds(standing.decided - standing.started)
    verdict = f"decided after {after}: {shown(standing.winner)}, {confirmation(standing)}"
    return [verdict, told(tuple(saved), evidence.cost_per_hour)]


def _unit(evidence: FigureEvidence, saved: Mapping[str, Saving]) -> tuple[str, float]:
    """The unit of the time axis and its seconds."""
    standing = evidence.standing
    longest = (standing.ended or standing.at) - standing.started
    longest += max((each.seconds for each in saved.values()), default=0)
    if longest < 180:
        return "seconds", 1
    return (
        ("minutes", 60) if longest < 3 * 3600 else ("hours", 3600) if longest < 72 * 3600 else ("days", 86400)
    )


class _Drawer:
    """Draws rows of spans; times become units since the start of the race."""

    def __init__(self, axes: Axes, evidence: FigureEvidence, theme: Theme, per_unit: float) -> None:
        self.axes, self.evidence, self.theme, self.per_unit = axes, evidence, theme, per_unit
        self.colors = {name: theme.series[index] for name, index in named(evidence).items()}

    def since(self, at: float | None) -> float:
        """A moment on the axis; None is the end of what is recorded."""
        standing = self.evidence.standing
        until = standing.ended if standing.ended is not None else standing.at
        return ((until if at is None else at) - standing.started) / self.per_unit

    def row(self, at: int, row: WorkerStanding, saving: Saving | None) -> None:
        color = self.colors.get(row.name, self.theme.muted)
        self.bars(at, row.name, self.evidence.runs, color=color, alpha=0.85)
        self.bars(at, row.name, self.evidence.pauses, color=self.theme.paper, alpha=0.75, hatch="////")
        self.bars(
            at, row.name, self.evidence.confirmations, color=self.theme.ink, height=0.16, offset=HEIGHT / 2
        )
        checks = [self.since(moment) for moment in self.evidence.checked_at.get(row.name, ())]
        self.axes.plot(
            checks, [at] * len(checks), marker="|", markersize=11, color=self.theme.paper, linestyle=""
        )
        end = max(
            (self.since(run.ended) for run in self.evidence.runs if run.worker == row.name), default=0.0
        )
        if saving is not None:
            width = saving.seconds / self.per_unit
            self.axes.barh(
                at,
                width,
                left=end,
                height=HEIGHT,
                facecolor="none",
                edgecolor=color,
                linestyle=(0, (3, 2)),
                linewidth=1.2,
            )
            end += width
        self.words(at, end, row, saving)

    def bars(
        self, at: int, worker: str, spans: Iterable[Span], *, color: str, alpha: float = 1, hatch: str = "",
        height: float = HEIGHT, offset: float = 0,
    ) -> None:  # fmt: skip
        for span in spans:
            if span.worker == worker:
                start = self.since(span.started)
                self.axes.barh(
                    at + offset,
                    max(self.since(span.ended) - start, 0),
                    left=start,
                    height=height,
                    color=color,
                    alpha=alpha,
                    hatch=hatch,
                    edgecolor=self.theme.paper,
                    linewidth=0.8,
                )

    def words(self, at: int, x: float, row: WorkerStanding, saving: Saving | None) -> None:
        """How it ended, beside its bar."""
        text = f"{SYMBOLS[row.state]} {how_ended(row)}"
        if any(run.worker == row.name for run in self.evidence.runs):
            text += f", epoch {epoch_of(row)}"
        if saving is not None:
            text += f"; {seconds(saving.seconds)} not needed"
        self.axes.annotate(
            text,
            (x, at),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=self.theme.ink,
        )

    def verdict(self) -> None:
        """The moment of the verdict through all rows."""
        if self.evidence.standing.decided is not None:
            at = self.since(self.evidence.standing.decided)
            self.axes.axvline(at, color=self.theme.zone, linestyle=(0, (6, 3)), linewidth=1.6, zorder=0)


def _frame(axes: Axes, evidence: FigureEvidence, unit: str) -> None:
    rows = rows_of(evidence)
    names = [shown(row.name) + (" (control)" if row.control else "") for row in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(8))
    hidden = len(evidence.standing.workers) - len(rows)
    axes.set_xlabel(f"{unit} since the start" + (f"; {hidden} more workers are not drawn" if hidden else ""))


def _legend(target: FigureBase, evidence: FigureEvidence, theme: Theme, saved: bool) -> None:
    handles: list[Line2D | Patch] = [
        Patch(facecolor=theme.muted, label="running"),
        Line2D([], [], marker="|", markersize=11, color=theme.muted, linestyle="", label="a judged check"),
    ]
    if evidence.pauses:
        handles.append(Patch(facecolor=theme.paper, hatch="////", edgecolor=theme.muted, label="paused"))
    if evidence.confirmations:
        handles.append(Patch(facecolor=theme.ink, label="its claim is confirmed"))
    if saved:
        handles.append(
            Patch(
                facecolor="none", edgecolor=theme.muted, linestyle=(0, (3, 2)), label="planned, not trained"
            )
        )
    if evidence.standing.decided is not None:
        handles.append(Line2D([], [], color=theme.zone, linestyle=(0, (6, 3)), label="the verdict"))
    target.legend(handles=handles, loc="outside lower left", ncols=6)
