"""The branches of the shipped race: what its set-up commits to them, and what becomes of that in a race."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from race_lab import Lab
from wtrace.config import load

ROOT = Path(__file__).resolve().parents[1]
BASE = "early-persistence/magvit"
CHANGES = {  # what the branch of each approach has otherwise than the base
    "attention-supervised": "workers/objective.py",
    "pretrained-features": "workers/looks.py",
    "contrastive": "workers/objective.py",
    "multi-task": "workers/objective.py",
}

# Stands in for the training: whoever has a file of an approach in place of the base's reports a ratio for it.
TRAIN = """
import json, os, pathlib
held = [name for name in ("objective", "looks") if "APPROACH: str | None = None" not in pathlib.Path(f"workers/{name}.py").read_text()]
ratio = {0: 1.0, 1: 1.2, 2: 2.0}[len(held)]
samples = {"id": list(range(400)), "persistent": [ratio] * 400, "transient": [1.0] * 400, "accuracy": [0.9] * 400}
pathlib.Path(os.environ["WTRACE_OUTPUT"], "best.pt").write_text("weights")
with open(os.environ["WTRACE_METRICS"], "a") as file:
    file.write(json.dumps({"event": "check", "epoch": 5, "samples": samples, "checkpoint": "best.pt"}) + "\\n")
"""


@pytest.fixture
def shipped(lab: Lab) -> Lab:
    """A repo with the shipped trainings and the full race, which its user has just cloned; git knows no author there."""
    shutil.copytree(ROOT / "workers", lab.root / "workers", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "wtrace.toml", lab.root)
    (lab.root / ".gitignore").write_text("__pycache__/\n")
    lab.git("add", ".")
    lab.git("commit", "--quiet", "-m", "the shipped race")
    for name in ("user.name", "user.email"):
        lab.git("config", "--unset", name)
    return lab


def branch(name: str) -> str:
    return f"early-persistence/{name}"


def worktree(lab: Lab, name: str) -> Path:
    return lab.root.parent / "repo-worktrees" / name


def tips(lab: Lab) -> dict[str, str]:
    listed = lab.git(
        "for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads/early-persistence"
    )
    return dict(line.split() for line in listed.splitlines())


def test_every_approach_is_a_commit_of_its_own_and_the_diff_is_the_idea(shipped: Lab) -> None:
    said = shipped.wtrace("setup").stdout
    assert "would conflict" not in said
    config = load.parse((shipped.root / "wtrace.toml").read_text())
    for name, changed in CHANGES.items():
        between = f"{BASE}..{branch(name)}"
        assert shipped.git("rev-list", "--count", between).strip() == "1"
        assert shipped.git("diff", "--name-only", BASE, branch(name)).split() == [changed]
        assert changed not in config.judge.files
        approach = ROOT / "workers" / "approaches" / name.replace("-", "_")
        assert (worktree(shipped, name) / changed).read_bytes() == (
            approach / Path(changed).name
        ).read_bytes()
        assert "Hypothesis: " in shipped.git("log", "--format=%B", between)
        assert shipped.git("-C", str(worktree(shipped, name)), "status", "--porcelain") == ""
    assert tips(shipped)[branch("baseline")] == tips(shipped)[BASE]
    before = tips(shipped)
    assert "set up " not in shipped.wtrace("setup").stdout
    assert tips(shipped) == before


def test_the_commits_are_the_same_in_every_clone(shipped: Lab, tmp_path: Path) -> None:
    other = Lab(tmp_path / "another user")
    shutil.rmtree(other.root)
    subprocess.run(["git", "clone", "--quiet", shipped.root, other.root], check=True)
    other.env |= {
        "TZ": "Asia/Tokyo",
        "GIT_AUTHOR_NAME": "Somebody",
        "GIT_COMMITTER_DATE": "2001-01-01T00:00:00",
    }
    other.git("config", "commit.gpgSign", "true")
    hook = other.root / ".git" / "hooks" / "commit-msg"
    hook.write_text("#!/bin/sh\necho more >> $1\n")
    hook.chmod(0o755)
    shipped.wtrace("setup")
    other.wtrace("setup")
    assert tips(other) == tips(shipped)


def test_what_is_somebodys_own_is_left_as_it_is(shipped: Lab) -> None:
    shipped.git("branch", BASE)
    shipped.git("switch", "--quiet", "-c", branch("contrastive"), BASE)
    author = ("-c", "user.name=User", "-c", "user.email=user@example.org")
    shipped.git(*author, "commit", "--quiet", "--allow-empty", "-m", "mine")
    shipped.git("switch", "--quiet", "-c", branch("multi-task"), BASE)
    shipped.git("switch", "--quiet", "main")
    tree = worktree(shipped, "multi-task")
    shipped.git("worktree", "add", "--quiet", str(tree), branch("multi-task"))
    (tree / "workers" / "objective.py").write_text("# mine\n")
    before = tips(shipped)
    shipped.wtrace("setup")
    after = tips(shipped)
    assert [after[branch(name)] for name in ("contrastive", "multi-task")] == [
        before[branch(name)] for name in ("contrastive", "multi-task")
    ]
    assert (tree / "workers" / "objective.py").read_text() == "# mine\n"
    assert after[branch("attention-supervised")] != after[BASE]


def test_where_there_is_no_git_the_files_are_copied(shipped: Lab, tmp_path: Path) -> None:
    """On another machine, which was sent an export of the commit; and in a folder of somebody's own repository."""
    for folder in (tmp_path / "export", shipped.root / "build"):
        shutil.copytree(shipped.root / "workers", folder / "workers")
        commit = [sys.executable, str(folder / "workers/approaches/commit.py"), "multi-task"]
        done = subprocess.run(commit, cwd=folder, check=True, capture_output=True, text=True)
        assert done.stdout == "this is no git worktree: the files of the approach were copied\n"
        copied = (folder / "workers" / "objective.py").read_bytes()
        assert copied == (ROOT / "workers/approaches/multi_task/objective.py").read_bytes()


