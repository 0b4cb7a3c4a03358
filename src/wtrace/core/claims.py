"""Claims and what becomes of them: a claim is a check that met every criterion.

With `[confirm]` each is judged again on held-out data, one at a time, in the order of arrival.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wtrace.core.data import data, replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wtrace.core.spec import RaceSpec
    from wtrace.core.standing import CriterionStanding

MOST_TRIES = 2
"""A confirmation that crashes or outlasts its timeout is tried once more, then refused."""


@data
class Due:
    """A check that met every criterion and has not become a claim yet."""

    worker: str
    epoch: int
    checkpoint: str | None


@data
class Claim:
    """A claim and how far its confirmation is."""

    number: int  # from 1, in the order of arrival
    worker: str
    epoch: int
    checkpoint: str | None  # relative to the worker's output folder
    status: Literal["open", "confirmed", "refuted"] = "open"
    frozen: str | None = None  # the absolute path of the frozen copy
    sha256: str | None = None  # of the frozen copy
    tries: int = 0
    trying_since: float | None = None  # a confirmation runs
    waits: bool = False  # it does not run yet: its engine has it in a queue
    results: tuple[CriterionStanding, ...] = ()  # of the confirmation
    why: str | None = None  # it was refuted

    def after_try(self, results: Sequence[CriterionStanding], problem: str | None) -> Claim:
        """The claim after a confirmation that was judged (`results`) or failed (`problem`)."""
        ended = replace(self, trying_since=None, waits=False, results=tuple(results))
        if problem is not None:
            return ended if self.tries < MOST_TRIES else replace(ended, status="refuted", why=problem)
        missed = [result.name for result in results if not result.met]
        if missed:
            return replace(ended, status="refuted", why=f"{', '.join(missed)} not met on held-out data")
        return replace(ended, status="confirmed")


def claims_left(spec: RaceSpec, worker: str, claims: Sequence[Claim], due: Sequence[Due]) -> int:
    """How many claims this worker may still make now: one at a time, and `attempts` in all where they are confirmed."""
    made = [claim for claim in claims if claim.worker == worker]
    if spec.confirm is None:
        return 1
    if any(claim.status == "open" for claim in made) or any(each.worker == worker for each in due):
        return 0
    return spec.confirm.attempts - len(made)


def open_claim(spec: RaceSpec, claim: Claim) -> bool:
    """Whether the claim waits for its confirmation."""
    return spec.confirm is not None and claim.status == "open"
