"""Understands the text of a criterion, by recursive descent. Nothing is ever executed.

criterion  = sum COMPARISON number
sum        = product { ("+" | "-") product }
product    = factor { ("*" | "/") factor }
factor     = "-" factor | NUMBER | NAME | NAME "(" arguments ")" | "(" sum ")"
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from wtrace.config.language.expressions import (
    NO_INTERVAL,
    Aggregate,
    AggregateName,
    Arithmetic,
    ArithmeticOperator,
    Bound,
    Column,
    Comparison,
    ComparisonOperator,
    Expression,
    Metric,
    Negation,
    Number,
    PGreater,
    children,
    is_per_sample,
    walk,
)
from wtrace.config.language.words import Cursor, Mistake, Word, number_of, words
from wtrace.config.names import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_DEPTH = 32  # bounds the parser's own recursion
DEFAULT_ERROR = 0.01  # of ci_low and ci_high

USAGE = {
    "mean": "mean(a)",
    "median": "median(a)",
    "std": "std(a)",
    "min": "min(a)",
    "max": "max(a)",
    "count": "count(a)",
    "fraction": "fraction(a > 1)",
    "p_greater": "p_greater(a, b, 1.3)",
    "cohens_d": "cohens_d(a, b)",
    "ci_low": "ci_low(mean(a))",
    "ci_high": "ci_high(mean(a))",
}
CAREFUL = "ci_low is compared with > or >=, ci_high with < or <="
CAREFUL_HERE = {
    True: "a lower confidence bound is compared with > or >=; as it is calculated here, this is one",
    False: "an upper confidence bound is compared with < or <=; as it is calculated here, this is one",
}
ALONE = "p_greater stands alone, left of < or <="

# What a name means: a plain metric, a column of the samples, or (directly inside ci_low) neither.
Scope = Literal["check", "samples", "bound"]
Reader = Callable[[], Expression]


class Parsed(NamedTuple):
    """A criterion's text, understood."""

    expression: Expression
    op: ComparisonOperator
    threshold: float


def parse(text: str, scope: Literal["check", "samples"]) -> Parsed:
    """Understand `EXPRESSION OPERATOR NUMBER`; a name outside of functions means what `scope` says.

    Raises `Mistake`, and nothing else, whatever the text.
    """
    parser = Parser(words(text))
    expression = parser.sum(scope)
    op = parser.comparison()
    at = parser.next.at
    threshold = parser.number()
    parser.end()
    parser.check_place_of_p(expression, op)
    parser.check_bound(expression, op)
    check_threshold(expression, threshold, at)
    if not any(isinstance(node, (Metric, Column)) for node in walk(expression)):
        raise Mistake("uses no metric and no column", 0)
    return Parsed(expression, cast("ComparisonOperator", op.text), threshold)


def check_threshold(expression: Expression, threshold: float, at: int) -> None:
    """Raises `Mistake` where the comparison cannot mean what its author wants."""
    if isinstance(expression, PGreater) and not 0 < threshold < 1:
        raise Mistake("a p value is compared with a number between 0 and 1", at)


