"""Whether the workers could be merged if they won: asked of git at the beginning of a race and at its end."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from wtrace.errors import WtraceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wtrace.config.spec import RaceSpec
    from wtrace.git.hybrid import Forecast

log = logging.getLogger("wtrace")


def merge_outlook(root: Path, spec: RaceSpec, commits: Mapping[str, str]) -> tuple[Forecast, ...]:
    """A forecast for each worker (its name to the commit it races) that could win.

    Empty where the config says that nothing is merged, and, with a line in the log, where git cannot tell.
    """
    from wtrace.git.hybrid import conflict_forecast

    raced = {name: commit for name, commit in commits.items() if commit and not spec.worker(name).control}
    if spec.merge == "never" or not raced:
        return ()
    try:
        return conflict_forecast(root, spec.base, raced)
    except (OSError, WtraceError) as error:
        log.info("whether the workers could be merged is not known: %s", error)
        return ()
