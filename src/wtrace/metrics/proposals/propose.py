"""A `[metrics]` table proposed from what a training printed: which lines hold metrics, and what tells their epoch.

A line is taken apart into *named numbers*, `val_loss=0.4`, `'eval_loss': 0.3`, `train loss 0.5`, `| ep_rew_mean | 21 |`.
One of them may be the epoch (`Epoch 3/20`, `step 250`, `[12]`); the names of the others are the line's shape. The shape that
looks most like the validation of an epoch is turned into a pattern, which must read back what was seen in its lines.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from wtrace.config import compound_kinds, names
from wtrace.config.compound_kinds import LONGEST_PATTERN
from wtrace.config.sources import EPOCH
from wtrace.data import data
from wtrace.metrics.foreign import rows as readings
from wtrace.metrics.proposals.patterns import epoch_pattern, pattern_of
from wtrace.metrics.proposals.printed import (
    METRIC,
    MOST_METRICS,
    VALIDATION,
    Named,
    PrintedLine,
    key_of,
    may_be_metric,
    take_apart,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

MOST_LINES = 20_000
LONGEST_LINE = 2000
MOST_SHAPES = 4  # of lines that hold one metric each
MOST_ONCE = 2  # epochs that are named; where more are, metrics that are printed once are those of the end
MOST_CHECKED = 200  # lines of a shape on which its pattern is tried

_WITHIN = re.compile(r"(?P<value>\d+)(?= ?/ ?\d+)")


@data
class Proposal:
    """A `[metrics]` table, and what it reads there. `kind` says in words what the lines look like."""

    kind: str
    source: Literal["stdout", "jsonl", "csv", "tensorboard", "hf"]
    metrics: tuple[str, ...]
    pattern: str | None = None
    epoch_key: str | None = None  # None: `epoch`
    first_epoch: int = 1
    epoch_comes: Literal["first", "last"] = "first"
    counted: bool = False  # nothing names an epoch: readings are counted

    def table(self, path: str | None) -> dict[str, object]:
        """The keys of `[metrics]` that are not as usual; `path` names the file where it is no log."""
        given: dict[str, object] = {"from": self.source}
        if path is not None and self.source != "stdout":
            given["path"] = path
        usual = Proposal(self.kind, self.source, self.metrics)
        for key in ("pattern", "epoch_key", "first_epoch", "epoch_comes"):
            if getattr(self, key) != getattr(usual, key):
                given[key] = getattr(self, key)
        return given


@dataclass(slots=True)
class _Shape:
    """Lines with the same names."""

    lines: list[PrintedLine] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(value.name for value in self.lines[0].values)

    @property
    def epoch(self) -> Named | None:
        return self.lines[0].epoch


def propose(lines: Sequence[str], wanted: Iterable[str] = ()) -> Proposal | None:
    """What would read the metrics of a log; None where no metrics are seen in it.

    `lines` are as a terminal shows them, without colours; `wanted` the names that criteria use, which decide where
    several kinds of lines hold metrics.
    """
    lines = [line[:LONGEST_LINE] for line in lines[:MOST_LINES]]
    names = frozenset(wanted)
    objects = _of_objects(lines, "stdout")
    if objects is not None and not objects.counted:
        return objects
    return _of_lines(lines, names) or objects


def propose_for_objects(lines: Sequence[str]) -> Proposal | None:
    """The same for a file of JSON lines of the training's own."""
    return _of_objects(lines[:MOST_LINES], "jsonl")


def propose_for_table(header: str, rows: Sequence[str]) -> Proposal | None:
    """The same for a file that begins with this header, where it is a CSV file; None: it is none."""
    delimiter, columns = readings.header_of(header)
    if len(columns) < 2 or not all(re.match(r"[A-Za-z_]", name) for name in columns):
        return None
    cells = [dict(zip(columns, row.rstrip("\r").split(delimiter), strict=False)) for row in rows]
    numbers = {name for each in cells for name, cell in each.items() if readings.number(cell) is not None}
    key = key_of(columns)
    metrics = tuple(name for name in columns if name in numbers and name != key and may_be_metric(name))
    if not metrics:
        return None
    epochs = [number for each in cells if key and (number := readings.number(each.get(key))) is not None]
    return _proposal("a CSV file", "csv", metrics, key, epochs)


