"""`before_after_comparison.png`: what each object of a few samples got before the training, and at the winning check."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from matplotlib.patches import Patch

from wtrace.publish.figures.figure_data import NotDrawableError
from wtrace.publish.figures.objects import kinds_of, mean_of, objects_of, ratio_of
from wtrace.publish.figures.style import heading, known, shown
from wtrace.publish.figures.words import chosen_of, which
from wtrace.text import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    from wtrace.publish.figures.figure_data import FigureEvidence, PicturedCheck
    from wtrace.publish.figures.objects import Object
    from wtrace.publish.figures.style import Theme

MOST_BARS = 60
MOST_KINDS = 4
HATCHES = ("", "///", "...", "xxx")


def draw(target: FigureBase, evidence: FigureEvidence, theme: Theme) -> None:
    """Two panels on one scale: a bar per object, side by side within its sample, and each kind's mean as a line."""
    after = chosen_of(evidence)
    before = evidence.before
    if before is None:
        raise NotDrawableError(
            f"{shown(after.worker)} sent no check at epoch {evidence.figures.before_epoch}"
        )
    first, last = _objects(before), _objects(after)
    kinds = kinds_of([*first, *last], evidence.success)[:MOST_KINDS]
    heading(target, _title(ratio_of(first, kinds), ratio_of(last, kinds)), which(evidence))
    left, right = target.subplots(1, 2, sharey=True)
    _panel(left, f"before: epoch {before.epoch}", first, kinds, theme)
    _panel(right, f"after: epoch {after.epoch}", last, kinds, theme)
    left.set_ylabel("value of the object, as reported")
    handles = [
        Patch(facecolor=_color(theme, index), hatch=HATCHES[index], edgecolor=theme.paper, label=shown(kind))
        for index, kind in enumerate(kinds)
    ]
    target.legend(handles=handles, loc="outside lower left", ncols=4)


def _title(before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return "The objects of a few samples, before and after"
    return f"The objects of a few samples, before and after: ratio {number(before)} → {number(after)}"


def _objects(check: PicturedCheck) -> list[Object]:
    try:
        return objects_of(check.content.objects)
    except NotDrawableError as why:
        raise NotDrawableError(f"the check of {shown(check.worker)} at epoch {check.epoch}: {why}") from why


def _color(theme: Theme, index: int) -> str:
    return (theme.first, theme.second, *theme.series[2:])[index]


def _panel(axes: Axes, title: str, objects: Sequence[Object], kinds: Sequence[str], theme: Theme) -> None:
    ratio = ratio_of(objects, kinds)
    means = [f"mean {shown(kind, 16)} {known(mean_of(objects, kind))}" for kind in kinds[:2]]
    if ratio is not None:
        means.append(f"ratio {number(ratio)}")
    drawn = _grouped(objects, kinds)
    bars = sum(len(group) for _, group in drawn)
    if bars < len(objects):
        means.append(f"{bars} of {len(objects)} objects drawn")
    axes.set_title(f"{title}\n" + " · ".join(means))
    axes.grid(visible=False, axis="x")
    ticks, start = [], 0
    for sample, group in drawn:
        for offset, each in enumerate(group):
            index = kinds.index(each.kind)
            axes.bar(
                start + offset,
                each.value,
                width=0.86,
                color=_color(theme, index),
                hatch=HATCHES[index],
                edgecolor=theme.paper,
                linewidth=0.4,
            )
        ticks.append((start + (len(group) - 1) / 2, shown(sample, 12)))
        start += len(group) + 1
    _mean_lines(axes, objects, kinds, theme)
    axes.set_xticks([at for at, _ in ticks], [name for _, name in ticks])
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-1, start - 1)
    axes.set_xlabel("sample")


def _mean_lines(axes: Axes, objects: Sequence[Object], kinds: Sequence[str], theme: Theme) -> None:
    for index, kind in enumerate(kinds):
        axes.axhline(
            mean_of(objects, kind),
            color=_color(theme, index),
            linewidth=1.4,
            linestyle=("-", "--", ":", "-.")[index],
        )


def _grouped(objects: Sequence[Object], kinds: Sequence[str]) -> list[tuple[str, list[Object]]]:
    """Sample by sample, kind by kind; whole samples only, as many as can be told apart."""
    order = {sample: at for at, sample in enumerate(dict.fromkeys(each.sample for each in objects))}
    known = [each for each in objects if each.kind in kinds]
    known.sort(key=lambda each: (order[each.sample], kinds.index(each.kind)))
    groups: list[tuple[str, list[Object]]] = []
    room = MOST_BARS
    for sample, members in groupby(known, key=lambda each: each.sample):
        group = list(members)
        if groups and len(group) > room:
            break
        groups.append((sample, group[:MOST_BARS]))
        room -= len(group)
    return groups
