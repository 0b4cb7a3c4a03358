"""The winner merged with the proof of its victory: what the record, the results and git have to do with it."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.data import data, replace
from wtrace.errors import UsageError, WtraceError
from wtrace.files import open_regular
from wtrace.git.commit import Message, goes_to_lfs
from wtrace.git.merge import MergeRequest, merge
from wtrace.publish.view import FIRST_NOT_BEST, confirmation, winner_of
from wtrace.race.claims import winning_claim
from wtrace.store.reader import Reader
from wtrace.supervisor.checkpoints.whole import Wholeness
from wtrace.supervisor.publishing.redacting import redaction_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from wtrace.config.spec import RaceSpec
    from wtrace.git.hybrid import Forecast
    from wtrace.git.merge import Merged
    from wtrace.judging.checks import CriterionStanding
    from wtrace.race.claims import Claim
    from wtrace.race.context import RaceContext
    from wtrace.race.paths import Layout, RaceLayout
    from wtrace.race.redaction import Redaction
    from wtrace.race.status import Standing, WorkerStanding

LARGEST_BYTES = 10_000_000
SUMS, LEFT_OUT, ATTRIBUTES = "SHA256SUMS", "LEFT_OUT.txt", ".gitattributes"
TEXTS, RECORDS = (".md", ".html", ".json"), (".jsonl",)
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*(/[A-Za-z0-9_][A-Za-z0-9._+-]*)*")


@data
class Exhibits:
    """The files to commit, by their path below the results' folder, and what was left out, a line each.

    `sums` is the list of their hashes, `SHA256SUMS`, and `digest` its own sha256.
    """

    files: dict[str, bytes | Path]
    left_out: tuple[str, ...]
    sums: bytes
    digest: str


def collect(
    race: RaceLayout,
    standing: Standing,
    claims: tuple[Claim, ...],
    desk: Path,
    redaction: Redaction,
    *,
    limit_bytes: int = LARGEST_BYTES,
    without_limit: Callable[[str], bool] = lambda _: False,
    doubt: Callable[[Path], str | None] = lambda _: None,
) -> Exhibits:
    """Copy what is to be committed into the folder `desk`: nobody can change it any more after it was hashed.

    Texts are copied without what `redaction` takes out, also those that were written before it was known.
    A file over the limit is named, unless `without_limit` says of its path that git keeps such files elsewhere. So is
    one of which `doubt` says why it may not be whole.
    """
    files: dict[str, bytes | Path] = {}
    sums: dict[str, str] = {}
    left_out: list[str] = []
    for name, source in _sources(race, standing, claims):
        allowed = limit_bytes
        if _size(source) > limit_bytes and without_limit(name):
            allowed = _size(source)
        copy = desk / str(len(files))
        problem, digest = _leads_out(race, name, source) or doubt(source), ""
        if problem is None:
            problem, digest = _copy(source, copy, name, allowed, redaction)
        if problem is None:
            files[name], sums[name] = copy, digest
        else:
            where = os.path.relpath(source, race.folder)
            left_out.append(f"{_printable(name)}  {problem}  sha256:{digest or '-'}  {_printable(where)}")
    if left_out:
        _add(files, sums, LEFT_OUT, _left_out_text(standing.id, left_out))
    listed = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode()
    # Its bytes are what was hashed, whatever the repo says of line ends.
    files |= {SUMS: listed, ATTRIBUTES: b"* -text\n"}
    return Exhibits(files, tuple(left_out), listed, hashlib.sha256(listed).hexdigest())


def _sources(race: RaceLayout, standing: Standing, claims: tuple[Claim, ...]) -> Iterator[tuple[str, Path]]:
    """Each file by the path that it will get: report, figures and progress, metrics, confirmations, the checkpoint."""
    for folder, folders, names in os.walk(race.results):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            file = Path(folder, name)
            yield str(file.relative_to(race.results)), file
    for worker in standing.workers:
        for file in sorted(race.attempts(worker.name).glob("*/metrics.jsonl")):
            yield f"metrics/{worker.name}/{file.parent.name}.jsonl", file
    for claim in claims:
        for file in sorted((race.claim(claim.number) / "attempts").glob("*/metrics.jsonl")):
            yield f"confirmations/{claim.number}-{file.parent.name}.jsonl", file
    checkpoint = winning_checkpoint(race, standing, claims)
    if checkpoint is not None:
        suffix = checkpoint.suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,16}", checkpoint.suffix) else ""
        yield f"checkpoint/{standing.winner}{suffix}", checkpoint


def winning_checkpoint(race: RaceLayout, standing: Standing, claims: tuple[Claim, ...]) -> Path | None:
    """The checkpoint of the winning check: its frozen copy, else the winner's own file if it lies in its output."""
    claim = winning_claim(standing, claims)
    if claim is None or claim.checkpoint is None:
        return None
    if claim.frozen is not None:
        return Path(claim.frozen)
    output = os.path.realpath(race.output(claim.worker))
    file = Path(os.path.realpath(Path(output, claim.checkpoint)))
    return file if file.is_relative_to(output) and file.is_file() else None


