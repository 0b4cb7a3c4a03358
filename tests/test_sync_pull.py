"""`wtrace pull` from a real sshd: finding the race, mirroring it, and not trusting what comes from there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from race_lab import Lab, Script, wait_for
from saving_lab import write_race
from standing_samples import running_race, won_race
from sync_lab import Machine, machine
from wtrace.errors import UsageError
from wtrace.mirror import snapshot
from wtrace.mirror.connection import Connection
from wtrace.mirror.errors import SyncError
from wtrace.mirror.pull import Pull
from wtrace.mirror.snapshot import Snapshot
from wtrace.mirror.target import address
from wtrace.race.status import Standing

RACE_ID = "20260101-000000-lab"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path / "box") as made:
        yield made


def make_race(box: Machine, race_id: str = RACE_ID, repo: str = "work/my repo") -> Path:
    """A race's folder in a repo there, as a supervisor keeps it."""
    home = box.home / repo / ".wtrace"
    race = home / "races" / race_id
    (race / "results").mkdir(parents=True)
    (race / "results/PARALLEL_PROGRESS.md").write_text("# lab\n\nepoch 5\n")
    (race / "results/.dashboard.html.00.tmp").write_text("half")
    (home / "latest").unlink(missing_ok=True)
    (home / "latest").symlink_to(f"races/{race_id}")
    return race


def tell(race: Path, standing: Standing, *, closed: bool = False) -> None:
    told = snapshot.encode(Snapshot(1, closed, standing))
    (race / "results" / snapshot.NAME).write_text(told)


def pull_command(box: Machine, *options: str, repo: str = "work/my repo") -> list[str]:
    where = f"{box.host}:{repo}"
    return [sys.executable, "-m", "wtrace", "pull", where, "--ssh-config", str(box.ssh_config), *options]


