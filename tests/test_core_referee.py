"""The referee: what it computes, and that nothing a worker sends makes it raise or be met by mistake."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtrace.config.language.criteria import parse_criterion, parse_sample_test
from wtrace.judging import referee
from wtrace.judging.checks import CriterionStanding

N = 20
# Ratios from 1.6 to 2.55, all above 1.3; accuracies of 0.9 and 0.7 in turn.
SAMPLES: dict[str, list[Any]] = {
    "id": list(range(8000, 8000 + N)),
    "persistent": [(1.6 + 0.05 * i) * (1 + i % 3) for i in range(N)],
    "transient": [1.0 + i % 3 for i in range(N)],
    "accuracy": [0.9, 0.7] * (N // 2),
}
METRICS: dict[str, Any] = {"val_loss": 0.15, "lr": 1e-3, "steps": 400}


def judged(
    text: str,
    *,
    metrics: dict[str, Any] | None = None,
    samples: dict[str, Any] | None = None,
    divisor: int = 1,
) -> CriterionStanding:
    standing = referee.judge(
        [parse_criterion("name", text)],
        METRICS if metrics is None else metrics,
        SAMPLES if samples is None else samples,
        divisor=divisor,
    )[0]
    assert standing.name == "name"
    return standing


def changed(**columns: Any) -> dict[str, Any]:
    return {**SAMPLES, **columns}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("val_loss <= 0.2", 0.15),
        ("steps / 100 - lr * 1000 > 0", 3.0),
        ("-(val_loss - 1) * 2 > 0", 1.7),
        ("1 - 0.5 - 0.25 + 0 * steps > 0", 0.25),
        ("mean(accuracy) >= 0.75", 0.8),
        ("median(accuracy) >= 0.75", 0.8),
        ("std(accuracy) < 1", 0.1 * math.sqrt(20 / 19)),
        ("min(accuracy) < 1", 0.7),
        ("max(accuracy) < 1", 0.9),
        ("count(accuracy) >= 20", 20.0),
        ("fraction(accuracy > 0.7) >= 0.5", 0.5),
        ("fraction(accuracy >= 0.7) >= 0.5", 1.0),
        ("fraction(accuracy < mean(accuracy)) >= 0.5", 0.5),
        ("fraction(persistent / transient > 1.3) >= 0.7", 1.0),
        ("mean(persistent / transient) > 1", 1.6 + 0.05 * 9.5),
        ("cohens_d(accuracy + 1, -accuracy) > 1", 2.6 / (0.2 * math.sqrt(20 / 19))),
        ("p_greater(persistent, transient, 1.3) < 0.01", 2.0**-20),
        ("p_greater(transient, persistent, 1.3) < 0.01", 1.0),
        ("mean(accuracy) - val_loss > 0", 0.65),
    ],
)
def test_values(text: str, value: float) -> None:
    standing = judged(text)
    assert standing.value == pytest.approx(value)
    assert standing.reason is None
    limit, op = standing.threshold, standing.op
    expected = {">": value > limit, ">=": value >= limit, "<": value < limit, "<=": value <= limit}[op]
    assert standing.met == expected


def test_a_threshold_that_is_reached_exactly() -> None:
    accuracy = {"accuracy": [0.1] * 10, "hit": [1] * 14 + [0] * 6}
    assert judged("mean(accuracy) >= 0.1", samples={"accuracy": [0.1] * 10}).met
    assert not judged("mean(accuracy) > 0.1", samples={"accuracy": [0.1] * 10}).met
    assert judged("fraction(hit > 0) >= 0.70", samples={"hit": accuracy["hit"]}).met
    assert judged("val_loss <= 0.15").met
    assert not judged("val_loss < 0.15").met


NOT_MET = [
    ({"val_loss": math.nan}, {}, "val_loss <= 0.2", "val_loss is NaN"),
    ({"val_loss": -math.inf}, {}, "val_loss <= 0.2", "val_loss is infinite"),
    ({"val_loss": True}, {}, "val_loss >= 0.9", "val_loss is true, not a number"),
    ({"val_loss": "0.1"}, {}, "val_loss <= 0.2", "val_loss is a text, not a number"),
    ({"val_loss": None}, {}, "val_loss <= 0.2", "val_loss is null, not a number"),
    ({"val_loss": [0.1]}, {}, "val_loss <= 0.2", "val_loss is a list, not a number"),
    ({"val_loss": 10**400}, {}, "-val_loss <= 0.2", "val_loss is infinite"),
    ({}, {}, "val_loss <= 0.2", "no metric val_loss"),
    ({"accuracy": 0.9, "loss": 1}, {}, "acc >= 0.2", "no metric acc; it reports accuracy, loss"),
    (dict.fromkeys("abcdef", 0.9), {}, "acc >= 0.2", "no metric acc; it reports a, b, c, d, …"),
    ({"x": math.inf}, {}, "1 / x <= 3", "x is infinite"),
    ({"x": 0.0}, {}, "1 / x >= 3", "division by zero"),
    ({"x": 1e308}, {}, "x * x >= 3", "infinite"),
    ({"x": 1e308}, {}, "x * x - x * x <= 3", "NaN"),
    ({}, {}, "mean(accuracy) >= 0.1", "no column accuracy"),
    ({}, {"accuracy": []}, "count(accuracy) < 1", "no samples"),
    ({}, {"accuracy": 0.9}, "mean(accuracy) >= 0.1", "accuracy is a number, not a list"),
    ({}, {"accuracy": "999"}, "count(accuracy) >= 1", "accuracy is a text, not a list"),
    ({}, {"accuracy": [1, True]}, "mean(accuracy) >= 0.1", "accuracy[1] is true, not a number"),
    ({}, {"accuracy": [1, None]}, "count(accuracy) >= 1", "accuracy[1] is null, not a number"),
    ({}, {"accuracy": [math.nan, 1]}, "fraction(accuracy < 2) >= 0.1", "accuracy[0] is NaN"),
    ({}, {"accuracy": [1, math.inf]}, "max(accuracy) >= 0.1", "accuracy[1] is infinite"),
    ({}, {"accuracy": [1, 10**400]}, "max(accuracy) >= 0.1", "accuracy[1] is infinite"),
    ({}, {"a": [1, 2], "b": [1]}, "mean(a) / mean(b) > 0", "columns of unequal length: b 1, a 2"),
    ({}, {"a": [1, 2], "id": [1]}, "mean(a) > 0", "columns of unequal length: id 1, a 2"),
    ({}, {"a": [1, 2], "group": [1]}, "mean(a) > 0", "columns of unequal length: group 1, a 2"),
    ({}, {"a": [1, 1], "b": [1, 0]}, "fraction(a / b > 0) > 0", "division by zero or overflow at sample 1"),
    ({}, {"a": [1, 1], "b": [1, -1]}, "mean(a) / mean(b) > 0", "division by zero"),
    ({}, {"a": [1e308, 1e308]}, "mean(a) < 1", "NaN"),
    ({}, {"a": [1e308, -1e308]}, "std(a) < 1", "infinite"),
    ({}, {"a": [1e308] * 9 + [1e-308], "b": [1, 2] * 5}, "ci_high(mean(a) / median(b)) < 1", "not finite"),
    ({}, {"a": [1e-300] * 9, "b": [1e300] * 9}, "ci_high(mean(a) / median(b)) < 1", "NaN"),
    ({}, {"a": [1]}, "std(a) <= 5", "NaN"),
    ({}, {"a": [2, 3], "b": [1, 2]}, "cohens_d(a, b) > 0", "NaN"),
    ({}, {"a": [2, 3], "b": [1, 0]}, "p_greater(a, b, 1) < 0.5", "b is not above 0 at sample 1"),
    ({}, {"a": [2, -3], "b": [1, 1]}, "p_greater(a, b, 1) < 0.5", "a is not above 0 at sample 1"),
    ({}, {"a": [2, None], "b": [1, 1]}, "p_greater(a, b, 1) < 0.5", "a[1] is null"),
    ({}, {"a": [2, math.nan], "b": [1, 1]}, "p_greater(a, b, 1) < 0.5", "a[1] is NaN"),
    ({}, {"a": [2, 3], "b": [1]}, "p_greater(a, b, 1) < 0.5", "columns of unequal length"),
    ({}, {"a": [2, 3], "b": [-1, 9], "group": ["x", "x"]}, "p_greater(a, b, 1) < 0.5", "b is not above 0 at sample 0"),
    ({}, {"a": [2, None], "b": [1, 1]}, "cohens_d(a, b) > 0", "a[1] is null"),
    ({}, {"a": [2, math.inf], "b": [1, 1]}, "ci_low(mean(a) / mean(b)) > 0", "a[1] is infinite"),
    ({}, {"a": [2, 3], "b": [1, 1]}, "p_greater(a - 2, b, 1) < 0.5", "the first value is not above 0 at sample 0"),
    ({}, {"a": [2], "b": [1], "group": [1.5]}, "p_greater(a, b, 1) < 0.9", "group[0] is a number"),
    ({}, {"a": [2], "b": [1], "group": [None]}, "p_greater(a, b, 1) < 0.9", "group[0] is null"),
    ({}, {"a": [2], "b": [1], "group": "x"}, "p_greater(a, b, 1) < 0.9", "group is a text, not a list"),
    ({}, {"a": [1, 2, 3, 4]}, "ci_low(mean(a)) > -99", "needs 5 samples or groups, not 4"),
    ({}, {"a": [3] * 20}, "ci_low(mean(a)) > 2", "the samples do not vary"),
    ({}, {"a": [1, 2] * 9, "group": [1, 2] * 9}, "ci_low(mean(a)) > 0", "needs 5 samples or groups, not 2"),
    ({}, {"a": [1] * 20, "b": [0] * 19 + [2]}, "ci_low(mean(a) / mean(b)) > 0", "not finite"),
    ({}, {"a": [0.3, 0.4, 0.5, 0.6, 0.7, 0.8], "b": [0.2, 0.3, 0.4, 0.5, 0.6, 0.7]}, "cohens_d(a, b) > 0", "NaN"),
    ({}, {"a": [0.3, 0.4, 0.5, 0.6, 0.7, 0.8]}, "cohens_d(a, a - 0.1) > 0", "NaN"),
    ({}, {"a": [0.7] * 30}, "1 / std(a) > 0", "division by zero"),
]  # fmt: skip


@pytest.mark.parametrize(("metrics", "samples", "text", "reason"), NOT_MET)
def test_what_cannot_count_is_not_met(metrics: Any, samples: Any, text: str, reason: str) -> None:
    standing = judged(text, metrics=metrics, samples=samples)
    assert not standing.met
    assert standing.reason is not None
    assert reason in standing.reason
    assert standing.value is None or not math.isfinite(standing.value)


def test_a_workers_own_claims_do_not_count() -> None:
    """A plain metric is never taken for a column, nor a column for a plain metric."""
    claim = judged("mean(accuracy) >= 0.75", metrics={"accuracy": 1.0}, samples={})
    assert (claim.met, claim.reason) == (False, "no column accuracy, only a plain metric")
    claim = judged("accuracy >= 0.75", metrics={}, samples={"accuracy": [1.0]})
    assert (claim.met, claim.reason) == (False, "no metric accuracy, only a column of the samples")
    both = judged(
        "mean(accuracy) >= 0.75", metrics={"accuracy": 1.0, "mean": 1.0}, samples={"accuracy": [0.5]}
    )
    assert both.value == 0.5


def test_one_criterion_without_a_value_leaves_the_others_judged() -> None:
    criteria = [parse_criterion(t, t) for t in ("mean(gone) > 0", "val_loss <= 0.2", "mean(accuracy) > 0")]
    standings = referee.judge(criteria, METRICS, SAMPLES, divisor=1)
    assert [standing.met for standing in standings] == [False, True, True]
    assert [standing.name for standing in standings] == [criterion.name for criterion in criteria]


def test_columns_of_all_criteria_belong_to_one_table() -> None:
    criteria = [parse_criterion(t, t) for t in ("mean(persistent) > 0", "mean(accuracy) > 0", "val_loss < 1")]
    standings = referee.judge(criteria, METRICS, changed(accuracy=[1.0]), divisor=1)
    assert [standing.met for standing in standings] == [False, False, True]


def test_the_divisor_corrects_p_values_and_confidence_bounds_only() -> None:
    p = judged("p_greater(persistent, transient, 1.3) < 0.01", divisor=40)
    assert (p.value, p.threshold, p.met) == (2.0**-20, 0.01 / 40, True)
    assert not judged("p_greater(persistent, transient, 1.3) < 0.01", divisor=20_000).met
    ratio = judged("mean(persistent) / mean(transient) >= 1.5", divisor=40)
    assert ratio.threshold == 1.5
    text = "ci_low(mean(persistent) / mean(transient)) >= 1.5"
    plain, corrected = judged(text), judged(text, divisor=40)
    assert plain.value is not None
    assert corrected.value is not None
    assert corrected.threshold == 1.5
    assert corrected.value < plain.value < (ratio.value or 0)
    assert judged("ci_low(mean(persistent) / mean(transient), 0.00025) > 1").value == corrected.value
    high = judged("ci_high(mean(persistent) / mean(transient)) < 99")
    assert high.value is not None
    assert high.value > (ratio.value or 0)


def test_the_bound_of_a_fraction_is_exact() -> None:
    standing = judged("ci_low(fraction(persistent / transient > 1.3)) >= 0.7")
    assert standing.value == pytest.approx(0.01 ** (1 / N))  # Clopper and Pearson, all of n


def test_a_mean_of_zeros_and_ones_is_a_share() -> None:
    """A perfect column has a bound too: that of Clopper and Pearson."""
    perfect = {"accuracy": [1] * N}
    assert judged("ci_low(mean(accuracy)) >= 0.7", samples=perfect).value == pytest.approx(0.01 ** (1 / N))
    mixed = {"hit": [1] * 17 + [0] * 3}
    for text in ("ci_low(mean(hit)) > 0", "ci_high(mean(hit)) < 1"):
        same = text.replace("mean(hit)", "fraction(hit > 0.5)")
        assert judged(text, samples=mixed).value == judged(same, samples=mixed).value


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("ci_low(2 * fraction(hit > 0) - 0.5) > 0", "2 * ci_low(fraction(hit > 0)) - 0.5 > 0"),
        ("ci_low(1 - mean(hit)) > 0", "1 - ci_high(mean(hit)) > 0"),
        ("ci_high(mean(a) / mean(b) / -2) < 0", "ci_low(mean(a) / mean(b)) / -2 < 0"),
        ("ci_low(-mean(a)) > -9", "-ci_high(mean(a)) > -9"),
    ],
)
def test_a_bound_changes_with_constants_as_the_value_does(text: str, same: str) -> None:
    samples = {"hit": [1, 1, 0, 1] * 5, "a": [1.0, 2.0, 4.0, 3.0] * 5, "b": [1.0, 3.0] * 10}
    assert judged(text, samples=samples).value == pytest.approx(judged(same, samples=samples).value)


@pytest.mark.parametrize("n", [30, 1000])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_order_of_the_samples_is_nothing_to_a_bound(n: int, grouped: bool) -> None:
    rng = np.random.default_rng(n)
    table = {
        "id": np.arange(n),
        "a": rng.lognormal(0, 0.8, n).round(1),
        "b": rng.lognormal(0, 0.5, n).round(1) + 1,
    }
    if grouped:
        table["group"] = rng.integers(n // 3, size=n)
    found = set()
    for _ in range(6):
        order = rng.permutation(n)
        samples = {name: column[order].tolist() for name, column in table.items()}
        texts = (
            "ci_low(mean(a) / mean(b)) > 0",
            "ci_high(median(a) - mean(b)) < 9",
            "ci_low(mean(a / b)) > 0",
        )
        found.add(tuple(judged(text, samples=samples, divisor=40).value for text in texts))
    assert len(found) == 1


def test_of_many_samples_a_bound_is_as_far_away_as_students() -> None:
    """Beyond 400 samples parts of them are drawn: as wide as for single ones, whatever the samples' order."""
    rows = np.random.default_rng(3).normal(5.0, 1.0, 20_000)
    rows = np.concatenate(
        [rows, 10 - rows]
    )  # symmetric: nothing is added for skewness but what noise makes of it
    value = judged("ci_low(mean(a)) > 0", samples={"a": rows.tolist()}).value
    assert value is not None
    assert 2.326 * 0.8 < (5.0 - value) / (rows.std() / math.sqrt(len(rows))) < 2.326 * 1.5


