"""`trainer_state.json`, which the Trainer of Hugging Face writes into each checkpoint."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from wtrace.core import readings
from wtrace.metrics.sources.items import Anew, Problem
from wtrace.metrics.sources.places import open_regular

if TYPE_CHECKING:
    from pathlib import Path

    from wtrace.metrics.sources.items import Item

LARGEST = 64 * 1024 * 1024  # bytes


class TrainerState:
    """Reads the whole file whenever it has changed: it is written at once, with all that was logged before."""

    def __init__(self, path: Path, epoch_key: str, *, skip: int = 0) -> None:
        """`skip`: the size of a file that lay there before; it is not read until it changes."""
        self._path = path
        self._key = epoch_key
        self._seen = self._sign() if skip else None
        self._torn = False

    def read(self) -> tuple[list[Item], bool]:
        """See `Reader.read`."""
        sign = self._sign()
        if sign is None or sign == self._seen:
            return [], False
        history = self._history()
        self._torn = history is None
        self._seen = sign
        found: list[Item] = [] if history is None else [Anew()]
        for entry in history or []:
            reading = readings.of_entry(entry, self._key) if isinstance(entry, dict) else None
            if isinstance(reading, str):
                found.append(Problem("hf entry", f"{self._path.name}: {reading}"))
            elif reading is not None:
                found.append(reading)
        return found, False

    def finish(self, *, whole: bool) -> list[Problem]:  # noqa: ARG002 (a state is whole or none)
        """See `Reader.finish`."""
        text = f"{self._path.parent.name}/{self._path.name} holds no log_history that can be read"
        return [Problem("hf file", text)] if self._torn else []

    def close(self) -> None:
        """See `Reader.close`."""

    def _sign(self) -> tuple[int, int, int] | None:
        try:
            info = self._path.lstat()
        except OSError:
            return None
        return info.st_ino, info.st_size, info.st_mtime_ns

    def _history(self) -> list[object] | None:
        """What was logged; None while the file is being written, or where it is something else."""
        fd = open_regular(self._path)
        if fd is None:
            return None
        with open(fd, "rb") as file:  # noqa: PTH123 (a descriptor)
            if os.fstat(fd).st_size > LARGEST:
                return None
            try:
                state = json.loads(file.read())
            except (ValueError, RecursionError, OSError):
                return None
        history = state.get("log_history") if isinstance(state, dict) else None
        return history if isinstance(history, list) else None
