from __future__ import annotations

import os
import socket
import stat
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtrace.metrics.follower import Batch, Line, MetricsFile
from wtrace.metrics.records import MAX_LINE_BYTES, BadLine, End, Epoch


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


@pytest.fixture
def follower(path: Path) -> Iterator[MetricsFile]:
    follower = MetricsFile(path)
    yield follower
    follower.close()


def line(epoch: int) -> bytes:
    return b'{"event":"epoch","epoch":%d}\n' % epoch


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def replace(path: Path, content: bytes) -> None:
    other = path.with_name("other")
    other.write_bytes(content)
    other.replace(path)


def epochs(batch: Batch) -> list[int]:
    return [each.record.epoch for each in batch.lines if isinstance(each.record, Epoch)]


def drain(follower: MetricsFile, limit_bytes: int = 1024 * 1024) -> list[Line]:
    lines: list[Line] = []
    while True:
        batch = follower.read(limit_bytes)
        lines += batch.lines
        if not batch.more:
            return lines


def test_a_file_that_is_not_there_yet_is_no_problem(path: Path, follower: MetricsFile) -> None:
    assert follower.read() == Batch()
    append(path, line(1))
    assert epochs(follower.read()) == [1]


def test_lines_come_once_and_only_when_they_are_complete(path: Path, follower: MetricsFile) -> None:
    append(path, line(1) + line(2)[:10])
    batch = follower.read()
    assert epochs(batch) == [1] and batch.position is not None
    assert batch.position.offset == batch.lines[0].end == len(line(1))
    assert follower.read().lines == []
    append(path, line(2)[10:])
    (second,) = follower.read().lines
    assert second == Line(line(2)[:-1], 2 * len(line(1)), Epoch(2))
    assert follower.read().lines == []


def test_blank_lines_are_no_lines_and_other_separators_do_not_part_a_line(
    path: Path, follower: MetricsFile
) -> None:
    odd = '{"event":"end","reason":"a\u2028b\u0085c"}'.encode()
    append(path, b"\n  \r\n\t\n" + odd + b"\n\n" + line(1))
    batch = follower.read()
    assert [each.record for each in batch.lines] == [End("a\u2028b\x85c"), Epoch(1)]
    assert batch.lines[-1].end == path.stat().st_size


def test_a_batch_keeps_to_its_limit_and_says_that_there_is_more(path: Path, follower: MetricsFile) -> None:
    append(path, b"".join(map(line, range(100))))
    batch = follower.read(limit_bytes=300)
    assert batch.more and 0 < len(batch.lines) <= 300 // len(line(1))
    assert epochs(batch) + [each.record.epoch for each in drain(follower, 300)] == list(range(100))  # type: ignore[union-attr]


def test_a_too_long_line_is_told_once_and_never_held(path: Path, follower: MetricsFile) -> None:
    size = 30_000_000
    append(path, b"x" * size)
    tracemalloc.start()
    assert drain(follower) == []
    append(path, b"y\n" + line(7))
    long, after = drain(follower)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * MAX_LINE_BYTES
    assert isinstance(long.record, BadLine) and "longer than" in long.record.reason
    assert long.end == size + 2 and long.raw == b"x" * 500
    assert after == Line(line(7)[:-1], size + 2 + len(line(7)), Epoch(7))


def test_only_a_line_over_the_limit_is_too_long(path: Path, follower: MetricsFile) -> None:
    longest = b'{"event":"end"}'.ljust(MAX_LINE_BYTES)
    append(path, longest + b"\n" + longest + b" \n" + b" " * (MAX_LINE_BYTES + 1) + b"\n")
    first, second, third = drain(follower)
    assert first.record == End()
    assert isinstance(second.record, BadLine) and isinstance(third.record, BadLine)
    assert third.end == path.stat().st_size


def test_a_flood_of_tiny_lines_comes_in_bounded_batches(path: Path, follower: MetricsFile) -> None:
    append(path, b"x\n" * 100_000)
    counts = []
    while (batch := follower.read()).more:
        counts.append(len(batch.lines))
    assert sum(counts) + len(batch.lines) == 100_000
    assert max(counts) < 50_000


def test_a_shortened_file_is_read_anew(path: Path, follower: MetricsFile) -> None:
    append(path, line(1) + line(2) + b"half")
    follower.read()
    path.write_bytes(line(3))
    batch = follower.read()
    assert batch.restarted == "shortened" and epochs(batch) == [3]
    assert batch.lines[0].end == len(line(3))
    assert follower.read().restarted is None


