"""Pushing to a real sshd: what arrives, where, whole; from a clean start and after every kind of break."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from race_lab import wait_for
from sync_lab import OPENRSYNC_REFUSES, Machine, machine
from wtrace.mirror.arrivals import left_here
from wtrace.mirror.connection import Connection
from wtrace.mirror.errors import SyncError
from wtrace.mirror.push import Push
from wtrace.mirror.rsync import without
from wtrace.mirror.target import Target

KILLS = 30
"""Transfers that are killed at a random moment; 100 were run for the record in docs/decisions/0006."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("machine") / "laptop") as made:
        yield made


@pytest.fixture
def laptop(running: Machine, tmp_path: Path) -> Machine:
    """The machine with an empty home folder."""
    running.move_in(tmp_path / "home")
    return running


@pytest.fixture
def race(tmp_path: Path) -> Path:
    """A race's folder with results and a winner's output."""
    results = tmp_path / "race" / "results"
    (results / "success_viz").mkdir(parents=True)
    (results / "PARALLEL_PROGRESS.md").write_text("epoch 5\n")
    (results / "dashboard.html").write_text("<p>epoch 5</p>")
    (results / "SUCCESS_REPORT.md").write_text("a won\n")
    (results / "success_viz" / "grid.png").write_bytes(b"png" * 999)
    (results / ".PARALLEL_PROGRESS.md.0f3a.tmp").write_text("half a pa")
    output = tmp_path / "race" / "output"
    (output / "check points").mkdir(parents=True)
    (output / "check points" / "best.pt").write_bytes(os.urandom(300_000))
    (output / "train.py").write_text("#!/bin/sh\n")
    (output / "train.py").chmod(0o700)
    (output / "latest").symlink_to("check points/best.pt")
    (output / "passwd").symlink_to("/etc/passwd")
    return tmp_path / "race"


def target_on(laptop: Machine, folder: str = "wtrace/lab", rsync: str = "rsync") -> Target:
    return Target("mac", laptop.host, folder, rsync=rsync, ssh_config=laptop.ssh_config)


@contextlib.contextmanager
def pushing(target: Target, race: Path, race_id: str = "20260101-000000-lab") -> Iterator[Push]:
    with Connection(target) as connection:
        yield Push(connection, race_id, race / "results")


def push_all(push: Push, race: Path) -> None:
    push.progress()
    push.results()
    push.winner(race / "output")
    push.verify(race / "output")


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and path.name != ".wtrace-race"
    }


def has_all(mirror: Path, race: Path) -> bool:
    sent = {name: data for name, data in files_below(race / "results").items() if not name.endswith(".tmp")}
    return files_below(mirror / "results") == sent and files_below(mirror / "winner") == files_below(
        race / "output"
    )


def test_progress_goes_first_and_alone(laptop: Machine, race: Path) -> None:
    with pushing(target_on(laptop), race) as push:
        push.progress()
        mirror = laptop.home / "wtrace/lab/results"
        assert set(files_below(mirror)) == {"PARALLEL_PROGRESS.md", "dashboard.html"}
        assert (mirror / "PARALLEL_PROGRESS.md").stat().st_mtime == pytest.approx(
            (race / "results/PARALLEL_PROGRESS.md").stat().st_mtime, abs=1
        )


@pytest.mark.parametrize(
    "folder",
    [
        "wtrace/lab",
        "~/wtrace/lab",
        "~",
        "with spaces/and  more",
        'it\'s "quoted" `id` $(id) $HOME ; & | < > * ? [a] {b} !x #y',
        "~/~/not home",
        "-",
        "-rf",
        "--delete/-e sh",
        "host:path",
        "back\\slash",
        "ümlaut/日本",
        "a//b/./c/",
    ],
)
def test_everything_arrives_in_its_own_folder_whatever_it_is_called(
    laptop: Machine, race: Path, folder: str
) -> None:
    with pushing(target_on(laptop, folder), race) as push:
        push.results()
        push.winner(race / "output")
    relative = (
        folder.removeprefix("~").removeprefix("/") if folder in {"~"} or folder.startswith("~/") else folder
    )
    mirror = laptop.home / relative
    assert has_all(mirror, race)
    assert {path.name for path in mirror.iterdir()} == {"results", "winner"}
    assert (mirror / "winner/latest").readlink() == Path("check points/best.pt")
    assert not (mirror / "winner/passwd").is_symlink(), "a link that leads out of the output was sent"
    top = next(part for part in Path(relative).parts) if relative else None
    assert {path.name for path in laptop.home.iterdir()} == ({top} if top else {"results", "winner"})


