"""`SUCCESS_REPORT.md` and `FAILURE_REPORT.md`: how a race ended, and the evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.publish.markdown.elements import bullets, criterion_cell, page, table, winning_row
from wtrace.publish.markdown.near_misses import (
    closest_to,
    complements,
    contested,
    ever_met,
    met_everything,
    most_at_once,
    standing_checks,
)
from wtrace.publish.markdown.report_parts import (
    NOTE_LENGTH,
    checkpoint_part,
    checks_part,
    claims_part,
    ended_part,
    environment_part,
    housekeeping_part,
    merges_part,
    pictures_part,
    reproduce_part,
    rules_part,
    starts_part,
)
from wtrace.publish.markdown.unjudged import why_unjudged
from wtrace.publish.markdown.validity import fair_play_part, strength_part
from wtrace.publish.view import (
    FIRST_NOT_BEST,
    RACE_WORDS,
    confirmation,
    ruled_out,
    winner_of,
)
from wtrace.text import code, markdown, number, seconds, utc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wtrace.judging.checks import CriterionStanding
    from wtrace.publish.markdown.near_misses import Pair
    from wtrace.publish.record import CheckRow, Evidence
    from wtrace.race.status import Standing, WorkerStanding


def success_report(standing: Standing, evidence: Evidence) -> str:
    """The report of a race that was won, as Markdown. Raises ValueError where the standing has no winner."""
    winner = winner_of(standing)
    if winner is None:
        raise ValueError("a success report needs a winner")
    return page(
        f"# {markdown(standing.name)}: {code(winner.name)} won",
        _won(standing, winner),
        _went_on(standing, winner),
        _dates(standing, evidence),
        evidence.saved,
        pictures_part(evidence),
        _winning_check(standing, evidence, winner),
        checkpoint_part(standing, evidence),
        claims_part(standing, evidence),
        strength_part(evidence.success, evidence.measured),
        ended_part(standing, winner),
        housekeeping_part(evidence),
        *_record(standing, evidence),
    )


def failure_report(standing: Standing, evidence: Evidence) -> str:
    """The report of a race without a winner, as Markdown: how close each came, and what to combine."""
    judged = contested(standing, evidence)
    checks = standing_checks(judged)
    return page(
        f"# {markdown(standing.name)}: no winner",
        _not_won(standing, evidence, judged),
        _dates(standing, evidence),
        evidence.saved,
        pictures_part(evidence),
        claims_part(standing, evidence),
        _closest(standing, checks),
        _most(standing, checks),
        _combine(standing, checks),
        ended_part(standing, None),
        *_record(standing, evidence),
    )


def _record(standing: Standing, evidence: Evidence) -> list[str | None]:
    return [
        rules_part(standing, evidence),
        None if evidence.fair is None else fair_play_part(evidence.fair, confirmed=evidence.confirmed),
        starts_part(evidence),
        merges_part(evidence),
        reproduce_part(evidence),
        environment_part(evidence),
        checks_part(standing, evidence),
    ]


def _won(standing: Standing, winner: WorkerStanding) -> str:
    return (
        f"**{code(winner.name)}** was the first to meet every criterion at one check: at epoch "
        f"**{standing.winner_epoch}**, on commit {code(winner.commit)} of branch {code(winner.branch)}. "
        f"The verdict is **{confirmation(standing)}**. {FIRST_NOT_BEST}"
    )


def _went_on(standing: Standing, winner: WorkerStanding) -> str | None:
    """Of which epoch the winner's files may be, and what was amiss with them."""
    lines = []
    if standing.winner_epoch is not None and winner.epoch > standing.winner_epoch:
        lines.append(
            f"It went on until nothing that it saved could be lost, and had reported epoch **{winner.epoch}** by then: "
            f"what lies in its output folder is of epoch {standing.winner_epoch} or later, {winner.epoch} at most."
        )
    if winner.note:
        lines.append(f"{code(winner.name)}: {markdown(winner.note[:NOTE_LENGTH])}")
    return "\n\n".join(lines) or None


_HOW_OVER = {
    "no_winner": "Every worker ended",
    "stopped": "The race was stopped",
    "interrupted": "The race was interrupted",
}
_NOBODY_MET = {
    "no_winner": ", and none met every criterion at one and the same check",
    "stopped": " before a worker had met every criterion at one and the same check",
    "interrupted": " before a worker had met every criterion at one and the same check",
}


def _not_won(standing: Standing, evidence: Evidence, checks: Sequence[CheckRow]) -> str:
    how = _HOW_OVER.get(standing.state, f"The race is {RACE_WORDS[standing.state]}; nobody has won")
    full = met_everything(checks)
    if full:
        rows = {worker.name: worker for worker in standing.workers}
        told = [_why_no_verdict(rows[name], epochs, evidence) for name, epochs in full.items()]
        return f"**No winner.** {how}; no check that met every criterion made a winner:\n\n{bullets(told)}"
    how += f"{_NOBODY_MET.get(standing.state, '')}."
    return f"**No winner.** {how}" if checks else f"**No winner:** {why_unjudged(standing)} {how}"


