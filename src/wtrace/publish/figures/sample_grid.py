"""`sample_level_grid.png`: every sample as a tile, with the value and the verdict of each `[figures] sample_pass` test."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, TwoSlopeNorm

from wtrace.data import data
from wtrace.judging import referee
from wtrace.judging.samples import ID, is_list
from wtrace.publish.figures.figure_data import NotDrawableError
from wtrace.publish.figures.style import columns, heading, shown, text_only
from wtrace.publish.figures.values import chosen_of, count, of_means, per_sample, which
from wtrace.text import MINUS, bound, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    from wtrace.config.language.criteria import Criterion
    from wtrace.judging.statistics.arrays import Index, Mask, Rows
    from wtrace.publish.figures.figure_data import FigureEvidence
    from wtrace.publish.figures.style import Theme

MOST_TESTS = 3  # have a panel; the verdict is of all
ROWS = 5  # of each block of text
NAME_WIDTH = 0.08  # of the column of the samples' names, where the figure is 1
MOST_CROSSED = 2500  # tiles that are large enough for a cross and a seam


@data
class Grid:
    """The samples in the order of the first test's value, those that pass it best first."""

    tests: tuple[Criterion, ...]
    values: Rows  # (tests, samples); NaN where there is none
    passed: Mask  # (samples,): all tests
    each_passed: Mask  # (tests, samples)
    names: tuple[str, ...]  # of the samples
    overall: tuple[float, ...]  # each test's value of the columns' means

    @property
    def side(self) -> int:
        """How many tiles are in a row."""
        return math.ceil(math.sqrt(self.passed.size))


def grid_of(evidence: FigureEvidence) -> Grid:
    """The pictured check, sample by sample. NotDrawableError where it cannot be."""
    tests = evidence.figures.sample_pass
    if not tests:
        raise NotDrawableError("[figures] sample_pass does not say when a sample passes")
    samples = chosen_of(evidence).content.samples
    total = count(samples)
    if total == 0:
        raise NotDrawableError("the check has no samples")
    values = np.asarray([per_sample(test.expression, samples) for test in tests], dtype=np.float64)
    passed = np.asarray([referee.passes(test, samples) for test in tests], dtype=np.bool_)
    order = _order(values[0], tests[0])
    ids = samples.get(ID)
    names = (
        [str(each) for each in ids] if is_list(ids) and len(ids) == total else [f"#{i}" for i in range(total)]
    )
    return Grid(
        tests,
        values[:, order],
        np.logical_and.reduce(passed)[order],
        passed[:, order],
        tuple(names[at] for at in order),
        tuple(of_means(test.expression, samples) for test in tests),
    )


def _order(values: Rows, test: Criterion) -> Index:
    """The best first, those without a value last; equal ones stay as they came."""
    key = values if test.op.startswith("<") else -values
    order: Index = np.argsort(key, kind="stable")  # NaN sorts last
    return order


def draw(target: FigureBase, evidence: FigureEvidence, theme: Theme) -> None:
    """A panel of tiles for PASS and FAIL and for each test, all in one order; below, some rows in text."""
    grid = grid_of(evidence)
    shown_tests = grid.tests[:MOST_TESTS]
    total, passing = grid.passed.size, int(grid.passed.sum())
    heading(
        target, f"Sample by sample: {passing} of {total} pass ({_share(passing, total)})", which(evidence)
    )
    layout = target.add_gridspec(2, 1, height_ratios=[3.4, 2.1])
    panels = layout[0].subgridspec(1, len(shown_tests) + 1)
    _verdicts(target.add_subplot(panels[0]), grid, theme)
    for index in range(len(shown_tests)):
        _heat(target, target.add_subplot(panels[index + 1]), grid, index, theme)
    _rows(text_only(target.add_subplot(layout[1])), grid, theme)


def _share(part: int, total: int) -> str:
    return f"{100 * part / total:.1f} %"