def test_groups_are_one_sample_each() -> None:
    text = "p_greater(persistent, transient, 1.3) < 0.01"
    assert judged(text, samples=changed(group=[f"video {i // 4}" for i in range(N)])).value == 2.0**-5
    assert judged(text, samples=changed(group=list(range(N)))).value == judged(text).value
    assert judged(text, samples=changed(group=[1, "1"] * (N // 2))).value == 2.0**-2  # a number is not a text


def test_criteria_info_tells_both_thresholds() -> None:
    texts = ("p_greater(a, b, 1.3) < 0.01", "val_loss <= 0.2")
    p, loss = referee.criteria_info([parse_criterion(text, text) for text in texts], 50)
    assert (p.text, p.op, p.threshold, p.applied) == (texts[0], "<", 0.01, 0.01 / 50)
    assert (loss.threshold, loss.applied) == (0.2, 0.2)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
NUMBERS = st.lists(st.floats() | st.integers(-3, 3), min_size=6, max_size=6) | st.lists(
    st.sampled_from([1e-308, 1e-300, 0.5, 1.0, 3.0, 1e300, 1e308]), min_size=6, max_size=6
)
COLUMNS = st.dictionaries(st.sampled_from(["a", "b", "id", "group"]), NUMBERS | JSON)
CRITERIA = [
    parse_criterion(text, text)
    for text in (
        "a <= 1", "a / b - 1 / a > 0", "mean(a) / mean(b) >= 1.5", "mean(a / b) < 3", "std(a) > 0", "min(a) - max(b) < 1",
        "median(a * b) > 0", "count(a) >= 0", "fraction(a / b > mean(b)) >= 0", "cohens_d(a, b) > -9",
        "p_greater(a, b, 1.3) < 0.9", "ci_low(mean(a) / mean(b)) > -9", "ci_high(fraction(a > b)) <= 1",
        "ci_low(median(a) - mean(b)) > -9",
        "ci_high(median(a) / median(b)) < 9", "ci_low(mean(a * mean(b)) * median(b)) > -9",
        "2 - 3 * ci_high(fraction(a > 1) / -2) > -9", "ci_low(mean(a) / 0) > 1", "-ci_high(mean(b), 0.1) * count(a) > 0",
    )
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(metrics=st.dictionaries(st.sampled_from(["a", "b"]), JSON), samples=COLUMNS)
def test_nothing_that_a_worker_sends_raises(metrics: dict[str, Any], samples: Any) -> None:
    for standing in referee.judge(CRITERIA, metrics, samples, divisor=7):
        assert standing.value is not None or standing.reason
        if standing.met:
            assert standing.value is not None
            assert math.isfinite(standing.value)
            assert standing.reason is None
    referee.passes(parse_sample_test("", "a / b > 1"), samples)
    referee.ids_digest(samples)
    for criterion in CRITERIA:
        referee.interval(criterion, metrics, samples)
        referee.paired_evidence(criterion, samples)


def test_a_sample_test_is_never_a_met_criterion() -> None:
    (standing,) = referee.judge([parse_sample_test("", "accuracy >= 0")], {}, SAMPLES, divisor=1)
    assert (standing.met, standing.reason) == (False, "a test of single samples")


def test_which_samples_pass() -> None:
    test = parse_sample_test("", "a / b > 1.3")
    samples = {"a": [1.4, 1.3, 9, None, 2, True, 5], "b": [1, 1, 0, 1, math.nan, 1]}
    assert referee.passes(test, samples) == [True, False, False, False, False, False, False]
    assert referee.passes(parse_sample_test("", "a * a > 1"), {"a": [1e200, 2]}) == [False, True]
    assert referee.passes(test, {"b": [1, 2]}) == [False, False]
    assert referee.passes(test, {}) == []


def test_the_evidence_of_a_p_criterion() -> None:
    criterion = parse_criterion("", "p_greater(persistent, transient, 1.3) < 0.01")
    evidence = referee.paired_evidence(criterion, SAMPLES)
    assert evidence is not None
    assert (evidence.p, evidence.sign_p, evidence.pairs) == (2.0**-20, 2.0**-20, N)
    assert 1.9 < evidence.typical_ratio < 2.2
    assert referee.paired_evidence(criterion, {}) is None
    vast = referee.paired_evidence(criterion, {"persistent": [1e300], "transient": [1e-300]})
    assert vast is not None
    assert vast.typical_ratio == math.inf
    assert referee.paired_evidence(parse_criterion("", "val_loss < 1"), SAMPLES) is None


def test_the_interval_of_what_a_criterion_compares() -> None:
    ratio = parse_criterion("", "mean(persistent) / mean(transient) >= 1.5")
    found = referee.interval(ratio, METRICS, SAMPLES)
    assert found is not None
    assert 1.6 < found.low < found.estimate < found.high < 2.6
    wider = referee.interval(ratio, METRICS, SAMPLES, level=0.99)
    assert wider is not None
    assert wider.low < found.low
    bound = parse_criterion("", "ci_low(mean(persistent) / mean(transient)) >= 1.5")
    assert referee.interval(bound, METRICS, SAMPLES) == found
    for text in (
        "val_loss < 1",
        "max(accuracy) < 1",
        "p_greater(persistent, transient, 1.3) < 0.01",
        "mean(gone) > 1",
    ):
        assert referee.interval(parse_criterion("", text), METRICS, SAMPLES) is None


def test_ids_are_a_set() -> None:
    a = {"id": [3, 1, "x"], "accuracy": [1, 2, 3]}
    assert referee.ids_problem(a) is None
    assert referee.sample_ids(a) == (3, 1, "x")
    digest = referee.ids_digest(a)
    assert digest == referee.ids_digest({"id": ["x", 3, 1]})
    others: list[list[Any]] = [[3, 1], [3, 1, "y"], ["3", 1, "x"], ['1"\n"x', 3], [3, 1, "x", 10**5000]]
    assert len({digest, *(referee.ids_digest({"id": ids}) for ids in others)}) == 6
    assert referee.ids_digest({"id": ["\ud800"]}) is not None


@pytest.mark.parametrize(
    ("samples", "problem"),
    [
        ({"id": [1, 2, 1]}, "sample ids are not unique: 1"),
        ({"id": [1, 2, True]}, "id[2] is true, not a whole number or a text"),
        ({"id": [1.0]}, "id[0] is a number, not a whole number or a text"),
        ({"id": [[1]]}, "id[0] is a list, not a whole number or a text"),
        ({"id": "abc"}, "sample ids are a text, not a list"),
        ({"id": [1, 2], "accuracy": [1]}, "columns of unequal length: accuracy 1, id 2"),
        ({"id": ["\x1b[31m", "\x1b[31m"]}, "sample ids are not unique: \\x1b[31m"),
    ],
)
def test_ids_that_cannot_be_used(samples: Any, problem: str) -> None:
    assert referee.ids_problem(samples) == problem
    assert referee.sample_ids(samples) is None
    assert referee.ids_digest(samples) is None


def test_samples_without_ids_have_no_problem() -> None:
    assert referee.ids_problem({"accuracy": [1]}) is None
    assert referee.sample_ids({"accuracy": [1]}) is None
    assert referee.ids_digest({"accuracy": [1]}) is None


@pytest.mark.parametrize(
    "text",
    [
        "loss <= 0.2",
        "count(a) >= 20",
        "ci_low(fraction(a / b > 1.3)) > 0.5",
        "p_greater(a, b, 1.3) < 0.01",
        "cohens_d(a, b) > 1",
    ],
)
def test_criteria_of_every_kind_can_be_warmed_up(text: str) -> None:
    referee.warm_up([parse_criterion("it", text)])
