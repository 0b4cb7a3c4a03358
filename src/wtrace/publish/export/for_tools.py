"""A race for other tools: names that are legal there and never two of one, settings, the verdict in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wtrace.publish.markdown.elements import table
from wtrace.text import code, plain, utc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from wtrace.publish.export.series import RaceCurves, WorkerCurves
    from wtrace.race.status import Standing

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


def summary(race: RaceCurves, worker: WorkerCurves) -> str:
    """A Markdown page: the verdict of the race, this worker's part in it, and the settings of both."""
    parts = [("Race", verdict(race.standing)), ("Worker", identity(worker))]
    parts += [("Settings", flat(race.settings) | flat(worker.settings))]
    return "\n\n".join(
        f"## {title}\n\n"
        + table(["What", "Value"], [[code(name), code(value)] for name, value in rows.items()])
        for title, rows in parts
    )


def verdict(standing: Standing) -> dict[str, str]:
    """How the race was decided."""
    epoch = {} if standing.winner_epoch is None else {"winner_epoch": str(standing.winner_epoch)}
    return {
        "race": standing.id,
        "race_state": standing.state,
        "winner": standing.winner or "nobody",
        **epoch,
        "confirmed": str(standing.confirmed).lower(),
        "started": utc(standing.started),
    }


def identity(worker: WorkerCurves) -> dict[str, str]:
    """Which code this worker ran, and how it ended."""
    row = worker.row
    return {"worker": row.name, "branch": row.branch, "commit": row.commit, "state": row.state}


def flat(settings: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Nested settings as `race.check_every`: `5`."""
    found: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = str(value).lower() if isinstance(value, bool) else str(value)
    return found
