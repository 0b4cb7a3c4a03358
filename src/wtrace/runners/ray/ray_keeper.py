"""The keeper of one attempt on a Ray node: runs the worker as the local runner does, and puts all it leaves on a wire.

`python -I -S ray_keeper.py HOME HEAR HOLD`. The wire is a file below Ray's folder of logs, which can be read through
Ray's dashboard from any place that reaches it. It is only ever appended to: headers, each a line of JSON, most with
bytes after them. They name the offset of their bytes in the file that they come from, so that reading the wire anew
from its beginning does no harm.

    {"is": "claim", "n": N}                 `start.claim`
    {"is": "metrics"|"log", "at": A, "n": N}   more of these files
    {"is": "anew", "of": "metrics"|"log"}   the file was shortened or replaced: it begins again
    {"is": "file", "path": …, "as": K, "size": …, "mtime_ns": …, "mode": …, "wait": true|false}
                                            a file of the output, to be fetched as `files/K`; `wait`: a later line names it
    {"is": "link", "path": …, "to": …}      a symbolic link within the output
    {"is": "gone", "path": …}               it was removed from the output
    {"is": "open", "files": [[path, device, inode, size, modified_ns, position, appends], …]}
                                            what the worker has open for writing in its output, when that has changed
    {"is": "ending"}                        the worker has ended; what is left of its output follows
    {"is": "exit", "n": N}                  `exit.json`: all else has been told
    {"is": "beat"}                          nothing new

Told by a pipe (T: stop; its end: whom Ray knew is gone) and by files in HOME/control: kill, pause, unpause, forget.
Standard library and the local runner, which lies beside this file.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.append(str(Path(__file__).resolve().parent))

from wtrace.runners.base import Launch
from wtrace.runners.local import LocalRunner

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOK_EVERY_S = 0.05
OUTPUT_EVERY_S = 1.0
SETTLED_S = 1.0  # a file that was written to more recently may not be whole
BEAT_EVERY_S = 3.0
BLOCK = 1 << 20
KEEPS_REMOVED_S = 120.0  # what the worker removed may still be on its way


class Wire:
    """The file that is read from afar."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._fd = os.open(folder / "wire", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.wrote_at = 0.0

    def put(self, header: dict[str, Any], content: bytes = b"") -> None:
        """Append a header and its bytes, whole; while the disk is full, wait for room."""
        whole = {**header, "n": len(content)} if content else header
        rest = memoryview(json.dumps(whole).encode() + b"\n" + content)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except OSError:
                time.sleep(0.5)
        self.wrote_at = time.monotonic()


class Tail:
    """A file that grows: what is new in it, at which offset, and whether it began anew."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self.offset = 0
        self._inode = 0

    def read(self, wire: Wire) -> bytes:
        """Put what is new on the wire, at most a block; returns it."""
        try:
            with self.path.open("rb") as file:
                info = os.fstat(file.fileno())
                if self._inode and (info.st_ino != self._inode or info.st_size < self.offset):
                    wire.put({"is": "anew", "of": self.name})
                    self.offset = 0
                self._inode = info.st_ino
                file.seek(self.offset)
                return file.read(BLOCK)
        except OSError:
            return b""

    def put(self, wire: Wire, content: bytes) -> None:
        """Put it on the wire as what follows."""
        wire.put({"is": self.name, "at": self.offset}, content)
        self.offset += len(content)


class Output:
    """The worker's output folder, mirrored file by file."""

    def __init__(self, folder: Path, wire: Wire) -> None:
        self._folder, self._wire = folder, wire
        self._told: dict[str, Any] = {}  # what was told of each path: (size, mtime), or where a link leads
        self._numbers: dict[str, list[int]] = {}  # the copies of each path that are kept, the newest last
        self._removed: list[tuple[float, int]] = []
        self._next = 0
        for path, sign in self._walk():  # what came with the parcel is known where it came from
            self._told[path] = sign

    def _walk(self) -> Iterator[tuple[str, Any]]:
        for root, _, names in os.walk(self._folder):
            for name in names:
                full = Path(root, name)
                path = full.relative_to(self._folder).as_posix()
                with contextlib.suppress(OSError):
                    info = full.lstat()
                    if full.is_symlink():
                        yield path, str(full.readlink())
                    elif full.is_file():
                        yield path, (info.st_size, info.st_mtime_ns)

    def look(self, *, everything: bool) -> None:
        """Tell of what has changed; of files that were just written to only when `everything` is asked for."""
        found = dict(self._walk())
        settled_ns = time.time_ns() - int(SETTLED_S * 1e9)
        for path, sign in found.items():
            if self._told.get(path) == sign:
                continue
            if isinstance(sign, str):
                self._wire.put({"is": "link", "path": path, "to": sign})
                self._told[path] = sign
            elif everything or sign[1] < settled_ns:
                self.tell(path, wait=False)
        for path in [path for path in self._told if path not in found]:
            del self._told[path]
            self._wire.put({"is": "gone", "path": path})
            self._removed += [(time.monotonic(), number) for number in self._numbers.pop(path, [])]
        self._tidy()

    def tell(self, path: str, *, wait: bool) -> None:
        """Tell of one file as it is now; it can be fetched under a number, whatever becomes of it."""
        full = self._folder / path
        try:
            info = full.lstat()
            sign = (info.st_size, info.st_mtime_ns)
            if full.is_symlink() or not full.is_file() or self._told.get(path) == sign:
                return
            number, self._next = self._next, self._next + 1
            self._keep(full, number)
        except OSError:
            return
        self._told[path] = sign
        numbers = self._numbers.setdefault(path, [])
        numbers.append(number)
        if len(numbers) > 2:
            self._forget(numbers.pop(0))
        about = {"size": sign[0], "mtime_ns": sign[1], "mode": info.st_mode & 0o777}
        self._wire.put({"is": "file", "path": path, "as": number, **about, "wait": wait})

    def _keep(self, full: Path, number: int) -> None:
        kept = self._wire.folder / "files" / str(number)
        try:
            os.link(full, kept)
        except OSError:  # another file system
            shutil.copy2(full, kept)

    def _tidy(self) -> None:
        while self._removed and self._removed[0][0] < time.monotonic() - KEEPS_REMOVED_S:
            self._forget(self._removed.pop(0)[1])

    def _forget(self, number: int) -> None:
        with contextlib.suppress(OSError):
            (self._wire.folder / "files" / str(number)).unlink()


