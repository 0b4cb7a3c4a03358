"""What stays the same through a race."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.data import data

if TYPE_CHECKING:
    from pathlib import Path

    from wtrace.config.spec import RaceSpec
    from wtrace.race.paths import RaceLayout
    from wtrace.race.view import Place


@data
class RaceContext:
    """One race: its id, its config, where it lies, and where its workers live."""

    id: str
    spec: RaceSpec
    layout: RaceLayout
    places: dict[str, Place]  # by worker; a hybrid's is known only when it has been made

    @property
    def root(self) -> Path:
        """The main worktree, which holds `.wtrace/races/ID/`."""
        return self.layout.folder.parents[2]
