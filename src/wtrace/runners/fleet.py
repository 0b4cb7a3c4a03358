"""All the places of one race as one runner: each attempt goes to the place that its launch names, and stays there."""

from __future__ import annotations

import selectors
from typing import TYPE_CHECKING

from wtrace.config.engines import LOCAL
from wtrace.runners import engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from wtrace.race.open_file import OpenFile
    from wtrace.runners.base import Exit, Launch, Runner, Started


class Fleet:
    """A `Runner` of runners. What an engine needs is made, and imported, when the first attempt asks for it."""

    def __init__(self, local: Runner, make: Callable[[str], Runner]) -> None:
        """`make` gives the runner of that name. Raises WtraceError."""
        self._runners: dict[str, Runner] = {LOCAL: local}
        self._make = make
        self._selector = selectors.DefaultSelector()
        self._selector.register(local.fileno(), selectors.EVENT_READ)
        self._names: dict[Path, str] = {}

    def start(self, launch: Launch) -> None:
        """See `Runner.start`. Who has the attempt is on record before it is asked."""
        runner = self._runner(launch.runner)
        if launch.runner != LOCAL and engine.read_record(launch.folder) is None:
            engine.write_record(launch.folder, engine.Record(launch.runner, grace_s=launch.grace_s))
        self._names[launch.folder] = launch.runner
        runner.start(launch)

    def started(self, folder: Path) -> Started | None:
        """See `Runner.started`."""
        return self._of(folder).started(folder)

    def queued(self, folder: Path) -> str | None:
        """See `Runner.queued`."""
        return self._of(folder).queued(folder)

    def exited(self, folder: Path) -> Exit | None:
        """See `Runner.exited`."""
        return self._of(folder).exited(folder)

    def stop(self, folder: Path) -> None:
        """See `Runner.stop`."""
        self._of(folder).stop(folder)

    def stop_all(self, folders: Iterable[Path]) -> None:
        """See `Runner.stop_all`. Those on this machine first, since they can be told at once."""
        by_runner: dict[str, list[Path]] = {LOCAL: []}
        for folder in folders:
            by_runner.setdefault(self._name(folder), []).append(folder)
        for name, theirs in by_runner.items():
            self._runner(name).stop_all(theirs)

    def kill(self, folder: Path) -> None:
        """See `Runner.kill`."""
        self._of(folder).kill(folder)

    def pause(self, folder: Path) -> None:
        """See `Runner.pause`."""
        self._of(folder).pause(folder)

    def unpause(self, folder: Path) -> None:
        """See `Runner.unpause`."""
        self._of(folder).unpause(folder)

    def writing(self, folder: Path, below: Sequence[Path]) -> frozenset[OpenFile] | None:
        """See `Runner.writing`."""
        return self._of(folder).writing(folder, below)

    def halt(self, folder: Path, within_s: float) -> bool | None:
        """See `Runner.halt`."""
        return self._of(folder).halt(folder, within_s)

    def adopt(self, folder: Path) -> bool:
        """See `Runner.adopt`."""
        return self._of(folder).adopt(folder)

    def boot_lost(self, folder: Path) -> bool:
        """See `Runner.boot_lost`."""
        return self._of(folder).boot_lost(folder)

    def lost(self) -> list[Path]:
        """See `Runner.lost`."""
        return [folder for runner in self._runners.values() for folder in runner.lost()]

    def news(self) -> set[Path]:
        """See `Runner.news`."""
        return {folder for runner in self._runners.values() for folder in runner.news()}

    def fileno(self) -> int:
        """Readable when one of the runners is."""
        descriptor = self._selector.fileno()  # epoll and kqueue have one
        assert isinstance(descriptor, int)
        return descriptor

    def close(self) -> None:
        """See `Runner.close`."""
        self._selector.close()
        for runner in self._runners.values():
            runner.close()

    def _name(self, folder: Path) -> str:
        name = self._names.get(folder)
        if name is None:
            record = engine.read_record(folder)
            name = LOCAL if record is None else record.runner
            if folder.exists():
                self._names[folder] = name
        return name

    def _of(self, folder: Path) -> Runner:
        return self._runner(self._name(folder))

    def _runner(self, name: str) -> Runner:
        runner = self._runners.get(name)
        if runner is None:
            runner = self._runners[name] = self._make(name)
            self._selector.register(runner.fileno(), selectors.EVENT_READ)
        return runner
