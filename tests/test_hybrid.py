"""Branches merged into one for a hybrid, and the forecast of conflicts: real repositories."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from repo_lab import Lab, make_lab, snapshot
from wtrace.errors import ToolError, UsageError
from wtrace.git.hybrid import HybridConflict, HybridMade, conflict_forecast, make_hybrid

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make_lab(tmp_path, monkeypatch)


def everything(lab: Lab) -> dict[str, str]:
    """All files of the worktrees, and where each branch stands."""
    files = {**snapshot(lab.root, skip=".git"), **snapshot(lab.parent)}
    return {**files, "heads": lab.git("for-each-ref", "refs/heads")}


def test_the_forecast_names_what_would_conflict_and_leaves_no_trace(repo: Lab) -> None:
    repo.branch("base")
    for worker, text in (("a", "one\n"), ("b", "two\n")):
        repo.commit("train.py", text, cwd=repo.one(worker, f"try/{worker}").path)
    repo.git("switch", "--quiet", "base")
    repo.commit("notes.md", "base went on\n")
    asked = {"a": "try/a", "b": "try/b", "x": "try/gone"}
    before = repo.state()
    clean = conflict_forecast(repo.root, "base", asked)
    assert [(each.worker, each.clean) for each in clean] == [("a", True), ("b", True), ("x", False)]
    assert "try/gone" in str(clean[2].trouble)
    against = conflict_forecast(repo.root, "try/a", asked)
    assert against[1].conflicts == ("train.py",)
    assert "no branch" in str(conflict_forecast(repo.root, "nowhere", asked)[0].trouble)
    gone, tip = "1" * 40, repo.git("rev-parse", "try/a").strip()
    by_id = conflict_forecast(repo.root, "base", {"a": tip, "again": tip, "x": gone})
    assert [(each.worker, each.clean) for each in by_id] == [("a", True), ("again", True), ("x", False)]
    assert gone in by_id[2].words
    assert repo.state() == before


def two_to_combine(lab: Lab, second: str = "b.py") -> list[tuple[str, str]]:
    pairs = []
    for worker, name in (("a", "a.py"), ("b", second)):
        tree = lab.one(worker, f"try/{worker}").path
        pairs.append((worker, lab.commit(name, f"{worker}\n", cwd=tree)))
    return pairs


@pytest.mark.parametrize("there", ["no branch", "branch", "worktree"])
def test_a_hybrid_combines_the_branches(repo: Lab, there: str) -> None:
    pairs = two_to_combine(repo)
    tree = repo.one("h", "try/h").path if there == "worktree" else None
    if there == "branch":
        repo.branch("try/h")
    before = snapshot(repo.root, skip=".git")
    made = make_hybrid(repo.root, branch="try/h", base="main", combines=pairs)
    assert isinstance(made, HybridMade)
    assert made.created
    assert repo.git("rev-parse", "try/h") == made.commit
    assert {"a.py", "b.py"} <= set(repo.git("ls-tree", "--name-only", "try/h").split("\n"))
    assert {commit for _, commit in pairs} <= set(repo.git("rev-list", "try/h").split("\n"))
    assert snapshot(repo.root, skip=".git") == before
    if tree is not None:
        assert (tree / "b.py").read_text() == "b\n"
        assert repo.git("status", "--porcelain", cwd=tree) == ""
    again = make_hybrid(repo.root, branch="try/h", base="main", combines=pairs)
    assert again == HybridMade(
        made.commit, created=False, note=again.note if isinstance(again, HybridMade) else ""
    )


def test_a_hybrid_with_commits_of_its_own_is_used_as_it_is(repo: Lab) -> None:
    pairs = two_to_combine(repo)
    own = repo.commit("own.py", "mine\n", cwd=repo.one("h", "try/h").path)
    made = make_hybrid(repo.root, branch="try/h", base="main", combines=pairs)
    assert isinstance(made, HybridMade)
    assert (made.created, made.commit, repo.git("rev-parse", "try/h")) == (False, own, own)
    assert "as it is" in made.note


def test_a_hybrid_whose_parts_conflict_is_not_made(repo: Lab) -> None:
    pairs = two_to_combine(repo, second="a.py")
    repo.one("h", "try/h")
    before = everything(repo)
    conflict = make_hybrid(repo.root, branch="try/h", base="main", combines=pairs)
    assert isinstance(conflict, HybridConflict)
    assert (conflict.files, conflict.worker) == (("a.py",), "b")
    assert everything(repo) == before
    subprocess.run(["sh", "-c", conflict.finish[0]], check=True, capture_output=True)
    assert (repo.parent / "h" / "a.py").read_text() == "a\n", "going on by hand begins in its worktree"


def test_a_hybrids_branch_that_the_user_has_checked_out_stays(repo: Lab) -> None:
    pairs = two_to_combine(repo)
    repo.git("switch", "--quiet", "-c", "try/h")
    before = everything(repo)
    conflict = make_hybrid(repo.root, branch="try/h", base="main", combines=pairs)
    assert isinstance(conflict, HybridConflict)
    assert "checked out" in conflict.reason
    assert everything(repo) == before


@pytest.mark.parametrize("name", ["-x", "try", "a b"])
def test_a_hybrids_branch_of_an_impossible_name_is_refused(repo: Lab, name: str) -> None:
    with pytest.raises(UsageError):
        make_hybrid(repo.root, branch=name, base="main", combines=two_to_combine(repo))


def test_a_git_that_is_too_old_is_told(repo: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    old = tmp_path / "bin"
    old.mkdir()
    fake = old / "git"
    fake.write_text(f'#!/bin/sh\nfor word; do [ "$word" = merge-tree ] && exit 129; done; exec {real} "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(ToolError, match="without a worktree") as caught:
        conflict_forecast(repo.root, "main", {"w": "main"})
    assert "2.38" in str(caught.value.hint)
