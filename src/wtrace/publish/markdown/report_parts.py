"""The parts that both reports share: claims, how each ended, the rules, every check, the environment, how to reproduce."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.publish.markdown.elements import (
    bullets,
    criterion_cell,
    criterion_title,
    criterion_written,
    fenced,
    folded,
    point_cell,
    table,
)
from wtrace.publish.view import how_ended
from wtrace.race.claims import winning_claim
from wtrace.text import bound, code, digits_for, markdown, number, utc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wtrace.publish.record import CheckRow, Evidence
    from wtrace.race.claims import Claim
    from wtrace.race.status import Standing, WorkerStanding

CHECKS_SHOWN = 1000  # about 150 kB; GitHub shows a file up to 512 kB
NOTE_LENGTH = 300


def ended_part(standing: Standing, winner: WorkerStanding | None) -> str:
    """What each worker (but the winner) had reached at its best check, and how it ended."""
    others = [worker for worker in standing.workers if winner is None or worker.name != winner.name]
    title = "## How each ended" if winner is None else "## What the others had reached"
    if not others:
        return f"{title}\n\nThere was no other worker."
    header = [
        "Worker",
        "How it ended",
        "Epoch:",
        "Best check:",
        *map(criterion_title, standing.criteria),
        "Commit",
    ]
    rows = [_ended_row(worker, standing) for worker in others]
    notes = [f"{code(w.name)}: {markdown(w.note[:NOTE_LENGTH])}" for w in others if w.note]
    return "\n\n".join([title, table(header, rows), *([bullets(notes)] if notes else [])])


def _ended_row(worker: WorkerStanding, standing: Standing) -> list[str]:
    role = " (control)" if worker.control else ""
    point = worker.best
    cells = ["—"] * len(standing.criteria)
    if point is not None:
        rows = zip(standing.criteria, point.values, point.met, strict=True)
        cells = [point_cell(criterion, value, met) for criterion, value, met in rows]
    best = "—" if point is None else f"epoch {point.epoch}"
    epochs = f"{worker.epoch}/{worker.max_epochs}"
    return [
        code(worker.name) + role,
        how_ended(worker),
        epochs,
        best,
        *cells,
        code(worker.commit[:12] or "—"),
    ]


def rules_part(standing: Standing, evidence: Evidence) -> str:
    """The criteria as written and as judged, and the correction."""
    lines = [criterion_written(criterion) for criterion in standing.criteria]
    return "## The rules\n\n" + bullets([*lines, _correction(evidence)])


def _correction(evidence: Evidence) -> str:
    if evidence.correction == "none":
        return "no correction for many looks: p thresholds were applied as written"
    return (
        f"correction for many looks: {markdown(evidence.correction)}; each p threshold was divided by "
        f"m = {evidence.divisor}, the planned checks of all workers but controls"
    )


def reproduce_part(evidence: Evidence) -> str | None:
    """The commands, and the config as it was resolved."""
    parts = []
    if evidence.commands:
        parts.append(fenced("\n".join(evidence.commands), "sh"))
    if evidence.config:
        parts.append(
            folded("<code>wtrace.toml</code> as it was raced", fenced(evidence.config.strip("\n"), "toml"))
        )
    return "\n\n".join(["## How to reproduce", *parts]) if parts else None


def environment_part(evidence: Evidence) -> str | None:
    """What the machine was."""
    if not evidence.environment:
        return None
    rows = [[markdown(name), markdown(value)] for name, value in evidence.environment.items()]
    return "## Environment\n\n" + table(["What", "Value"], rows)


def checks_part(standing: Standing, evidence: Evidence) -> str | None:
    """Every check of every worker, in the order of arrival; the latest `CHECKS_SHOWN` of a longer race."""
    if not evidence.checks:
        return None
    shown = evidence.checks[-CHECKS_SHOWN:]
    header = ["At (UTC)", "Worker", "Attempt:", "Epoch:", *map(criterion_title, standing.criteria), "Met:"]
    values: dict[str, list[float | None]] = {criterion.name: [] for criterion in standing.criteria}
    for row in shown:
        for found in row.criteria:
            values.setdefault(found.name, []).append(found.value)
    digits = {each.name: digits_for(values[each.name], each.applied) for each in standing.criteria}
    body = table(header, [_check_row(row, standing, digits) for row in shown])
    recorded = max(evidence.recorded, len(evidence.checks))
    if len(shown) < recorded:
        body = f"The latest {len(shown)} of {recorded}; the race's database holds them all.\n\n{body}"
    return f"## Every check\n\n{folded(f'{recorded} checks', body)}"


def _check_row(row: CheckRow, standing: Standing, digits: Mapping[str, int]) -> list[str]:
    found = {criterion.name: criterion for criterion in row.criteria}
    cells = [criterion_cell(found.get(criterion.name), digits) for criterion in standing.criteria]
    met = f"{row.met} of {len(standing.criteria)}" if row.judged else "not judged"
    return [utc(row.at), code(row.worker), number(row.attempt), number(row.epoch), *cells, met]


def housekeeping_part(evidence: Evidence) -> str | None:
    """How the commands of the user's own ended, and which of the losers' checkpoints are left."""
    parts = []
    if evidence.after:
        parts.append("## After the race\n\n" + bullets([markdown(line) for line in evidence.after]))
    if evidence.kept:
        parts.append(
            "## What is left of the losers' checkpoints\n\n"
            + bullets([markdown(line) for line in evidence.kept])
        )
    return "\n\n".join(parts) or None


def pictures_part(evidence: Evidence) -> str | None:
    """The figures, where they have been drawn; the sheet that holds the others comes first."""
    if not evidence.figures:
        return None
    return "\n\n".join(
        f"![{path.rpartition('/')[2].removesuffix('.png')}]({path})" for path in evidence.figures
    )


def merges_part(evidence: Evidence) -> str | None:
    """Whether each worker could be merged into the base as it stands when the report is written."""
    if not evidence.merges:
        return None
    lines = [f"{code(worker)} {markdown(words)}" for worker, words in evidence.merges.items()]
    return "## If it were merged now\n\n" + bullets(lines)


def starts_part(evidence: Evidence) -> str | None:
    """What each training said of itself when it started: seeds, device, the data's checksum, …"""
    if not evidence.starts:
        return None
    rows = [
        [
            code(worker),
            markdown("; ".join(f"{name} {value}" for name, value in info.items())[: NOTE_LENGTH * 2]),
        ]
        for worker, info in evidence.starts.items()
    ]
    return "\n\n".join(["## What the trainings said of themselves", table(["Worker", "Start record"], rows)])


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
