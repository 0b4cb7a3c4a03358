"""What comes from a far side that nobody has to trust: what it is called, what it is, and what it says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard_samples import race_of
from standing_samples import lost_race, won_race
from wtrace.cli.terminal.table import status_lines
from wtrace.config.names import acting_problem, arriving_problem
from wtrace.mirror import rsync, snapshot
from wtrace.mirror.arrivals import in_words, left_here, left_there, take_over
from wtrace.mirror.pull import FETCHED
from wtrace.mirror.snapshot import Snapshot
from wtrace.supervisor.publishing.mirrored import draw_pages
from wtrace.supervisor.publishing.snapshots import snapshot_of

ACTING = [
    ".git", ".envrc", ".bashrc", ".vscode", "..x", "-rf", "--", "HEAD", "head", "Head", "git~1", "GIT~2", "a\nb", "a\tb",
    "\x1b[2J", "x\x7f",
]  # fmt: skip
HARMLESS = [
    "model.pt", "epoch=3-step=400.ckpt", "events.out.tfevents.1700000000.host.1.0", "my model (best).pt", "a.git", "HEADS",
    "Makefile", "größe.npz", "日本.json", "x-", "git~", "#1", "$(touch x)", "[abc]", "a*b?", "back\\slash", "_", "%",
]  # fmt: skip


@pytest.mark.parametrize("name", ACTING)
def test_a_name_that_acts(name: str) -> None:
    assert acting_problem(name)
    assert arriving_problem(f"checkpoints/{name}/x")


@pytest.mark.parametrize("name", HARMLESS)
def test_a_name_that_does_nothing(name: str) -> None:
    assert arriving_problem(f"checkpoints/{name}") is None


@pytest.mark.parametrize("name", ["a\u202eb", "\u200b.git", "x\ufe0f", "a\u2028b", os.fsdecode(b"\xff")])
def test_a_name_that_is_not_what_it_looks_like(name: str) -> None:
    assert arriving_problem(name)


@pytest.mark.skipif(shutil.which("rsync") is None, reason="needs rsync")
def test_rsync_is_told_the_same(tmp_path: Path) -> None:
    """What an honest far side is not asked for is what would be refused."""
    source, target = tmp_path / "source", tmp_path / "target"
    for place in (source, source / "below"):
        place.mkdir()
        for name in (*ACTING, *HARMLESS):
            (place / name).write_text("x")
    subprocess.run(["rsync", "-rt", *rsync.ACTING, f"{source}/", f"{target}/"], check=True)
    assert {path.name for path in target.iterdir()} == {*HARMLESS, "below"}
    assert {path.name for path in (target / "below").iterdir()} == set(HARMLESS)
    named = left_here(source)
    assert sorted(named) == sorted([*ACTING, *(f"below/{name}" for name in ACTING)])
    told = subprocess.run(
        ["rsync", "-rtnv", f"{source}/", f"{target}/"], check=True, capture_output=True, text=True
    ).stdout
    assert sorted(left_there(told)) == sorted(named)


@pytest.mark.skipif(shutil.which("rsync") is None, reason="needs rsync")
def test_of_results_only_what_is_published_is_asked_for(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for name in (
        "PARALLEL_PROGRESS.md", "standing.json", "SUCCESS_REPORT.md", "dashboard.html", "other.md", ".git/config",
        "success_viz/grid.png", "success_viz/x.html", "success_viz/deep/y.png", "elsewhere/PARALLEL_PROGRESS.md",
    ):  # fmt: skip
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("x")
    subprocess.run(["rsync", "-rt", *rsync.only(FETCHED), f"{source}/", f"{target}/"], check=True)
    assert files_below(target) == {
        "PARALLEL_PROGRESS.md", "standing.json", "SUCCESS_REPORT.md", "success_viz/grid.png",
    }  # fmt: skip


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


# ---- a far side that sends what it was not asked for


@pytest.fixture
def arrived(tmp_path: Path) -> Path:
    """What a hostile server has put into the folder for arrivals."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "key").write_text("mine")
    folder = tmp_path / "arrived"
    for name in (
        "best.pt",
        "runs/last.pt",
        ".git/config",
        ".envrc",
        "a\nb",
        "bare/HEAD",
        "runs/.hidden/deep/x",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("data")
    (folder / "best.pt").chmod(0o4777)
    (folder / "runs/newest.pt").symlink_to("last.pt")
    (folder / "runs/up").symlink_to("../best.pt")
    (folder / "out").symlink_to("../outside")
    (folder / "passwd").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    return folder


def test_only_files_and_links_that_stay_inside_get_a_place(tmp_path: Path, arrived: Path) -> None:
    place = tmp_path / "winner"
    refused = take_over(arrived, place, lambda _: True)
    assert files_below(place) == {"best.pt", "runs/last.pt", "runs/newest.pt", "runs/up"}
    assert set(refused) == {".git", ".envrc", "a\nb", "bare/HEAD", "runs/.hidden", "out", "passwd", "pipe"}
    assert files_below(arrived) == files_below(place), "what was refused still lies there"
    assert (place / "best.pt").stat().st_mode & 0o7777 == 0o600
    assert (place / "runs/newest.pt").read_text() == "data"
    assert take_over(arrived, place, lambda _: True) == []


def test_what_lies_in_its_place_is_never_written_through(tmp_path: Path, arrived: Path) -> None:
    place = tmp_path / "winner"
    place.mkdir()
    (place / "best.pt").symlink_to(tmp_path / "outside" / "key")
    (place / "runs").symlink_to(tmp_path / "outside")
    take_over(arrived, place, lambda _: True)
    assert files_below(tmp_path / "outside") == {"key"}
    assert (tmp_path / "outside" / "key").read_text() == "mine"
    assert (place / "best.pt").read_text() == (place / "runs/last.pt").read_text() == "data"


def test_a_place_that_is_a_link_itself_is_refused(tmp_path: Path, arrived: Path) -> None:
    (tmp_path / "winner").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        take_over(arrived, tmp_path / "winner", lambda _: True)
    assert files_below(tmp_path / "outside") == {"key"}


def test_a_file_that_changed_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    arrived, place = tmp_path / "arrived", tmp_path / "winner"
    arrived.mkdir()
    (arrived / "best.pt").write_text("old")
    take_over(arrived, place, lambda _: True)
    (arrived / "new").write_text("new")
    (arrived / "new").rename(arrived / "best.pt")  # as rsync does
    take_over(arrived, place, lambda _: True)
    assert (place / "best.pt").read_text() == "new"
    assert files_below(place) == {"best.pt"}


names = st.one_of(st.sampled_from([*ACTING, *HARMLESS]), st.text(min_size=1, max_size=12)).filter(
    lambda name: "/" not in name and "\0" not in name and name not in (".", "..") and _writable(name)
)


def _writable(name: str) -> bool:
    try:
        return len(os.fsencode(name)) < 200
    except UnicodeEncodeError:
        return False


@given(
    st.lists(
        st.tuples(st.lists(names, min_size=1, max_size=3), st.sampled_from(["file", "link", "fifo"]), names)
    )
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_whatever_comes_nothing_that_acts_gets_a_place(things: list[tuple[list[str], str, str]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        top = Path(os.path.realpath(name))
        arrived = top / "arrived"
        arrived.mkdir()
        for parts, kind, target in things:
            path = arrived.joinpath(*parts)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                if kind == "file":
                    path.open("x").close()
                elif kind == "link":
                    path.symlink_to(target)
                else:
                    os.mkfifo(path)
            except OSError:
                continue
        take_over(arrived, top / "place", lambda _: True)
        for path in (top / "place").rglob("*"):
            assert arriving_problem(path.relative_to(top / "place").as_posix()) is None
            assert path.is_symlink() or path.is_file() or path.is_dir()
            if path.is_symlink():
                assert Path(os.path.realpath(path)).is_relative_to(top / "place")
        assert {path.name for path in top.iterdir()} <= {"arrived", "place"}


def test_what_was_left_out_is_told_in_a_line() -> None:
    assert in_words([]) is None
    told = in_words([".git", "a\nb\x1b[2J", ".git", *(f".{n}" for n in range(9))])
    assert (
        told == "left out, since tools may act upon such names: .git, a\\x0ab\\x1b[2J, .0, .1, .2 and 6 more"
    )


# ---- what it says


def snapshots() -> list[Snapshot]:
    standing, curves = race_of(5, 8)
    return [
        snapshot_of(standing, curves, every_s=60, closed=False),
        Snapshot(1, True, won_race(confirmed=True)),
        Snapshot(1, True, lost_race()),
    ]


def test_a_snapshot_comes_as_it_was_sent(tmp_path: Path) -> None:
    for sent in snapshots():
        (tmp_path / snapshot.NAME).write_text(snapshot.encode(sent))
        assert snapshot.read(tmp_path) == sent


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("standing", "winner"), "nobody"),
        (("standing", "check_every"), 0),
        (("standing", "at"), 1e300),
        (("standing", "started"), -1.0),
        (("every_s",), 1e300),
        (("standing", "workers", 1, "name"), "attention-supervised"),
        (("standing", "workers", 0, "max_epochs"), 0),
        (("standing", "workers", 0, "epoch"), 10**18),
        (("standing", "workers", 0, "recent", 0, "met"), [True]),
        (("standing", "workers", 0, "best", "values"), []),
        (("standing", "workers", 0, "recent", 0, "at"), 1e18),
        (("curves", "attention-supervised"), []),
        (("curves", "somebody"), [[], [], [], [], []]),
        (("curves", "attention-supervised", 0, 0, 0), 10**15),
        (("standing", "criteria", 0, "op"), "\x1b]0;x\x07"),
        (("standing", "workers", 0, "criteria", 0, "op"), "=="),
        (("standing", "state"), "great"),
        (("schema",), 2),
    ],
)
def test_a_snapshot_that_does_not_hold_together_is_not_believed(
    tmp_path: Path, place: tuple[Any, ...], value: Any
) -> None:
    changed = json.loads(snapshot.encode(snapshots()[0]))
    *way, last = place
    holder = changed
    for key in way:
        holder = holder[key]
    holder[last] = value
    (tmp_path / snapshot.NAME).write_text(json.dumps(changed))
    assert snapshot.read(tmp_path) is None


leaf = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]), st.just({}),
    st.sampled_from([0, -1, 10**9, 10**18, 1e308, -1e308, "winner", "running", "\x1b]0;x\x07", "<script>", [[1]]]),
)  # fmt: skip


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a JSON value something can be changed."""
    found = [here] if here else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in list(inner)[:12]:
        found += places(each, (*here, key))
    return found


PLAIN = [msgspec.json.decode(snapshot.encode(each)) for each in snapshots()]
PLACES = [places(each) for each in PLAIN]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_a_snapshot_says_it_is_shown_or_not_believed(data: st.DataObject) -> None:
    which = data.draw(st.integers(0, len(PLAIN) - 1))
    changed = json.loads(json.dumps(PLAIN[which]))
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(PLACES[which]))
        holder = changed
        try:
            for key in way:
                holder = holder[key]
            holder[last] = data.draw(leaf)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took it away
    with tempfile.TemporaryDirectory() as name:
        results = Path(name) / "results"
        results.mkdir()
        (results / snapshot.NAME).write_text(json.dumps(changed))
        found = snapshot.read(results)
        if found is not None:
            lines = status_lines(found.standing, 100, found.standing.at)
            assert not any("\x1b" in line or "\x07" in line for line in lines)
            draw_pages(Path(name), found)
            page = (results / "dashboard.html").read_text()
            assert page.count("<script") == 3


@given(st.text(max_size=300))
@settings(max_examples=60, deadline=None)
def test_whatever_a_report_says_its_page_runs_nothing(text: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        results = Path(name) / "results"
        results.mkdir()
        (results / "SUCCESS_REPORT.md").write_bytes(text.encode("utf-8", "replace"))
        draw_pages(Path(name), snapshots()[1])
        page = (results / "SUCCESS_REPORT.html").read_text()
        assert "<script" not in page.lower()
        assert "default-src 'none'" in page or "default-src &#39;none&#39;" in page
