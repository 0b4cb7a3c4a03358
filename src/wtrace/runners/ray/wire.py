"""The near end of a keeper's wire: what it carries is written where the local runner would have written it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import stat
import threading
from typing import TYPE_CHECKING, Any

from wtrace import files
from wtrace.race.open_file import OpenFile
from wtrace.runners import engine
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

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
        self.open: frozenset[OpenFile] = frozenset()  # as it was told last
        self.exit: bytes | None = None

    def take(self, header: dict[str, Any], content: bytes) -> None:
        """Write one entry. `exit` is kept until all that came before it is there. Raises OSError, BrokenWireError."""
        try:
            self._take(header, content)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BrokenWireError(f"an entry that is none: {str(header)[:60]!r}") from error

    def _take(self, header: dict[str, Any], content: bytes) -> None:
        match header["is"]:
            case "claim":
                if not (self._folder / "start.claim").exists():
                    engine.write_whole(self._folder / "start.claim", content)
            case "metrics" | "log" as name:
                _write_at(self._folder / FILES[name], int(header["at"]), content)
            case "anew":
                _empty(self._folder / FILES[str(header["of"])])
            case "file" | "link" | "gone":
                self._files.put(header)
                if header.get("wait"):
                    self._files.join()
            case "open":
                self.open = frozenset(self._open_file(*fields) for fields in header["files"])
            case "ending":
                self.ending = True
            case "exit":
                self._files.join()
                self.exit = content
            case _:
                pass  # a beat, or what a later keeper may say

    def _open_file(self, path: str, *numbers: int) -> OpenFile:
        device, inode, size, modified_ns, position, appends = map(int, numbers)
        where = str(self._output.joinpath(*files.parts_of(str(path))))
        return OpenFile(where, device, inode, size, modified_ns, position, bool(appends))

    def close(self) -> None:
        """Let go; what is being fetched is fetched."""
        self._files.put(None)

    def _fetch_all(self) -> None:
        while (header := self._files.get()) is not None:
            try:
                self._take_output(header)
            except Exception as error:  # noqa: BLE001 (one file must not keep the others from coming back)
                path = plain(str(header.get("path")), 200)
                log.warning("%s of the output did not come back: %s", path, plain(str(error), 200))
            finally:
                self._files.task_done()

    def _take_output(self, header: dict[str, Any]) -> None:
        path = str(header["path"])
        *folders, name = files.parts_of(path)
        if header["is"] == "gone":
            with contextlib.suppress(FileNotFoundError), files.opened(self._output, folders) as folder:
                os.unlink(name, dir_fd=folder)
            return
        target = str(header.get("to"))
        if header["is"] == "link" and not files.leads_inside(target, len(folders)):
            raise BrokenWireError(f"a link out of the output: {target!r}")
        with files.opened(self._output, folders, make=True, over_links=True) as folder:
            if header["is"] == "link":
                files.put_link(folder, name, target)
            else:
                self._take_file(folder, name, header)

    def _take_file(self, folder: int, name: str, header: dict[str, Any]) -> None:
        sign = int(header["size"]), int(header["mtime_ns"])
        with contextlib.suppress(FileNotFoundError):
            there = os.lstat(name, dir_fd=folder)
            if stat.S_ISREG(there.st_mode) and (there.st_size, there.st_mtime_ns) == sign:
                return
        for tries in range(FETCH_TRIES):
            try:
                self._fetch_into(folder, name, header)
            except _TornError:
                path = plain(str(header["path"]), 200)
                log.warning("%s came back with another size, try %d", path, tries + 1)
            else:
                return  # else it was written to meanwhile: its keeper tells of it again

    def _fetch_into(self, folder: int, name: str, header: dict[str, Any]) -> None:
        size, mtime_ns = int(header["size"]), int(header["mtime_ns"])
        with self._fetch(int(header["as"])) as blocks, files.draft(folder, name) as file:
            for block in blocks:
                file.write(block)
                if file.tell() > size:
                    raise _TornError
            if file.tell() != size:
                raise _TornError
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), int(header["mode"]) & 0o777)
            os.utime(file.fileno(), ns=(mtime_ns, mtime_ns))


class _TornError(Exception):
    """What came is not as large as it was said to be."""


def _write_at(path: Path, offset: int, content: bytes) -> None:
    file = files.open_regular(path, flags=os.O_WRONLY | os.O_CREAT)
    try:
        if not 0 <= offset <= os.fstat(file).st_size:
            raise BrokenWireError(f"{path.name} goes on at {offset}, where it has not come to")
        rest = memoryview(content)
        while rest:
            done = os.pwrite(file, rest, offset)
            rest, offset = rest[done:], offset + done
    finally:
        os.close(file)


def _empty(path: Path) -> None:
    file = files.open_regular(path, flags=os.O_WRONLY)
    try:
        os.ftruncate(file, 0)
    finally:
        os.close(file)