def test_what_would_act_by_itself_is_not_sent(laptop: Machine, race: Path) -> None:
    for name in (".git/config", ".envrc", "bare/HEAD", "two\nlines", "check points/.hidden"):
        (race / "output" / name).parent.mkdir(exist_ok=True)
        (race / "output" / name).write_text("x")
    (race / "results" / "notes.txt").write_text("x")
    with pushing(target_on(laptop), race) as push:
        push_all(push, race)
    mirror = laptop.home / "wtrace/lab"
    assert set(files_below(mirror / "winner")) == {"check points/best.pt", "train.py"}
    assert "notes.txt" not in files_below(mirror / "results")
    assert set(left_here(race / "output")) == {
        ".git",
        ".envrc",
        "bare/HEAD",
        "two\nlines",
        "check points/.hidden",
    }


def test_a_mirror_is_for_its_owner_alone(laptop: Machine, race: Path) -> None:
    with pushing(target_on(laptop), race) as push:
        push_all(push, race)
    mirror = laptop.home / "wtrace" / "lab"
    made = [mirror.parent, mirror, *mirror.rglob("*")]
    assert [path for path in made if not path.is_symlink() and path.stat().st_mode & 0o077] == []


def test_an_absolute_path(laptop: Machine, race: Path, tmp_path: Path) -> None:
    with pushing(target_on(laptop, str(tmp_path / "else where")), race) as push:
        push_all(push, race)
    assert has_all(tmp_path / "else where", race)
    assert list(laptop.home.iterdir()) == []


def test_a_rewrite_of_the_same_size_in_the_same_second_is_not_missed(laptop: Machine, race: Path) -> None:
    page = race / "results/PARALLEL_PROGRESS.md"
    with pushing(target_on(laptop), race) as push:
        for text in ("epoch 5\n", "epoch 6\n", "epoch 7\n"):
            page.write_text(text)
            os.utime(page, (1_800_000_000, 1_800_000_000))
            push.progress()
            assert (laptop.home / "wtrace/lab/results/PARALLEL_PROGRESS.md").read_text() == text


def test_a_page_that_vanishes_meanwhile_is_no_trouble(laptop: Machine, race: Path) -> None:
    with pushing(target_on(laptop), race) as push:
        (race / "results/dashboard.html").unlink()
        push.progress()


def test_a_damaged_file_is_found_by_its_checksum_and_sent_again(laptop: Machine, race: Path) -> None:
    with pushing(target_on(laptop), race) as push:
        push_all(push, race)
        arrived = laptop.home / "wtrace/lab/winner/check points/best.pt"
        before = arrived.stat()
        arrived.write_bytes(b"x" * before.st_size)
        os.utime(arrived, ns=(before.st_atime_ns, before.st_mtime_ns))
        push.winner(race / "output")
        assert not has_all(laptop.home / "wtrace/lab", race), "by size and time it looks the same"
        push.verify(race / "output")
    assert has_all(laptop.home / "wtrace/lab", race)


def test_what_keeps_differing_is_told(laptop: Machine, race: Path) -> None:
    with pushing(target_on(laptop), race) as push:
        push_all(push, race)
        laptop.on_login("echo damaged >$HOME/wtrace/lab/results/SUCCESS_REPORT.md")
        with pytest.raises(SyncError, match="1 files differ"):
            push.verify(race / "output")