class Parser(Cursor):
    """The recursive descent: each method understands one rule of the grammar."""

    def __init__(self, found: Sequence[Word]) -> None:
        super().__init__(found)
        self.depth = 0
        self.p_greater_at: int | None = None
        self.bound_at: int | None = None

    def sum(self, scope: Scope) -> Expression:
        """Products, added and subtracted."""
        left = self.product(scope)
        while self.next.text in ("+", "-"):
            op = cast("ArithmeticOperator", self.take().text)
            left = Arithmetic(op, left, self.product(scope))
        return left

    def product(self, scope: Scope) -> Expression:
        """Factors, multiplied and divided."""
        left = self.factor(scope)
        while self.next.text in ("*", "/"):
            op = cast("ArithmeticOperator", self.take().text)
            left = Arithmetic(op, left, self.factor(scope))
        return left

    def factor(self, scope: Scope) -> Expression:
        """A number, a name, a call, a parenthesis, or the negative of one of them."""
        word = self.take()
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Mistake(f"nested more than {MAX_DEPTH} deep", word.at)
        node = self.factor_of(word, scope)
        self.depth -= 1
        return node

    def factor_of(self, word: Word, scope: Scope) -> Expression:
        """The factor that begins with this word."""
        if word.kind == "number":
            return Number(number_of(word))
        if word.kind == "name":
            return self.call(word, scope) if self.next.text == "(" else named(word, scope)
        if word.text == "-":
            return Negation(self.factor(scope))
        if word.text == "(":
            node = self.sum(scope)
            self.close()
            return node
        raise Mistake(f"a number, a name or a function is missing before {word}", word.at)

    def call(self, function: Word, scope: Scope) -> Expression:
        """A function with its arguments."""
        name = function.text
        if name not in USAGE:
            near = nearest(name, USAGE)
            hint = f"did you mean {near}?" if near else "the functions are " + " ".join(USAGE)
            raise Mistake(f"there is no function {function}", function.at, hint=hint)
        if name == "p_greater":
            return self.p_greater(function, scope)
        if name in ("ci_low", "ci_high"):
            return self.bound(function, scope)
        column = self.per_sample(name)
        readers = {"fraction": [self.fraction_argument], "cohens_d": [column, column]}.get(name, [column])
        return Aggregate(cast("AggregateName", name), tuple(self.arguments(name, readers)))

    def p_greater(self, function: Word, scope: Scope) -> PGreater:
        """The test; where it stands is checked at the end, when all is known."""
        if scope != "check":
            raise Mistake(ALONE, function.at)
        self.p_greater_at = function.at
        column = self.per_sample("p_greater")
        a, b, margin = self.arguments("p_greater", [column, column, self.margin])
        assert isinstance(margin, Number)
        return PGreater(a, b, margin.value)

    def check_place_of_p(self, expression: Expression, op: Word) -> None:
        """Raises `Mistake` unless a p value stands alone on the left of < or <=."""
        if self.p_greater_at is None:
            return
        if not isinstance(expression, PGreater):
            raise Mistake(ALONE, self.p_greater_at)
        if op.text[0] != "<":
            raise Mistake(ALONE, op.at)

    def check_bound(self, expression: Expression, op: Word) -> None:
        """Raises `Mistake` unless the criterion holds only where its confidence bound is on the careful side."""
        if self.bound_at is None:
            return
        beside = next((part for part in estimates_beside(expression) if part.function != "count"), None)
        if beside is not None:
            raise Mistake(
                f"{beside.function} is uncertain too, and stands outside of the confidence bound",
                self.bound_at,
                hint="put all of it into the bound, as in ci_low(mean(a) - mean(b))",
            )
        is_low = lower_bound(expression)
        if is_low is None:
            raise Mistake(
                "it is not clear in which direction this confidence bound counts: what multiplies or divides it "
                "must be a number, or a count of samples",
                self.bound_at,
            )
        if is_low != (op.text[0] == ">"):
            raise Mistake(CAREFUL if isinstance(expression, Bound) else CAREFUL_HERE[is_low], op.at)

    def bound(self, function: Word, scope: Scope) -> Bound:
        """A confidence bound, the only one of its criterion: the errors of two would add up."""
        name = function.text
        if scope != "check":
            raise Mistake(f"{name} cannot stand inside of another function", function.at)
        if self.bound_at is not None:
            raise Mistake("a criterion has one confidence bound at most", function.at)
        self.bound_at = function.at
        expression, *error = self.arguments(name, [self.bound_argument], optional=[self.error])
        return Bound(
            side="low" if name == "ci_low" else "high",
            expression=expression,
            error=error[0].value if error and isinstance(error[0], Number) else DEFAULT_ERROR,
        )

    def arguments(
        self, function: str, readers: Sequence[Reader], *, optional: Sequence[Reader] = ()
    ) -> list[Expression]:
        """The arguments in their parentheses, each understood by its reader."""
        self.take()
        found: list[Expression] = []
        for read in readers:
            if self.next.text == ")":
                raise wrong_count("few", function, self.next.at)
            if found:
                self.comma()
            found.append(read())
        for read in optional:
            if self.next.text == ",":
                self.take()
                found.append(read())
        if self.next.text == ",":
            raise wrong_count("many", function, self.next.at)
        self.close()
        return found

    def comma(self) -> None:
        """Consume a comma."""
        if self.next.text != ",":
            raise self.unexpected()
        self.take()

    def per_sample(self, function: str) -> Reader:
        """Reads an argument that has one value per sample."""

        def read() -> Expression:
            at = self.next.at
            node = self.sum("samples")
            if not is_per_sample(node):
                raise Mistake(f"{function} needs a column of the samples", at)
            return node

        return read

    def fraction_argument(self) -> Expression:
        """Reads a comparison that is true or false per sample."""
        at = self.next.at
        left = self.sum("samples")
        if self.next.kind != "comparison":
            raise Mistake("fraction needs a comparison: fraction(a > 1)", self.next.at)
        op = cast("ComparisonOperator", self.take().text)
        node = Comparison(op, left, self.sum("samples"))
        if not is_per_sample(node):
            raise Mistake("fraction needs a column of the samples", at)
        return node

    def bound_argument(self) -> Expression:
        """Reads an expression of aggregates that resampling can give an interval for."""
        at = self.next.at
        node = self.sum("bound")
        functions = {part.function for part in walk(node) if isinstance(part, Aggregate)}
        if not functions:
            raise Mistake("a confidence bound needs a function of the samples: ci_low(mean(a))", at)
        for function in functions & set(NO_INTERVAL):
            raise Mistake(NO_INTERVAL[function], at)
        return node

    def margin(self) -> Number:
        """Reads the margin of a ratio."""
        at = self.next.at
        margin = self.number()
        if margin <= 0:
            raise Mistake("the margin is a ratio, and greater than 0", at)
        return Number(margin)

    def error(self) -> Number:
        """Reads the error probability of a confidence bound."""
        at = self.next.at
        error = self.number()
        if not 0 < error < 0.5:
            raise Mistake("the error probability lies between 0 and 0.5", at)
        return Number(error)