@pytest.mark.parametrize("count", [2, 3, 40])
def test_a_file_that_was_shortened_and_has_grown_again_is_read_anew(
    path: Path, follower: MetricsFile, count: int
) -> None:
    append(path, line(1) + line(2))
    follower.read()
    path.write_bytes(b"".join(line(7) for _ in range(count)))
    batch = follower.read()
    assert batch.restarted == "shortened" and epochs(batch) == [7] * count


def test_the_old_file_is_read_to_its_end_before_the_one_that_replaced_it(
    path: Path, follower: MetricsFile
) -> None:
    append(path, line(1))
    follower.read()
    append(path, line(2) + b'{"event"')
    replace(path, line(3))
    old = follower.read()
    assert epochs(old) == [2] and old.more and old.restarted is None
    torn = follower.read()
    assert [each.raw for each in torn.lines] == [b'{"event"'] and torn.more and torn.restarted is None
    assert isinstance(torn.lines[0].record, BadLine) and "torn" in torn.lines[0].record.reason
    new = follower.read()
    assert epochs(new) == [3] and not new.more and new.restarted == "replaced"


def test_a_deleted_file_is_followed_until_another_one_is_there(path: Path, follower: MetricsFile) -> None:
    append(path, line(1))
    with path.open("ab", buffering=0) as writer:
        assert epochs(follower.read()) == [1]
        path.unlink()
        assert follower.read().lines == []
        writer.write(line(2))
        assert epochs(follower.read()) == [2]
    append(path, line(3))
    batch = follower.read()
    assert epochs(batch) == [3] and batch.restarted == "replaced"


def make_link(path: Path) -> None:
    target = path.with_name("secret")
    target.write_bytes(line(1))
    path.symlink_to(target)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.timeout(20)  # opening a FIFO may wait for its writer
@pytest.mark.parametrize(
    ("make", "kind"),
    [(os.mkfifo, "a FIFO"), (make_link, "a link"), (Path.mkdir, "a folder"), (make_socket, "a socket")],
)
def test_only_a_regular_file_is_read(path: Path, make: Callable[[Path], None], kind: str) -> None:
    follower = MetricsFile(path)
    make(path)
    for _ in range(2):
        batch = follower.read()
        assert batch.lines == [] and batch.problem == f"metrics.jsonl is {kind}; only a regular file is read"
    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    append(path, line(1))
    batch = follower.read()
    assert epochs(batch) == [1] and batch.problem is None
    follower.close()


