"""The value of a criterion's expression at one check. What cannot count raises `NoValue` with the reason."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from wtrace.core.data import data, replace
from wtrace.core.expressions import (
    Aggregate,
    Arithmetic,
    Bound,
    Column,
    Comparison,
    Expression,
    Metric,
    Negation,
    Number,
    PGreater,
    walk,
)
from wtrace.core.samples import NoValue, number, shown
from wtrace.core.statistics import aggregates, intervals, paired
from wtrace.core.statistics.rows import first_not_finite, first_not_positive

if TYPE_CHECKING:
    from wtrace.core.samples import Columns
    from wtrace.core.statistics.intervals import Side
    from wtrace.core.statistics.rows import Rows

    Values = Any  # a float; or rows, of the samples or of resamples, with which operators work alike

ARITHMETIC: Mapping[str, Callable[[Values, Values], Values]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
COMPARE: Mapping[str, Callable[[Values, Values], Values]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
AGGREGATES: Mapping[str, Callable[..., Values]] = {
    "mean": aggregates.mean,
    "median": aggregates.median,
    "std": aggregates.std,
    "min": aggregates.least,
    "max": aggregates.greatest,
    "count": aggregates.count,
    "fraction": aggregates.fraction,
    "cohens_d": aggregates.cohens_d_paired,
}


@data
class Evaluation:
    """Walks an expression over a check, or, with `weights`, over resamples of its samples.

    `divisor` divides the error probability of confidence bounds.
    """

    metrics: Mapping[str, object]
    samples: Columns
    divisor: int = 1
    weights: Rows | None = None

    def value(self, node: Expression) -> Values:
        """The value of the expression."""
        match node:
            case Number():
                return node.value
            case Metric() | Column():
                return self.named(node)
            case Negation():
                return -self.value(node.operand)
            case Arithmetic():
                return self.calculated(node)
            case Comparison():
                return COMPARE[node.op](*self.sides(node))
            case Aggregate():
                return AGGREGATES[node.function](*map(self.value, node.arguments), weights=self.weights)
            case Bound():
                return self.bound(node.expression, node.side, node.error / self.divisor)
            case PGreater():
                return paired.signed_rank_p(self.differences(node))

    def named(self, node: Metric | Column) -> Values:
        """A plain metric, or a column. One is never taken for the other: only samples are judged as samples."""
        if isinstance(node, Metric):
            if node.name not in self.metrics:
                only = ", only a column of the samples" if node.name in self.samples else ""
                raise NoValue(f"no metric {shown(node.name)}{only}")
            return number(self.metrics[node.name], shown(node.name))
        if node.name not in self.samples:
            only = ", only a plain metric" if node.name in self.metrics else ""
            raise NoValue(f"no column {shown(node.name)}{only}")
        return self.samples.column(node.name)

    def sides(self, node: Arithmetic | Comparison) -> tuple[Values, Values]:
        """Both operands."""
        return self.value(node.left), self.value(node.right)

    def calculated(self, node: Arithmetic) -> Values:
        """The result of + - * /, which has to be finite for every sample."""
        try:
            result = ARITHMETIC[node.op](*self.sides(node))
        except ZeroDivisionError:
            raise NoValue("division by zero") from None
        if self.weights is None and not isinstance(result, float):
            index = first_not_finite(result)
            if index is not None:
                raise NoValue(f"division by zero or overflow at sample {index}")
        return result

    def differences(self, node: PGreater) -> Rows:
        """The differences that the paired tests are about; `NoValue` unless all values are above 0."""
        a, b = self.value(node.a), self.value(node.b)
        for rows, side, argument in ((a, node.a, "first"), (b, node.b, "second")):
            index = first_not_positive(rows)
            if index is not None:
                name = shown(side.name) if isinstance(side, Column) else f"the {argument} value"
                raise NoValue(f"{name} is not above 0 at sample {index}")
        return paired.differences(a, b, node.margin, self.samples.groups())

    def bound(self, expression: Expression, side: Side, error: float) -> float:
        """The one-sided confidence bound of an expression made of aggregates."""
        units = self.units(expression)
        if units.count < intervals.FEWEST_UNITS:
            raise NoValue(
                f"a confidence bound needs {intervals.FEWEST_UNITS} samples or groups, not {units.count}"
            )
        estimate = self.value(expression)
        found = intervals.replicates(lambda weights: replace(self, weights=weights).value(expression), units)
        if not math.isfinite(estimate) or first_not_finite(found) is not None:
            raise NoValue("no confidence bound: resampled values are not finite")
        bound = intervals.bound(
            estimate, found, units=units, error=error, side=side, scale=self.scale(expression)
        )
        if bound is None:
            raise NoValue("no confidence bound: the samples do not vary")
        return bound

    def units(self, expression: Expression) -> intervals.Units:
        """What is resampled."""
        column = next(node for node in walk(expression) if isinstance(node, Column))
        return intervals.Units.of(len(self.value(column)), self.samples.groups())

    def scale(self, expression: Expression) -> intervals.Scale:
        """The scale on which estimates of the expression are most nearly normal."""
        match expression:
            case Aggregate(function="fraction"):
                return "share"
            case Arithmetic(op="/") if self.is_positive(expression):
                return "log"
            case _:
                return "linear"

    def is_positive(self, node: Expression) -> bool:
        """Whether the expression cannot be 0 or less, being made of positive values without a difference."""
        match node:
            case Number():
                return node.value > 0
            case Column():
                return first_not_positive(self.value(node)) is None
            case Aggregate(function="mean" | "median" | "count"):
                return all(map(self.is_positive, node.arguments))
            case Arithmetic(op="+" | "*" | "/"):
                return self.is_positive(node.left) and self.is_positive(node.right)
            case _:
                return False
