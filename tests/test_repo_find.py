from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from repo_lab import Lab, init, make_lab
from wtrace.errors import ToolError, UsageError
from wtrace.git.branches import branch_commit, head_commit
from wtrace.git.changes import changed_files
from wtrace.git.find import common_dir, find_root

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make_lab(tmp_path, monkeypatch)


def test_the_main_worktree_is_found_from_everywhere(lab: Lab) -> None:
    tree = lab.one().path
    for folder in (lab.root / "a" / "b", tree / "c" / "d", lab.root / ".git" / "hooks"):
        folder.mkdir(parents=True, exist_ok=True)
        assert find_root(folder) == lab.root
    link = lab.parent / "link"
    link.symlink_to(tree / "c")
    assert find_root(link) == lab.root
    assert find_root(lab.admin(tree)) == lab.root
    assert common_dir(lab.root) == common_dir(tree) == lab.root / ".git"


def test_the_callers_git_variables_have_no_say(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    init(lab, other)
    commit = lab.git("rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / "index"))
    monkeypatch.setenv("GIT_NAMESPACE", "other")
    monkeypatch.setenv("GIT_LITERAL_PATHSPECS", "bad value")
    assert find_root(lab.root) == lab.root
    done = lab.one(branch="from-a-hook")
    assert (done.commit, branch_commit(lab.root, "from-a-hook")) == (commit, commit)
    assert lab.one(branch="from-a-hook").dirty == ()
    assert not (other / "index").exists()


def test_no_repository(tmp_path: Path, lab: Lab) -> None:
    with pytest.raises(UsageError, match="not a git repository") as caught:
        find_root(tmp_path)
    assert "git init" in (caught.value.hint or "")


def test_a_repository_without_a_commit(tmp_path: Path, lab: Lab) -> None:
    init(lab, tmp_path / "new")
    with pytest.raises(UsageError, match="no commit yet"):
        find_root(tmp_path / "new")


@pytest.mark.parametrize(
    "prepare", [["pack-refs", "--all"], ["checkout", "-q", "--detach"], ["checkout", "-q", "--orphan", "x"]]
)
def test_a_commit_is_seen_however_refs_are_kept(lab: Lab, prepare: list[str]) -> None:
    lab.git(*prepare)
    assert find_root(lab.root) == lab.root


def test_a_bare_repository(tmp_path: Path, lab: Lab) -> None:
    bare = tmp_path / "bare.git"
    lab.git("clone", "--quiet", "--bare", str(lab.root), str(bare))
    lab.git("worktree", "add", "-q", "-b", "x", str(tmp_path / "tree"), cwd=bare)
    for start in (bare, bare / "refs", tmp_path / "tree"):
        with pytest.raises(UsageError, match="is bare"):
            find_root(start)


def test_submodules_and_separate_git_folders(lab: Lab, tmp_path: Path) -> None:
    lab.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(lab.root), "sub")
    assert find_root(lab.root / "sub") == lab.root / "sub"
    lab.git("worktree", "add", "-q", "-b", "x", str(tmp_path / "of-sub"), cwd=lab.root / "sub")
    assert find_root(tmp_path / "of-sub") == lab.root / "sub"
    lab.git(
        "clone", "-q", "--separate-git-dir", str(tmp_path / "apart"), str(lab.root), str(tmp_path / "work")
    )
    assert find_root(tmp_path / "work") == tmp_path / "work"
    assert common_dir(tmp_path / "work") == tmp_path / "apart"


def test_a_worktree_whose_repository_is_gone(lab: Lab) -> None:
    tree = lab.one().path
    lab.root.rename(lab.root.with_name("renamed"))
    with pytest.raises(UsageError, match="not where it was"):
        find_root(tree)


def test_finding_the_root_imports_no_gitpython(lab: Lab) -> None:
    code = "import sys; from pathlib import Path; from wtrace.git.find import find_root; find_root(Path('.')); print('git' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=lab.one().path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_a_folder_that_lost_its_git_is_not_taken_for_the_repository_around_it(lab: Lab) -> None:
    lab.parent = lab.root / "trees"
    tree = lab.one().path
    (tree / ".git").unlink()
    for ask in (head_commit, changed_files):
        with pytest.raises(ToolError, match="failed") as caught:
            ask(tree)
        assert "not a git repository" in (caught.value.seen or "")


def test_git_is_missing(lab: Lab, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from wtrace.errors import ToolError\n"
        "from wtrace.git.branches import head_commit\n"
        "try: head_commit(Path('.').resolve())\n"
        "except ToolError as error: print(error.what)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=lab.root,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "git was not found"
