"""What one line of a log, one row of a CSV file or one entry of a trainer's state says: an epoch and its metrics."""

from __future__ import annotations

import csv
import re
import warnings
from typing import TYPE_CHECKING

from wtrace.core.data import data

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STEPS = frozenset({"step", "global_step", "iter", "iteration", "batch"})
"""What tells apart several readings of one epoch; none of these is a metric."""
LONGEST_NAME = 200
DELIMITERS = ",;\t"
_AROUND_NUMBERS = " \t,;:%()[]'\""


@data
class Reading:
    """Metrics of one epoch, numbered as the source does; 4.6 lies in the fifth of epochs counted from 1.

    Without values it says that the epoch has begun. `settled`: no later reading of this epoch can say something else of the same metrics.
    """

    epoch: float
    values: Mapping[str, float]
    settled: bool


def number(value: object) -> float | None:
    """The number that a value is or that its text says (`0.52`, `nan`, `97.5%`); None where it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 2**63 else float(value) if abs(value) < 2**1000 else None
    if isinstance(value, float):
        return value
    if not isinstance(value, str) or len(value) > 100:
        return None
    text = value.strip(_AROUND_NUMBERS)
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None


def of_groups(groups: Mapping[str, str | None], epoch_key: str) -> Reading | str | None:
    """What the named groups of a match say; the text says why it cannot be used, None: it says nothing."""
    return _reading(groups, epoch_key, settled=not _steps(groups))


def of_object(value: Mapping[str, object], epoch_key: str) -> Reading | str | None:
    """What a JSON object says. One with a step may be one of several of its epoch."""
    return _reading(value, epoch_key, settled=not _steps(value))


def of_cells(header: Sequence[str], cells: Sequence[str], epoch_key: str) -> Reading | str | None:
    """What a row of a CSV file says. Empty cells say nothing; where there are steps, an epoch may have several rows."""
    if len(cells) != len(header):
        return f"a row of {len(cells)} cells under a header of {len(header)}"
    given = {name: cell for name, cell in zip(header, cells, strict=True) if cell.strip()}
    return _reading(given, epoch_key, settled=STEPS.isdisjoint(header))


def of_entry(entry: Mapping[str, object], epoch_key: str) -> Reading | str | None:
    """What an entry of a Hugging Face `log_history` says. At the end of an epoch each metric is logged once."""
    epoch = number(entry.get(epoch_key))
    whole = epoch is not None and float(epoch).is_integer()
    return _reading(entry, epoch_key, settled=whole)


def header_of(line: str) -> tuple[str, tuple[str, ...]]:
    """The delimiter of a CSV file and its column names, by its first line."""
    line = line.removeprefix("\ufeff").strip("\r\n")
    delimiter = max(DELIMITERS, key=line.count)
    try:
        names = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        names = line.split(delimiter)
    return delimiter, tuple(name.strip() for name in names)


def _reading(found: Mapping[str, object], epoch_key: str, *, settled: bool) -> Reading | str | None:
    if found.get(epoch_key) is None:
        return None
    epoch = number(found[epoch_key])
    if epoch is None or not 0 <= epoch < 2**53:
        return f"its {epoch_key} is no epoch: {found[epoch_key]!r:.60}"
    values = {
        name: value
        for name, given in found.items()
        if name != epoch_key and name not in STEPS and _is_name(name) and (value := number(given)) is not None
    }
    return Reading(epoch, values, settled=settled or epoch_key in STEPS)


def _steps(found: Mapping[str, object]) -> bool:
    return any(found.get(name) is not None for name in STEPS)


def _is_name(name: str) -> bool:
    """Whether a metric can be called so: on one line, and as JSON in UTF-8."""
    return 0 < len(name) <= LONGEST_NAME and name.isprintable()


def compiled(pattern: str) -> re.Pattern[str]:
    """The regular expression. `re.error`, RecursionError or OverflowError where it is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on what a later Python may understand otherwise
        return re.compile(pattern)


def groups_of(pattern: re.Pattern[str], text: str) -> Mapping[str, str | None] | None:
    """The named groups of the first match in the text; None where there is none."""
    found = pattern.search(text)
    return None if found is None else found.groupdict()