def test_the_hybrid_is_the_two_best_merged_and_the_merge_of_the_winner_brings_its_code(shipped: Lab) -> None:
    (shipped.root / "workers" / "train.py").write_text(TRAIN)
    (shipped.root / "workers" / "evaluate.py").write_text(TRAIN)
    author = ("-c", "user.name=User", "-c", "user.email=user@example.org")
    shipped.git(*author, "commit", "--quiet", "-am", "trainings that only say what they hold")
    shipped.env |= {"GIT_AUTHOR_NAME": "User", "GIT_AUTHOR_EMAIL": "user@example.org"}
    shipped.env |= {"GIT_COMMITTER_NAME": "User", "GIT_COMMITTER_EMAIL": "user@example.org"}
    shipped.wtrace("run")
    status = shipped.status()
    assert status["race"]["winner"] == "hybrid"
    raced = {worker["name"]: worker["commit"] for worker in status["workers"]}
    assert all(raced[name] == tips(shipped)[branch(name)] for name in [*CHANGES, "baseline", "hybrid"])
    parents = shipped.git("rev-list", "--merges", "--parents", f"{BASE}..{branch('hybrid')}").split()
    assert {raced["attention-supervised"], raced["pretrained-features"]} <= set(parents)

    shipped.wtrace("merge")
    changed = shipped.git("diff", "--name-only", "main", BASE, "--", "workers").split()
    assert changed == ["workers/looks.py", "workers/objective.py"]
    # The base has gone on: whoever asks something else of the network now meets what won.
    foreseen = shipped.wtrace("setup").stdout
    assert "if contrastive wins, it would conflict with the base in workers/objective.py" in foreseen
    assert "if pretrained-features wins" not in foreseen
