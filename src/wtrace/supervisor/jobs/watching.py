"""Whose files a change belongs to: every attempt's folder and metrics, and what some metrics are translated from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from wtrace.metrics.foreign.translation import Watched
    from wtrace.metrics.watcher import Watcher
    from wtrace.supervisor.jobs.confirmation import ConfirmationIntake
    from wtrace.supervisor.jobs.job_reader import Intake
    from wtrace.supervisor.jobs.setup import SetupIntake

    AnyIntake = Intake | ConfirmationIntake | SetupIntake


class Watching:
    """Keeps the watcher in step with what is followed. Keys are those of the supervisor's intakes."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._owners: dict[Path, str] = {}

    def owner(self, path: Path) -> str | None:
        """Whose path that is; None: nobody's who is followed."""
        return self._owners.get(path)

    def follow(self, key: str, intake: AnyIntake) -> None:
        """Be told of the attempt's folder and of its metrics. ToolError where they cannot be watched."""
        self._owners[intake.folder] = self._owners[intake.metrics] = key
        self._watcher.watch_folder(intake.folder)
        self._watcher.watch_file(intake.metrics)

    def unfollow(self, key: str) -> None:
        """Be told no more."""
        for path in self._of(key):
            self._watcher.forget(path)
            del self._owners[path]

    def follow_sources(self, key: str, intake: AnyIntake) -> bool:
        """Be told of the files that metrics are translated from. True: some are new and should be read once more.

        ToolError where they cannot be watched.
        """
        sources = intake.sources
        wanted = sources.files | sources.folders
        known = self._of(key) - {intake.folder, intake.metrics}
        for path in known - wanted:
            self._watcher.forget(path)
            del self._owners[path]
        self._owners.update(dict.fromkeys(wanted - known, key))
        self.watch_again(sources)
        return not wanted <= known

    def watch_again(self, sources: Watched) -> None:
        """A folder that was removed and made anew has lost its watch. ToolError where it cannot be watched."""
        for folder in sources.folders:
            if folder.is_dir():
                self._watcher.watch_folder(folder)
        for file in sources.files:
            if file.parent.is_dir():
                self._watcher.watch_file(file)

    def _of(self, key: str) -> set[Path]:
        return {path for path, owner in self._owners.items() if owner == key}
