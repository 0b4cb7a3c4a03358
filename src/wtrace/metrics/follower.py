"""Read a growing metrics file by complete lines, each exactly once, whatever its writer does to it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from wtrace.metrics.records import MAX_LINE_BYTES, BadLine, Record, decode, too_long, torn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Restart = Literal["replaced", "shortened"]

_CHUNK_BYTES = 64 * 1024
_MAX_LINES = 10_000  # a batch's memory is bounded also when its lines are tiny
_BEGINNING_BYTES = 500  # what is kept of a line that is too long
_FOLD_BYTES = 64 * 1024  # so much of an incomplete line is held before it is folded
_TAIL_BYTES = 64  # compared before reading on: another content there means another file
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFDIR: "a folder",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Position(Struct, frozen=True, gc=False):
    """How far a file was read: `offset` is where the first line lies that was not yet given."""

    offset: int
    device: int
    inode: int


class Line(Struct, frozen=True, gc=False):
    """A complete line that is not blank. `raw` is without its newline (of a too long line: its beginning)."""

    raw: bytes
    end: int  # the offset after its newline
    record: Record


class Batch(Struct, frozen=True):
    """What one call read. All lines are of one file; with `restarted`, of its new beginning."""

    lines: list[Line] = []
    position: Position | None = None  # None: there is no file yet
    restarted: Restart | None = None  # why the file is read anew
    more: bool = False  # call again: the limit was reached, or another file has taken this one's place
    problem: str | None = None  # why the file cannot be read, for a person


class MetricsFile:
    """Follows one file. It need not exist yet; nothing here raises for what is found at the path.

    Only a regular file is read, never a link, FIFO, folder or device. When another file takes its place, the
    old one is first read to its end. A file that became shorter, or whose last 64 bytes read are no longer
    the same (it was rewritten and has grown again since), is read anew.
    """

    def __init__(
        self,
        path: Path,
        position: Position | None = None,
        *,
        read_as: Callable[[bytes], Record] = decode,
        fold: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """`read_as` says what a line is. `fold`, where lines are those of a terminal: what shortens the beginning of one
        without changing what it shows. Blank lines are then lines as well.
        """
        self.path = path
        self._read_as = read_as
        self._fold = fold
        self._path = os.fspath(path)  # looked at in every call
        self._position = position
        self._fd: int | None = None
        self._pieces = bytearray()
        self._is_too_long = False
        self._start_at(0, b"")

    def read(self, limit_bytes: int = 1024 * 1024) -> Batch:
        """The complete lines that came since the last call, of about `limit_bytes` at most; never waits."""
        try:
            return self._read(limit_bytes)
        except OSError as error:
            return self._trouble(self._unreadable(error))

    def remainder(self) -> Line | None:
        """The last line where it has no newline, once nobody writes any more and `read` has no more.

        A whole record that only lacks its newline counts as what it is; anything else is torn.
        """
        end = self._line_start + self._held
        line = self._line(b"", end) if self._held else None
        if line is not None and isinstance(line.record, BadLine) and not self._is_too_long:
            line = Line(line.raw, end, torn(line.raw))
        self._start_line(end)
        self._move_on()
        return line

    @property
    def position(self) -> Position | None:
        """Where to go on in another process; None while there was no file."""
        return self._position

    def close(self) -> None:
        """Let go of the file. A later `read` opens it again and goes on after the last complete line."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _read(self, limit_bytes: int) -> Batch:
        if self._fd is not None:
            replaced = self._is_replaced()
            batch = self._take(self._fd, limit_bytes, None)
            if not replaced:
                return batch
            if batch.lines or batch.more or batch.restarted:
                return Batch(batch.lines, batch.position, batch.restarted, more=True)
            if (last := self.remainder()) is not None:
                return Batch([last], self._position, more=True)
            self.close()
        return self._read_newly_opened(limit_bytes)

    def _read_newly_opened(self, limit_bytes: int) -> Batch:
        problem = self._open()
        if self._fd is None:
            return self._trouble(problem)
        try:
            restarted = self._resume(self._fd)
        except OSError:
            self.close()
            raise
        return self._take(self._fd, limit_bytes, restarted)

    def _trouble(self, problem: str | None) -> Batch:
        return Batch(position=self._position, problem=problem)

    def _unreadable(self, error: OSError) -> str:
        return f"{self.path.name} cannot be read: {error.strerror}"

    def _open(self) -> str | None:
        """Open the file if it is there and regular. Returns what is wrong; None also where nothing is there."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:  # among others a link or a socket
            return _why_not_read(self.path, self.path.lstat().st_mode) or self._unreadable(error)
        if problem := _why_not_read(self.path, os.fstat(fd).st_mode):
            os.close(fd)
            return problem
        self._fd = fd
        return None

    def _is_replaced(self) -> bool:
        """Whether something else lies at the path now. Nothing there: whoever holds the file may still write."""
        try:
            found = os.lstat(self._path)
        except FileNotFoundError:
            return False
        known = self._position
        return known is None or (found.st_dev, found.st_ino) != (known.device, known.inode)

    def _resume(self, fd: int) -> Restart | None:
        """Go to the known position in a file just opened, or to its beginning if it is not the one known."""
        info = os.fstat(fd)
        known = self._position or Position(0, info.st_dev, info.st_ino)
        same_file = (known.device, known.inode) == (info.st_dev, info.st_ino)
        tail = _tail(fd, known.offset, info.st_size) if same_file else None
        offset = known.offset if tail is not None else 0
        self._position = Position(offset, info.st_dev, info.st_ino)
        self._start_at(offset, tail or b"")
        if tail is not None:
            return None
        return "shortened" if same_file else "replaced"

    def _take(self, fd: int, limit_bytes: int, restarted: Restart | None) -> Batch:
        lines: list[Line] = []
        limit = self._read_to + limit_bytes
        more, problem = True, None
        while more and self._read_to < limit and len(lines) < _MAX_LINES:
            wanted = min(_CHUNK_BYTES, limit - self._read_to)
            try:
                data = self._read_on(fd, wanted)
            except OSError as error:  # what was read so far must not be lost
                data, problem = b"", self._unreadable(error)
            if data is None:
                if lines:
                    break  # a batch's lines are all of before or all of after
                restarted = "shortened"
                self._start_at(0, b"")
                limit = limit_bytes
                continue
            more = len(data) == wanted
            self._split(data, lines)
        self._move_on()
        return Batch(lines, self._position, restarted, more, problem)

    def _read_on(self, fd: int, wanted: int) -> bytes | None:
        """The next bytes; None where what was read before is no longer there."""
        known = len(self._tail)
        data = os.pread(fd, known + wanted, self._read_to - known)
        return data[known:] if data.startswith(self._tail) else None

    def _move_on(self) -> None:
        known = self._position
        if known is not None and known.offset != self._line_start:
            self._position = Position(self._line_start, known.device, known.inode)

    def _split(self, data: bytes, lines: list[Line]) -> None:
        """Add the complete lines to `lines` and hold what is left of the last one."""
        self._read_to += len(data)
        self._tail: bytes = (self._tail + data[-_TAIL_BYTES:])[-_TAIL_BYTES:]
        *complete, rest = data.split(b"\n")  # not splitlines: a string may hold other line separators
        if complete:
            end = self._line_start
            if self._held:
                last_piece = complete.pop(0)
                end += self._held + len(last_piece) + 1
                if (line := self._line(last_piece, end)) is not None:
                    lines.append(line)
            for raw in complete:
                end += len(raw) + 1
                if (raw and not raw.isspace()) or self._fold is not None:
                    lines.append(Line(raw, end, self._read_as(raw)))
            self._start_line(end)
        if rest:
            self._hold(rest)

    def _line(self, last_piece: bytes, end: int) -> Line | None:
        """The line that is held, with its last piece; None where it is blank."""
        self._keep(last_piece)
        raw = bytes(self._pieces)
        if self._is_too_long:
            raw = raw[:_BEGINNING_BYTES]
            return Line(raw, end, too_long(raw))
        return Line(raw, end, self._read_as(raw)) if raw.strip() or self._fold is not None else None

    def _hold(self, piece: bytes) -> None:
        self._held += len(piece)
        self._keep(piece)

    def _keep(self, piece: bytes) -> None:
        if self._is_too_long:
            return
        self._pieces += piece
        if self._fold is not None and len(self._pieces) > _FOLD_BYTES:
            self._pieces = bytearray(self._fold(bytes(self._pieces)))
        if len(self._pieces) > MAX_LINE_BYTES:
            self._is_too_long = True
            del self._pieces[_BEGINNING_BYTES:]

    def _start_at(self, offset: int, tail: bytes) -> None:
        self._read_to = offset  # how far the file was read
        self._tail = tail  # the last bytes before that
        self._start_line(offset)

    def _start_line(self, offset: int) -> None:
        self._line_start = offset
        self._held = 0  # bytes of the incomplete line that were read
        self._pieces = bytearray()  # and those of them that are kept
        self._is_too_long = False


def _tail(fd: int, offset: int, size: int) -> bytes | None:
    """The bytes before `offset`; None where no line ends there, so that this is not what was read before."""
    start = max(0, offset - _TAIL_BYTES)
    tail = os.pread(fd, offset - start, start)
    # At the very end a line may lack its newline: it was taken as a remainder.
    plausible = offset <= size and (tail.endswith(b"\n") or offset in (0, size))
    return tail if plausible else None


def _why_not_read(path: Path, mode: int) -> str | None:
    if stat.S_ISREG(mode):
        return None
    return f"{path.name} is {_KINDS.get(stat.S_IFMT(mode), 'something else')}; only a regular file is read"