class Keeper:
    """One worker and its wire."""

    def __init__(self, launch: dict[str, Any], hear: int) -> None:
        self._home = Path(launch["home"])
        self._attempt = self._home / "attempt"
        self._hear = hear
        self._hears = True
        self._mirrors = bool(launch["mirrors"])
        self.wire = Wire(Path(launch["wire"]))
        self._metrics = Tail(self._attempt / "metrics.jsonl", "metrics")
        self._log = Tail(self._attempt / "training.log", "log")
        self._output = Output(self._home / "output", self.wire)
        self._half = b""  # of a line of the metrics
        self._output_at = 0.0
        self._open: list[list[Any]] = []
        self._claimed = False
        self._runner = LocalRunner()
        (self._attempt / "metrics.jsonl").touch(mode=0o600)
        command, cwd = tuple(launch["command"]), Path(launch["cwd"])
        env = {"MASTER_PORT": str(_free_port()), **launch["env"]}
        ladder = {"grace_s": launch["grace_s"], "signal": launch["signal"]}
        self._runner.start(Launch(self._attempt, command, cwd, env, marker=launch["marker"], **ladder))

    def run(self) -> None:
        """Until nobody of the worker's tree is left and everything is on the wire."""
        while self._runner.exited(self._attempt) is None:
            self._wait()
            self._obey()
            self._runner.lost()
            self._look()
        self._runner.lost()
        self.wire.put({"is": "ending"})
        while self._look():
            pass
        if self._mirrors:
            self._output.look(everything=True)
        self.wire.put({"is": "exit"}, (self._attempt / "exit.json").read_bytes())

    def _wait(self) -> None:
        watched = [self._runner.fileno(), *([self._hear] if self._hears else [])]
        ready = select.select(watched, [], [], LOOK_EVERY_S)[0]
        if self._hear in ready:
            told = os.read(self._hear, 64)
            self._hears = bool(told)
            self._runner.stop(self._attempt)  # asked to, or there is no job of Ray's any more

    def _obey(self) -> None:
        for path in sorted((self._home / "control").iterdir()):
            path.unlink()
            ask = getattr(self._runner, path.name.split(".")[0], None)
            if path.name.split(".")[0] in ("kill", "pause", "unpause", "stop") and ask is not None:
                ask(self._attempt)

    def _look(self) -> bool:
        """Put on the wire what is new; True when there may be more."""
        if not self._claimed and (self._attempt / "start.claim").exists():
            self._claimed = True
            self.wire.put({"is": "claim"}, (self._attempt / "start.claim").read_bytes())
        news = self._metrics.read(self.wire)
        if news:
            if self._mirrors:
                self._tell_checkpoints(news)
            self._metrics.put(self.wire, news)
        words = self._log.read(self.wire)
        if words:
            self._log.put(self.wire, words)
        now = time.monotonic()
        if self._mirrors and now >= self._output_at + OUTPUT_EVERY_S:
            self._output_at = now
            self._tell_open()
            self._output.look(everything=False)
        if now >= self.wire.wrote_at + BEAT_EVERY_S:
            self.wire.put({"is": "beat"})
        return bool(news or words)

    def _tell_open(self) -> None:
        """What it saves is waited for when it has won, and nobody but the keeper can be asked for that."""
        output = os.path.realpath(self._home / "output")
        found = [
            [os.path.relpath(f.path, output), f.device, f.inode, f.size, f.modified_ns, f.position, f.appends]
            for f in self._runner.writing(self._attempt, [Path(output)]) or ()
        ]
        if sorted(found) != self._open:
            self._open = sorted(found)
            self.wire.put({"is": "open", "files": self._open})

    def _tell_checkpoints(self, news: bytes) -> None:
        """A checkpoint has to be there before the line that names it: the claim is made on that line."""
        *lines, self._half = (self._half + news).split(b"\n")
        for line in lines:
            if b'"checkpoint"' in line:
                with contextlib.suppress(ValueError, TypeError, KeyError):
                    path = str(json.loads(line)["checkpoint"])
                    if ".." not in Path(path).parts:
                        self._output.tell(Path(path).as_posix(), wait=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main(home: str, hear: int) -> None:
    """Keep the attempt whose home this is."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.chdir("/")
    launch = json.loads(Path(home, "keeper.json").read_bytes())
    os.set_inheritable(hear, False)
    Keeper(launch, hear).run()


if __name__ == "__main__":
    os.set_inheritable(int(sys.argv[3]), False)  # held open until this process ends
    main(sys.argv[1], int(sys.argv[2]))
