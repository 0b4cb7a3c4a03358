"""Which columns a table shows at a width: the essential ones first, then wider and further ones by priority."""

from __future__ import annotations

from wtrace.cli.terminal.cells import NOTHING, Cell, fit, width_of
from wtrace.text import cells, pad, plain

TYPE_CHECKING = False  # importing `typing` costs as much as reading the whole race
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wtrace.cli.terminal.cells import Cells
    from wtrace.judging.checks import CriterionInfo

_NAME_AT_FIRST, _NAME_LATER = 14, 28
_STATE_WISHED = 13  # the longest is `● won, saving`
_CRITERION_LEAST = 6  # room for a heading such as `1 att…`
_LOG_LEAST = 24
_TITLES = {
    "name": "worker",
    "state": "state",
    "epoch": "epoch",
    "met": "met",
    "spark": "trend",
    "pace": "/epoch",
    "eta": "ETA",
    "eta_long": "ETA",
    "cpu": "CPU",
    "memory": "memory",
    "gpu": "GPU mem",
    "log": "last log line",
    "note": "note",
}
_RIGHT = frozenset({"epoch", "met", "pace", "eta", "cpu", "memory", "gpu"})


class Column:
    """One column of the table: which cell it shows, and in how many cells of the terminal."""

    __slots__ = (
        "key",
        "title",
        "width",
    )  # by hand: `dataclasses` costs half of what `wtrace status` may take

    def __init__(self, key: str, title: str, width: int) -> None:
        self.key = key
        self.title = title
        self.width = width

    @property
    def right(self) -> bool:
        """Whether it is aligned to the right."""
        return self.key in _RIGHT


class Layout:
    """The columns from left to right, and the cells between two of them."""

    __slots__ = ("between", "columns", "width")

    def __init__(self, columns: tuple[Column, ...], between: int, width: int) -> None:
        self.columns = columns
        self.between = between
        self.width = width

    @property
    def keys(self) -> frozenset[str]:
        """The cells that have a column."""
        return frozenset(column.key for column in self.columns)

    def heading(self) -> str:
        """The line of titles."""
        titles = [pad(column.title, column.width, right=column.right) for column in self.columns]
        return (" " * self.between).join(titles).rstrip()

    def line(self, row: Cells) -> Cell:
        """A row's cells in their columns."""
        pieces: list[tuple[str, str]] = []
        for column in self.columns:
            if pieces:
                pieces.append((" " * self.between, ""))
            pieces.extend(fit(row.get(column.key, ()), column.width, right=column.right))
        return tuple(pieces)


def criterion_label(index: int, criterion: CriterionInfo) -> str:
    """How a criterion is called in headings: its number and name."""
    return f"{index + 1} {plain(criterion.name, 40)}"


def lay_out(
    widths: Mapping[str, int], criteria: Sequence[CriterionInfo], width: int, wanted: Sequence[str]
) -> Layout:
    """The layout for the widest content of each cell. `wanted`: keys to add while they fit, by priority."""
    plan = _Plan(widths, criteria, width)
    plan.start()
    for key in wanted:
        if key == "full":
            plan.try_gaps()
        elif key == "titles":
            plan.try_titles()
        elif key == "eta_long":
            plan.try_in_place_of("eta", key)
        else:
            plan.try_to_add(key)
    return plan.layout()


