"""The samples of a check as a table: columns of finite numbers, and groups."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeGuard

from wtrace.judging.statistics.arrays import as_rows, canonical_order, first_not_finite, group_index
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wtrace.judging.statistics.arrays import Index, Rows

ID = "id"
GROUP = "group"


class NoValue(Exception):  # noqa: N818 - it never leaves the room: the referee makes a standing of it
    """Why an expression has no value at this check, in a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Columns(Protocol):
    """What the names inside a criterion's functions stand for."""

    def __contains__(self, name: str) -> bool:
        """Whether there is such a column."""

    def column(self, name: str) -> Rows | float:
        """The column, or a single sample's part of it."""

    def groups(self) -> Index | None:
        """The number of each sample's group, or None where the samples are not grouped."""

    def ordered(self, names: Sequence[str]) -> Columns:
        """These columns with the samples in an order that depends on their values alone, as do the groups' numbers."""


class Samples:
    """The columns that some criteria use. They are converted once; a method raises `NoValue` where it must."""

    def __init__(self, columns: Mapping[str, object], used: Iterable[str]) -> None:
        self._columns = columns
        self._table = {name: columns[name] for name in (*used, GROUP, ID) if name in columns}
        self._rows: dict[str, Rows] = {}

    def __contains__(self, name: str) -> bool:
        """Whether there is such a column."""
        return name in self._columns

    def column(self, name: str) -> Rows:
        """The column's numbers, at least one, all of them finite."""
        if name not in self._rows:
            values = self._values(name)
            rows = as_rows(values) if all_floats(values) else None  # nearly always, and quicker
            if rows is None or first_not_finite(rows) is not None:
                rows = as_rows([number(value, f"{shown(name)}[{i}]") for i, value in enumerate(values)])
            self._rows[name] = rows
        return self._rows[name]

    def groups(self) -> Index | None:
        """The number of each sample's group, or None where the samples are not grouped."""
        if GROUP not in self._columns:
            return None
        values = self._values(GROUP)
        labels = [value for value in values if is_label(value)]
        if len(labels) < len(values):
            index = next(i for i, value in enumerate(values) if not is_label(value))
            raise NoValue(f"{GROUP}[{index}] is {described(values[index])}, not a whole number or a text")
        return group_index(labels)

    def ordered(self, names: Sequence[str]) -> Ordered:
        """These columns with the samples in an order that depends on their values alone, as do the groups' numbers."""
        order, groups = canonical_order([self.column(name) for name in dict.fromkeys(names)], self.groups())
        return Ordered({name: self.column(name)[order] for name in names}, groups)

    def _values(self, name: str) -> Sequence[object]:
        values = self._columns[name]
        if not is_list(values):
            raise NoValue(f"{shown(name)} is {described(values)}, not a list")
        if problem := uneven(self._table):
            raise NoValue(problem)
        if not values:
            raise NoValue("no samples")
        return values


class Ordered:
    """Columns in their canonical order."""

    def __init__(self, rows: Mapping[str, Rows], groups: Index | None) -> None:
        self._rows = rows
        self._groups = groups

    def __contains__(self, name: str) -> bool:
        """Whether there is such a column."""
        return name in self._rows

    def column(self, name: str) -> Rows:
        """The column's numbers."""
        return self._rows[name]

    def groups(self) -> Index | None:
        """The number of each sample's group."""
        return self._groups

    def ordered(self, names: Sequence[str]) -> Ordered:
        """They are."""
        del names
        return self


class Sample:
    """A single sample, of which every column is one number."""

    def __init__(self, columns: Mapping[str, object], index: int) -> None:
        self._columns = columns
        self._index = index

    def __contains__(self, name: str) -> bool:
        """Whether there is such a column."""
        return name in self._columns

    def column(self, name: str) -> float:
        """The sample's number; `NoValue` where it has none."""
        values = self._columns[name]
        if not is_list(values) or self._index >= len(values):
            raise NoValue(f"no {shown(name)} for sample {self._index}")
        return number(values[self._index], shown(name))

    def groups(self) -> None:
        """A single sample is no group."""

    def ordered(self, names: Sequence[str]) -> Sample:
        """A single sample has no order."""
        del names
        return self


def number(value: object, name: str) -> float:
    """The value as a finite float; `NoValue` for anything else, a boolean too."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise NoValue(f"{name} is {described(value)}, not a number")
    try:
        converted = float(value)
    except OverflowError:
        converted = math.inf
    if not math.isfinite(converted):
        raise NoValue(f"{name} is {described(converted)}")
    return converted


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Whether it is a list of values, which a text is not."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))


def all_floats(values: Sequence[object]) -> TypeGuard[Sequence[float]]:
    """Whether every value is a float."""
    return set(map(type, values)) == {float}


def is_label(value: object) -> TypeGuard[int | str]:
    """Whether it can name a sample or a group: a whole number or a text."""
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def uneven(columns: Mapping[str, object]) -> str | None:
    """What is wrong where the lists among the columns differ in length."""
    lengths = {name: len(values) for name, values in columns.items() if is_list(values)}
    if len(set(lengths.values())) < 2:
        return None
    short, long = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
    return f"columns of unequal length: {shown(short)} {lengths[short]}, {shown(long)} {lengths[long]}"


def described(value: object) -> str:
    """What a value is, in a word or two."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinite"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a table" if isinstance(value, Mapping) else "a list"


def shown(name: str) -> str:
    """A name as a message shows it."""
    return plain(name, 40)