def test_a_device_is_not_read(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        pytest.skip("only root may make a device")
    follower = MetricsFile(path)
    assert follower.read().problem == "metrics.jsonl is a device; only a regular file is read"


def test_a_fifo_in_the_place_of_a_followed_file_is_told_after_the_files_rest(
    path: Path, follower: MetricsFile
) -> None:
    append(path, line(1))
    follower.read()
    append(path, line(2))
    path.rename(path.with_name("moved"))
    os.mkfifo(path)
    assert epochs(follower.read()) == [2]
    assert "FIFO" in str(follower.read().problem)


def test_a_vanished_folder_is_no_exception(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file where a folder was")
    batch = MetricsFile(tmp_path / "a" / "metrics.jsonl").read()
    assert batch.problem == "metrics.jsonl cannot be read: Not a directory"
    assert MetricsFile(tmp_path / "b" / "metrics.jsonl").read() == Batch()


def test_another_process_goes_on_where_the_first_one_stopped(path: Path) -> None:
    append(path, line(1) + line(2)[:5])
    first = MetricsFile(path)
    position = first.read().position
    first.close()
    append(path, line(2)[5:])
    second = MetricsFile(path, position)
    batch = second.read()
    assert epochs(batch) == [2] and batch.restarted is None
    assert batch.lines[0].end == path.stat().st_size
    second.close()


def test_another_process_notices_that_the_file_is_another(path: Path) -> None:
    append(path, line(1) + line(2))
    first = MetricsFile(path)
    position = first.read().position
    keep = path.open("rb")  # so that its inode is not used again
    replace(path, line(3) * 3)
    second = MetricsFile(path, position)
    batch = second.read()
    assert batch.restarted == "replaced" and epochs(batch) == [3, 3, 3]
    for each in (keep, first, second):
        each.close()


@pytest.mark.parametrize("content", [line(3), line(1234567) + line(1234567)])
def test_another_process_notices_that_the_file_was_rewritten(path: Path, content: bytes) -> None:
    append(path, line(1) + line(2))
    first = MetricsFile(path)
    position = first.read().position
    first.close()
    path.write_bytes(content)
    second = MetricsFile(path, position)
    batch = second.read()
    assert batch.restarted == "shortened" and b"".join(each.raw + b"\n" for each in batch.lines) == content
    second.close()


def test_a_torn_last_line_is_told_once_at_the_end(path: Path, follower: MetricsFile) -> None:
    append(path, line(1) + line(2)[:12])
    follower.read()
    torn = follower.remainder()
    assert torn is not None and isinstance(torn.record, BadLine) and torn.record.reason.startswith("torn")
    assert torn.raw == line(2)[:12] and torn.end == path.stat().st_size
    assert follower.remainder() is None
    resumed = MetricsFile(path, follower.position)
    assert resumed.read() == Batch(position=follower.position)
    assert resumed.remainder() is None
    resumed.close()


def test_a_whole_last_line_without_a_newline_counts(path: Path, follower: MetricsFile) -> None:
    append(path, line(1) + line(2)[:-1])
    assert epochs(follower.read()) == [1]
    assert follower.remainder() == Line(line(2)[:-1], path.stat().st_size, Epoch(2))


def test_a_blank_or_too_long_remainder(path: Path, follower: MetricsFile) -> None:
    append(path, b"  ")
    follower.read()
    assert follower.remainder() is None
    append(path, b"x" * (MAX_LINE_BYTES + 1))
    drain(follower)
    last = follower.remainder()
    assert last is not None and isinstance(last.record, BadLine) and "longer than" in last.record.reason


def test_no_descriptor_is_left_open(path: Path) -> None:
    before = set(Path("/dev/fd").iterdir())
    follower = MetricsFile(path)
    for count in range(5):
        replace(path, line(count))
        drain(follower)
    path.unlink()
    os.mkfifo(path)
    drain(follower)
    follower.close()
    assert set(Path("/dev/fd").iterdir()) == before


# A simple model of the same thing: files as byte strings, held by reference as an open file is.


@dataclass
class Content:
    data: bytes = b""


@dataclass
class Model:
    """What a follower must give. `there` lies at the path; `held` is what the follower has open."""

    there: Content | None = None
    held: Content | None = None
    offset: int = 0
    given: list[bytes] = field(default_factory=list)

    def read(self) -> None:
        if self.held is not None:
            self._complete()
            if self.there is None or self.there is self.held:
                return
            self._give(self.held.data[self.offset :])  # torn
        self.held, self.offset = self.there, 0
        self._complete()

    def _complete(self) -> None:
        if self.held is not None:
            *complete, rest = self.held.data[self.offset :].split(b"\n")
            for each in complete:
                self._give(each)
            self.offset = len(self.held.data) - len(rest)

    def _give(self, raw: bytes) -> None:
        if raw.strip():
            self.given.append(raw)


# Every 8 bytes of what is written are unique: a rewritten file never repeats what was there before.
sizes = st.lists(st.integers(0, 30), max_size=6)  # lines, in words of 8 bytes; 0: a blank line
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), sizes, st.integers(0, 7)),
        st.tuples(st.just("rewrite"), sizes, st.integers(0, 7)),
        st.tuples(st.just("replace"), sizes, st.integers(0, 7)),
        st.tuples(st.just("delete"), st.just([]), st.just(0)),
        st.tuples(st.just("read"), st.just([]), st.just(0)),
        st.tuples(st.just("resume"), st.just([]), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(steps, st.sampled_from([7, 64, 1000, 10**6]))
def test_each_complete_line_comes_exactly_once(steps: list[tuple[str, list[int], int]], limit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.jsonl"
        model, follower, given_lines = Model(), MetricsFile(path), list[Line]()
        words = iter(range(10**6))
        for action, line_sizes, cut in [*steps, ("read", [], 0)]:
            lines = [b"".join(b"%07d;" % next(words) for _ in range(size)) + b"\n" for size in line_sizes]
            content = b"".join(lines)
            content = content[: len(content) - cut]  # the last line may be incomplete
            if action in ("read", "resume"):
                given_lines += drain(follower, limit)
                model.read()
            if (
                action == "resume" and model.there is not None
            ):  # else the old file is lost with its descriptor
                follower.close()
                follower = MetricsFile(path, follower.position)
                given_lines += drain(follower, limit)
            elif action not in ("read", "resume"):
                change(path, model, action, content)
        follower.close()
    assert [each.raw for each in given_lines] == model.given


def change(path: Path, model: Model, action: str, content: bytes) -> None:
    if action == "delete":
        path.unlink(missing_ok=True)
        model.there = None
    elif action == "replace" or model.there is None:
        replace(path, content)
        model.there = Content(content)
    elif action == "append":
        append(path, content)
        model.there.data += content
    else:
        path.write_bytes(content)
        model.there.data = content
        if model.there is model.held:
            model.offset = 0