def _size(file: Path) -> int:
    return file.lstat().st_size if file.exists() else 0


def _leads_out(race: RaceLayout, name: str, source: Path) -> str | None:
    """Why a file is not the race's own, though its path is; where the checkpoint really lies was looked at before."""
    folder = Path(os.path.realpath(source.parent))
    is_own = name.startswith("checkpoint/") or folder.is_relative_to(os.path.realpath(race.folder))
    return None if is_own else "it lies behind a link that leads out of the race"


def _copy(
    source: Path, copy: Path, name: str, limit_bytes: int, redaction: Redaction
) -> tuple[str | None, str]:
    """Copy a regular file and hash the copy: why it is left out (None: it is not), and its sha256."""
    if not _SAFE.fullmatch(name):
        return "its name is not one for a repository", ""
    try:
        descriptor = open_regular(source)
    except OSError as error:
        return f"it cannot be read: {error.strerror}", ""
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if status.st_size > limit_bytes:
            has_holes = status.st_blocks * 512 < status.st_size // 2  # they may be longer than any disk
            digest = "" if has_holes else hashlib.file_digest(file, "sha256").hexdigest()
            return f"{status.st_size} bytes", digest
        with copy.open("xb") as target:
            if name.endswith((*TEXTS, *RECORDS)):
                target.write(_redacted(file.read(), redaction, whole=name.endswith(RECORDS)))
            else:
                shutil.copyfileobj(file, target)
    with copy.open("rb") as copied:
        return None, hashlib.file_digest(copied, "sha256").hexdigest()


def _redacted(content: bytes, redaction: Redaction, *, whole: bool) -> bytes:
    """Records are data alone; the slashes of a page may be anything, so of its paths only known ones are replaced."""
    text = content.decode("utf-8", "surrogateescape")
    return (redaction.text if whole else redaction.known)(text).encode("utf-8", "surrogateescape")


def _add(files: dict[str, bytes | Path], sums: dict[str, str], name: str, content: bytes) -> None:
    files[name], sums[name] = content, hashlib.sha256(content).hexdigest()


def _left_out_text(race_id: str, lines: Sequence[str]) -> bytes:
    if not lines:
        return b""
    head = (
        f"Not committed, mostly for its size: path, why, hash, and where it lay in .wtrace/races/{race_id}/"
    )
    return "\n".join([head, "", *lines, ""]).encode()


def _printable(name: str) -> str:
    return name.encode("ascii", "backslashreplace").decode() if name.isprintable() else ascii(name)


log = logging.getLogger("wtrace")


def merge_winner(
    race: RaceContext,
    layout: Layout,
    standing: Standing,
    claims: tuple[Claim, ...],
    *,
    limit_bytes: int = LARGEST_BYTES,
    busy: Collection[Path] = (),
    with_results: bool = True,
) -> Merged:
    """Commit the results on the commit that won, and merge that into the race's base; `Merged` says what became of it.

    Not `with_results`: what won is merged as it is, and the hashes of all results are a note of git's on the merge.
    UsageError when nobody has won or git knows no author; ToolError when git fails. `busy` are worktrees where a
    race runs.
    """
    winner = winner_of(standing)
    if winner is None:
        raise UsageError(f"race {standing.id} has no winner to merge")
    root = layout.root
    with tempfile.TemporaryDirectory(prefix="wtrace-") as desk:
        exhibits = collect(
            race.layout,
            standing,
            claims,
            Path(desk),
            redaction_for(race),
            limit_bytes=limit_bytes,
            doubt=Wholeness(race, layout).doubt_of,
            without_limit=lambda name: goes_to_lfs(root, winner.commit, f"results/{race.spec.name}/{name}"),
        )
        note = None if with_results else exhibits.sums + _left_out_text(standing.id, exhibits.left_out)
        digest = exhibits.digest if note is None else hashlib.sha256(note).hexdigest()
        request = MergeRequest(
            race_id=race.id,
            race_name=race.spec.name,
            branch=winner.branch,
            commit=winner.commit,
            base=race.spec.base,
            message=_message(standing, winner, _winning_criteria(layout, standing), digest),
            files=exhibits.files if with_results else {},
            note=note,
        )
        merged = merge(root, request, busy=busy)
    left_out = exhibits.left_out if with_results and merged.outcome != "merged before" else ()
    return replace(merged, notes=(*merged.notes, *_notes(race, winner, left_out)))