def run_pull(
    box: Machine, cwd: Path, *options: str, repo: str = "work/my repo"
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        pull_command(box, *options, repo=repo), cwd=cwd, capture_output=True, text=True, check=False, timeout=60,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


def test_a_running_race_is_mirrored_and_shown(box: Machine, tmp_path: Path) -> None:
    race = make_race(box)
    tell(race, replace(running_race(), at=time.time() - 40))
    done = run_pull(box, tmp_path)
    assert done.returncode == 0, done.stderr
    results = tmp_path / "wtrace-mirror" / RACE_ID / "results"
    assert {path.name for path in results.iterdir()} == {
        "PARALLEL_PROGRESS.md",
        "standing.json",
        "dashboard.html",
    }
    made = (tmp_path / "wtrace-mirror" / RACE_ID, results)
    assert [path.stat().st_mode & 0o077 for path in made] == [0, 0]  # for their owner alone
    assert not (results.parent / "winner").exists()
    assert running_race().workers[0].name in done.stdout
    age = re.search(r"from box, as of (\d+) s ago, fetched", done.stdout.replace(box.host, "box"))
    assert age, done.stdout
    assert 40 <= int(age[1]) < 80


def test_a_race_that_is_over_comes_with_the_winners_output(box: Machine, tmp_path: Path) -> None:
    standing = won_race()
    race = make_race(box)
    (race / "results/SUCCESS_REPORT.md").write_text("won")
    output = race / str(standing.winner) / "output"
    output.mkdir(parents=True)
    (output / "best.pt").write_bytes(os.urandom(100_000))
    (output / "out").symlink_to("/etc/passwd")
    tell(race, standing, closed=True)
    done = run_pull(box, tmp_path, "--watch")
    assert done.returncode == 0, done.stderr
    mirror = tmp_path / "wtrace-mirror" / RACE_ID
    assert (mirror / "winner/best.pt").read_bytes() == (output / "best.pt").read_bytes()
    assert (mirror / "results/SUCCESS_REPORT.md").read_text() == "won"
    assert not (mirror / "winner/out").is_symlink()


def test_watch_follows_and_can_be_left(box: Machine, tmp_path: Path) -> None:
    race = make_race(box)
    tell(race, running_race())
    watching = subprocess.Popen(
        pull_command(box, "--watch", "--every", "1"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    assert "fetched" in watching.stdout.readline()
    (race / "results/PARALLEL_PROGRESS.md").write_text("# lab\n\nepoch 6\n")
    page = tmp_path / "wtrace-mirror" / RACE_ID / "results/PARALLEL_PROGRESS.md"
    wait_for(lambda: "epoch 6" in page.read_text(), "the next fetch")
    box.stop()
    line = next((line for line in watching.stdout if "refuses" in line), "nothing was told")
    assert "fetched" in line, "the age of the data is not told"
    watching.send_signal(2)
    out, err = watching.communicate(timeout=10)
    assert watching.returncode == 0, err
    assert "left" in out


def test_without_a_standing_the_page_itself_is_shown_harmless(box: Machine, tmp_path: Path) -> None:
    race = make_race(box)
    (race / "results/PARALLEL_PROGRESS.md").write_text("# lab\n\x1b]0;owned\x07epoch 5\n")
    done = run_pull(box, tmp_path)
    assert "epoch 5" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    "content", ["", "{}", '{"schema":2}', "[" * 5000, '{"schema":1,"closed":true,"standing":{}}']
)
def test_a_standing_that_is_none_is_not_believed(box: Machine, tmp_path: Path, content: str) -> None:
    (make_race(box) / "results" / snapshot.NAME).write_text(content)
    assert run_pull(box, tmp_path).returncode == 0


def test_the_repo_is_found_from_a_folder_in_it(box: Machine, tmp_path: Path) -> None:
    make_race(box, repo="work/repo")
    (box.home / "work/repo/src/deep").mkdir(parents=True)
    target = address(f"{box.host}:~/work/repo/src/deep", ssh_config=box.ssh_config)
    with Connection(target) as connection:
        found = Pull(connection, tmp_path).find()
    assert (found.race_id, found.folder) == (RACE_ID, str(box.home / "work/repo/.wtrace/races" / RACE_ID))
    assert abs(found.ahead_s) < 3


def test_another_race_than_the_newest(box: Machine, tmp_path: Path) -> None:
    make_race(box)
    make_race(box, "20260202-000000-lab")
    assert run_pull(box, tmp_path, "--race", RACE_ID).returncode == 0
    assert [path.name for path in (tmp_path / "wtrace-mirror").iterdir()] == [RACE_ID]


def test_mistakes_are_told(box: Machine, tmp_path: Path) -> None:
    (box.home / "work/my repo").mkdir(parents=True)
    done = run_pull(box, tmp_path)
    assert (done.returncode, "there is no race at" in done.stderr) == (2, True), done.stderr
    assert run_pull(box, tmp_path, "--race", "../x").returncode == 2
    assert run_pull(box, tmp_path, "--race", "$(touch x)").returncode == 2
    box.stop()
    done = run_pull(box, tmp_path)
    assert (done.returncode, "refuses connections" in done.stderr) == (4, True)
    assert not (tmp_path / "wtrace-mirror").exists()


@pytest.mark.parametrize(
    "where", ["laptop", "-oProxyCommand=touch x:repo", "/etc:repo", ":repo", "a b:repo", "h:"]
)
def test_a_target_that_is_none_is_refused(tmp_path: Path, where: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wtrace", "pull", "--", where],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../../x", "/etc", "-rf", "a/b", "", "results"])
def test_a_winner_whose_name_leads_elsewhere_is_not_fetched(box: Machine, tmp_path: Path, name: str) -> None:
    make_race(box)
    with Connection(address(f"{box.host}:work/my repo", ssh_config=box.ssh_config)) as connection:
        pull = Pull(connection, tmp_path / "mirror")
        with pytest.raises(SyncError, match="winner's name"):
            pull.fetch_winner(pull.find(), name)


def test_a_race_whose_folder_is_no_id_is_not_mirrored(box: Machine, tmp_path: Path) -> None:
    make_race(box, race_id="-e $(id)")
    with Connection(address(f"{box.host}:work/my repo", ssh_config=box.ssh_config)) as connection:
        with pytest.raises(SyncError, match="cannot be understood"):
            Pull(connection, tmp_path / "mirror").find()
        with pytest.raises(UsageError):
            Pull(connection, tmp_path / "mirror", "..")


def raced_there(box: Machine, winner: Script) -> Lab:
    """A real race in a repo on the other machine."""
    there = Lab(box.home / "work")
    there.race({"a": winner, "b": [["check", 5, 1.1], ["forever"]]}, race='on_win = "finish"')
    there.wtrace("run")
    return there


def test_a_real_race_comes_whole_and_without_what_acts_by_itself(box: Machine, tmp_path: Path) -> None:
    """Nothing is put there by hand: a race, its snapshot, and a winner whose output holds what git and a shell act upon."""
    ran = tmp_path / "ran"
    there = raced_there(
        box,
        [
            ["append", "model.pt", "weights"],
            ["append", "runs/epoch=3.ckpt", "more"],
            ["append", ".git/config", f"[core]\n\tfsmonitor = touch {ran}\n"],
            ["append", ".envrc", "touch ran"],
            ["append", "deep/.hidden/x", "x"],
            ["append", "bare/HEAD", "ref: refs/heads/main"],
            ["append", "two\nlines", "x"],
            ["append", "-rf", "x"],
            ["check", 5, 1.2],
            ["check", 10, 2.0],
            ["exit", 0],
        ],
    )
    evil = "<script>document.title = 'there'</script>"
    for page in ("dashboard.html", "SUCCESS_REPORT.html"):
        (there.latest / "results" / page).write_text(evil)
    (there.latest / "results/NOTES.txt").write_text("not of the race")
    done = run_pull(box, tmp_path, "--watch", repo="work/repo")
    assert done.returncode == 0, done.stderr
    assert "★" in done.stdout
    assert "/tmp" not in done.stdout, "the table shows the other machine's paths"
    mirror = tmp_path / "wtrace-mirror" / there.latest.name
    assert files_of(mirror / "winner") == {"model.pt", "runs/epoch=3.ckpt"}
    assert (mirror / "winner/model.pt").read_text() == "weights"
    (told,) = [line for line in done.stdout.splitlines() if line.startswith("left out")]
    for name in (".git", ".envrc", "deep/.hidden", "bare/HEAD", "two\\x0alines"):
        assert name in told or "and 1 more" in told
    for page in ("dashboard.html", "SUCCESS_REPORT.html"):
        drawn = (mirror / "results" / page).read_text()
        assert "there</script>" not in drawn
        assert "<bdi>lab</bdi>" in drawn or "won</h1>" in drawn
    assert files_of(mirror / "results") == {
        "PARALLEL_PROGRESS.md", "SUCCESS_REPORT.md", "SUCCESS_REPORT.html", "dashboard.html", "standing.json",
    }  # fmt: skip
    subprocess.run(["git", "init", "-q", str(mirror)], check=True)
    subprocess.run(["git", "status"], cwd=mirror / "winner", check=True, capture_output=True)
    assert not ran.exists()


def test_a_file_that_may_be_torn_is_not_fetched_and_is_told(box: Machine, tmp_path: Path) -> None:
    """The winner hangs in its save; what it left beside that comes."""
    there = Lab(box.home / "work")
    whole = '[after]\nwinner = [["touch", "{output}/whole.txt"]]\n'
    write_race(there, "hangs", race="settle = 0.5", extra=whole)
    there.wtrace("run")
    assert (there.latest / "a/output/model.pt").exists()
    done = run_pull(box, tmp_path, repo="work/repo")
    assert done.returncode == 0, done.stderr
    assert files_of(tmp_path / "wtrace-mirror" / there.latest.name / "winner") == {"whole.txt"}
    assert "left out, since it may not be whole, as the report says: model.pt\n" in done.stdout


def test_what_lies_there_of_the_users_own_stays(box: Machine, tmp_path: Path) -> None:
    race = make_race(box)
    tell(race, running_race())
    results = tmp_path / "wtrace-mirror" / RACE_ID / "results"
    results.mkdir(parents=True)
    (results / "my notes.txt").write_text("mine")
    (results / ".draft").write_text("mine")
    assert run_pull(box, tmp_path).returncode == 0
    assert {"my notes.txt", ".draft", "PARALLEL_PROGRESS.md"} <= files_of(results)


def test_a_page_cannot_drive_a_terminal(box: Machine, tmp_path: Path) -> None:
    race = make_race(box)
    (race / "results/PARALLEL_PROGRESS.md").write_text("# lab\n\x1b]0;owned\x07epoch 5\n")
    run_pull(box, tmp_path)
    page = (tmp_path / "wtrace-mirror" / RACE_ID / "results/PARALLEL_PROGRESS.md").read_bytes()
    assert b"\x1b" not in page
    assert b"epoch 5\n" in page


def files_of(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }


def test_a_standing_survives_its_way(tmp_path: Path) -> None:
    for standing in (running_race(), won_race()):
        (tmp_path / snapshot.NAME).write_text(snapshot.encode(Snapshot(1, True, standing)))
        read = snapshot.read(tmp_path)
        assert read is not None
        assert (read.standing, read.closed) == (standing, True)


@pytest.mark.parametrize("name", ["a\\u0000b", "\\ud800", "a\\nb"])
def test_names_that_no_command_can_hold_are_not_believed(tmp_path: Path, name: str) -> None:
    told = snapshot.encode(Snapshot(1, True, won_race(), winner_left_out=("model.pt",)))
    (tmp_path / snapshot.NAME).write_text(told)
    assert snapshot.read(tmp_path) is not None
    (tmp_path / snapshot.NAME).write_text(told.replace("model.pt", name))
    assert snapshot.read(tmp_path) is None
