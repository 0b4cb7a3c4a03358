"""The supervisor's side of sync: one child per target, started again when it dies, and never waited for."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wtrace.mirror.agent import backoff_s
from wtrace.mirror.target_state import sync_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = logging.getLogger("wtrace")

LOOK_EVERY_S = 5.0
MODULE = "wtrace.supervisor.sync_agent"


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    again_at: float = float("-inf")
    finished: bool = False


class Agents:
    """The agents of one race. No call of it waits for anything but the start of a process."""

    def __init__(self, root: Path, race_id: str, race_folder: Path, targets: Sequence[str]) -> None:
        self._root = root
        self._race_id = race_id
        self._folder = sync_folder(race_folder)
        self._children = {name: _Child() for name in targets}

    def tend(self, now: float) -> None:
        """Start what has not been started, and again what has died (after a while that grows). `now` in seconds."""
        for name, child in self._children.items():
            if child.process is not None and child.process.poll() is not None:
                self._ended(name, child, child.process.returncode, now)
            if child.process is None and not child.finished and now >= child.again_at:
                self._spawn(name, child, now)

    def due(self, now: float) -> float | None:
        """When `tend` should be called next; None when there is nothing to tend."""
        living = [child for child in self._children.values() if not child.finished]
        if not living:
            return None
        return min(now + LOOK_EVERY_S if child.process else child.again_at for child in living)

    def hurry(self) -> None:
        """Have all targets told at once what is new."""
        for child in self._children.values():
            if child.process is not None and child.process.poll() is None:
                child.process.send_signal(signal.SIGUSR1)

    def stop(self) -> None:
        """The race is closed: the agents send the rest and leave by themselves, after this process if need be."""
        self.tend(float("inf"))
        self.hurry()

    def _ended(self, name: str, child: _Child, code: int, now: float) -> None:
        child.process = None
        child.finished = code == 0
        if not child.finished:
            child.deaths += 1
            child.again_at = now + backoff_s(child.deaths)
            log.warning("the sync to %s ended with %d; it is started again, the race goes on", name, code)

    def _spawn(self, name: str, child: _Child, now: float) -> None:
        # -P: nothing in the current folder may stand in for a module of ours.
        command = [sys.executable, "-P", "-m", MODULE, str(self._root), self._race_id, name]
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with (self._folder / f"{name}.log").open("ab") as output:
                child.process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd="/",
                    start_new_session=True,
                )
        except OSError as error:
            child.deaths += 1
            child.again_at = now + backoff_s(child.deaths)
            log.warning("the sync to %s cannot be started: %s", name, error)
