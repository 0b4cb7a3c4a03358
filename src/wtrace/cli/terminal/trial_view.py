"""What `wtrace try` found, as lines for a person and as JSON."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from wtrace.config import kinds
from wtrace.config.schedule import planned_epochs
from wtrace.config.sources import epoch_key, told_source
from wtrace.data import data
from wtrace.metrics.foreign.base import OwnLine
from wtrace.race.status_json import criterion_json, finite
from wtrace.text import beside, bound, cut, pad, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from wtrace.config.spec import MetricsSpec, RaceSpec, WorkerSpec
    from wtrace.judging.checks import CriterionStanding
    from wtrace.metrics.foreign.witness import Match, Witness
    from wtrace.metrics.proposals.near import Near
    from wtrace.metrics.proposals.propose import Proposal
    from wtrace.race.trial import JudgedCheck

LONGEST_TEXT = 2000  # characters of a line in JSON
MOST_EPOCHS = 12  # lines
MOST_NAMED = 8  # epochs in a sentence
LONGEST_LIST = 100_000  # epochs in JSON


@data
class Tried:
    """What was read, by which table, and where it would stand. Without a config `spec` and `worker` are None."""

    file: str
    metrics: MetricsSpec
    witness: Witness
    epochs: Mapping[int, Mapping[str, object]]  # all that was read of each
    checks: tuple[JudgedCheck, ...]
    notes: tuple[str, ...]
    spec: RaceSpec | None = None
    worker: WorkerSpec | None = None
    proposal: Proposal | None = None  # what `metrics` is then
    path: str | None = None  # how a proposal names the file, where it is no log
    emptiness: str | None = None
    near: Near | None = None
    bad_lines: int = 0

    @property
    def is_configured(self) -> bool:
        """Whether it was read as the config says, or by lines of the worker protocol."""
        return self.proposal is None and (
            self.near is not None or self.emptiness is None or bool(self.epochs)
        )


def proposed_lines(proposal: Proposal, path: str | None) -> list[str]:
    """The `[metrics]` table, line by line."""
    return ["[metrics]", *(f"{key} = {kinds.written(value)}" for key, value in proposal.table(path).items())]


def lines_of(tried: Tried, width: int) -> Iterator[str]:
    """The answer for a person, at most `width` cells wide but for what is to be copied."""
    for line in _what(tried):
        yield from _wrapped(line, width)
    if tried.proposal is not None:
        yield ""
        yield from (f"  {plain(line)}" for line in proposed_lines(tried.proposal, tried.path))
    matches = list(_matches(tried, width))
    yield from ["", *matches] if matches else []
    if tried.epochs:
        yield ""
        for line in _epochs(tried):
            yield from _wrapped(line, width, indent=4)
    for note in tried.notes:
        yield ""
        yield from _wrapped(f"note: {note}", width)


def _what(tried: Tried) -> Iterator[str]:
    whose = "" if tried.worker is None else f", as {tried.worker.name}'s"
    if tried.is_configured:
        yield f"{tried.file}{whose}, read from {told_source(tried.metrics)}"
    else:
        yield f"{tried.file}{whose}"
    if tried.emptiness is not None:
        yield tried.emptiness
    if tried.near is not None:
        yield tried.near.told
    if tried.proposal is not None:
        yield f"It holds {tried.proposal.kind}. In wtrace.toml this reads them:"


def _matches(tried: Tried, width: int) -> Iterator[str]:
    witness, unit = tried.witness, epoch_key(tried.metrics) or "step"
    if witness.lines:
        yield cut(f"{_counted(witness.lines, 'line')}, {witness.matched:,} of them read", width)
    if tried.bad_lines:
        yield cut(f"{_counted(tried.bad_lines, 'line')} cannot be used", width)
    more = witness.matched - len(witness.first) - len(witness.last)
    for match in witness.first:
        yield from _match(match, unit, width)
    if more > 0 and witness.first:
        yield f"  … {more:,} more"
    for match in witness.last:
        yield from _match(match, unit, width)


def _match(match: Match, unit: str, width: int) -> Iterator[str]:
    yield cut(f"  {plain(match.line.strip())}", width)
    if isinstance(match.said, OwnLine):
        yield "    → a line of the worker protocol"
        return
    values = "  ".join(f"{name} {_raw(value)}" for name, value in match.said.values.items())
    epoch = "" if match.said.epoch is None else f"{unit} {_raw(match.said.epoch)}  "
    yield from _wrapped(f"    → {epoch}{values}".rstrip(), width, indent=6)


def _epochs(tried: Tried) -> Iterator[str]:
    unit = epoch_key(tried.metrics) or "step"
    if tried.spec is None or tried.worker is None:
        yield from _read_epochs(tried.epochs, unit)
        return
    planned = planned_epochs(tried.spec.check_every, tried.spec.epochs_of(tried.worker))
    yield (
        f"{len(tried.checks)} of {_counted(len(planned), 'planned check')} would be judged"
        f" (every {tried.spec.check_every} up to {unit} {planned[-1]})"
    )
    if tried.checks:
        yield from _table(tried.checks, unit)
    judged = {check.epoch for check in tried.checks}
    others = [epoch for epoch in sorted(tried.epochs) if epoch not in judged]
    if others:
        yield f"  read, and not judged: {unit} {_some(others)}"
    yield from _standing(tried)


def _read_epochs(epochs: Mapping[int, Mapping[str, object]], unit: str) -> Iterator[str]:
    yield f"{_counted(len(epochs), unit)} read; without a config, which of them are judged is open"
    for epoch, values in _shortened(sorted(epochs.items())):
        told = "  ".join(f"{name} {_raw(value)}" for name, value in values.items()) if values else "…"
        yield f"  {unit} {epoch}  {told}" if values is not None else "  …"


def _table(checks: Sequence[JudgedCheck], unit: str) -> Iterator[str]:
    names = [plain(result.name, 24) for result in checks[0].results]
    widths = [max(len(name), 12) for name in names]
    first = max(len(unit), len(str(checks[-1].epoch)))
    yield "  " + "  ".join([unit.ljust(first), *(pad(n, w) for n, w in zip(names, widths, strict=True))])
    for check in [*checks[:MOST_EPOCHS], *checks[MOST_EPOCHS:][-1:]]:
        cells = [pad(_cell(result), w) for result, w in zip(check.results, widths, strict=True)]
        claim = "  claims success" if check.claims else ""
        yield f"  {'  '.join([str(check.epoch).ljust(first), *cells])}{claim}".rstrip()


def _cell(result: CriterionStanding) -> str:
    return f"{'✓' if result.met else '✗'} {beside(result.value, result.threshold)}"


def _standing(tried: Tried) -> Iterator[str]:
    """How each criterion stands at the last judged check."""
    assert tried.spec is not None
    if not tried.checks:
        return
    last = tried.checks[-1]
    yield ""
    yield f"each criterion at the last of them ({epoch_key(tried.metrics) or 'step'} {last.epoch})"
    for criterion, result in zip(tried.spec.success, last.results, strict=True):
        why = f" ({result.reason})" if result.reason else ""
        needs = f" {bound(result.op, result.threshold)}"
        yield f"  {'✓' if result.met else '✗'} {criterion.name}: {beside(result.value, result.threshold)}, asked for{needs}{why}"
    first = next((check.epoch for check in tried.checks if check.claims), None)
    control = tried.worker is not None and tried.worker.control
    if control:
        yield "it is a control and never claims"
    elif first is None:
        yield "it would not have claimed success"
    else:
        yield f"it would have claimed success at {first}"


def _shortened(
    pairs: Sequence[tuple[int, Mapping[str, object]]],
) -> Sequence[tuple[int, Mapping[str, object]]]:
    return pairs if len(pairs) <= MOST_EPOCHS else [*pairs[: MOST_EPOCHS - 3], *pairs[-3:]]


def _some(epochs: Sequence[int]) -> str:
    shown = ", ".join(map(str, epochs[:MOST_NAMED]))
    return shown if len(epochs) <= MOST_NAMED else f"{shown}, … {epochs[-1]}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 or what.endswith('s') else 's'}"


def _raw(value: object) -> str:
    """A number as it was read."""
    return f"{value:.12g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _wrapped(text: str, width: int, *, indent: int = 2) -> list[str]:
    """The text on lines of that width; all but the first are indented so far."""
    return textwrap.wrap(
        plain(text),
        width,
        subsequent_indent=" " * indent,
        replace_whitespace=False,
        drop_whitespace=True,
        break_long_words=False,
    ) or [""]


def as_json(tried: Tried) -> dict[str, Any]:
    """The same for scripts; a number that JSON does not have is null."""
    judged = {check.epoch: check for check in tried.checks}
    return {
        "schema": 1,
        "file": tried.file,
        "worker": None if tried.worker is None else tried.worker.name,
        "metrics": _metrics_json(tried),
        "proposed": tried.proposal is not None,
        "toml": None if tried.proposal is None else "\n".join(proposed_lines(tried.proposal, tried.path)),
        "lines": tried.witness.lines,
        "matched": tried.witness.matched,
        "bad_lines": tried.bad_lines,
        "matches": [_match_json(match) for match in (*tried.witness.first, *tried.witness.last)],
        "nearest": None if tried.near is None else {"line": plain(tried.near.line, LONGEST_TEXT)},
        "epochs": [
            _epoch_json(epoch, values, judged.get(epoch))
            for epoch, values in sorted(tried.epochs.items())[:LONGEST_LIST]
        ],
        "claims_at": next((check.epoch for check in tried.checks if check.claims), None),
        "problem": tried.emptiness,
        "notes": list(tried.notes),
    }


def _metrics_json(tried: Tried) -> dict[str, Any]:
    spec = tried.metrics
    return {
        "from": spec.source,
        "pattern": spec.pattern,
        "path": spec.path,
        "epoch_key": epoch_key(spec),
        "first_epoch": spec.first_epoch,
        "epoch_comes": spec.epoch_comes,
    }


def _match_json(match: Match) -> dict[str, Any]:
    line = plain(match.line.strip(), LONGEST_TEXT)
    if isinstance(match.said, OwnLine):
        return {"line": line, "epoch": None, "metrics": {}}
    return {"line": line, "epoch": match.said.epoch, "metrics": _finite(match.said.values)}


def _epoch_json(epoch: int, values: Mapping[str, object], check: JudgedCheck | None) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "metrics": _finite(values),
        "judged": check is not None,
        "claims": check is not None and check.claims,
        "criteria": [] if check is None else [criterion_json(result) for result in check.results],
    }


def _finite(values: Mapping[str, object]) -> dict[str, float | None]:
    return {
        name: finite(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