def estimates_beside(node: Expression) -> Iterator[Aggregate]:
    """The aggregates outside of the confidence bound."""
    if isinstance(node, Aggregate):
        yield node
    elif not isinstance(node, Bound):
        for child in children(node):
            yield from estimates_beside(child)


def lower_bound(node: Expression) -> bool | None:
    """Whether an expression with a confidence bound is a lower bound (True) or an upper one; None: neither for sure."""
    match node:
        case Bound(side=side):
            return side == "low"
        case Negation(operand):
            return turned(lower_bound(operand), -1)
        case Arithmetic(op, left, right) if has_bound(left):
            sign = 1 if op in ("+", "-") else sign_of(right)
            return turned(lower_bound(left), sign)
        case Arithmetic(op, left, right) if has_bound(right) and op != "/":
            sign = {"+": 1, "-": -1}.get(op) or sign_of(left)
            return turned(lower_bound(right), sign)
        case _:
            return None


def turned(is_low: bool | None, sign: int) -> bool | None:
    """What a bound becomes by a factor of this sign; one that may be 0 leaves nothing certain."""
    return None if is_low is None or sign == 0 else is_low == (sign > 0)


def has_bound(node: Expression) -> bool:
    """Whether there is a confidence bound in the expression."""
    return any(isinstance(part, Bound) for part in walk(node))


def sign_of(node: Expression) -> int:
    """1 or -1 where the expression has that sign whatever the samples; 0 where it has not, or is 0."""
    match node:
        case Number(value):
            return (value > 0) - (value < 0)
        case Aggregate(function="count"):
            return 1
        case Negation(operand):
            return -sign_of(operand)
        case Arithmetic("*" | "/", left, right):
            return sign_of(left) * sign_of(right)
        case Arithmetic("+", left, right) if sign_of(left) == sign_of(right):
            return sign_of(left)
        case Arithmetic("-", left, right) if sign_of(left) == -sign_of(right):
            return sign_of(left)
        case _:
            return 0


def wrong_count(few_or_many: str, function: str, at: int) -> Mistake:
    """The mistake of an argument too few or too many."""
    return Mistake(f"too {few_or_many} values: {function} is used like {USAGE[function]}", at)


def named(word: Word, scope: Scope) -> Metric | Column:
    """What a name means at this place."""
    if scope == "bound":
        raise Mistake(f"{word} is a column here and needs a function: mean({word})", word.at)
    return Metric(word.name) if scope == "check" else Column(word.name)