def propose_for_values(
    source: Literal["tensorboard", "hf"], readings: Sequence[Mapping[str, float]]
) -> Proposal | None:
    """The same for an event file or a trainer's state that says this; where a scalar `epoch` is there, it tells the epoch."""
    seen = Counter(name for values in readings for name in values)
    if not seen:
        return None
    kind = "TensorBoard's scalars" if source == "tensorboard" else "a Trainer's log_history"
    metrics = [name for name in seen if name != EPOCH and may_be_metric(name)]
    key = EPOCH if source == "tensorboard" and EPOCH in seen else None
    return Proposal(kind, source, tuple(metrics), epoch_key=key)


def _of_objects(lines: Sequence[str], source: Literal["stdout", "jsonl"]) -> Proposal | None:
    """Lines of JSON, also behind what a logger puts before them."""
    objects = [value for line in lines if (value := _object(line)) is not None]
    seen = Counter(
        name
        for each in objects
        for name, value in each.items()
        if readings.number(value) is not None and not isinstance(value, str)
    )
    key = key_of(sorted(seen, key=lambda name: -seen[name]))
    metrics = tuple(name for name in seen if name != key and may_be_metric(name))
    if not metrics or (key is None and not any(METRIC.search(name.lower()) for name in metrics)):
        return None
    epochs = [number for each in objects if key and (number := readings.number(each.get(key))) is not None]
    return _proposal("lines of JSON", source, metrics, key, epochs)


def _object(line: str) -> dict[str, object] | None:
    begin = line.find("{")
    if begin < 0 or '"' not in line:
        return None
    try:
        value = json.JSONDecoder().raw_decode(line, begin)[0]
    except (ValueError, RecursionError):
        return None
    return readings.flat(value) if isinstance(value, dict) else None


def _proposal(
    kind: str,
    source: Literal["stdout", "jsonl", "csv"],
    metrics: Sequence[str],
    key: str | None,
    epochs: Sequence[float],
) -> Proposal:
    ordered = sorted(metrics, key=lambda name: not VALIDATION.search(name))
    given = None if key == EPOCH else key
    return Proposal(
        kind,
        source,
        tuple(ordered[: 2 * MOST_METRICS]),
        epoch_key=given,
        first_epoch=_first_epoch(epochs, given),
        counted=key is None,
    )


def _first_epoch(epochs: Sequence[float], key: str | None) -> int:
    """0 where the numbers begin with 0 and none is left out. Steps are numbered as they are: they are raced by their number."""
    if key is not None and names.is_step(key):
        return 1
    different = sorted(set(epochs))
    counts = different[:1] == [0] and all(b - a == 1 for a, b in itertools.pairwise(different))
    return 0 if counts and len(different) > 1 else 1


def _of_lines(lines: Sequence[str], wanted: frozenset[str]) -> Proposal | None:
    taken_apart = [take_apart(n, line) for n, line in enumerate(lines)]
    shapes: dict[tuple[str, ...], _Shape] = {}
    for line in taken_apart:
        if line.values:
            shapes.setdefault(line.shape, _Shape()).lines.append(line)
    if not shapes:
        return None
    best = max(shapes.values(), key=lambda shape: _worth(shape, wanted))
    if best.epoch is not None:
        others = [line for line in taken_apart if line.values and line.shape != best.lines[0].shape]
        return _with_epoch(best, others[:MOST_CHECKED])
    if not any(METRIC.search(each.name) or each.is_given for each in best.lines[0].values):
        return None  # some numbers, and nothing that makes metrics of them
    return _with_epoch_elsewhere(best, _beside(best, shapes.values(), wanted), taken_apart)


