"""`distribution_separation.png`: how far the two values that the criteria compare lie apart, sample by sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wtrace.config.language.expressions import Column
from wtrace.data import data
from wtrace.judging import referee
from wtrace.judging.statistics import aggregates
from wtrace.publish.figures.figure_data import NotDrawableError
from wtrace.publish.figures.style import columns, heading, known, shown, text_only
from wtrace.publish.figures.values import chosen_of, contrast_of, per_sample, which
from wtrace.text import bound, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    from wtrace.config.language.expressions import Expression
    from wtrace.judging.statistics.arrays import Rows
    from wtrace.publish.figures.figure_data import FigureEvidence, PicturedCheck
    from wtrace.publish.figures.style import Theme
    from wtrace.publish.figures.values import Contrast

SHOWN_SHARE = 99.5  # percent; what lies far beyond this percentile is told, not drawn


@data
class Separation:
    """The two values of each sample that has both, and where they come from."""

    check: PicturedCheck
    contrast: Contrast
    a: Rows
    b: Rows
    left_out: int  # samples without both values

    @property
    def names(self) -> tuple[str, str]:
        """What the two values are called."""
        return _name(self.contrast.a, "first value"), _name(self.contrast.b, "second value")


def separation_of(evidence: FigureEvidence) -> Separation:
    """What is compared at the pictured check. NotDrawableError where nothing can be."""
    contrast = contrast_of(evidence.success)
    if contrast is None:
        raise NotDrawableError("no criterion compares two columns of the samples")
    check = chosen_of(evidence)
    samples = check.content.samples
    a, b = (np.asarray(per_sample(side, samples), dtype=np.float64) for side in (contrast.a, contrast.b))
    both = np.isfinite(a) & np.isfinite(b)
    if not both.any():
        raise NotDrawableError("no sample of the check has both values")
    return Separation(check, contrast, a[both], b[both], left_out=int((~both).sum()))


def _name(side: Expression, otherwise: str) -> str:
    return shown(side.name, 22) if isinstance(side, Column) else otherwise


def draw(target: FigureBase, evidence: FigureEvidence, theme: Theme) -> None:
    """Both distributions, the ratio of each sample with the margin, and the statistics in words."""
    found = separation_of(evidence)
    heading(target, f"{found.names[0]} against {found.names[1]}, sample by sample", which(evidence))
    grid = target.add_gridspec(2, 2, height_ratios=[3.6, 1.3])
    _violins(target.add_subplot(grid[0, 0]), found, theme)
    _ratios(target.add_subplot(grid[0, 1]), found, theme)
    _statistics(text_only(target.add_subplot(grid[1, :])), found, theme)


def _violins(axes: Axes, found: Separation, theme: Theme) -> None:
    """The upper one is the first value. Box: the middle half; line: the median; diamond: the mean."""
    both = np.concatenate([found.a, found.b])
    low, high = _range(both)
    pairs = ((2, found.a, theme.first), (1, found.b, theme.second))
    for position, rows, color in pairs:
        inside = rows[(rows >= low) & (rows <= high)]
        _violin(axes, position, inside if inside.size else rows, color, theme)
        axes.plot(
            [rows.mean()], [position], marker="D", markersize=7, color=theme.paper, markeredgecolor=theme.ink
        )
    room = 0.06 * (high - low) or 0.5
    axes.set_xlim(low - room, high + room)
    axes.set_yticks([2, 1], [*found.names])
    axes.set_ylim(0.4, 2.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("value per sample" + _beyond(both, low, high))
    axes.set_title("box: middle half · line: median\ndiamond: mean")


def _violin(axes: Axes, position: int, rows: Rows, color: str, theme: Theme) -> None:
    parts = axes.violinplot(
        [rows], positions=[position], orientation="horizontal", widths=0.85, showextrema=False, points=200
    )
    for body in parts["bodies"]:  # type: ignore[attr-defined]
        body.set(facecolor=color, edgecolor=color, alpha=0.55, linewidth=1.2)
    axes.boxplot(
        [rows],
        positions=[position],
        orientation="horizontal",
        widths=0.14,
        showfliers=False,
        showcaps=False,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": color, "edgecolor": theme.ink},
        whiskerprops={"color": theme.ink, "linewidth": 0},
        medianprops={"color": theme.ink, "linewidth": 2},
    )


def _range(rows: Rows) -> tuple[float, float]:
    """From the least to the greatest value, but for outliers that would squeeze all others."""
    low, high = (float(each) for each in np.percentile(rows, [100 - SHOWN_SHARE, SHOWN_SHARE]))
    room = high - low
    return max(float(rows.min()), low - room / 2), min(float(rows.max()), high + room / 2)


def _beyond(rows: Rows, low: float, high: float) -> str:
    beyond = int(((rows < low) | (rows > high)).sum())
    return f" ({beyond} of {rows.size} values lie beyond the axis)" if beyond else ""


def _ratios(axes: Axes, found: Separation, theme: Theme) -> None:
    """A histogram of the samples' own ratios; what is beyond the margin has the colour of what passes."""
    positive = (found.a > 0) & (found.b > 0)
    ratios = found.a[positive] / found.b[positive]
    margin = 1.0 if found.contrast.margin is None else found.contrast.margin
    first, second = found.names
    axes.set_xlabel(f"{first} / {second}, per sample")
    axes.set_ylabel("samples")
    if not ratios.size:
        axes.set_title("no sample has two values above 0")
        return
    high = max(_range(ratios)[1], margin * 1.05)
    edges = _edges(margin, high, ratios.size)
    for part, color, hatch in (
        (ratios[ratios <= margin], theme.failed, "///"),
        (ratios[ratios > margin], theme.passed, ""),
    ):
        axes.hist(part, bins=edges.tolist(), color=color, hatch=hatch, edgecolor=theme.paper, linewidth=0.5)
    axes.axvline(margin, color=theme.ink, linewidth=1.6, linestyle="--")
    axes.set_xlim(0, high * 1.03)
    axes.grid(visible=False, axis="x")
    above = float((ratios > margin).mean())
    what = "1, where both are equal" if found.contrast.margin is None else f"the margin {number(margin)}"
    axes.set_title(f"dashed: {what}\n{above:.1%} of the samples are above it".replace("%", " %"))
    axes.set_xlabel(axes.get_xlabel() + _beyond(ratios, 0, high))


