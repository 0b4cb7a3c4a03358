"""The value of a criterion's expression at one check. What cannot count raises `NoValue` with the reason."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from wtrace.config.language.expressions import (
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
    is_constant,
    walk,
)
from wtrace.data import data, replace
from wtrace.judging.samples import NoValue, number, shown
from wtrace.judging.statistics import aggregates, intervals, paired
from wtrace.judging.statistics.arrays import first_not_finite, first_not_positive

if TYPE_CHECKING:
    from wtrace.config.language.expressions import ArithmeticOperator
    from wtrace.judging.samples import Columns
    from wtrace.judging.statistics.arrays import Rows, Weights
    from wtrace.judging.statistics.intervals import Side

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
OTHER: Mapping[Side, Side] = {"low": "high", "high": "low"}


@data
class Evaluation:
    """Walks an expression over a check, or, with `weights`, over resamples of its samples.

    `divisor` divides the error probability of confidence bounds. `threshold` is what a p value is compared with: it
    may spare an exact one.
    """

    metrics: Mapping[str, object]
    samples: Columns
    divisor: int = 1
    threshold: float | None = None
    weights: Weights | None = None

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
                return paired.ratio_p(self.differences(node), self.threshold)

    def named(self, node: Metric | Column) -> Values:
        """A plain metric, or a column. One is never taken for the other: only samples are judged as samples."""
        if isinstance(node, Metric):
            if node.name not in self.metrics:
                only = ", only a column of the samples" if node.name in self.samples else _only(self.metrics)
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
        """The one-sided confidence bound of an expression made of aggregates; the order of the samples is nothing to it.

        A constant that is added, or that multiplies or divides, changes the bound as it changes the expression.
        """
        match expression:
            case Negation(operand):
                return -self.bound(operand, OTHER[side], error)
            case Arithmetic("+" | "*" as op, left, right) if is_constant(left):
                return self.changed_bound(op, right, self.value(left), side, error)
            case Arithmetic(op, left, right) if is_constant(right):
                return self.changed_bound(op, left, self.value(right), side, error)
            case Arithmetic("-", left, right) if is_constant(left):
                return float(self.value(left) - self.bound(right, OTHER[side], error))
            case _:
                used = [node for node in walk(expression) if isinstance(node, Column)]
                for column in used:
                    self.named(column)  # says best what is missing
                samples = self.samples.ordered([column.name for column in used])
                return replace(self, samples=samples).resampled(expression, side, error)

    def changed_bound(
        self, op: ArithmeticOperator, expression: Expression, constant: float, side: Side, error: float
    ) -> float:
        """The bound of `expression op constant`."""
        falls = op in ("*", "/") and constant < 0
        try:
            bound = self.bound(expression, OTHER[side] if falls else side, error)
            return float(ARITHMETIC[op](bound, constant))
        except ZeroDivisionError:
            raise NoValue("division by zero") from None

    def resampled(self, expression: Expression, side: Side, error: float) -> float:
        """The bound from resampled values, of samples in their canonical order."""
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
            case Aggregate(function="mean", arguments=(values,)) if self.is_binary(values):
                return "share"
            case Arithmetic(op="/") if self.is_positive(expression):
                return "log"
            case _:
                return "linear"

    def is_binary(self, node: Expression) -> bool:
        """Whether each sample has 0 or 1, so that the mean is a share."""
        rows = self.value(node)
        return bool(((rows == 0) | (rows == 1)).all())

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


MOST_NAMED = 4


def _only(metrics: Mapping[str, object]) -> str:
    """What is reported instead: `; it reports accuracy, val_loss`."""
    names = [shown(name) for name in metrics]
    more = ", …" if len(names) > MOST_NAMED else ""
    return f"; it reports {', '.join(names[:MOST_NAMED])}{more}" if names else ""