def _worth(shape: _Shape, wanted: frozenset[str]) -> tuple[int, bool, bool, bool, int]:
    names = shape.names
    validates = any(VALIDATION.search(name) for name in names) or bool(VALIDATION.search(shape.lines[0].text))
    known = any(METRIC.search(name) for name in names)
    return (
        len(wanted.intersection(names)),
        known,
        validates,
        shape.epoch is not None and shape.epoch.name == EPOCH,
        len(shape.lines) + len(names),
    )


def _beside(best: _Shape, shapes: Iterable[_Shape], wanted: frozenset[str]) -> list[_Shape]:
    """The lines to read together: where each holds one metric and none an epoch, those that come as often."""
    others = [
        shape
        for shape in shapes
        if shape is not best
        and shape.epoch is None
        and set(best.names).isdisjoint(shape.names)
        and 2 * len(shape.lines) >= len(best.lines)
        and any(METRIC.search(name) for name in shape.names)
    ]
    others.sort(key=lambda shape: _worth(shape, wanted), reverse=True)
    kept, names = [best], set(best.names)
    for shape in others[: MOST_SHAPES - 1]:
        if names.isdisjoint(shape.names):
            kept.append(shape)
            names.update(shape.names)
    return sorted(kept, key=lambda shape: shape.lines[0].index)


def _with_epoch(shape: _Shape, others: Sequence[PrintedLine]) -> Proposal | None:
    """The epoch and its metrics stand on one line."""
    assert shape.epoch is not None
    step = _step_of(shape.lines)
    pattern = _checked(shape, lambda line, strict: pattern_of(line, strict, step(line)), others)
    if pattern is None:
        return None
    return Proposal(
        _kind_of(shape.lines[0]),
        "stdout",
        shape.names,
        pattern,
        epoch_key=None if shape.epoch.name == EPOCH else shape.epoch.name,
        first_epoch=_first_epoch([line.epoch.value for line in shape.lines if line.epoch], shape.epoch.name),
    )


def _with_epoch_elsewhere(
    best: _Shape, shapes: Sequence[_Shape], lines: Sequence[PrintedLine]
) -> Proposal | None:
    """The metrics stand on lines of their own, and others, before or after these, tell the epoch."""
    naming = _naming(lines)
    comes_last = bool(naming) and _stands_before(best, naming)
    if comes_last:  # what stands after the number, in the same table perhaps, would count for the next one
        shapes = [shape for shape in shapes if _stands_before(shape, naming)]
    parts = [part for shape in shapes if (part := _checked(shape, pattern_of, [])) is not None]
    if not parts:
        return None
    names = tuple(name for shape in shapes for name in shape.names)
    once = all(len(shape.lines) == 1 for shape in shapes) and len(naming) > MOST_ONCE
    if not naming or once:
        return Proposal("metrics without an epoch", "stdout", names, "|".join(parts), counted=True)
    first = naming[0]
    assert first.epoch is not None
    parts.insert(len(parts) if comes_last else 0, _epoch_part(naming))
    pattern = "|".join(parts)
    return (
        None
        if len(pattern) > LONGEST_PATTERN
        else Proposal(
            "metrics on lines of their own",
            "stdout",
            names,
            pattern,
            epoch_key=None if first.epoch.name == EPOCH else first.epoch.name,
            first_epoch=_first_epoch([line.epoch.value for line in naming if line.epoch], first.epoch.name),
            epoch_comes="last" if comes_last else "first",
        )
    )


def _stands_before(shape: _Shape, naming: Sequence[PrintedLine]) -> bool:
    """Whether the epoch is told after such lines: before the first of them nothing is, and after the last of them it is."""
    return shape.lines[0].index < naming[0].index and shape.lines[-1].index < naming[-1].index


