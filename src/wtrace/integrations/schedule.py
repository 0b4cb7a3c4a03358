"""What an integration and the race have to know of each other: which epochs are judged, when it is saved."""

from __future__ import annotations

import os

SAVES_LATE = {"on_win": "settle"}
"""For `Reporter.start`: frameworks call the reporter before what saves, so that its win has to be waited for."""


def is_planned(epoch: int, last_epoch: int | None) -> bool:
    """Whether a check at this epoch (from 1) is judged. Outside of a race every epoch counts as planned."""
    every = _number("WTRACE_CHECK_EVERY") or 1
    last = _number("WTRACE_MAX_EPOCHS") or last_epoch
    return epoch % every == 0 or epoch == last


def output_folder() -> str | None:
    """The worker's output folder; None outside of a race."""
    return os.environ.get("WTRACE_OUTPUT") or None


def _number(variable: str) -> int | None:
    text = os.environ.get(variable, "")
    return int(text) if text.isdigit() else None
