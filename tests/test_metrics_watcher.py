from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wtrace.errors import ToolError
from wtrace.metrics.watcher import StatWatcher, Watcher, make_watcher


def kernel_watcher() -> Watcher:
    from wtrace.metrics.inotify import InotifyWatcher

    return InotifyWatcher()


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


@pytest.fixture(params=[pytest.param(kernel_watcher, marks=on_linux), StatWatcher])
def watcher(request: pytest.FixtureRequest) -> Iterator[Watcher]:
    make: Callable[[], Watcher] = request.param
    watcher = make()
    yield watcher
    watcher.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def append(path: Path, content: bytes = b"line\n") -> None:
    with path.open("ab") as file:
        file.write(content)


def replace(path: Path, content: bytes) -> None:
    other = path.with_name("other")
    other.write_bytes(content)
    other.replace(path)


def told(watcher: Watcher, *wanted: Path) -> set[Path]:
    """All that is told until everything wanted is, waiting as a loop would."""
    deadline = time.monotonic() + 5
    seen: set[Path] = set()
    while not set(wanted) <= seen:
        assert time.monotonic() < deadline, f"not told: {set(wanted) - seen}"
        fd = watcher.fileno()
        if fd is not None:
            assert select.select([fd], [], [], 5)[0], "the descriptor does not wake the loop"
        seen |= watcher.changed()
    return seen


def test_the_loop_is_woken_or_knows_how_often_to_ask(watcher: Watcher) -> None:
    assert (watcher.fileno() is None) == (watcher.poll_every_s is not None)


def test_nothing_has_changed(watcher: Watcher, path: Path) -> None:
    append(path)
    watcher.watch_file(path)
    watcher.watch_folder(path.parent)
    assert watcher.changed() == set()


