"""`before_after_comparison.png`: what each object of a few samples got before the training, and at the winning check."""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING

from matplotlib.patches import Patch

from wtrace.config.language.expressions import Column
from wtrace.data import data
from wtrace.judging.samples import is_label, is_list
from wtrace.publish.figures.figure_data import NotDrawableError
from wtrace.publish.figures.style import heading, known, shown
from wtrace.publish.figures.values import chosen_of, contrast_of, drawable, which
from wtrace.text import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    from wtrace.config.language.criteria import Criterion
    from wtrace.publish.figures.figure_data import FigureEvidence, PicturedCheck
    from wtrace.publish.figures.style import Theme


@data
class Object:
    """One object: the sample it is part of, its kind, and its value."""

    sample: str
    kind: str
    value: float


def objects_of(content: Mapping[str, object]) -> list[Object]:
    """The objects of a check, in its order, without those that have no number. NotDrawableError where there is none."""
    kinds, values = content.get("kind"), content.get("value")
    if not is_list(kinds) or not is_list(values):
        raise NotDrawableError("it names no objects (columns `kind` and `value`)")
    samples = content.get("sample")
    of_sample = samples if is_list(samples) else [""] * len(kinds)
    found = [
        Object(str(sample), str(kind), number)
        for sample, kind, value in zip(of_sample, kinds, values, strict=False)
        if is_label(kind) and not math.isnan(number := _number(value))
    ]
    if not found:
        raise NotDrawableError("none of its objects has a number")
    return found


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return math.nan
    return drawable(value)


def kinds_of(objects: Sequence[Object], success: Sequence[Criterion]) -> list[str]:
    """The kinds: the two that the criteria compare first, where there are such, else as they come."""
    kinds = list(dict.fromkeys(each.kind for each in objects))
    contrast = contrast_of(success)
    if contrast is not None and isinstance(contrast.a, Column) and isinstance(contrast.b, Column):
        pair = [contrast.a.name, contrast.b.name]
        if set(pair) <= set(kinds):
            return [*pair, *[kind for kind in kinds if kind not in pair]]
    return kinds


def mean_of(objects: Sequence[Object], kind: str) -> float:
    """The mean value of the objects of a kind; NaN where there is none."""
    values = [each.value for each in objects if each.kind == kind]
    return math.fsum(values) / len(values) if values else math.nan


def ratio_of(objects: Sequence[Object], kinds: Sequence[str]) -> float | None:
    """The mean of the first kind over the mean of the second; None where there is no such ratio."""
    if len(kinds) < 2:
        return None
    above, below = mean_of(objects, kinds[0]), mean_of(objects, kinds[1])
    return above / below if below > 0 and not math.isnan(above) else None


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
