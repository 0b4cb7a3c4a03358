"""What of a race may leave this machine, as this machine and its environment are."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.race.redaction import Redaction, redaction_of
from wtrace.supervisor.create import worktrees_folder

if TYPE_CHECKING:
    from wtrace.config.spec import RaceSpec
    from wtrace.race.context import RaceContext


def redaction_for(race: RaceContext) -> Redaction:
    """What is taken out of whatever is published about this race."""
    return redaction_in(race.root, race.spec)


def redaction_in(root: Path, spec: RaceSpec) -> Redaction:
    """The same for a repo and a config, where there is no race."""
    return redaction_of(spec, _places(root, spec).items(), os.environ)


def _places(root: Path, spec: RaceSpec) -> dict[str, str]:
    """This machine's paths, and what is shown for each: the repo's as seen from it."""
    worktrees = worktrees_folder(root, spec)
    beside = worktrees.parent == root.parent
    found: dict[str, str] = {}
    for path, shown in (
        (Path.home(), "~"),
        (worktrees, f"../{worktrees.name}" if beside else f"…/{worktrees.name}"),
        (root, "."),
    ):
        for each in {str(path), os.path.realpath(path)} - {"/"}:
            found[each] = shown
            if path == root:
                found[f"{each}/"] = ""
    return found


LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"


class RedactingFormatter(logging.Formatter):
    """A log's lines without what must not be shown: logs are pasted into reports of bugs."""

    def __init__(self, redaction: Redaction) -> None:
        super().__init__(LOG_FORMAT)
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        """As ever, then redacted: a traceback too."""
        return self._redaction.text(super().format(record))


def start_log() -> None:
    """This process logs to its standard error."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)


def redact_log(redaction: Redaction) -> None:
    """From here on this process's log holds nothing private."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(RedactingFormatter(redaction))
