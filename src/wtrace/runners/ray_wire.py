"""The near end of a keeper's wire: what it carries is written where the local runner would have written it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import threading
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from wtrace.runners import far

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

log = logging.getLogger("wtrace")

LONGEST_HEADER = 1 << 16
MOST_BYTES = 1 << 26  # of one entry; a keeper sends a megabyte at most
FILES = {"metrics": "metrics.jsonl", "log": "training.log"}
FETCH_TRIES = 3


class BrokenWireError(Exception):
    """What came is not what a keeper sends."""


def entries(blocks: Iterable[bytes]) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The entries of a wire, each a header and its bytes, as they become whole. BrokenWireError for anything else."""
    buffer = bytearray()
    header: dict[str, Any] | None = None
    for block in blocks:
        buffer += block
        while True:
            if header is None:
                end = buffer.find(b"\n")
                if end < 0:
                    if len(buffer) > LONGEST_HEADER:
                        raise BrokenWireError("a header without an end")
                    break
                header = _header(bytes(buffer[:end]))
                del buffer[: end + 1]
            count = header.get("n", 0)
            if len(buffer) < count:
                break
            yield header, bytes(buffer[:count])
            del buffer[:count]
            header = None


def _header(line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except ValueError as error:
        raise BrokenWireError(f"a header that is none: {line[:60]!r}") from error
    if not isinstance(header, dict) or not isinstance(header.get("is"), str):
        raise BrokenWireError(f"a header that is none: {line[:60]!r}")
    count = header.get("n", 0)
    if not isinstance(count, int) or not 0 <= count <= MOST_BYTES:
        raise BrokenWireError(f"an entry of {count!r} bytes")
    return header


class Mirror:
    """Writes what a wire carries into an attempt's folder and the worker's output. Reading it again does no harm."""

    def __init__(
        self,
        folder: Path,
        output: Path,
        fetch: Callable[[int], contextlib.AbstractContextManager[Iterable[bytes]]],
    ) -> None:
        """`fetch` opens one of the wire's numbered files. Raises OSError or WtraceError."""
        self._folder, self._output, self._fetch = folder, output, fetch
        self._files: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._fetcher = threading.Thread(target=self._fetch_all, name=f"fetch {folder}", daemon=True)
        self._fetcher.start()
        self.ending = False
        self.exit: bytes | None = None

    def take(self, header: dict[str, Any], content: bytes) -> None:
        """Write one entry. `exit` is kept until all that came before it is there. Raises OSError."""
        match header["is"]:
            case "claim":
                if not (self._folder / "start.claim").exists():
                    far.write_whole(self._folder / "start.claim", content)
            case "metrics" | "log" as name:
                _write_at(self._folder / FILES[name], int(header["at"]), content)
            case "anew":
                os.truncate(self._folder / FILES[str(header["of"])], 0)
            case "file" | "link" | "gone":
                self._files.put(header)
                if header.get("wait"):
                    self._files.join()
            case "ending":
                self.ending = True
            case "exit":
                self._files.join()
                self.exit = content
            case _:
                pass  # a beat, or what a later keeper may say

    def close(self) -> None:
        """Let go; what is being fetched is fetched."""
        self._files.put(None)

    def _fetch_all(self) -> None:
        while (header := self._files.get()) is not None:
            try:
                self._take_output(header)
            except Exception as error:  # noqa: BLE001 (one file must not keep the others from coming back)
                log.warning("%s of the output did not come back: %s", header.get("path"), error)
            finally:
                self._files.task_done()

    def _take_output(self, header: dict[str, Any]) -> None:
        path = inside(self._output, str(header["path"]))
        match header["is"]:
            case "file":
                self._take_file(path, header)
            case "link":
                target = str(header["to"])
                inside(self._output, (PurePosixPath(str(header["path"])).parent / target).as_posix())
                path.parent.mkdir(parents=True, exist_ok=True)
                draft = path.with_name(f".{path.name}.incoming")
                draft.unlink(missing_ok=True)
                draft.symlink_to(target)
                draft.replace(path)
            case _:
                path.unlink(missing_ok=True)

    def _take_file(self, path: Path, header: dict[str, Any]) -> None:
        size, mtime_ns = int(header["size"]), int(header["mtime_ns"])
        with contextlib.suppress(FileNotFoundError):
            there = path.lstat()
            if (there.st_size, there.st_mtime_ns) == (size, mtime_ns):
                return
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.incoming")
        for tries in range(FETCH_TRIES):
            with self._fetch(int(header["as"])) as blocks, draft.open("wb") as file:
                for block in blocks:
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
            if draft.stat().st_size == size:
                break
            log.warning("%s came back with another size, try %d", header["path"], tries + 1)
        else:
            draft.unlink()
            return  # it was written to meanwhile: its keeper tells of it again
        draft.chmod(int(header["mode"]) & 0o777)
        os.utime(draft, ns=(mtime_ns, mtime_ns))
        draft.replace(path)


def _write_at(path: Path, offset: int, content: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        rest = memoryview(content)
        while rest:
            done = os.pwrite(file, rest, offset)
            rest, offset = rest[done:], offset + done
    finally:
        os.close(file)


def inside(folder: Path, path: str) -> Path:
    """The path below the folder. BrokenWireError for one that would lead out of it, through links too."""
    pure = PurePosixPath(os.path.normpath(path))
    if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\0" in path:
        raise BrokenWireError(f"a path outside of the output: {path!r}")
    full = folder / pure
    if not Path(os.path.realpath(full.parent)).is_relative_to(os.path.realpath(folder)):
        raise BrokenWireError(f"a path outside of the output: {path!r}")
    return full