def _edges(margin: float, high: float, size: int) -> Rows:
    """Bins of one width, one edge of which is the margin."""
    wanted = max(10, min(50, round(2 * size**0.5)))
    below = max(1, round(margin / (high / wanted)))
    width = margin / below
    edges: Rows = np.arange(int(np.ceil(high / width)) + 1) * width
    return edges


def _statistics(axes: Axes, found: Separation, theme: Theme) -> None:
    xs = (0.0, 0.2, 0.28, 0.36, 0.44)
    columns(axes, 0.9, xs, ("", "n", "mean", "sd", "median"), color=theme.muted)
    for y, name, rows in ((0.66, found.names[0], found.a), (0.42, found.names[1], found.b)):
        numbers = (aggregates.mean(rows), aggregates.std(rows), aggregates.median(rows))
        columns(axes, y, xs, (name, str(rows.size), *map(known, numbers)))
    ratio = aggregates.mean(found.a) / aggregates.mean(found.b) if aggregates.mean(found.b) else float("nan")
    note = f"ratio of means {known(ratio)}"
    if found.left_out:
        note += f" · {found.left_out} samples without both values are left out"
    axes.text(0, 0.16, note, va="center")
    for y, line in zip((0.9, 0.66, 0.42, 0.16), _tests(found), strict=False):
        axes.text(0.53, y, line, va="center")


def _tests(found: Separation) -> list[str]:
    paired, pooled = (
        aggregates.cohens_d_paired(found.a, found.b),
        aggregates.cohens_d_pooled(found.a, found.b),
    )
    return [*_p_lines(found), f"Cohen's d: paired {_d(paired)} (of the differences), pooled {_d(pooled)}"]


def _d(value: float) -> str:
    return number(value) if np.isfinite(value) else "not defined"


def _p_lines(found: Separation) -> list[str]:
    """What the referee recorded of the p criterion, where that is what is compared; beside it the sign test."""
    criterion = found.contrast.criterion
    result = next((each for each in found.check.results if each.name == criterion.name), None)
    if not criterion.is_p_value or result is None:
        return []
    value = (
        f"p = {number(result.value)}"
        if result.value is not None
        else f"no p: {shown(result.reason or '', 60)}"
    )
    corrected = "" if result.threshold == criterion.threshold else " after correction"
    verdict = f"{value}, {'met' if result.met else 'not met'}: judged at {bound(result.op, result.threshold)}{corrected}"
    test = referee.paired_evidence(criterion, found.check.content.samples)
    if test is None:
        return [verdict]
    return [
        verdict,
        f"Wilcoxon signed-rank, one-sided, {test.pairs} pairs; H0: typical ratio ≤ {number(found.contrast.margin)}",
        f"typical ratio {number(test.typical_ratio)} · sign test p = {number(test.sign_p)}",
    ]
