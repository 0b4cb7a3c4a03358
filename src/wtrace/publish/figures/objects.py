"""The objects that a check names, for the before-and-after picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from wtrace.config.language.expressions import Column
from wtrace.data import data
from wtrace.judging.samples import is_label, is_list
from wtrace.publish.figures.figure_data import NotDrawableError
from wtrace.publish.figures.values import contrast_of, drawable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wtrace.config.language.criteria import Criterion


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
