"""The criteria language: what it understands, and that every mistake is shown at its place."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wtrace.config.language.criteria import Criterion, parse_criterion, parse_sample_test
from wtrace.config.language.expressions import (
    Aggregate,
    Arithmetic,
    Bound,
    Column,
    Metric,
    Negation,
    Number,
    PGreater,
)
from wtrace.config.language.parser import MAX_DEPTH, USAGE
from wtrace.config.language.words import MAX_LENGTH, MAX_WORDS
from wtrace.errors import ConfigError
from wtrace.judging import referee

WORDS = [
    "mean", "median", "std", "min", "max", "count", "fraction", "p_greater", "cohens_d", "ci_low", "ci_high",
    "(", ")", ",", "+", "-", "*", "/", "<", "<=", ">", ">=", "a", "b", "val_loss", "'val/loss'", "1", "0.01", "1e999",
    "nan", " ", "\n", "'", "=", "é", "\x1b[31m", "\ud800",
]  # fmt: skip


def pointed_at(error: ConfigError) -> int:
    """The column of the caret; the text above it must be shown whole."""
    assert error.seen is not None
    _, caret = error.seen.split("\n")
    assert caret.strip() == "^"
    return len(caret) - 1


@pytest.mark.parametrize(
    ("text", "columns", "metrics", "op", "threshold"),
    [
        ("mean(persistent) / mean(transient) >= 1.5", ("persistent", "transient"), (), ">=", 1.5),
        ("mean(accuracy) >= 0.75", ("accuracy",), (), ">=", 0.75),
        ("p_greater(persistent, transient, 1.3) < 0.01", ("persistent", "transient"), (), "<", 0.01),
        ("fraction(persistent / transient > 1.3) >= 0.70", ("persistent", "transient"), (), ">=", 0.7),
        ("count(persistent) >= 20", ("persistent",), (), ">=", 20.0),
        ("val_loss <= 0.2", (), ("val_loss",), "<=", 0.2),
        ("'val/loss' < -1e-3", (), ("val/loss",), "<", -0.001),
        ("eval.loss>.5", (), ("eval.loss",), ">", 0.5),
        ("mean - max > 0", (), ("mean", "max"), ">", 0.0),
        ("mean(a) - a > 0", ("a",), ("a",), ">", 0.0),
        ("\n  val_loss\n  <= 0.2\n", (), ("val_loss",), "<=", 0.2),
    ],
)
def test_what_a_criterion_uses(
    text: str, columns: tuple[str, ...], metrics: tuple[str, ...], op: str, threshold: float
) -> None:
    criterion = parse_criterion("name", text)
    assert (criterion.name, criterion.text, criterion.for_checks) == ("name", text, 1)
    assert (criterion.columns, criterion.metrics) == (columns, metrics)
    assert (criterion.op, criterion.threshold) == (op, threshold)
    assert criterion.is_p_value == text.startswith("p_greater")


def test_operators_bind_as_in_arithmetic() -> None:
    a, b, c = Metric("a"), Metric("b"), Metric("c")
    assert parse_criterion("", "a - b - c > 0").expression == Arithmetic("-", Arithmetic("-", a, b), c)
    assert parse_criterion("", "a - b * c > 0").expression == Arithmetic("-", a, Arithmetic("*", b, c))
    assert parse_criterion("", "(a - b) / c > 0").expression == Arithmetic("/", Arithmetic("-", a, b), c)
    assert parse_criterion("", "-a * b > 0").expression == Arithmetic("*", Negation(a), b)


def test_functions_become_what_they_are() -> None:
    a, b = Column("a"), Column("b")
    assert parse_criterion("", "cohens_d(a, b) > 1").expression == Aggregate("cohens_d", (a, b))
    assert parse_criterion("", "(p_greater(a, b, 1.3)) <= .01").expression == PGreater(a, b, 1.3)
    mean = Aggregate("mean", (Arithmetic("*", Number(2), a),))
    assert parse_criterion("", "ci_low(mean(2 * a)) > 1").expression == Bound("low", mean, 0.01)
    assert parse_criterion("", "ci_high(mean(2 * a), 0.05) < 1").expression == Bound("high", mean, 0.05)


# § stands before the character that the caret must point at.
MISTAKES = [
    ("§", "empty"),
    ("§   ", "empty"),
    ("mean§(a / mean(b) >= 1", "never closed"),
    ("mean(a)§) >= 1", "closes nothing"),
    ("§)mean(a) >= 1", "closes nothing"),
    ("§meen(a) >= 1", "no function meen"),
    ("val_loss§", "comparison with a number is missing"),
    ("val_loss <=§", "number is missing"),
    ("val_loss <= §nan", "finite"),
    ("val_loss <= §-inf", "finite"),
    ("val_loss <= §1e999", "finite"),
    ("val_loss * §1e999 <= 1", "finite"),
    ("val_loss <= §limit", "plain number"),
    ("1.5 <= §mean(a)", "plain number"),
    ("val_loss <= 0.2 §and more", "after the end"),
    ("val_loss <= 0.2 §+ 1", "after the end"),
    ("a < 1 §< 2", "after the end"),
    ("val_loss §== 0.2", "one of < <= > >="),
    ("val_loss §!= 0.2", "one of < <= > >="),
    ("val_loss <= 75§%", "no meaning"),
    ("val_loss *§* 2 <= 75", "missing before *"),
    ("val_loss§; import os <= 1", "no meaning"),
    ("val_loss§[0] <= 1", "no meaning"),
    ("§\"val_loss\" <= 1", "quoted"),
    ("val §loss <= 1", "operator is missing before loss"),
    ("2 §loss <= 1", "operator is missing before loss"),
    ("a + §>= 1", "missing before >="),
    ("mean(§) >= 1", "too few values"),
    ("cohens_d(a§) >= 1", "too few values"),
    ("cohens_d(a, b§, c) >= 1", "too many values"),
    ("p_greater(a, b§) < 0.01", "too few values"),
    ("ci_low(mean(a), 0.01§, 3) > 1", "too many values"),
    ("mean(a §b) >= 1", "operator is missing before b"),
    ("mean(a §> 1) >= 1", "inside of fraction"),
    ("(a §> 1) + 1 >= 1", "inside of fraction"),
    ("fraction(a > 1 §> 0) >= 1", "inside of fraction"),
    ("fraction(a§) >= 1", "fraction needs a comparison"),
    ("fraction(§1 > 0) >= 1", "needs a column"),
    ("mean(§1) >= 1", "needs a column"),
    ("mean(§mean(a)) >= 1", "needs a column"),
    ("2 * §p_greater(a, b, 1.3) < 0.01", "stands alone"),
    ("mean(§p_greater(a, b, 1.3)) < 0.01", "stands alone"),
    ("p_greater(a, b, 1.3) §> 0.01", "stands alone"),
    ("p_greater(a, b, §-1.3) < 0.01", "greater than 0"),
    ("p_greater(a, b, §c) < 0.01", "plain number"),
    ("p_greater(a, b, 1.3) < §1.5", "between 0 and 1"),
    ("p_greater(a, b, 1.3) < §-0.5", "between 0 and 1"),
    ("ci_low(§a) > 1", "needs a function: mean(a)"),
    ("ci_low(§3) > 1", "needs a function"),
    ("ci_low(§min(a)) > 1", "min and max"),
    ("ci_low(mean(a), §0.5) > 1", "between 0 and 0.5"),
    ("ci_low(§ci_low(mean(a))) > 1", "inside of another"),
    ("mean(§ci_low(mean(a))) > 1", "inside of another"),
    ("ci_low(mean(a)) - §ci_high(mean(b)) > 1", "one confidence bound"),
    ("ci_low(mean(a)) §< 1", "ci_low is compared with"),
    ("ci_high(mean(a)) §>= 1", "ci_high with"),
    ("§1 < 2", "no metric and no column"),
    ("ci_high(mean(a)) - base §>= 0.1", "an upper confidence bound"),
    ("1 * ci_high(mean(a)) §>= 1", "an upper confidence bound"),
    ("-ci_low(mean(a)) §>= -1", "an upper confidence bound"),
    ("base - ci_low(mean(a)) §>= -1", "an upper confidence bound"),
    ("-ci_high(mean(a)) §< 1", "a lower confidence bound"),
    ("§ci_low(mean(a)) * (1 - 3) > 1", "not clear"),
    ("§ci_low(mean(a)) * base > 1", "not clear"),
    ("§ci_low(mean(a)) * 0 + base > 1", "not clear"),
    ("1 / §ci_low(mean(a)) > 1", "not clear"),
    ("§ci_low(mean(a)) / base > 1", "not clear"),
    ("ci_low(mean(a)) / -2 §> 1", "an upper confidence bound"),
    ("§ci_low(mean(a)) - mean(b) > 1", "mean is uncertain too"),
    ("fraction(a > 1) + §ci_low(mean(a)) > 1", "fraction is uncertain too"),
    ("ci_low(§std(a)) > 1", "std has none"),
    ("ci_high(§mean(a) / std(a)) < 1", "std has none"),
    ("ci_low(§cohens_d(a, b)) > 1", "cohens_d is a mean over one"),
]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "ci_low(mean(a)) - base >= 0.1",
        "ci_high(mean(a)) - base <= 0.1",
        "base - ci_high(mean(a)) >= 0.1",
        "-ci_low(mean(a)) <= -0.5",
        "1 - ci_low(fraction(a > 1)) < 0.2",
        "2 * ci_low(mean(a)) / 3 > 1",
        "-(base - 2 * ci_low(mean(a))) > 1",
        "ci_low(mean(a)) * -2 < 1",
        "count(a) * ci_low(mean(a)) > 10",
        "ci_low(mean(a)) * (count(a) + 1) > 10",
    ],
)
def test_a_bound_may_be_calculated_with_where_its_direction_is_clear(text: str) -> None:
    assert parse_criterion("name", text).columns == ("a",)


@pytest.mark.parametrize(("marked", "what"), MISTAKES)
def test_a_mistake_is_shown_at_its_place(marked: str, what: str) -> None:
    text = marked.replace("§", "")
    with pytest.raises(ConfigError) as raised:
        parse_criterion("name", text)
    assert what in raised.value.what
    assert raised.value.seen is not None
    assert raised.value.seen.split("\n")[0] == text
    assert pointed_at(raised.value) == marked.index("§")


def test_the_nearest_function_is_named() -> None:
    with pytest.raises(ConfigError) as raised:
        parse_criterion("name", "Meann(a) >= 1")
    assert raised.value.hint == "did you mean mean?"


def test_the_caret_stands_right_under_wide_hidden_and_broken_characters() -> None:
    with pytest.raises(ConfigError) as raised:
        parse_criterion("name", "mean(\na)\t+ '日本' + $ > 1")
    assert raised.value.seen == "mean( a) + '日本' + $ > 1\n" + " " * len("mean( a) + '____' + ") + "^"
    with pytest.raises(ConfigError) as raised:
        parse_criterion("name", "\x1b]0;x\x07 > 1")
    assert raised.value.seen == "\\x1b]0;x\\x07 > 1\n^"


def test_of_a_long_text_the_part_around_the_mistake_is_shown() -> None:
    with pytest.raises(ConfigError) as raised:
        parse_criterion("name", "a" + " + b" * 60 + " $ " + "+ c" * 60)
    assert raised.value.seen is not None
    text, caret = raised.value.seen.split("\n")
    assert len(text) <= 102
    assert text[len(caret) - 1] == "$"


@pytest.mark.parametrize(
    "text",
    [
        "(" * (MAX_DEPTH + 1) + "a" + ")" * (MAX_DEPTH + 1) + " > 1",
        "-" * (MAX_DEPTH + 1) + "a > 1",
        "a" + "+a" * (MAX_WORDS // 2) + " > 1",
        "a" * MAX_LENGTH + " > 1",
        "mean(" * 190 + "a" + ")" * 190 + " > 1",
    ],
)
def test_depth_and_length_are_limited(text: str) -> None:
    with pytest.raises(ConfigError, match=r"deep|more than|longer than"):
        parse_criterion("name", text)


def test_what_is_just_within_the_limits_is_understood() -> None:
    parse_criterion("name", "(" * (MAX_DEPTH - 1) + "a" + ")" * (MAX_DEPTH - 1) + " > 1")
    parse_criterion("name", "a" + "+a" * (MAX_WORDS // 2 - 2) + " > 1")


@given(st.text() | st.lists(st.sampled_from(WORDS), max_size=40).map("".join))
@example("0" * 400 + " < a")
@example("'" * 3)
def test_no_text_raises_anything_but_a_config_error(text: str) -> None:
    for parse in (parse_criterion, parse_sample_test):
        try:
            criterion = parse("name", text)
        except ConfigError as error:
            assert error.seen is not None
            assert "\n" not in error.what
            assert error.seen.count("\n") == 1
            assert error.seen.replace("\n", "").isprintable()
        else:
            assert isinstance(criterion, Criterion)
            assert hash(criterion) == hash(parse("name", text))


def test_for_checks_is_for_plain_metrics() -> None:
    assert parse_criterion("name", "val_loss <= 0.2", for_checks=2).for_checks == 2
    with pytest.raises(ConfigError, match="plain metrics only"):
        parse_criterion("name", "mean(accuracy) >= 0.75", for_checks=2)
    with pytest.raises(ConfigError, match="1 or more"):
        parse_criterion("name", "val_loss <= 0.2", for_checks=0)


def test_a_sample_test_is_about_columns() -> None:
    test = parse_sample_test("name", "persistent / transient > 1.3")
    assert (test.columns, test.metrics) == (("persistent", "transient"), ())
    for text in (
        "mean(accuracy) >= 0.75",
        "1 < 2",
        "accuracy",
        "p_greater(a, b, 1) < 0.1",
        "fraction(a > 1) > 0",
    ):
        with pytest.raises(ConfigError):
            parse_sample_test("name", text)


# The reference page

PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "criteria.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_criterion_of_the_reference_page_is_understood() -> None:
    tables = [tomllib.loads(block) for block in blocks("toml")]
    criteria: list[Any] = [entry for table in tables for entry in table.get("success", {}).values()]
    for entry in criteria:
        text, for_checks = (entry["is"], entry["for_checks"]) if isinstance(entry, dict) else (entry, 1)
        parse_criterion("name", text, for_checks=for_checks)
    tests = [text for table in tables for text in table.get("figures", {}).get("sample_pass", ())]
    for text in tests:
        parse_sample_test("name", text)
    assert (len(criteria), len(tests)) == (11, 2)


def test_every_mistake_of_the_reference_page_is_told_like_that() -> None:
    assert len(blocks("text")) == 5
    for block in blocks("text"):
        text, caret, what = block.rstrip("\n").split("\n")
        with pytest.raises(ConfigError) as raised:
            parse_criterion("name", text)
        assert (raised.value.what, raised.value.seen) == (what, f"{text}\n{caret}")


def test_the_example_of_the_reference_page_has_the_values_that_it_says() -> None:
    (check,) = (json.loads(block) for block in blocks("json"))
    rows = re.findall(r"^\| `(.* [<>].*)` \| (.*) \| (yes|no) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 10
    for text, value, met in rows:
        (standing,) = referee.judge(
            [parse_criterion("", text)], check["metrics"], check["samples"], divisor=1
        )
        shown = standing.reason if standing.value is None else f"{standing.value:.4g}"
        assert (shown, standing.met) == (value, met == "yes"), text


def test_every_function_is_on_the_reference_page() -> None:
    described = set(re.findall(r"`(\w+)\(", "".join(re.findall(r"^\| `.*$", PAGE, re.MULTILINE))))
    assert described >= set(USAGE)
