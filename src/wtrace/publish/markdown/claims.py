"""The claims of a race and their confirmations on held-out data, as a part of the reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.publish.markdown.elements import bullets, table
from wtrace.publish.markdown.rows import criterion_cell, criterion_title
from wtrace.race.claims import winning_claim
from wtrace.text import bound, code, markdown

if TYPE_CHECKING:
    from wtrace.publish.record import Evidence
    from wtrace.race.claims import Claim
    from wtrace.race.status import Standing

NOTE_LENGTH = 300
MOST_DOUBTS = 20
_ENDS = {
    "refuted": "was refuted",
    "unconfirmed": "could not be confirmed, which refutes nothing",
    "dropped": "was dropped",
}


def claims_part(standing: Standing, evidence: Evidence) -> str | None:
    """Every claim with what held-out data said of it; None where claims were not to be confirmed."""
    if not evidence.confirmed:
        return None
    title = "## Claims and their confirmation on held-out data"
    if not evidence.claims:
        return f"{title}\n\nNobody claimed."
    header = ["Claim:", "Worker", "Epoch:", "Outcome", "Tries:", *_titles(standing, evidence)]
    rows = [_row(claim, len(standing.criteria)) for claim in evidence.claims]
    rule = (
        "Claims are confirmed one at a time, in the order of their arrival. The p thresholds are divided by "
        f"{evidence.confirm_divisor}, the number of confirmations that this race allows."
    )
    return "\n\n".join([title, rule, table(header, rows), bullets(_details(evidence))])


def checkpoint_part(standing: Standing, evidence: Evidence) -> str | None:
    """Where the winning model lies, of which epoch it is, and which of the winner's files may not be whole."""
    claim = winning_claim(standing, evidence.claims)
    lines = []
    if claim is not None and claim.frozen is not None and claim.sha256 is not None:
        copy = f"claims/{claim.number}/{claim.frozen.rpartition('/')[2]}"
        lines.append(
            f"{code(claim.checkpoint or '')} as it was at epoch **{claim.epoch}**: {code(copy)} in the race's folder, "
            f"sha256 {code(claim.sha256)}"
        )
    elif claim is not None and claim.not_frozen is not None:
        lines.append(f"there is no copy of epoch {claim.epoch}: {markdown(claim.not_frozen[:NOTE_LENGTH])}")
    for name, why in list(evidence.doubts.items())[:MOST_DOUBTS]:
        lines.append(f"{code(name)} in its output folder may not be whole: {markdown(why)}")
    if len(evidence.doubts) > MOST_DOUBTS:
        lines.append(f"so may {len(evidence.doubts) - MOST_DOUBTS} other files there")
    return f"## The winner's checkpoint\n\n{bullets(lines)}" if lines else None


def _titles(standing: Standing, evidence: Evidence) -> list[str]:
    """The criteria with the thresholds that confirmations are held to, which are not those of the checks."""
    judged = next((claim.results for claim in evidence.claims if claim.results), ())
    if not judged:
        return [criterion_title(criterion) for criterion in standing.criteria]
    return [f"{markdown(result.name)} {markdown(bound(result.op, result.threshold))}" for result in judged]


def _row(claim: Claim, criteria: int) -> list[str]:
    cells = [criterion_cell(result) for result in claim.results] or ["—"] * criteria
    return [str(claim.number), code(claim.worker), str(claim.epoch), claim.status, str(claim.tries), *cells]


def _details(evidence: Evidence) -> list[str]:
    lines = []
    for claim in evidence.claims:
        if claim.sha256 is not None:
            lines.append(f"claim {claim.number}: its frozen checkpoint has sha256 {code(claim.sha256)}")
        if claim.why is not None:
            lines.append(f"claim {claim.number} {_ENDS[claim.status]}: {markdown(claim.why[:NOTE_LENGTH])}")
    return lines or ["no claim was decided"]
