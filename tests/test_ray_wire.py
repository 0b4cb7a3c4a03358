"""What comes through Ray is data from outside: it is written where it belongs, or refused."""

from __future__ import annotations

import contextlib
import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtrace.runners.ray_entry import Translation, python_path
from wtrace.runners.ray_wire import BrokenWireError, Mirror, entries, inside
from wtrace.runners.slurm_commands import seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def entry(header: dict[str, Any], content: bytes = b"") -> bytes:
    return json.dumps({**header, **({"n": len(content)} if content else {})}).encode() + b"\n" + content


WIRE = (
    entry({"is": "claim"}, b"claim\n")
    + entry({"is": "metrics", "at": 0}, b"0123")
    + entry({"is": "beat"})
    + entry({"is": "metrics", "at": 4}, b"45\n")
)


@given(st.lists(st.integers(0, len(WIRE)), max_size=8))
def test_entries_come_whole_however_the_blocks_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WIRE)]
    blocks = [WIRE[a:b] for a, b in itertools.pairwise(edges)]
    found = [(header["is"], content) for header, content in entries(blocks)]
    assert found == [("claim", b"claim\n"), ("metrics", b"0123"), ("beat", b""), ("metrics", b"45\n")]


@pytest.mark.parametrize(
    "wire",
    [
        b"not json\n", b"[]\n", b'{"n": 3}\n', b'{"is": 3}\n', b'{"is": "log", "n": -1}\n',
        b'{"is": "log", "n": 1e9}\n', b'{"is": "log", "n": 99999999999}\n', b"x" * 70_000,
    ],
)  # fmt: skip
def test_what_is_no_wire_is_refused(wire: bytes) -> None:
    with pytest.raises(BrokenWireError):
        list(entries([wire]))


@given(st.binary(max_size=200))
def test_noise_is_refused_or_nothing(noise: bytes) -> None:
    with contextlib.suppress(BrokenWireError):
        list(entries([noise]))


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "", ".", "..", "a\0b", "out/x"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    output = tmp_path / "output"
    output.mkdir()
    (output / "out").symlink_to(tmp_path)
    with pytest.raises(BrokenWireError):
        inside(output, path)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mirrored(folder: Path, wire: bytes, files: dict[int, bytes]) -> Mirror:
    """What the wire leaves behind."""

    @contextlib.contextmanager
    def fetch(number: int) -> Iterator[Iterable[bytes]]:
        yield [files[number][:2], files[number][2:]]

    (folder / "attempt").mkdir(exist_ok=True)
    (folder / "output").mkdir(exist_ok=True)
    mirror = Mirror(folder / "attempt", folder / "output", fetch)
    for header, content in entries([wire]):
        mirror.take(header, content)
    mirror.close()
    return mirror


def test_a_wire_that_is_read_twice_leaves_the_same(tmp_path: Path) -> None:
    file = {
        "is": "file",
        "path": "a/best.pt",
        "as": 0,
        "size": 7,
        "mtime_ns": 10**18,
        "mode": 0o640,
        "wait": True,
    }
    wire = WIRE + entry(file) + entry({"is": "link", "path": "a/newest", "to": "best.pt"})
    wire += entry({"is": "exit"}, b"{}")
    for _ in range(2):
        assert mirrored(tmp_path, wire, {0: b"weights"}).exit == b"{}"
        assert (tmp_path / "attempt" / "metrics.jsonl").read_bytes() == b"012345\n"
        assert (tmp_path / "output" / "a" / "newest").read_bytes() == b"weights"
        assert (tmp_path / "output" / "a" / "best.pt").stat().st_mtime_ns == 10**18
    assert names(tmp_path / "output" / "a") == ["best.pt", "newest"]


def test_a_file_that_comes_short_is_not_put_in_its_place(tmp_path: Path) -> None:
    file = {"is": "file", "path": "best.pt", "as": 0, "size": 9, "mtime_ns": 1, "mode": 0o600, "wait": True}
    mirrored(tmp_path, entry(file) + entry({"is": "exit"}, b"{}"), {0: b"weights"})
    assert names(tmp_path / "output") == []


def test_files_and_links_that_lead_out_are_left_out_and_the_rest_comes_back(tmp_path: Path) -> None:
    about: dict[str, Any] = {"size": 7, "mtime_ns": 1, "mode": 0o4777}
    wire = entry({"is": "file", "path": "../evil", "as": 0, **about})
    wire += entry({"is": "link", "path": "evil", "to": "/etc/passwd"})
    wire += entry({"is": "link", "path": "sub/evil", "to": "../../attempt"})
    wire += entry({"is": "gone", "path": "../attempt"}) + entry(
        {"is": "file", "path": "good", "as": 0, **about}
    )
    assert mirrored(tmp_path, wire + entry({"is": "exit"}, b"{}"), {0: b"weights"}).exit == b"{}"
    assert names(tmp_path) == ["attempt", "output"]
    assert (tmp_path / "output" / "good").stat().st_mode & 0o7777 == 0o777
    assert "evil" not in names(tmp_path / "output")


def test_a_file_that_began_anew_is_shortened(tmp_path: Path) -> None:
    wire = WIRE + entry({"is": "anew", "of": "metrics"}) + entry({"is": "metrics", "at": 0}, b"x")
    mirrored(tmp_path, wire, {})
    assert (tmp_path / "attempt" / "metrics.jsonl").read_bytes() == b"x"


def test_paths_are_translated_where_they_stand_for_themselves() -> None:
    far = Translation(
        [("/r/race/a", "/far/attempt"), ("/r/race/a/output", "/far/output"), ("/r", "/far/tree")]
    )
    assert far("--out=/r/race/a/output/x") == "--out=/far/output/x"
    assert far("/r/race/a/metrics.jsonl:/r") == "/far/attempt/metrics.jsonl:/far/tree"
    assert far("/r2 /r/race/ab") == "/r2 /far/tree/race/ab"


def test_the_parcels_folder_leaves_the_python_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert python_path(f"{tmp_path}:/users:", "/home/lib") == "/users:/home/lib"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0:05", 5),
        ("1:00:00", 3600),
        ("2-00:00:01", 172801),
        ("UNLIMITED", None),
        ("INVALID", None),
        ("", None),
    ],
)
def test_slurms_times(text: str, count: int | None) -> None:
    assert seconds(text) == count