def test_nothing_of_another_race_or_of_the_user_is_lost(laptop: Machine, race: Path) -> None:
    target = target_on(laptop)
    mirror = laptop.home / "wtrace/lab"
    with pushing(target, race, "first") as push:
        push.results()
        push.winner(race / "output")
    (mirror / "notes.txt").write_text("mine")
    (mirror / "results/mine.txt").write_text("mine")
    (race / "results/SUCCESS_REPORT.md").unlink()
    with pushing(target, race, "second") as push:
        push.progress()
        assert not (mirror / "results/SUCCESS_REPORT.md").exists(), "the new race shows the old one's report"
        assert not (mirror / "winner").exists()
        push.progress()
    with pushing(target, race, "second") as push:
        push.progress()
    assert (mirror / "notes.txt").read_text() == "mine"
    earlier = mirror / "earlier/first"
    assert (earlier / "results/SUCCESS_REPORT.md").read_text() == "a won\n"
    assert (earlier / "results/mine.txt").read_text() == "mine"
    assert (earlier / "winner/check points/best.pt").exists()
    assert [path.name for path in (mirror / "earlier").iterdir()] == ["first"]


def test_a_results_folder_that_wtrace_did_not_make_is_left_in_place(laptop: Machine, race: Path) -> None:
    own = laptop.home / "docs/results"
    own.mkdir(parents=True)
    (own / "thesis.tex").write_text("mine")
    with pushing(target_on(laptop, "docs"), race) as push:
        push.results()
    assert (own / "thesis.tex").read_text() == "mine"
    assert (own / "SUCCESS_REPORT.md").exists()


@pytest.mark.parametrize(
    "mark", ["..", "../../../etc", "a/../../../x", "/etc", "-rf", "", "$(touch x)", "a/b", "." * 300]
)
def test_a_forged_mark_leads_nowhere(laptop: Machine, race: Path, mark: str) -> None:
    mirror = laptop.home / "deep/er/lab"
    (mirror / "results").mkdir(parents=True)
    (mirror / "results/.wtrace-race").write_text(mark)
    (mirror / "results/old.txt").write_text("old")
    with pushing(target_on(laptop, "deep/er/lab"), race) as push:
        push.progress()
    assert {path.name for path in mirror.iterdir()} == {"results", "earlier"}
    (aside,) = (mirror / "earlier").iterdir()
    assert (aside / "results/old.txt").read_text() == "old"
    assert [path.name for path in mirror.parent.iterdir()] == ["lab"]
    assert [path.name for path in laptop.home.iterdir()] == ["deep"]


def test_a_far_side_that_knows_only_what_openrsync_knows(laptop: Machine, race: Path) -> None:
    old = laptop.only_openrsync()
    with pushing(target_on(laptop, "a b/lab", str(old)), race) as push:
        push_all(push, race)
    assert has_all(laptop.home / "a b/lab", race)
    assert (laptop.folder / "openrsync.log").read_text().count("--server") >= 5, "another rsync was used"


