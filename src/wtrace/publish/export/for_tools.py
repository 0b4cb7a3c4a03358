"""Names from outside as names in other tools: legal there, and never two of one name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LONGEST = 200  # characters


class Names:
    """The names of one run. A metric keeps its own; criteria stand under `criteria/`, and are named first."""

    def __init__(
        self, legal: Callable[[str], str], criteria: Iterable[str], taken: Iterable[str] = ()
    ) -> None:
        self._legal = legal
        self._given: dict[tuple[str, str], str] = {}
        self._taken: set[str] = set(taken)
        for name in criteria:
            self.criterion(name)

    def metric(self, name: str) -> str:
        """What that metric is called; always the same."""
        return self._name("", name)

    def criterion(self, name: str) -> str:
        """What that criterion is called; always the same."""
        return self._name("criteria/", name)

    def _name(self, prefix: str, name: str) -> str:
        if (prefix, name) not in self._given:
            legal = self._legal(prefix + name)[:LONGEST]
            number, unique = 1, legal
            while unique in self._taken:
                number += 1
                unique = f"{legal}-{number}"
            self._taken.add(unique)
            self._given[prefix, name] = unique
        return self._given[prefix, name]


def as_tag(name: str) -> str:
    """A tag of TensorBoard: any text on one line; what could not be seen is shown."""
    return plain(name).strip() or "_"


def as_key(name: str) -> str:
    """A key of MLflow: ASCII letters, digits, `_ - . : /` and spaces, and no path that leads elsewhere."""
    parts = re.sub(r"[^A-Za-z0-9_\-. :/]", "_", name[:LONGEST]).split("/")
    key = "/".join(part for part in map(str.strip, parts) if part not in {"", ".", ".."})
    return re.sub(r"^\.\.+", "_", key) or "_"