def test_only_the_file_that_was_written_is_told_and_once(watcher: Watcher, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.jsonl" for number in range(5)]
    for path in paths:
        append(path)
    for path in paths:
        watcher.watch_file(path)
    append(paths[3])
    assert told(watcher, paths[3]) == {paths[3]}
    assert watcher.changed() == set()


def test_a_file_that_is_made_later_is_told_and_then_followed(watcher: Watcher, path: Path) -> None:
    watcher.watch_file(path)
    path.touch()
    assert told(watcher, path) == {path}
    append(path)
    assert told(watcher, path) == {path}


def test_a_shortened_file_is_told(watcher: Watcher, path: Path) -> None:
    append(path)
    watcher.watch_file(path)
    os.truncate(path, 0)
    assert told(watcher, path) == {path}


def test_a_file_that_was_replaced_is_told_and_the_new_one_followed(watcher: Watcher, path: Path) -> None:
    append(path)
    watcher.watch_file(path)
    for _ in range(3):
        replace(path, b"new\n")
        assert told(watcher, path) == {path}
        append(path)
        assert told(watcher, path) == {path}


def test_the_file_that_lay_there_before_is_told_no_more(watcher: Watcher, path: Path) -> None:
    append(path)
    watcher.watch_file(path)
    before = path.rename(path.with_name("before"))
    append(path)
    assert told(watcher, path) == {path}
    append(before)
    assert watcher.changed() == set()


def test_a_file_that_was_deleted_and_made_anew_is_followed(watcher: Watcher, path: Path) -> None:
    append(path)
    watcher.watch_file(path)
    path.unlink()
    watcher.changed()
    append(path, b"another\n")
    told(watcher, path)
    append(path)
    assert told(watcher, path) == {path}


def test_a_folder_tells_new_entries_but_not_writes_to_them(watcher: Watcher, tmp_path: Path) -> None:
    folder, log = tmp_path / "attempt", tmp_path / "attempt" / "training.log"
    folder.mkdir()
    append(log)
    watcher.watch_folder(folder)
    append(log)
    assert watcher.changed() == set()
    (folder / "start.claim").touch()
    assert told(watcher, folder) == {folder}
    append(tmp_path / "exit.json.tmp")
    (tmp_path / "exit.json.tmp").replace(folder / "exit.json")
    assert told(watcher, folder) == {folder}
    append(tmp_path / "exit.json.tmp")
    (tmp_path / "exit.json.tmp").replace(folder / "exit.json")
    assert told(watcher, folder) == {folder}
    log.unlink()
    assert watcher.changed() == set()


def test_a_busy_log_beside_a_watched_file_does_not_wake_the_loop(watcher: Watcher, path: Path) -> None:
    log = path.with_name("training.log")
    append(log)
    watcher.watch_file(path)
    watcher.watch_folder(path.parent)
    for _ in range(100):
        append(log)
    fd = watcher.fileno()
    assert fd is None or not select.select([fd], [], [], 0)[0]
    assert watcher.changed() == set()


def test_a_file_and_its_folder_are_told_apart(watcher: Watcher, path: Path) -> None:
    watcher.watch_folder(path.parent)
    watcher.watch_file(path)
    path.touch()
    assert told(watcher, path, path.parent) == {path, path.parent}
    append(path)
    assert told(watcher, path) == {path}


def test_two_names_of_one_file_are_both_told(watcher: Watcher, path: Path) -> None:
    append(path)
    twin = path.with_name("twin")
    twin.hardlink_to(path)
    watcher.watch_file(path)
    watcher.watch_file(twin)
    append(path)
    assert told(watcher, path, twin) == {path, twin}
    watcher.forget(path)
    append(path)
    assert told(watcher, twin) == {twin}


def test_what_is_forgotten_is_told_no_more(watcher: Watcher, tmp_path: Path) -> None:
    first, second, folder = tmp_path / "first", tmp_path / "second", tmp_path / "folder"
    folder.mkdir()
    for path in (first, second):
        append(path)
        watcher.watch_file(path)
    watcher.watch_folder(folder)
    watcher.forget(first)
    watcher.forget(folder)
    watcher.forget(tmp_path / "never watched")
    append(first)
    (folder / "new").touch()
    append(second)
    assert told(watcher, second) == {second}
    watcher.forget(second)
    append(second)
    replace(second, b"new\n")
    assert watcher.changed() == set()
    watcher.watch_file(second)
    append(second)
    assert told(watcher, second) == {second}


def test_a_link_is_not_followed(watcher: Watcher, tmp_path: Path, path: Path) -> None:
    target = tmp_path / "elsewhere"
    append(target)
    path.symlink_to(target)
    watcher.watch_file(path)
    append(target)
    assert watcher.changed() == set()


def test_a_folder_that_is_not_there_cannot_be_watched(watcher: Watcher, tmp_path: Path) -> None:
    for watch in (watcher.watch_folder, lambda path: watcher.watch_file(path / "metrics.jsonl")):
        with pytest.raises(ToolError, match="cannot watch"):
            watch(tmp_path / "missing")


def test_a_folder_that_vanishes_is_no_exception_and_its_successor_can_be_watched(
    watcher: Watcher, tmp_path: Path
) -> None:
    folder = tmp_path / "attempt"
    folder.mkdir()
    watcher.watch_folder(folder)
    watcher.watch_file(folder / "metrics.jsonl")
    append(folder / "metrics.jsonl")
    told(watcher, folder, folder / "metrics.jsonl")
    (folder / "metrics.jsonl").unlink()
    folder.rmdir()
    watcher.changed()
    assert watcher.changed() == set()
    folder.mkdir()
    watcher.watch_folder(folder)
    watcher.watch_file(folder / "metrics.jsonl")
    append(folder / "metrics.jsonl")
    told(watcher, folder, folder / "metrics.jsonl")
    append(folder / "metrics.jsonl")
    assert told(watcher, folder / "metrics.jsonl") == {folder / "metrics.jsonl"}


@on_linux
def test_when_events_are_lost_everything_is_told_and_found_again(tmp_path: Path) -> None:
    watcher = kernel_watcher()
    noisy, noisier, quiet = (tmp_path / name for name in ("noisy", "noisier", "quiet"))
    for path in (noisy, noisier, quiet):
        append(path)
        watcher.watch_file(path)
    watcher.watch_folder(tmp_path)
    watcher.changed()
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with noisy.open("ab", buffering=0) as first, noisier.open("ab", buffering=0) as second:
        for _ in range(limit // 2 + 1):  # in turn: equal events in a row become one
            first.write(b"x")
            second.write(b"x")
    replace(quiet, b"its event is lost\n")
    assert told(watcher, quiet) >= {quiet, tmp_path}
    while watcher.changed():
        pass
    append(quiet)
    assert told(watcher, quiet) == {quiet}
    watcher.close()


@on_linux
def test_no_watch_and_no_descriptor_is_left(tmp_path: Path) -> None:
    before = set(Path("/dev/fd").iterdir())
    watcher = make_watcher()
    fd = watcher.fileno()
    assert fd is not None, "inotify is to be had on Linux"
    kept = tmp_path / "kept"
    watcher.watch_file(kept)
    for number in range(20):
        path = tmp_path / f"attempt{number}" / "metrics.jsonl"
        path.parent.mkdir()
        watcher.watch_folder(path.parent)
        watcher.watch_file(path)
        append(path)
        replace(path, b"new\n")
        watcher.changed()
        watcher.forget(path)
        watcher.forget(path.parent)
    watches = Path(f"/proc/self/fdinfo/{fd}").read_text().count("inotify wd:")
    assert watches == 1  # the folder of what is still watched
    watcher.close()
    assert set(Path("/dev/fd").iterdir()) == before
