"""What comes through Ray is data from outside: it is written where it belongs, or refused."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtrace.files import draft, leads_inside, opened, parts_of
from wtrace.race.open_file import OpenFile
from wtrace.runners.ray import parcel
from wtrace.runners.ray.ray_entry import Translation, python_path
from wtrace.runners.ray.wire import BrokenWireError, Mirror, entries
from wtrace.runners.slurm_commands import seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


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


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a/..", "", ".", "..", "a\0b", "/"])
def test_a_path_that_leads_out_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="below a folder"):
        parts_of(path)


@pytest.mark.parametrize(
    ("target", "depth", "inside"),
    [
        ("best.pt", 0, True), ("../best.pt", 1, True), ("../../a/b", 2, True), ("./a//b", 0, True), (".", 0, True),
        ("../best.pt", 0, False), ("../../a", 1, False), ("a/..", 0, False), ("a/../b", 5, False),
        ("/etc/passwd", 3, False), ("a\0b", 0, False),
    ],
)  # fmt: skip
def test_where_a_link_may_lead(target: str, depth: int, inside: bool) -> None:
    assert leads_inside(target, depth) is inside


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


ABOUT: dict[str, Any] = {"as": 0, "size": 7, "mtime_ns": 1, "mode": 0o600}
END = entry({"is": "exit"}, b"{}")


def file(path: str) -> bytes:
    return entry({"is": "file", "path": path, **ABOUT})


def link(path: str, to: str) -> bytes:
    return entry({"is": "link", "path": path, "to": to})


def gone(path: str) -> bytes:
    return entry({"is": "gone", "path": path})


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Somebody's file beside the race, which nothing that comes in may reach."""
    made = tmp_path / "home" / "authorized_keys"
    made.parent.mkdir()
    made.write_text("mine")
    return made


@pytest.mark.parametrize(
    "wire",
    [
        # a link where the draft of the next file will be
        link(".model.pt.incoming", "../home/authorized_keys") + file("model.pt"),
        # the top by another name, and up from there
        link("top", ".") + link("up", "top/..") + file("up/home/authorized_keys"),
        link("a/top", "..") + link("a/up", "top/../home") + file("a/up/authorized_keys"),
        # through a link that somebody else put there
        file("out/authorized_keys"),
        gone("out/authorized_keys"),
        link("out/authorized_keys", "x"),
        # in the place of a link to a file
        file("key"),
    ],
)
def test_nothing_outside_is_reached_through_links(tmp_path: Path, secret: Path, wire: bytes) -> None:
    output = tmp_path / "output"
    output.mkdir()
    (output / "out").symlink_to(secret.parent)
    (output / "key").symlink_to(secret)
    mirrored(tmp_path, wire + END, {0: b"weights"})
    assert secret.read_text() == "mine"
    assert names(secret.parent) == ["authorized_keys"]


def test_a_draft_is_ours_alone(tmp_path: Path, secret: Path) -> None:
    """Whoever knows the draft's name finds that a link of that name is taken away, not written through."""
    output = tmp_path / "output"
    output.mkdir()
    with opened(output) as folder, draft(folder, "model.pt"):
        (name,) = names(output)
    (output / "model.pt").unlink()
    (output / name).symlink_to(secret)
    mirrored(tmp_path, file("model.pt") + END, {0: b"weights"})
    assert secret.read_text() == "mine"
    assert names(output) == ["model.pt"]
    assert (output / "model.pt").read_bytes() == b"weights"


def test_a_folder_takes_the_place_of_a_link(tmp_path: Path) -> None:
    wire = file("run1/best.pt") + link("newest", "run1") + file("newest/best.pt")
    mirrored(tmp_path, wire + END, {0: b"weights"})
    assert not (tmp_path / "output" / "newest").is_symlink()
    assert (tmp_path / "output" / "newest" / "best.pt").read_bytes() == b"weights"


def test_metrics_are_not_written_through_a_link_nor_with_a_gap(tmp_path: Path, secret: Path) -> None:
    (tmp_path / "attempt").mkdir()
    (tmp_path / "attempt" / "metrics.jsonl").symlink_to(secret)
    for wire in (WIRE, entry({"is": "anew", "of": "metrics"})):
        with pytest.raises(OSError, match=r"symbolic|regular"):
            mirrored(tmp_path, wire, {})
    assert secret.read_text() == "mine"
    for at in (-1, 1, 2**62, 2**70):
        with pytest.raises(BrokenWireError):
            mirrored(tmp_path, entry({"is": "log", "at": at}, b"x"), {})


@pytest.mark.parametrize(
    "header",
    [{"is": "log"}, {"is": "log", "at": "x"}, {"is": "log", "at": []}, {"is": "anew", "of": "exit.json"}],
)
def test_an_entry_that_lacks_something_is_refused(tmp_path: Path, header: dict[str, Any]) -> None:
    with pytest.raises(BrokenWireError):
        mirrored(tmp_path, entry(header), {})


part = st.sampled_from(["a", "b", "c", "..", "."])
paths = st.lists(part, min_size=1, max_size=4).map("/".join)
moves = st.one_of(paths.map(file), st.tuples(paths, paths).map(lambda each: link(*each)), paths.map(gone))


@given(st.lists(moves, max_size=12))
@settings(max_examples=200)
def test_whatever_comes_every_link_stays_inside(wires: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        top = Path(os.path.realpath(name))
        (top / "outside").write_text("mine")
        mirrored(top, b"".join(wires) + END, {0: b"weights"})
        assert names(top) == ["attempt", "output", "outside"]
        for path in (top / "output").rglob("*"):
            if path.is_symlink():
                assert Path(os.path.realpath(path)).is_relative_to(top / "output")
            assert "incoming" not in path.name


def test_what_a_worker_has_open_is_what_was_told_last(tmp_path: Path) -> None:
    first = entry({"is": "open", "files": [["a/model.pt", 1, 2, 3, 4, 5, True]]})
    mirror = mirrored(tmp_path, first, {})
    path = str(tmp_path / "output" / "a" / "model.pt")
    assert mirror.open == {OpenFile(path, 1, 2, 3, 4, 5, appends=True)}
    assert mirrored(tmp_path, first + entry({"is": "open", "files": []}), {}).open == frozenset()


@pytest.mark.parametrize("told", [["../x", 1, 2, 3, 4, 5, True], ["x", 1], ["x", "y", 2, 3, 4, 5, 1], "x", 5])
def test_what_is_no_open_file_breaks_the_wire(tmp_path: Path, told: Any) -> None:
    with pytest.raises(BrokenWireError):
        mirrored(tmp_path, entry({"is": "open", "files": [told]}), {})


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


def test_the_parcel_holds_all_that_its_keeper_imports(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "parcel.zip", "w") as archive:
        parcel._add_keeper(archive)
    with zipfile.ZipFile(tmp_path / "parcel.zip") as archive:
        archive.extractall(tmp_path)
    bare = [sys.executable, "-I", "-S", str(tmp_path / "lib" / "ray_keeper.py"), "no such home", "0", "0"]
    done = subprocess.run(bare, capture_output=True, text=True, check=False)
    assert "FileNotFoundError" in done.stderr, done.stderr  # of its home, long after its imports
    assert "ImportError" not in done.stderr
    assert "ModuleNotFoundError" not in done.stderr


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
