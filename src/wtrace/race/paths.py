"""Where things lie under `.wtrace/` in the main worktree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@data
class RaceLayout:
    """The folder of one race, `.wtrace/races/ID/`."""

    folder: Path

    @property
    def config(self) -> Path:
        """The config as it was resolved at the start; resume uses it."""
        return self.folder / "config.toml"

    @property
    def log(self) -> Path:
        """What the supervisor says."""
        return self.folder / "wtrace.log"

    @property
    def requests(self) -> Path:
        """Other commands leave their requests to the supervisor here, one file each."""
        return self.folder / "requests"

    @property
    def results(self) -> Path:
        """What is told about the race; what a sync target mirrors."""
        return self.folder / "results"

    @property
    def progress(self) -> Path:
        """The progress page."""
        return self.results / "PARALLEL_PROGRESS.md"

    @property
    def dashboard(self) -> Path:
        """The race on one page that opens from disk."""
        return self.results / "dashboard.html"

    @property
    def success_report(self) -> Path:
        """Written at the end of a race with a winner."""
        return self.results / "SUCCESS_REPORT.md"

    @property
    def failure_report(self) -> Path:
        """Written at the end of a race without one."""
        return self.results / "FAILURE_REPORT.md"

    def ssh_config(self, target: str) -> Path:
        """The config of ssh that this target named, as it was when the race started."""
        return self.folder / "sync" / f"{target}.ssh_config"

    def worker(self, name: str) -> Path:
        """All that belongs to one worker."""
        return self.folder / one_part(name)

    def output(self, name: str) -> Path:
        """The worker's output folder; it persists over attempts."""
        return self.worker(name) / "output"

    def left(self, name: str) -> Path:
        """What the worker's processes left in its worktree, once `wtrace clean` has moved it here."""
        return self.worker(name) / "worktree"

    def attempts(self, name: str) -> Path:
        """The worker's attempts, numbered from 1."""
        return self.worker(name) / "attempts"

    def attempt(self, name: str, number: int) -> Path:
        """One attempt of a worker."""
        return self.worker(name) / "attempts" / str(number)

    def setup(self, name: str, step: int) -> Path:
        """One command of those that prepare the worker's worktree, numbered from 1."""
        return self.worker(name) / "setup" / str(step)

    def after(self, name: str, step: int) -> Path:
        """One command of those that run for the winner of that name, numbered from 1."""
        return self.worker(name) / "after" / str(step)

    def claim(self, number: int) -> Path:
        """A claim's frozen checkpoint and its confirmation."""
        return self.folder / "claims" / str(number)

    def confirmation(self, number: int, attempt: int) -> Path:
        """One try to confirm a claim."""
        return self.folder / "claims" / str(number) / "attempts" / str(attempt)


@data
class Layout:
    """`.wtrace/` of a repo."""

    root: Path  # the main worktree

    @property
    def home(self) -> Path:
        """The folder that holds everything; mode 0700."""
        return self.root / ".wtrace"

    @property
    def database(self) -> Path:
        """All races of this repo."""
        return self.home / "wtrace.db"

    @property
    def lock(self) -> Path:
        """Held by the supervisor of the race that runs."""
        return self.home / "lock"

    @property
    def setups(self) -> RaceLayout:
        """What `wtrace setup` runs, apart from any race."""
        return RaceLayout(self.home / "setup")

    @property
    def latest(self) -> Path:
        """A link to the newest race."""
        return self.home / "latest"

    @property
    def races(self) -> Path:
        """A folder for each race."""
        return self.home / "races"

    def race(self, race_id: str) -> RaceLayout:
        """The folder of that race."""
        return RaceLayout(self.races / one_part(race_id))


def one_part(name: str) -> str:
    """The name, if it is that of one folder: what a record names never leads elsewhere. UsageError otherwise."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise UsageError("this cannot be the name of a race or a worker", seen=repr(name))
    return name
