"""One held connection to another machine: OpenSSH's ControlMaster in a private folder of wtrace's own.

The first ssh logs in and stays; every later command and every rsync goes through it in a few milliseconds. It runs
`cat` on the far side with a pipe of ours as its input, so that it ends with this process, however this one ends.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.mirror import process, remote_scripts, ssh_config
from wtrace.mirror.errors import SyncError, shell_prints, trouble

if TYPE_CHECKING:
    from typing import Self

    from wtrace.mirror.process import Done
    from wtrace.mirror.target import Target

CONNECT_S = 10
ALIVE_EVERY_S, ALIVE_COUNT = 5, 3  # a machine that fell asleep is given up after 15 s
LONGEST_SOCKET = 104 - 18  # bytes of its path on macOS; ssh adds 17 characters while it makes it
MOST_BEFORE_READY = 64 * 1024

OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "UpdateHostKeys": "no",  # known_hosts is the user's
    "ConnectTimeout": str(CONNECT_S),
    "ConnectionAttempts": "1",
    "ServerAliveInterval": str(ALIVE_EVERY_S),
    "ServerAliveCountMax": str(ALIVE_COUNT),
    "ControlPersist": "no",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "ClearAllForwardings": "yes",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "LogLevel": "INFO",  # with less, ssh would not say why it failed
}


class Connection:
    """A login on the target's host, to be used in a `with`. SyncError says why there is none."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._master: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._config: bytes | None = None  # of ssh, where the target names its own

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> object:
        """Log in, unless the login of before still holds; returns what is another object for every login."""
        if self._master is not None and self._master.poll() is None:
            return self._master
        self.close()
        self._folder = _private_folder()
        try:
            self._log_in(self._folder)
        except BaseException:
            self.close()
            raise
        return self._master

    def close(self) -> None:
        """End the login and remove its folder."""
        if self._master is not None:
            if self._master.stdin is not None:
                with contextlib.suppress(OSError):
                    self._master.stdin.close()
            process.end(self._master)
            self._master = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    @property
    def shell(self) -> str:
        """For rsync's option `-e`, which is split at spaces: no word of it holds one."""
        return " ".join(self._ssh("no"))

    def run(self, command: str, *, timeout_s: float = 60.0) -> Done:
        """Run a command line of `sync.far` there. SyncError when ssh itself failed."""
        done = process.run([*self._ssh("no"), "--", self.target.host, command], timeout_s=timeout_s)
        if done.code in (255, process.TIMED_OUT):
            raise self.trouble(done)
        return done

    def trouble(self, done: Done, *, otherwise: str = "the transfer failed") -> SyncError:
        """Why a command or a transfer failed, also from what the held login has to say about its end."""
        if done.code == process.TIMED_OUT:
            return trouble(self.target.host, "timeout in data send/receive")
        if done.code < 0:
            otherwise = f"the transfer was ended here by signal {-done.code}"
        return trouble(self.target.host, f"{self._said()}\n{done.err}", otherwise=otherwise)

    def _said(self) -> str:
        """What the held login has said; of a living one only banners, which explain nothing."""
        if self._folder is None or self._master is None or self._master.poll() is None:
            return ""
        return (self._folder / "said").read_text("utf-8", "replace")

    def _ssh(self, master: str) -> list[str]:
        assert self._folder is not None, "open first"
        given = [] if self.target.ssh_config is None else ["-F", str(self._folder / "config")]
        options = [f"-o{name}={value}" for name, value in OPTIONS.items()]
        return ["ssh", *given, "-S", str(self._folder / "s"), f"-oControlMaster={master}", *options, "-T"]

    def _log_in(self, folder: Path) -> None:
        if self.target.ssh_config is not None:
            # As it was at the first login: what is written there later, nobody has approved. And rsync splits at
            # spaces, of which this path has none.
            if self._config is None:
                self._config = ssh_config.read(self.target.ssh_config)
            (folder / "config").write_bytes(self._config)
        with (folder / "said").open("wb") as said:
            self._master = process.start(
                [*self._ssh("yes"), "--", self.target.host, remote_scripts.holding()],
                stdin=subprocess.PIPE,
                stderr=said,
            )
        before = self._wait_until_ready()
        if before is None:
            process.end(self._master)
            raise trouble(self.target.host, self._said() or "Connection timed out", otherwise="no connection")
        if before.strip():
            raise shell_prints(self.target.host, before)

    def _wait_until_ready(self) -> str | None:
        """What the far side printed before it was ready; None when it did not become so."""
        assert self._master is not None
        assert self._master.stdout is not None
        got = bytearray()
        ready = f"{remote_scripts.READY}\n".encode()
        deadline = time.monotonic() + 2 * CONNECT_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._master.stdout, selectors.EVENT_READ)
            while len(got) < MOST_BEFORE_READY and selector.select(max(0.0, deadline - time.monotonic())):
                data = os.read(self._master.stdout.fileno(), 4096)
                if not data:
                    break
                got += data
                if ready in got.replace(b"\r", b""):
                    return got.partition(remote_scripts.READY.encode())[0].decode("utf-8", "replace")
        return None


def _private_folder() -> Path:
    """A folder for this user alone, with a path that is short enough for a socket."""
    for parent in ("/tmp", tempfile.gettempdir()):  # noqa: S108 (mkdtemp makes it ours; macOS' own is too long)
        with contextlib.suppress(OSError):
            folder = Path(tempfile.mkdtemp(prefix="wtrace-", dir=parent))
            if len(os.fsencode(folder / "s")) <= LONGEST_SOCKET and " " not in str(folder):
                return folder
            folder.rmdir()
    raise SyncError("no folder for the connection's socket can be made", hint="make /tmp writable")
