"""How fair the race was and how strong its result is, as parts of the reports."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.judging import referee
from wtrace.publish.markdown.elements import bullets, table
from wtrace.text import code, markdown, number, numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wtrace.config.language.criteria import Criterion

NOTE_LENGTH = 300


@data
class FairPlay:
    """What is on record about it. Mappings are by worker, but for the files."""

    judge_files: Mapping[str, str] = field(default_factory=dict)  # sha256 of each, by path
    data: Mapping[str, str] = field(default_factory=dict)  # checksums, as the trainings reported them
    ids_agree: bool = False  # samples carry ids, which then are the same for all that have them
    without_ids: Sequence[str] = ()  # workers whose samples carry none all the same
    foreign: Mapping[str, str] = field(default_factory=dict)  # files from outside of the worktree, in words
    strict: bool = False
    patches: Mapping[str, str] = field(default_factory=dict)  # sha256 of what was not committed
    uncounted: Sequence[tuple[str, int, str]] = ()  # checks that met every criterion: worker, epoch, why not
    held_out_uses: tuple[int, int] | None = None  # times, races; None: cannot be told


def fair_play_part(fair: FairPlay, *, confirmed: bool) -> str:
    """The findings, a line each. `confirmed`: whether claims are confirmed on held-out data."""
    lines = [_files(fair), _data(fair), _ids(fair), *_code(fair), *_changes(fair), *_uncounted(fair)]
    return "## Fair play\n\n" + bullets(lines + ([_uses(fair)] if confirmed else []))


def _files(fair: FairPlay) -> str:
    if not fair.judge_files:
        return "no file that judges was named (`[judge] files`), so none was compared"
    listed = ", ".join(f"{code(name)} (sha256 {code(digest)})" for name, digest in fair.judge_files.items())
    return f"byte-equal in every branch at the start, and hashed again at each claim: {listed}"


def _data(fair: FairPlay) -> str:
    if not fair.data:
        return "no training reported a checksum of its data"
    digests = list(dict.fromkeys(fair.data.values()))
    if len(digests) == 1:
        return f"trained on the same data, by checksum {code(digests[0])}: {_names(fair.data)}"
    each = "; ".join(f"{code(worker)} {code(digest)}" for worker, digest in fair.data.items())
    return f"**not trained on the same data**, by checksum; only checks on the first count: {each}"


def _ids(fair: FairPlay) -> str:
    if fair.without_ids:
        return (
            "workers were judged on the same samples, by their ids, at every check; "
            f"**not comparable, and not counted**: {_names(fair.without_ids)}, whose samples carry no ids"
        )
    if fair.ids_agree:
        return "every worker was judged on the same samples, by their ids, at every check"
    return "samples carry no ids, so whether all were judged on the same ones is not known"


def _code(fair: FairPlay) -> list[str]:
    if not fair.foreign:
        return ["no training reported code from outside of its worktree"]
    how = "refused (`--strict`)" if fair.strict else "warned of, and not refused"
    return [
        f"{code(worker)} ran code from outside of its worktree, {how}: {markdown(files[:NOTE_LENGTH])}"
        for worker, files in fair.foreign.items()
    ]


def _changes(fair: FairPlay) -> list[str]:
    if not fair.patches:
        return ["no worktree held uncommitted changes when the race began"]
    return [
        f"{code(worker)} raced with uncommitted changes, kept as {code('uncommitted.patch')} (sha256 {code(digest)})"
        for worker, digest in fair.patches.items()
    ]


def _uncounted(fair: FairPlay) -> list[str]:
    return [
        f"{code(worker)} met every criterion at epoch {epoch}, which did not count: {markdown(why[:NOTE_LENGTH])}"
        for worker, epoch, why in fair.uncounted
    ]


def _uses(fair: FairPlay) -> str:
    if fair.held_out_uses is None:
        return (
            "how often the held-out data have been used is not known: the confirmation's samples carry no ids"
        )
    times, races = fair.held_out_uses
    if times == 0:
        return "no claim was judged on held-out data"
    return (
        f"these held-out data have been used {times} time{'s' if times != 1 else ''} to confirm a claim, in "
        f"{races} race{'s' if races != 1 else ''} of this repo; each use makes the next less telling"
    )


def _names(workers: Iterable[str]) -> str:
    return ", ".join(map(code, workers))


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
