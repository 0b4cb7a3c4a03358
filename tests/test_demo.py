"""`wtrace demo` as somebody sees it who has just installed wtrace: it races, merges, and is gone with one command."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from wtrace.cli.commands.demo import FILES, IDEAS, NEXT, WINNER, Idea


@pytest.fixture
def newcomer(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody whose git does not know them, and whose settings would be in the way."""
    config = tmp_path / "home" / ".gitconfig"
    config.parent.mkdir()
    config.write_text(
        "[commit]\n\tgpgSign = true\n[init]\n\tdefaultBranch = trunk\n[core]\n\thooksPath = /nowhere\n"
        f"\texcludesFile = {tmp_path}/home/ignored\n[user]\n\tuseConfigOnly = true\n"
    )
    (tmp_path / "home" / "ignored").write_text("*.py\n*.toml\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WTRACE_", "GIT_"))}
    return {
        **kept,
        "HOME": str(config.parent),
        "XDG_CONFIG_HOME": str(config.parent / ".config"),
        "XDG_STATE_HOME": str(config.parent / ".state"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "100",
    }


def run(
    words: list[str], folder: Path, env: dict[str, str], *, expect: int = 0
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        words, cwd=folder, env=env, check=False, text=True, capture_output=True, timeout=150,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == expect, done.stdout + done.stderr
    return done


def test_the_demo_ends_with_a_confirmed_winner_merged_and_is_removed_with_one_command(
    newcomer: dict[str, str], tmp_path: Path
) -> None:
    here = tmp_path / "it's here"
    here.mkdir()
    told = run(["wtrace", "demo"], here, newcomer).stdout
    root = here / "wtrace-demo" / "spirals"
    assert f"★ {WINNER} WINS" in told
    assert "confirmed on held-out data" in told
    assert "merged into main" in told
    assert f"Merge {WINNER}, the winner of race spirals" in told, "the merge is shown"

    log = run(["git", "log", "--format=%s", "--max-count", "1", "main"], root, newcomer).stdout
    assert log.strip() == f"Merge {WINNER}, the winner of race spirals"
    assert "WAVES" in (root / "model.py").read_text(), "what is checked out is the winner's"
    assert run(["git", "status", "--porcelain"], root, newcomer).stdout == ""
    for idea in IDEAS:
        span = f"main~1..{idea.branch}" if idea.branch != WINNER else f"main~1..{idea.branch}~1"
        assert run(["git", "log", "--format=%s", span], root, newcomer).stdout.strip() == idea.message

    pages = re.findall(r"^  (/.*\.(?:html|png))$", told, flags=re.MULTILINE)
    assert [Path(page).name for page in pages] == [
        "dashboard.html",
        "SUCCESS_REPORT.html",
        "SUCCESS_VISUALIZATION.png",
    ]
    assert all(Path(page).stat().st_size > 1000 for page in pages)

    assert len(NEXT) == 5
    for typed, _ in NEXT:
        assert f"  {typed} " in told
        run(typed.split(), root, newcomer)
    again = run(["wtrace", "demo"], here, newcomer, expect=2)
    assert "wtrace-demo is there already" in again.stderr

    (removes,) = re.findall(r"^to remove all that the demo made: (.*)$", told, flags=re.MULTILINE)
    run(shlex.split(removes), tmp_path, newcomer)
    assert list(here.iterdir()) == []
    assert not list((tmp_path / "home").rglob("trusted.json")), "nothing was approved for anybody else"


def test_a_folder_that_holds_something_is_left_alone(newcomer: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("mine\n")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("mine\n")
    for name in ("mine", "link", "file"):
        told = run(["wtrace", "demo", name], tmp_path, newcomer, expect=2).stderr
        assert f"error: {tmp_path}/{name} is there already" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "home", "link", "mine"]
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes"]


def test_a_folder_that_cannot_be_made_is_told(newcomer: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine\n")
    told = run(["wtrace", "demo", "file/demo"], tmp_path, newcomer, expect=4).stderr
    assert f"cannot make the demo in {tmp_path}/file/demo" in told


@pytest.mark.parametrize("idea", IDEAS, ids=lambda idea: idea.branch)
def test_each_idea_changes_the_file_that_it_names(idea: Idea) -> None:
    text = (FILES / idea.file).read_text()
    assert all(text.count(old) == 1 for old, _ in idea.pieces)