def _epoch_part(naming: Sequence[PrintedLine]) -> str:
    """What finds the epoch in these lines, whose columns may be padded to other widths."""
    tried = naming[:MOST_CHECKED]
    patterns = [epoch_pattern(line) for line in (tried[0], tried[-1], tried[len(tried) // 2])]

    def found(pattern: str) -> int:
        compiled = compound_kinds.compiled(pattern)
        return sum(compiled.search(line.text) is not None for line in tried)

    return max(patterns, key=found)


def _naming(lines: Sequence[PrintedLine]) -> list[PrintedLine]:
    """The lines that tell the epoch: of the name whose number changes, `epoch` before any other."""
    by_name: dict[str, list[PrintedLine]] = {}
    for line in lines:
        if line.epoch is not None:
            by_name.setdefault(line.epoch.name, []).append(line)
    return max(
        by_name.values(),
        key=lambda each: (
            each[0].epoch is not None and each[0].epoch.name == EPOCH,
            len({line.epoch.value for line in each if line.epoch is not None}),
        ),
        default=[],
    )


def _step_of(lines: Sequence[PrintedLine]) -> Callable[[PrintedLine], Named | None]:
    """What tells apart several lines of one epoch, by line: the first `3/30` after the epoch's own."""
    epochs = Counter(line.epoch.value for line in lines if line.epoch is not None)
    repeated = max(epochs.values(), default=0) > 1

    def found(line: PrintedLine) -> Named | None:
        if not repeated or line.epoch is None:
            return None
        rest = re.compile(r"(?: ?/ ?\d+)?").match(line.text, line.epoch.end)
        within = _WITHIN.search(line.text, rest.end() if rest else line.epoch.end)
        if within is None or within.end() > line.values[0].start:
            return None
        return Named("step", within.start(), within.start(), within.end(), float(within["value"]))

    return found


def _checked(
    shape: _Shape, make: Callable[[PrintedLine, bool], str], others: Sequence[PrintedLine]
) -> str | None:
    """The pattern of one of its lines that reads back what stands in nearly all of them, and if possible in no others."""
    tried = shape.lines[:MOST_CHECKED]
    good: list[str] = []
    for line in (tried[-1], tried[0], tried[len(tried) // 2]):
        for pattern in (make(line, False), make(line, True), _told_apart(line, make(line, False))):
            if len(pattern) <= LONGEST_PATTERN and _share(pattern, tried) >= 0.9:
                if not _share(pattern, others):
                    return pattern
                good.append(pattern)
    return good[0] if good else None


def _told_apart(line: PrintedLine, pattern: str) -> str:
    """The pattern behind the line's own word for a validation, which stands before all numbers."""
    first = min(each.start for each in (*line.values, *([line.epoch] if line.epoch else [])))
    word = VALIDATION.search(line.text[:first])
    return pattern if word is None else rf"\b{word[1]}\b.*?{pattern}"


def _share(pattern: str, lines: Sequence[PrintedLine]) -> float:
    """In how many of the lines it finds the very numbers."""
    compiled = compound_kinds.compiled(pattern)
    return sum(_reads(compiled, line) for line in lines) / max(1, len(lines))


def _reads(pattern: re.Pattern[str], line: PrintedLine) -> bool:
    groups = readings.groups_of(pattern, line.text) or {}
    wanted = [*line.values, *([line.epoch] if line.epoch is not None and line.epoch.name in groups else [])]
    found = [readings.number(groups.get(each.name)) for each in wanted]
    return all(
        number is not None and (number == each.value or math.isnan(number))
        for number, each in zip(found, wanted, strict=True)
    )


def _kind_of(line: PrintedLine) -> str:
    if re.search(r"\d+%\|", line.text):
        return "progress bars"
    if re.search(r"\{'\w", line.text):
        return "printed dicts"
    return "an epoch and its metrics on one line"
