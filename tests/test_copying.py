"""A claim's file is copied beside the loop: whole, with its holes, and never more than the disk takes."""

from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING

import pytest

from wtrace.supervisor.checkpoints.copying import (
    COPIED_AT_ONCE,
    Changed,
    Copied,
    Copy,
    CopyError,
    Failed,
    NoRoom,
    Outcome,
    data_of,
    look_at,
    room_problem,
    source_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from wtrace.race.freezing import FileSeen


def copied(source: Path, copy: Path, seen: FileSeen | None = None) -> Outcome | None:
    """What comes of the copy; `seen`: what a look had seen before, now by default."""
    done = threading.Event()
    file = seen or look_at(source)
    assert file is not None
    made = Copy((source, file), copy, done.set)
    assert done.wait(30)
    return made.outcome


def test_a_copy_is_what_was_there_with_its_hash_and_nobody_may_write_to_it(tmp_path: Path) -> None:
    source, copy = tmp_path / "best.pt", tmp_path / "claims" / "1" / "checkpoint.pt"
    content = os.urandom(COPIED_AT_ONCE + 12_345)
    source.write_bytes(content)
    assert copied(source, copy) == Copied(copy, hashlib.sha256(content).hexdigest())
    assert copy.read_bytes() == content
    assert copy.stat().st_mode & 0o777 == 0o400
    assert [path.name for path in copy.parent.iterdir()] == ["checkpoint.pt"]


def test_holes_stay_holes(tmp_path: Path) -> None:
    source, copy = tmp_path / "sparse.pt", tmp_path / "checkpoint.pt"
    with source.open("wb") as file:
        file.seek(30_000_000)
        file.write(b"weights")
        file.truncate(60_000_000)
    outcome = copied(source, copy)
    assert outcome == Copied(copy, hashlib.sha256(source.read_bytes()).hexdigest())
    assert copy.read_bytes() == source.read_bytes()
    assert copy.stat().st_blocks * 512 < 1_000_000


def test_what_changed_since_it_was_seen_is_no_copy(tmp_path: Path) -> None:
    source, copy = tmp_path / "best.pt", tmp_path / "checkpoint.pt"
    source.write_text("epoch 5")
    seen = look_at(source)
    source.write_text("epoch 6, longer")
    assert copied(source, copy, seen) == Changed()
    assert list(tmp_path.iterdir()) == [source]


def test_what_is_replaced_under_its_name_is_no_copy(tmp_path: Path) -> None:
    source, copy, other = tmp_path / "best.pt", tmp_path / "checkpoint.pt", tmp_path / "other"
    source.write_text("epoch 5")
    seen = look_at(source)
    other.write_text("epoch 6")
    other.replace(source)
    assert copied(source, copy, seen) == Changed()


def test_a_copy_that_nobody_wants_any_more_is_not_made(tmp_path: Path) -> None:
    source, copy = tmp_path / "best.pt", tmp_path / "checkpoint.pt"
    with source.open("wb") as file:
        file.truncate(1 << 34)  # to hash it would take ten seconds
    seen, done = look_at(source), threading.Event()
    assert seen is not None
    made = Copy((source, seen), copy, done.set)
    made.abandon()
    assert done.wait(30)
    assert made.outcome == Changed()
    assert list(tmp_path.iterdir()) == [source]


def test_only_a_regular_file_of_the_output_is_a_checkpoint(tmp_path: Path) -> None:
    output, secret = tmp_path / "output", tmp_path / "secret"
    output.mkdir()
    secret.write_text("not the worker's")
    (output / "link.pt").symlink_to(secret)
    os.mkfifo(output / "fifo.pt")
    for name in ("link.pt", "../secret"):
        with pytest.raises(CopyError, match="outside"):
            source_of(output, name)
    for name in ("fifo.pt", "."):
        with pytest.raises(CopyError, match=r"not a (regular )?file"):
            look_at(output / name)
    assert look_at(output / "gone.pt") is None


def test_a_disk_that_cannot_take_it_is_known_before(tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    total, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize

    def of(size: int, blocks: int) -> os.stat_result:
        return os.stat_result((0o100600, 0, 0, 0, 0, 0, size, 0, 0, 0), {"st_blocks": blocks})

    assert room_problem(of(1000, 8), tmp_path) is None
    assert isinstance(room_problem(of(free + 1, free // 512 + 8), tmp_path), NoRoom)
    assert room_problem(of(free + 1, 8), tmp_path) is None, "it is nearly all a hole"
    assert isinstance(room_problem(of(total + 1, 8), tmp_path), Failed)


def test_where_nobody_can_say_where_holes_are_all_of_it_is_data(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    assert list(data_of(reading, 100)) == [(0, 100)]
    os.close(reading)
    os.close(writing)
