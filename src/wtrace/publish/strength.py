"""How strong the evidence is: intervals, paired tests and effect sizes of the check that decided, as a report's part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.judging import referee
from wtrace.publish.markdown.elements import bullets, table
from wtrace.text import code, number, numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wtrace.config.language.criteria import Criterion


@data
class Measured:
    """What one evaluation reported. `split` says on which data, in words."""

    split: str
    metrics: Mapping[str, object]
    samples: Mapping[str, object]


def strength_part(criteria: Sequence[Criterion], measured: Sequence[Measured]) -> str | None:
    """A table of 95 % intervals per evaluation, and the paired tests; None where nothing can be said."""
    if not measured:
        return None
    rows = [row for each in measured for row in _rows(criteria, each)]
    tests = [line for each in measured for line in _tests(criteria, each)]
    if not rows and not tests:
        return None
    title = "## How strong the evidence is"
    header = ["Criterion", "Data", "Value:", "95 % interval:"]
    note = (
        "Intervals are two-sided and not corrected for the number of looks. On the data that a claim was made on they "
        "are too optimistic, because the claim was chosen for its value; held-out data do not have that fault."
    )
    parts = [title, *([table(header, rows), note] if rows else []), *([bullets(tests)] if tests else [])]
    return "\n\n".join(parts)


def _rows(criteria: Sequence[Criterion], measured: Measured) -> list[list[str]]:
    rows = []
    for criterion in criteria:
        interval = referee.interval(criterion, measured.metrics, measured.samples)
        if interval is not None:
            low, estimate, high = numbers(interval.low, interval.estimate, interval.high)
            between = f"{low} – {high}"  # noqa: RUF001 (a range)
            rows.append([code(criterion.name), measured.split, estimate, between])
    return rows


def _tests(criteria: Sequence[Criterion], measured: Measured) -> list[str]:
    lines = []
    for criterion in criteria:
        test = referee.paired_evidence(criterion, measured.samples)
        if test is not None:
            lines.append(
                f"{code(criterion.name)}, {measured.split}: typical ratio {number(test.typical_ratio)} over "
                f"{test.pairs} pairs; signed-rank p = {number(test.p)}, sign test p = {number(test.sign_p)}"
            )
    return lines
