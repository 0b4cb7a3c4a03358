"""What a report rests on besides the standing."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from wtrace.data import data

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wtrace.config.language.criteria import Criterion
    from wtrace.judging.checks import CriterionStanding
    from wtrace.publish.markdown.validity import FairPlay, Measured
    from wtrace.race.claims import Claim


@data
class CheckRow:
    """One check as it was recorded. `judged` is False for checks that only the figures use, or that came twice."""

    worker: str
    attempt: int
    epoch: int
    at: float  # seconds since 1970
    criteria: tuple[
        CriterionStanding, ...
    ]  # in the order of the race's criteria; empty where it was not judged
    judged: bool = True

    @property
    def met(self) -> int:
        """How many criteria this check met."""
        return sum(criterion.met for criterion in self.criteria)


@data
class Evidence:
    """All that is recorded about a race and is not in its standing."""

    checks: tuple[CheckRow, ...]  # in the order of arrival: all that were judged, of the others the latest
    recorded: int = 0  # how many checks there are on record, where `checks` leaves some out
    environment: Mapping[str, str] = field(
        default_factory=dict
    )  # what the machine was: Python, cores, GPUs, …
    config: str = ""  # `wtrace.toml` as it was resolved at the start
    commands: tuple[str, ...] = ()  # to reproduce the race, one shell line each
    correction: str = "bonferroni"  # or "none"
    divisor: int = 1  # m: what each p threshold was divided by
    confirmed: bool = False  # whether claims are confirmed on held-out data
    claims: tuple[Claim, ...] = ()
    confirm_divisor: int = 1  # what each p threshold of a confirmation was divided by
    success: tuple[Criterion, ...] = ()
    measured: tuple[Measured, ...] = ()  # the check that decided, and its confirmation
    starts: Mapping[str, Mapping[str, object]] = field(
        default_factory=dict
    )  # by worker: what its start record said
    figures: tuple[str, ...] = ()  # paths seen from the report
    doubts: Mapping[str, str] = field(
        default_factory=dict
    )  # files of the winner's output that may not be whole, and why
    saved: str | None = None  # what stopping early saved, in words
    kept: tuple[str, ...] = ()  # what became of the losers' checkpoints, a line each
    after: tuple[str, ...] = ()  # how the commands of `[after]` ended, a line each
    fair: FairPlay | None = None  # what was looked at so that the race was fair
    merges: Mapping[str, str] = field(default_factory=dict)  # by worker: whether it could be merged, in words
    written_at: float | None = None  # when the report was written; seconds since 1970