def tiles(values: Rows, side: int) -> Rows:
    """The values in rows of `side`; the last row is filled up with NaN."""
    rows = -(-values.size // side)
    padded = np.full(rows * side, np.nan)
    padded[: values.size] = values
    return padded.reshape(rows, side)


def _bare(axes: Axes, title: str, grid: Grid, theme: Theme) -> None:
    """No axes, and a seam between the tiles."""
    rows = -(-grid.passed.size // grid.side)
    if grid.passed.size <= MOST_CROSSED:
        color, width = theme.paper, min(1.2, 16 / grid.side)
        axes.vlines(np.arange(1, grid.side) - 0.5, -0.5, rows - 0.5, colors=color, linewidth=width)
        axes.hlines(np.arange(1, rows) - 0.5, -0.5, grid.side - 0.5, colors=color, linewidth=width)
    axes.set_title(title)
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _verdicts(axes: Axes, grid: Grid, theme: Theme) -> None:
    side = grid.side
    colors = ListedColormap([theme.failed, theme.passed])
    image = tiles(grid.passed.astype(np.float64), side)
    axes.imshow(image, cmap=colors, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    failing = np.flatnonzero(~grid.passed)
    if grid.passed.size <= MOST_CROSSED:
        axes.scatter(
            failing % side, failing // side, s=(60 / side) ** 2 * 1.6, marker="x", c=theme.paper, linewidths=1
        )
    _bare(axes, "all tests\nPASS plain, FAIL crossed", grid, theme)
    axes.set_xlabel("a tile per sample, row by row,\nthe best by the first test first")


def _heat(target: FigureBase, axes: Axes, grid: Grid, index: int, theme: Theme) -> None:
    test, values = grid.tests[index], grid.values[index]
    scale = [theme.failed, theme.between, theme.passed]
    spectrum = LinearSegmentedColormap.from_list(
        "verdict", scale if not test.op.startswith("<") else scale[::-1]
    )
    colors = spectrum.with_extremes(bad=theme.paper)
    norm = _norm(values, test.threshold)
    image = axes.imshow(
        tiles(values, grid.side), cmap=colors, norm=norm, aspect="auto", interpolation="nearest"
    )
    passing = int(grid.each_passed[index].sum())
    _bare(
        axes,
        f"{shown(test.text, 44)}\n{passing} of {values.size} pass ({_share(passing, values.size)})",
        grid,
        theme,
    )
    low, high = norm.vmin or 0.0, norm.vmax or 0.0
    bar = target.colorbar(image, ax=axes, location="bottom", aspect=30, pad=0.03, extend="both")
    bar.set_ticks(
        [low, test.threshold, high], labels=[number(low), bound(test.op, test.threshold), number(high)]
    )
    bar.outline.set_visible(False)


def _norm(values: Rows, threshold: float) -> TwoSlopeNorm:
    """The threshold has the middle colour; outliers do not stretch the scale."""
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, [2, 98]) if known.size else (threshold, threshold)
    least = abs(threshold) * 0.02 or 0.02
    return TwoSlopeNorm(threshold, min(float(low), threshold - least), max(float(high), threshold + least))


def selected(grid: Grid) -> list[tuple[str, list[int]]]:
    """The rows of text: the best, those nearest to the first test's limit, the worst; all of few samples."""
    total = grid.passed.size
    if total <= 3 * ROWS:
        parts = [list(range(start, min(start + ROWS, total))) for start in range(0, total, ROWS)]
        return [("all samples" if index == 0 else "", part) for index, part in enumerate(parts)]
    limit = int(grid.each_passed[0].sum())
    start = min(max(limit - ROWS // 2, ROWS), total - 2 * ROWS)
    return [
        ("best by the first test", list(range(ROWS))),
        ("at its limit", list(range(start, start + ROWS))),
        ("worst", list(range(total - ROWS, total))),
    ]


def _rows(axes: Axes, grid: Grid, theme: Theme) -> None:
    tests = grid.tests[:MOST_TESTS]
    step = 1 / (ROWS + 4.2)
    width = min(0.09, 0.19 / len(tests))
    for block, (title, members) in enumerate(selected(grid)):
        left = block / 3
        xs = [left, *[left + NAME_WIDTH + width * at for at in range(len(tests) + 1)]]
        axes.text(left, 1 - step / 2, title, va="center", fontweight="bold")
        header = ["sample", *[_wrapped(_left_side(test), int(160 * width)) for test in tests], ""]
        columns(axes, 1 - 1.6 * step, xs, header if members else [""] * len(xs), size=8.5, color=theme.muted)
        for line, at in enumerate(members):
            y = 1 - (line + 2.9) * step
            numbers = [_number(grid.values[index, at]) for index in range(len(tests))]
            columns(axes, y, xs[:-1], [shown(grid.names[at], 11), *numbers])
            _sign(axes, xs[-1], y, bool(grid.passed[at]), theme)
    axes.text(0, step / 2, overall(grid), va="center", fontweight="bold")


def _wrapped(text: str, cells: int) -> str:
    """A heading of at most two short lines."""
    first, *rest = textwrap.wrap(shown(text, 2 * cells), cells) or [""]
    return "\n".join([first, shown(" ".join(rest), cells)]) if rest else first


def _number(value: float) -> str:
    return "—" if math.isnan(value) else f"{value:.4g}".replace("-", MINUS)


def _sign(axes: Axes, x: float, y: float, passed: bool, theme: Theme) -> None:
    words, color = ("✓ PASS", theme.passed) if passed else ("✗ FAIL", theme.failed)
    axes.text(x, y, words, va="center", color=color, fontweight="bold")


def overall(grid: Grid) -> str:
    """The overall row: each test's expression of the means (of a quotient, the ratio of means), and how many pass."""
    parts = [
        f"{shown(_left_side(test), 40)} = {_number(value)}"
        for test, value in zip(grid.tests[:MOST_TESTS], grid.overall, strict=False)
    ]
    total, passing = grid.passed.size, int(grid.passed.sum())
    return f"Overall, of the means: {' · '.join(parts)} · {passing} PASS, {total - passing} FAIL"


def _left_side(test: Criterion) -> str:
    return test.text.rpartition(test.op)[0].strip() or test.name
