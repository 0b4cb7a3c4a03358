"""What stays the same through a race."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wtrace.core.layout import RaceLayout
    from wtrace.core.spec import RaceSpec
    from wtrace.core.view import Place


@dataclass(frozen=True, slots=True)
class RaceContext:
    """One race: its id, its config, where it lies, and where its workers live."""

    id: str
    spec: RaceSpec
    layout: RaceLayout
    places: Mapping[str, Place]  # by worker
