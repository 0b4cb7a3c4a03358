"""The verdict and the settings of a race as names and values, for tools that show these beside the curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.publish.markdown.elements import table
from wtrace.text import code, utc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wtrace.publish.export.series import RaceCurves, WorkerCurves
    from wtrace.race.status import Standing


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
