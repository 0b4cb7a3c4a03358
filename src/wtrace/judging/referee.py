"""The referee: judges one check by the race's criteria. It computes from the samples; a worker's claims do not count.

Whatever a worker sends, nothing here raises: what cannot be judged is not met, and the standing says why.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from typing import TYPE_CHECKING

from wtrace.config.language.expressions import Bound, PGreater, has_interval, is_per_sample
from wtrace.data import data, replace
from wtrace.judging.checks import CriterionInfo, CriterionStanding
from wtrace.judging.evaluation import COMPARE, Evaluation
from wtrace.judging.samples import ID, NoValue, Sample, Samples, described, is_label, is_list, uneven
from wtrace.judging.statistics.arrays import import_for_reports, quiet
from wtrace.judging.statistics.paired import PairedTest, paired_test
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wtrace.config.language.criteria import Criterion


@data
class Interval:
    """A two-sided confidence interval."""

    estimate: float
    low: float
    high: float
    level: float


def judge(
    criteria: Sequence[Criterion],
    metrics: Mapping[str, object],
    samples: Mapping[str, object],
    *,
    divisor: int,
) -> tuple[CriterionStanding, ...]:
    """Where a check stands by each criterion, in their order.

    `divisor` is the number of looks: p thresholds and the error of confidence bounds are divided by it.
    """
    columns = Samples(samples, [name for criterion in criteria for name in criterion.columns])
    check = Evaluation(metrics, columns, divisor)
    return tuple(standing(criterion, check) for criterion in criteria)


def warm_up(criteria: Sequence[Criterion]) -> None:
    """Judge samples made up for it, so that the first check does not wait for what judging imports and sets up."""
    columns = {name: [2.0 - row / 64 for row in range(64)] for each in criteria for name in each.columns}
    if columns:
        import_for_reports()
        judge(criteria, {}, {ID: list(range(64)), **columns}, divisor=1)
        ids_digest({ID: list(range(64))})


def standing(criterion: Criterion, check: Evaluation) -> CriterionStanding:
    """Where a check stands by one criterion; its value is None where there is none that counts."""
    threshold = applied_threshold(criterion, check.divisor)
    try:
        if criterion.is_p_value:
            check = replace(check, threshold=threshold)
        value = evaluated(criterion, check)
    except NoValue as why:
        return CriterionStanding(criterion.name, None, criterion.op, threshold, met=False, reason=why.reason)
    if not math.isfinite(value):
        return CriterionStanding(
            criterion.name, value, criterion.op, threshold, met=False, reason=described(value)
        )
    met = bool(COMPARE[criterion.op](value, threshold))
    return CriterionStanding(criterion.name, value, criterion.op, threshold, met=met)


def evaluated(criterion: Criterion, check: Evaluation) -> float:
    """The criterion's value; `NoValue` where it has none."""
    if is_per_sample(criterion.expression):
        raise NoValue("a test of single samples")
    if not criterion.columns:
        return float(check.value(criterion.expression))
    with quiet():
        return float(check.value(criterion.expression))


def applied_threshold(criterion: Criterion, divisor: int) -> float:
    """The threshold after Bonferroni's correction: a p threshold is divided by the number of looks, others are not."""
    return criterion.threshold / divisor if criterion.is_p_value else criterion.threshold


def criteria_info(criteria: Sequence[Criterion], divisor: int) -> tuple[CriterionInfo, ...]:
    """The criteria as a standing shows them."""
    return tuple(criterion_info(criterion, applied_threshold(criterion, divisor)) for criterion in criteria)


def criterion_info(criterion: Criterion, applied: float) -> CriterionInfo:
    """A criterion as a standing shows it, with the threshold that is applied."""
    return CriterionInfo(
        criterion.name,
        criterion.text,
        criterion.op,
        threshold=criterion.threshold,
        applied=applied,
        p_value=criterion.is_p_value,
        for_checks=criterion.for_checks,
        min_checks=criterion.min_checks,
    )


def passes(test: Criterion, samples: Mapping[str, object]) -> list[bool]:
    """For each sample whether it passes a test of `[figures] sample_pass`; one without the values does not."""
    count = max((len(values) for values in samples.values() if is_list(values)), default=0)
    return [_sample_passes(test, Sample(samples, index)) for index in range(count)]


def _sample_passes(test: Criterion, sample: Sample) -> bool:
    try:
        value = float(Evaluation({}, sample).value(test.expression))
    except NoValue:
        return False
    return math.isfinite(value) and bool(COMPARE[test.op](value, test.threshold))


def paired_evidence(criterion: Criterion, samples: Mapping[str, object]) -> PairedTest | None:
    """What the report says about a p criterion, the sign test beside it; None where there is no p value."""
    if not isinstance(criterion.expression, PGreater):
        return None
    try:
        with quiet():
            difference = Evaluation({}, Samples(samples, criterion.columns)).differences(criterion.expression)
            return paired_test(difference, criterion.expression.margin)
    except NoValue:
        return None


def interval(
    criterion: Criterion,
    metrics: Mapping[str, object],
    samples: Mapping[str, object],
    *,
    level: float = 0.95,
) -> Interval | None:
    """The two-sided interval of what the criterion compares, for reports and figures; None where there is none."""
    expression = (
        criterion.expression.expression if isinstance(criterion.expression, Bound) else criterion.expression
    )
    if not has_interval(expression):
        return None
    check = Evaluation(metrics, Samples(samples, criterion.columns))
    error = (1 - level) / 2
    try:
        with quiet():
            low, high = check.bound(expression, "low", error), check.bound(expression, "high", error)
            return Interval(float(check.value(expression)), low, high, level)
    except NoValue:
        return None


def sample_ids(samples: Mapping[str, object]) -> tuple[int | str, ...] | None:
    """The samples' ids in their order; None where there are none that can be used."""
    ids = samples.get(ID)
    if not is_list(ids) or ids_problem(samples) is not None:
        return None
    return tuple(each for each in ids if is_label(each))


def ids_problem(samples: Mapping[str, object]) -> str | None:
    """What is wrong with the samples' ids, in a few words; None where they are right, or where there are none."""
    if ID not in samples:
        return None
    ids = samples[ID]
    if not is_list(ids):
        return f"sample ids are {described(ids)}, not a list"
    for index, each in enumerate(ids):
        if not is_label(each):
            return f"id[{index}] is {described(each)}, not a whole number or a text"
    if len(set(ids)) < len(ids):
        repeated = next(each for each, times in Counter(ids).items() if times > 1)
        return f"sample ids are not unique: {plain(str(repeated), 40)}"
    return uneven(samples)


def cannot_be_compared(criteria: Sequence[Criterion], samples: Mapping[str, object]) -> bool:
    """Whether a check is judged by samples without ids, so that nobody knows whether they are those of the others."""
    return bool(samples) and ID not in samples and any(criterion.columns for criterion in criteria)


def ids_digest(samples: Mapping[str, object]) -> str | None:
    """A digest of the set of ids, whatever their order; None where there are none that can be used."""
    ids = sample_ids(samples)
    if ids is None:
        return None
    # Numbers in hexadecimal, since Python refuses to write long ones in decimal; JSON makes any text plain ASCII.
    words = sorted(json.dumps(each) if isinstance(each, str) else f"{each:x}" for each in ids)
    return "sha256:" + hashlib.sha256("\n".join(words).encode()).hexdigest()
