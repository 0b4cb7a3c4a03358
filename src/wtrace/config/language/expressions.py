"""The expression tree of a criterion: what `criteria_parser` builds and `evaluation` walks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wtrace.data import data

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ArithmeticOperator = Literal["+", "-", "*", "/"]
ComparisonOperator = Literal["<", "<=", ">", ">="]
AggregateName = Literal["mean", "median", "std", "min", "max", "count", "fraction", "cohens_d"]


@data
class Number:
    """A number as written; finite."""

    value: float


@data
class Metric:
    """A plain metric of the check: one number."""

    name: str


@data
class Column:
    """A column of the check's samples: one number per sample."""

    name: str


@data
class Negation:
    """Unary minus."""

    operand: Expression


@data
class Arithmetic:
    """Two operands and one of + - * /."""

    op: ArithmeticOperator
    left: Expression
    right: Expression


@data
class Comparison:
    """True or false per sample; found only as the argument of `fraction`."""

    op: ComparisonOperator
    left: Expression
    right: Expression


@data
class Aggregate:
    """One number from all samples. Its arguments have one value per sample."""

    function: AggregateName
    arguments: tuple[Expression, ...]


@data
class Bound:
    """The one-sided confidence bound of an expression made of aggregates: `ci_low` or `ci_high`."""

    side: Literal["low", "high"]
    expression: Expression
    error: float  # probability that the bound is on the wrong side, before any correction


@data
class PGreater:
    """The p value of the hypothesis that the samples' typical ratio `a / b` is at most `margin`."""

    a: Expression
    b: Expression
    margin: float


Expression = Number | Metric | Column | Negation | Arithmetic | Comparison | Aggregate | Bound | PGreater


def children(node: Expression) -> tuple[Expression, ...]:
    """The expressions that this one is directly made of."""
    match node:
        case Negation():
            return (node.operand,)
        case Arithmetic() | Comparison():
            return (node.left, node.right)
        case Aggregate():
            return node.arguments
        case Bound():
            return (node.expression,)
        case PGreater():
            return (node.a, node.b)
        case _:
            return ()


def walk(node: Expression) -> Iterator[Expression]:
    """The expression and all that it is made of, in the order of the text."""
    yield node
    for child in children(node):
        yield from walk(child)


def is_per_sample(node: Expression) -> bool:
    """Whether the expression has one value per sample, rather than one for the whole check."""
    if isinstance(node, Column):
        return True
    if isinstance(node, (Aggregate, Bound, PGreater)):
        return False
    return any(is_per_sample(child) for child in children(node))


def is_constant(node: Expression) -> bool:
    """Whether the expression is made of numbers alone."""
    return not any(isinstance(part, (Metric, Column)) for part in walk(node))


_EXTREMES = "resampling says nothing about min and max: they have no confidence bound"
NO_INTERVAL: Mapping[AggregateName, str] = {
    "min": _EXTREMES,
    "max": _EXTREMES,
    "std": "no bound of a standard deviation keeps its error where values have heavy tails: std has none",
    "cohens_d": "no bound of a standard deviation keeps its error where values have heavy tails, and cohens_d is a "
    "mean over one: it has none",
}
"""Functions of the samples without a confidence bound, and why."""


def has_interval(node: Expression) -> bool:
    """Whether resampling can give a confidence interval: a function of all samples, and none of `NO_INTERVAL`."""
    parts = list(walk(node))
    functions = {part.function for part in parts if isinstance(part, Aggregate)}
    is_test = any(isinstance(part, (Bound, PGreater)) for part in parts)
    return bool(functions) and not functions & set(NO_INTERVAL) and not is_test and not is_per_sample(node)