def test_the_users_environment_does_not_change_how_rsync_is_called(
    laptop: Machine, race: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = laptop.only_openrsync()
    for name, value in (("RSYNC_PROTECT_ARGS", "1"), ("RSYNC_RSH", "false"), ("RSYNC_ICONV", "utf-8")):
        monkeypatch.setenv(name, value)
    with pushing(target_on(laptop, "lab", str(old)), race) as push:
        push.progress()
    assert (laptop.home / "lab/results/PARALLEL_PROGRESS.md").exists()


def test_the_wrapper_refuses_what_openrsync_does_not_know(laptop: Machine) -> None:
    """The test above is worth something only if this one holds."""
    old = laptop.only_openrsync()
    for option in (
        "--mkpath",
        "--append-verify",
        "--fsync",
        "--log-format=X",
        "--secluded-args",
        "-s",
        "-rsX",
        "-N",
    ):
        done = subprocess.run(
            [old, "--server", option, ".", "x"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1, option
        assert "option" in done.stderr


def test_what_leaves_files_out_stays_short_and_knows_names_that_were_not_to_be_told() -> None:
    assert without(["x" * 1000] * 900) == ("--exclude=/*",)
    assert without(["run…/a\ufffd[1]\\.pt"]) == (r"--exclude=/run*/a*\[1]\\.pt",)


def test_the_list_in_the_docs_is_the_one_that_is_tested() -> None:
    page = (Path(__file__).parents[1] / "docs/decisions/0006-rsync-over-openssh.md").read_text()
    listed = [word for line in page.splitlines() if line.startswith("    --") for word in line.split()]
    assert listed == list(OPENRSYNC_REFUSES)


def test_an_unfinished_file_waits_under_another_name_and_is_gone_on_with(laptop: Machine, race: Path) -> None:
    large = os.urandom(40_000_000)
    (race / "output/large.pt").write_bytes(large)
    winner = laptop.home / "wtrace/lab/winner"
    partial = winner / ".wtrace-partial/large.pt"

    def has_begun() -> bool:
        return any(path.stat().st_size > 4_000_000 for path in winner.glob(".large.pt.*"))

    with pushing(target_on(laptop), race) as push:
        push.progress()
        with pytest.raises(SyncError), killing(has_begun, lambda: laptop.kill_here("rsync")):
            push.winner(race / "output")
        wait_for(partial.exists, "the unfinished file to be kept", timeout_s=5)
        assert not (winner / "large.pt").exists()
        assert large.startswith(partial.read_bytes())
        push.winner(race / "output")
        push.verify(race / "output")
    assert (winner / "large.pt").read_bytes() == large
    assert not partial.exists()


def test_killed_transfers_leave_no_torn_file(laptop: Machine, race: Path) -> None:
    """At a random moment the rsync here, the rsync there, or the whole connection is killed; each time anew."""
    rng = random.Random(6)
    mirror = laptop.home / "wtrace/lab"
    sent: dict[str, set[str]] = {}
    broken = 0
    kills = (
        lambda: laptop.kill_here("rsync"),
        laptop.kill_rsync,
        lambda: laptop.kill_here("ssh"),
        laptop.restart,
    )
    with pushing(target_on(laptop), race) as push:
        push_all(push, race)
        lasted_s: list[float] = []
        for number in range(KILLS + 1):
            rewrite(race, rng, number)
            for name, data in {**files_below(race / "results"), **files_below(race / "output")}.items():
                sent.setdefault(name, set()).add(hashlib.sha256(data).hexdigest())
            began = time.monotonic()
            # The first goes undisturbed, to see how long it takes on this machine as it is now.
            delay_s = rng.uniform(0.0, min(lasted_s[-4:])) if lasted_s else 60.0
            try:
                with killing_after(delay_s, kills[number % len(kills)]):
                    push.progress()
                    push.winner(race / "output")
            except SyncError:
                broken += 1
            else:
                lasted_s.append(time.monotonic() - began)
            for name, data in {**visible(mirror / "results"), **visible(mirror / "winner")}.items():
                assert hashlib.sha256(data).hexdigest() in sent[name], f"{name} is torn after kill {number}"
        assert broken >= KILLS // 3, f"only {broken} of {KILLS} kills hit a transfer"
        push_all(push, race)
    assert visible(mirror / "winner") == files_below(race / "output")


def rewrite(race: Path, rng: random.Random, number: int) -> None:
    (race / "results/PARALLEL_PROGRESS.md").write_text(f"epoch {number:04}\n" * rng.randrange(1, 20_000))
    (race / "output/check points/best.pt").write_bytes(rng.randbytes(16_000_000))


def visible(folder: Path) -> dict[str, bytes]:
    """Files under their final names: temporary names of rsync's begin with a dot."""
    return {
        name: data
        for name, data in files_below(folder).items()
        if not any(part.startswith(".") for part in Path(name).parts)
    }


@contextlib.contextmanager
def killing_after(delay_s: float, kill: object) -> Iterator[None]:
    timer = threading.Timer(delay_s, kill)  # type: ignore[arg-type]
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


@contextlib.contextmanager
def killing(when: object, kill: object) -> Iterator[None]:
    def watch() -> None:
        with contextlib.suppress(AssertionError):
            wait_for(when, "the moment to kill", timeout_s=20)  # type: ignore[arg-type]
            kill()  # type: ignore[operator]

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        thread.join()
