"""Run ssh or rsync to its end: no terminal to ask at, a time limit, and nothing of it left when this returns."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from typing import IO, TYPE_CHECKING, NamedTuple

from wtrace.mirror.errors import SyncError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

KEPT = 256 * 1024  # bytes of each stream; of a longer one the end
TIMED_OUT = -1000  # no exit code and no signal


class Done(NamedTuple):
    """How it ended: the exit code (negative: the signal; `TIMED_OUT`), and the ends of what it said."""

    code: int
    out: str
    err: str


def environment() -> Mapping[str, str]:
    """This process's own, in English, and without what would change how rsync or ssh behave."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RSYNC_")}
    return {**kept, "LC_ALL": "C", "SSH_ASKPASS_REQUIRE": "never"}


def start(
    argv: Sequence[str], *, cwd: Path | None = None, stdin: int, stderr: int | IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own: it has no terminal to ask at. SyncError when it is not there."""
    try:
        return subprocess.Popen(
            argv,
            cwd=cwd,
            env=environment(),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    except OSError as error:
        raise SyncError(
            f"{argv[0]} cannot be started here", seen=str(error), hint=f"install {argv[0]}"
        ) from error


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    cwd: Path | None = None,
    told: Callable[[str], None] | None = None,
) -> Done:
    """Run to the end or to the limit. `told` gets standard output as it comes. Whatever happens, nobody survives."""
    child = start(argv, cwd=cwd, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + timeout_s
        out, err = _drain(child, deadline, told)
        try:
            code = child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            code = TIMED_OUT
        return Done(code, out, err)
    finally:
        end(child)


def end(child: subprocess.Popen[bytes], grace_s: float = 1.0) -> None:
    """End it and all that it started: SIGTERM, then SIGKILL after the grace."""
    for signum, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 10.0)):
        if child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(patience_s)
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _drain(
    child: subprocess.Popen[bytes], deadline: float, told: Callable[[str], None] | None
) -> tuple[str, str]:
    """What it says on both streams until they are at their end, or until the deadline."""
    assert child.stdout is not None
    assert child.stderr is not None
    kept = {child.stdout: bytearray(), child.stderr: bytearray()}
    with selectors.DefaultSelector() as selector:
        for stream in kept:
            selector.register(stream, selectors.EVENT_READ, stream)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                break
            for key, _ in ready:
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fileobj)
                elif told is not None and key.data is child.stdout:
                    told(data.decode("utf-8", "replace"))
                kept[key.data] += data
                del kept[key.data][:-KEPT]
    return _text(kept[child.stdout]), _text(kept[child.stderr])


def _text(data: bytearray) -> str:
    return data.decode("utf-8", "replace")