def merge_at_the_end(
    race: RaceContext, layout: Layout, standing: Standing, claims: tuple[Claim, ...]
) -> Merged | None:
    """As `merge_winner`, for the end of a race: a failure never changes the verdict; it is logged, and None returned."""
    try:
        merged = merge_winner(race, layout, standing, claims)
    except (WtraceError, OSError, sqlite3.Error) as error:
        log.error("the winner was not merged: %s; `wtrace merge --race %s` tries again", error, race.id)
        return None
    for line in told(merged):
        log.info("%s", line)
    return merged


def told(merged: Merged) -> tuple[str, ...]:
    """What became of a merge, in lines for a person; they may hold names from outside, as they are."""
    lines = [_outcome(merged)]
    if merged.reason:
        lines.append(f"{merged.base or 'the base'} was left as it is: {merged.reason}")
    lines += [f"in conflict: {file}" for file in merged.conflicts]
    if merged.folder:
        lines.append(f"its results are in {merged.folder}/ of that commit")
    elif merged.outcome != "merged before":
        lines.append(
            "without its results; their hashes: git notes --ref notes/wtrace show " + merged.commit[:12]
        )
    when = f", when {merged.once}" if merged.once else ""
    lines += [f"to finish{when}: {line}" for line in merged.finish]
    return (*lines, *merged.notes)


def _outcome(merged: Merged) -> str:
    commit = merged.commit[:12]
    match merged.outcome:
        case "merged":
            return f"merged into {merged.base}: {commit}"
        case "merged before":
            return f"nothing to do: {merged.base} has this race's winner since {commit}"
        case _:
            return f"kept at {merged.ref}: {commit}"


def _message(
    standing: Standing, winner: WorkerStanding, results: tuple[CriterionStanding, ...], digest: str
) -> Message:
    body = (
        f"{winner.name} met every criterion at epoch {standing.winner_epoch}, {confirmation(standing)}.\n"
        f"{FIRST_NOT_BEST}"
    )
    criteria = tuple(
        ("Wtrace-Criteria", f"{each.name}: {each.value!r} {each.op} {each.threshold!r}") for each in results
    )
    return Message(
        f"Merge {winner.branch}, the winner of race {standing.name}",
        body,
        (
            ("Wtrace-Race", standing.id),
            ("Wtrace-Winner", winner.name),
            *criteria,
            ("Wtrace-Evidence", f"sha256:{digest}"),
        ),
    )


def _winning_criteria(layout: Layout, standing: Standing) -> tuple[CriterionStanding, ...]:
    """The criteria at the winning check, with the thresholds that were applied."""
    with Reader(layout.database) as reader:
        for check in reader.checks(standing.id, judged_only=True):
            if (check.worker, check.epoch) == (standing.winner, standing.winner_epoch):
                return check.results
    return ()


def _notes(race: RaceContext, winner: WorkerStanding, left_out: tuple[str, ...]) -> list[str]:
    notes = [f"left out of the commit: {line}" for line in left_out]
    patch = race.layout.worker(winner.name) / "uncommitted.patch"
    if patch.exists():  # not committed for them: it may hold what was never meant to be
        notes.append(f"not part of the merge: changes that were raced without being committed, in {patch}")
    return notes


def merge_outlook(root: Path, spec: RaceSpec, commits: Mapping[str, str]) -> tuple[Forecast, ...]:
    """A forecast for each worker (its name to the commit it races) that could win.

    Empty where the config says that nothing is merged, and, with a line in the log, where git cannot tell.
    """
    from wtrace.git.hybrid import conflict_forecast

    raced = {name: commit for name, commit in commits.items() if commit and not spec.worker(name).control}
    if spec.merge == "never" or not raced:
        return ()
    try:
        return conflict_forecast(root, spec.base, raced)
    except (OSError, WtraceError) as error:
        log.info("whether the workers could be merged is not known: %s", error)
        return ()
