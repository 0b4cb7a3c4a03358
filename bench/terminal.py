"""A command on a terminal of its own that somebody looks at: what it draws is taken from it at once."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping
from pathlib import Path


class Terminal:
    """Runs a command on a pseudo-terminal; counts the pictures that it draws and their bytes."""

    def __init__(
        self, command: list[str], *, cwd: Path, env: Mapping[str, str], columns: int, rows: int
    ) -> None:
        here, there = pty.openpty()
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        env = {name: value for name, value in env.items() if name != "COLUMNS"} | {"TERM": "xterm-256color"}
        self.running = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=there, stdout=there, stderr=there, start_new_session=True
        )
        os.close(there)
        self._here = here
        self.bytes = 0
        self.reads = 0
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        while True:
            try:
                data = os.read(self._here, 1 << 16)
            except OSError:
                return
            if not data:
                return
            self.bytes += len(data)
            self.reads += 1

    def close(self) -> None:
        self.running.terminate()
        self.running.wait(timeout=20)
        self._thread.join(timeout=5)
        os.close(self._here)
