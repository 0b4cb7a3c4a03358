"""A `.wtrace/` that came with a repo, or from somebody else, is refused: exit code 2, and nothing in it is touched."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from forgery import EVERY_COMMAND, agent_pid, commit_home, everything_below, home_of
from race_lab import Lab
from wtrace.config.names import RESERVED_NAMES
from wtrace.errors import UsageError
from wtrace.git.index import may_hold
from wtrace.git.tracked import require_untracked
from wtrace.race.paths import Layout
from wtrace.store import home

Attack = Callable[[Lab, Path], None]


@pytest.fixture
def elsewhere(lab: Lab) -> Path:
    """A folder of the user's with a private file, outside of the repo."""
    folder = lab.root.parent / "private"
    folder.mkdir(mode=0o750)
    (folder / "secret").write_text("private\n")
    return folder


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a race left in `.wtrace/`, made once."""
    lab = Lab(tmp_path_factory.mktemp("raced"))
    lab.race({"a": [["check", 5, 2.0]]})
    lab.wtrace("run")
    return home_of(lab)


@pytest.fixture
def raced(lab: Lab, record: Path) -> Lab:
    """A repo with that race in it."""
    lab.race({"a": [["check", 5, 2.0]]})
    shutil.copytree(record, home_of(lab), symlinks=True)
    return lab


def home_as_a_link(lab: Lab, elsewhere: Path) -> None:
    home_of(lab).rename(lab.root.parent / "moved")
    home_of(lab).symlink_to(elsewhere)


def home_as_a_file(lab: Lab, _: Path) -> None:
    shutil.rmtree(home_of(lab))
    home_of(lab).write_text("no folder")


def lock_as_a_link(lab: Lab, elsewhere: Path) -> None:
    (home_of(lab) / "lock").unlink()
    (home_of(lab) / "lock").symlink_to(elsewhere / "secret")


def lock_with_a_second_name(lab: Lab, elsewhere: Path) -> None:
    (home_of(lab) / "lock").unlink()
    os.link(elsewhere / "secret", home_of(lab) / "lock")


def database_as_a_link(lab: Lab, elsewhere: Path) -> None:
    (home_of(lab) / "wtrace.db").rename(elsewhere / "wtrace.db")
    (home_of(lab) / "wtrace.db").symlink_to(elsewhere / "wtrace.db")


def database_as_a_pipe(lab: Lab, _: Path) -> None:
    (home_of(lab) / "wtrace.db").unlink()
    os.mkfifo(home_of(lab) / "wtrace.db")


def latest_that_leads_out(lab: Lab, elsewhere: Path) -> None:
    (home_of(lab) / "latest").unlink()
    (home_of(lab) / "latest").symlink_to(elsewhere)


def race_as_a_link(lab: Lab, elsewhere: Path) -> None:
    race = lab.latest
    race.rename(elsewhere / "race")
    race.symlink_to(elsewhere / "race")


def results_as_a_link(lab: Lab, elsewhere: Path) -> None:
    shutil.rmtree(lab.latest / "results")
    (lab.latest / "results").symlink_to(elsewhere)


def page_as_a_link(lab: Lab, elsewhere: Path) -> None:
    (lab.latest / "results" / "dashboard.html").unlink()
    (lab.latest / "results" / "dashboard.html").symlink_to(elsewhere / "secret")


def log_that_leads_out(lab: Lab, elsewhere: Path) -> None:
    (lab.latest / "a" / "training.log").unlink()
    (lab.latest / "a" / "training.log").symlink_to(elsewhere / "secret")


def claim_as_a_link(lab: Lab, elsewhere: Path) -> None:
    (lab.latest / "a" / "attempts" / "1" / "start.claim").unlink()
    (lab.latest / "a" / "attempts" / "1" / "start.claim").symlink_to(elsewhere / "secret")


def output_as_a_link(lab: Lab, elsewhere: Path) -> None:
    shutil.rmtree(lab.latest / "a" / "output")
    (lab.latest / "a" / "output").symlink_to(elsewhere)


def config_as_a_pipe(lab: Lab, _: Path) -> None:
    (lab.latest / "config.toml").unlink()
    os.mkfifo(lab.latest / "config.toml")


def tracked(lab: Lab, _: Path) -> None:
    commit_home(lab)


OF_THE_WHOLE: list[Attack] = [
    home_as_a_link, home_as_a_file, lock_as_a_link, database_as_a_link, database_as_a_pipe, latest_that_leads_out,
    race_as_a_link, tracked,
]  # fmt: skip
OF_A_RACE: list[Attack] = [
    results_as_a_link, page_as_a_link, log_that_leads_out, claim_as_a_link, output_as_a_link, config_as_a_pipe,
]  # fmt: skip


@pytest.mark.parametrize("attack", OF_THE_WHOLE)
def test_what_was_not_made_here_is_refused_and_not_touched(
    raced: Lab, elsewhere: Path, attack: Attack
) -> None:
    attack(raced, elsewhere)
    before = everything_below(raced.root.parent)
    for command in (["status"], ["run"], ["stop"]):
        told = raced.wtrace(*command, expect=2).stderr
        assert ".wtrace" in told
        assert "try: " in told
    assert everything_below(raced.root.parent) == before


@pytest.mark.parametrize("attack", OF_A_RACE)
def test_so_is_what_lies_in_the_folder_of_a_race(raced: Lab, elsewhere: Path, attack: Attack) -> None:
    attack(raced, elsewhere)
    before = everything_below(raced.root.parent)
    for command in (["merge"], ["report"]):
        assert str(raced.latest) in raced.wtrace(*command, expect=2).stderr
    assert everything_below(raced.root.parent) == before


def test_every_command_refuses(raced: Lab, elsewhere: Path) -> None:
    home_as_a_link(raced, elsewhere)
    before = everything_below(raced.root.parent)
    for command in EVERY_COMMAND:
        assert "is a link" in raced.wtrace(*command, expect=2).stderr, command
    assert "problem  repository" in raced.wtrace("doctor", expect=1).stdout
    assert everything_below(raced.root.parent) == before


def test_a_lock_with_a_second_name_is_not_written_to(raced: Lab, elsewhere: Path) -> None:
    lock_with_a_second_name(raced, elsewhere)
    assert "second name" in raced.wtrace("run", expect=2).stderr
    assert (elsewhere / "secret").read_text() == "private\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_folder_is_refused(raced: Lab) -> None:
    os.chown(home_of(raced), 12345, 12345)
    assert "belongs to another user" in raced.wtrace("status", expect=2).stderr


def test_links_in_an_output_and_of_the_newest_attempt_are_as_they_should_be(raced: Lab) -> None:
    (raced.latest / "a" / "output" / "last.pt").symlink_to("/nowhere")
    assert (raced.latest / "a" / "training.log").is_symlink()
    raced.wtrace("report")
    raced.wtrace("status")


@pytest.mark.parametrize("settings", [[], ["index.version", "4"], ["core.splitIndex", "true"]])
def test_whether_git_tracks_it_is_seen_in_every_kind_of_index(lab: Lab, settings: list[str]) -> None:
    if settings:
        lab.git("config", *settings)
    git_dir = str(lab.root / ".git")
    lab.git("update-index", "--force-write-index")
    require_untracked(lab.root)
    assert settings or not may_hold(git_dir, ".wtrace")  # the usual index is not asked about twice
    for name in ("a.txt", ".wtrac", ".wtrace/wtrace.db"):
        (lab.root / name).parent.mkdir(exist_ok=True)
        (lab.root / name).write_text("x")
        lab.git("add", "--force", name)
    assert may_hold(git_dir, ".wtrace")
    with pytest.raises(UsageError, match="git tracks"):
        require_untracked(lab.root)


def test_a_race_is_never_looked_for_outside(raced: Lab, tmp_path: Path) -> None:
    for name in ("../../private", "/etc", "..", ".", "", "a\0b"):
        with pytest.raises(UsageError):
            Layout(tmp_path).race(name)
        with pytest.raises(UsageError):
            Layout(tmp_path).race("r").worker(name)
    assert "error" in raced.wtrace("logs", "a", "--race", "../../private", expect=2).stderr
    with sqlite3.connect(home_of(raced) / "wtrace.db") as connection:
        connection.execute(
            "UPDATE races SET id = '../../private', view = json_set(view, '$.id', '../../private')"
        )
        connection.execute("UPDATE views SET race = '../../private'")
    connection.close()
    for command in ("status", "report", "merge"):
        assert "cannot be the name of a race" in raced.wtrace(command, expect=2).stderr


def test_making_the_folder_follows_no_link(lab: Lab, elsewhere: Path) -> None:
    """Also where the link appears after it was looked at."""
    home_of(lab).symlink_to(elsewhere)
    with pytest.raises(Exception, match="cannot write"):
        home.make_home(Layout(lab.root))
    assert elsewhere.stat().st_mode & 0o777 == 0o750
    assert not (elsewhere / ".gitignore").exists()


def test_a_config_is_a_regular_file_of_a_reasonable_size(lab: Lab) -> None:
    config = lab.root / "wtrace.toml"
    os.mkfifo(config)
    assert "is no regular file" in lab.wtrace("run", expect=2).stderr
    config.unlink()
    config.mkdir()
    assert "is no regular file" in lab.wtrace("run", expect=2).stderr
    config.rmdir()
    with config.open("wb") as file:
        file.truncate(1_000_001)
    assert "is too large for a config" in lab.wtrace("run", expect=2).stderr
    assert "is no regular file" in lab.wtrace("run", "--config", "/dev/zero", expect=2).stderr


def test_no_worker_can_be_called_like_a_folder_of_ours(lab: Lab) -> None:
    """Whatever a race makes beside its workers' folders is reserved."""
    lab.race(
        {"a": [["claim", 5, 2.0, "best.pt"]]},
        extra='[sync.far]\nhost = "far.invalid"\n[confirm]\ncommand = ["true"]\n',
    )
    lab.wtrace("run", expect=None)
    os.kill(agent_pid(lab, "far"), signal.SIGTERM)
    made = {path.name for path in lab.latest.iterdir()} - {"a"}
    assert {"claims", "sync", "results"} <= made <= RESERVED_NAMES
    lab.write_config(["sync"])
    assert "taken by wtrace's own files" in lab.wtrace("run", expect=2).stderr


def test_worktrees_are_for_their_owner_alone(lab: Lab) -> None:
    lab.race({"a": []})
    old = os.umask(0o022)
    try:
        lab.wtrace("setup")
    finally:
        os.umask(old)
    folder = lab.root.parent / "repo-worktrees"
    assert [path.stat().st_mode & 0o777 for path in (folder, folder / "a")] == [0o700, 0o700]