class _Plan:
    """The columns chosen so far; each step is kept only if the row still fits."""

    def __init__(self, widths: Mapping[str, int], criteria: Sequence[CriterionInfo], width: int) -> None:
        self.widths = widths
        self.criteria = criteria
        self.width = width
        self.between = 2 if width >= 100 else 1
        self.chosen: dict[str, int] = {}

    def start(self) -> None:
        """The essential columns; where five criteria do not fit, how many are met stands for them."""
        name = min(self.widths.get("name", 6), _NAME_AT_FIRST)
        base = {"name": max(name, 6), "state": self.widths.get("state", 5), "epoch": self._wide("epoch")}
        criteria = {f"short{i}": self._criterion(f"short{i}") for i in range(len(self.criteria))}
        self.chosen = base | criteria
        if self._total() > self.width:
            self.chosen = base | {"met": self._wide("met")}
        while self._total() > self.width and len(self.chosen) > 2:
            self.chosen.popitem()
        spare = self.width - self._total()
        if spare < 0:
            self.chosen["name"] = max(1, self.chosen["name"] + spare)
        # Room for any state's word, so that no column moves when one changes.
        self._take(self.chosen | {"state": max(self.chosen.get("state", 0), _STATE_WISHED)})
        self._widen_name(_NAME_LATER)

    def _wide(self, key: str) -> int:
        return max(self.widths.get(key, 0), cells(_TITLES[key]))

    def _criterion(self, key: str) -> int:
        return max(self.widths.get(key, 0), _CRITERION_LEAST)

    def _total(self, chosen: Mapping[str, int] | None = None) -> int:
        chosen = self.chosen if chosen is None else chosen
        return sum(chosen.values()) + self.between * (len(chosen) - 1)

    def _widen_name(self, most: int) -> None:
        wish = min(self.widths.get("name", 6), most)
        spare = self.width - self._total()
        if spare > 0 and wish > self.chosen["name"]:
            self.chosen["name"] = min(wish, self.chosen["name"] + spare)

    def _take(self, chosen: dict[str, int]) -> None:
        if self._total(chosen) <= self.width:
            self.chosen = chosen

    def try_gaps(self) -> None:
        """By how much each criterion falls short, beside its value."""
        if "short0" in self.chosen:
            self._take({_full(key): self._short_or_full(key, size) for key, size in self.chosen.items()})

    def _short_or_full(self, key: str, size: int) -> int:
        return self._criterion(_full(key)) if key.startswith("short") else size

    def try_titles(self) -> None:
        """Headings of the criteria in full, as far as they fit, from the left."""
        for index, criterion in enumerate(self.criteria):
            for key in (f"short{index}", f"full{index}"):
                if key in self.chosen:
                    label = cells(criterion_label(index, criterion))
                    self._take(self.chosen | {key: max(self.chosen[key], label)})

    def try_in_place_of(self, old: str, new: str) -> None:
        """A longer form of a column that is there already."""
        if old in self.chosen and self.widths.get(new, 0):
            self._take({(new if key == old else key): self._either(key, old, new) for key in self.chosen})

    def _either(self, key: str, old: str, new: str) -> int:
        return self._wide(new) if key == old else self.chosen[key]

    def try_to_add(self, key: str) -> None:
        """One more column, if any row has something for it. The log takes what is left."""
        if not self.widths.get(key, 0):
            return
        if key in ("log", "note"):
            room = self.width - self._total() - self.between
            if room >= min(_LOG_LEAST, self.widths[key]):
                self.chosen[key] = min(room, max(self.widths[key], cells(_TITLES[key])))
            return
        self._take(self.chosen | {key: self._wide(key)})

    def layout(self) -> Layout:
        """The columns in their order from left to right."""
        columns = tuple(Column(key, self._title(key), size) for key, size in self.chosen.items())
        return Layout(columns, self.between, self.width)

    def _title(self, key: str) -> str:
        if key.startswith(("short", "full")):
            index = int(key.removeprefix("short").removeprefix("full"))
            return criterion_label(index, self.criteria[index])
        return _TITLES[key]


def _full(key: str) -> str:
    return key.replace("short", "full") if key.startswith("short") else key


def sizes_of(row: Cells) -> dict[str, int]:
    """The width of each of a row's cells; 0 where it has nothing to say."""
    return {key: 0 if cell is NOTHING else width_of(cell) for key, cell in row.items()}


def widest(sizes: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """For each cell the greatest width among the rows."""
    found: dict[str, int] = {}
    for row in sizes:
        for key, width in row.items():
            if width > found.get(key, 0):
                found[key] = width
    return found