def _why_no_verdict(worker: WorkerStanding, epochs: Sequence[int], evidence: Evidence) -> str:
    """Why checks of a worker that met every criterion made it no winner."""
    at = (
        f"epoch {epochs[0]}"
        if len(epochs) == 1
        else f"epochs {', '.join(map(str, epochs[:-1]))} and {epochs[-1]}"
    )
    claims = [claim for claim in evidence.claims if claim.worker == worker.name and claim.why is not None]
    whys = [f"{claim.status} at epoch {claim.epoch}: {markdown(claim.why or '')}" for claim in claims]
    if not whys:
        out = ruled_out(worker)
        whys = [f"its checks do not count: {markdown(out)}" if out else _unclaimed(worker, evidence)]
    return f"{code(worker.name)} met every criterion at {at}; {'; '.join(whys)}"


def _unclaimed(worker: WorkerStanding, evidence: Evidence) -> str:
    if any(claim.worker == worker.name for claim in evidence.claims):
        return "its claim had not been confirmed when the race ended"
    if any(criterion.for_checks > 1 or criterion.min_checks > 1 for criterion in evidence.success):
        return "not at as many checks as the criteria ask for"
    return "it did not claim"


def _dates(standing: Standing, evidence: Evidence) -> str:
    dates = [f"race {code(standing.id)}", f"started {utc(standing.started)}"]
    if standing.decided is not None:
        dates.append(f"decided {utc(standing.decided)}, {seconds(standing.decided - standing.started)} later")
    if standing.ended is not None:
        dates.append(f"ended {utc(standing.ended)}, after {seconds(standing.ended - standing.started)}")
    if evidence.written_at is not None:
        dates.append(f"report written {utc(evidence.written_at)}")
    return " · ".join(dates)


def _winning_check(standing: Standing, evidence: Evidence, winner: WorkerStanding) -> str:
    found = {criterion.name: criterion for criterion in _winning_criteria(standing, evidence, winner)}
    header = ["Criterion", "As written", "Value:", "Threshold as written:", "Threshold applied:", "Met"]
    rows = [winning_row(criterion, found.get(criterion.name)) for criterion in standing.criteria]
    return f"## The winning check: epoch {standing.winner_epoch}\n\n" + table(header, rows)


def _winning_criteria(
    standing: Standing, evidence: Evidence, winner: WorkerStanding
) -> tuple[CriterionStanding, ...]:
    for row in evidence.checks:
        if row.judged and row.worker == winner.name and row.epoch == standing.winner_epoch:
            return row.criteria
    return ()


def _closest(standing: Standing, checks: Sequence[CheckRow]) -> str:
    rows = []
    for criterion in standing.criteria:
        approach = closest_to(criterion.name, checks)
        title = f"{code(criterion.name)}: {code(criterion.text)}"
        if approach is None:
            rows.append([title, "—", "—", "no check has a value"])
        else:
            cell = criterion_cell(approach.criterion)
            rows.append([title, code(approach.worker), number(approach.epoch), cell])
    return "## The closest approach to each criterion\n\n" + table(
        ["Criterion", "Worker", "Epoch:", "Came to"], rows
    )


def _most(standing: Standing, checks: Sequence[CheckRow]) -> str | None:
    row = most_at_once(checks)
    if row is None:
        return None
    lines = [f"{code(criterion.name)}: {criterion_cell(criterion)}" for criterion in row.criteria]
    return (
        f"## Most criteria at one check\n\n{code(row.worker)} at epoch {row.epoch} met "
        f"{row.met} of {len(standing.criteria)}:\n\n{bullets(lines)}"
    )


def _combine(standing: Standing, checks: Sequence[CheckRow]) -> str | None:
    if not checks:
        return None
    names = [criterion.name for criterion in standing.criteria]
    pair = complements(names, checks)
    advice = _no_pair(names, checks) if pair is None else _pair(pair, names)
    return f"## What to combine\n\n{advice}"


def _pair(pair: Pair, names: Sequence[str]) -> str:
    rest = [name for name in names if name not in (*pair.only_first, *pair.only_second, *pair.both)]
    lines = [
        f"only {code(pair.first)} met {_listed(pair.only_first)}",
        f"only {code(pair.second)} met {_listed(pair.only_second)}",
    ]
    if pair.both:
        lines.append(f"both met {_listed(pair.both)}")
    lines.append(f"neither met {_listed(rest)}" if rest else "between them they met every criterion")
    return (
        f"{code(pair.first)} and {code(pair.second)} complement one another "
        f"(counting every check, not only the same one):\n\n{bullets(lines)}"
    )


def _no_pair(names: Sequence[str], checks: Sequence[CheckRow]) -> str:
    met = ever_met(checks)
    best = max(met, key=lambda worker: len(met[worker]))
    if not met[best]:
        return "No worker met any criterion: there is nothing to combine yet."
    rest = [name for name in names if name not in met[best]]
    if not rest:
        return f"{code(best)} alone met every criterion, but never all at one check: train it longer or steadier."
    return (
        f"No two complement one another: nobody met what {code(best)} lacks "
        f"({_listed(rest)}), so merging another branch into it is not what it waits for."
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(code, names))
