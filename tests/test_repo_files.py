from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from repo_lab import Lab, init, make_lab, snapshot
from wtrace.errors import ToolError, UsageError
from wtrace.git.branches import branch_commit, head_commit
from wtrace.git.changes import blob_id, changed_files, patch

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make_lab(tmp_path, monkeypatch)


def file_at(root: Path, commit: str, path: str) -> bytes | None:
    blob = blob_id(root, commit, path)
    return None if blob is None else subprocess.check_output(["git", "cat-file", "blob", blob], cwd=root)


def test_files_in_commits(lab: Lab) -> None:
    old = lab.commit("workers/evaluate.py", "judge\n")
    new = lab.commit("workers/evaluate.py", "judge\r\n")
    assert (file_at(lab.root, old, "workers/evaluate.py"), file_at(lab.root, new, "workers/evaluate.py")) == (
        b"judge\n",
        b"judge\r\n",
    )
    same = lab.commit("copy.py", "judge\n")
    assert blob_id(lab.root, same, "./copy.py") == blob_id(lab.root, old, "workers//evaluate.py")
    assert blob_id(lab.root, new, "workers/evaluate.py") != blob_id(lab.root, old, "workers/evaluate.py")
    assert file_at(lab.root, "main~1", "workers/evaluate.py") == b"judge\r\n"
    assert file_at(lab.one().path, "main", "copy.py") == b"judge\n"


@pytest.mark.parametrize(
    "path",
    [
        "nothing.py",
        "workers",
        "",
        ".",
        "..",
        "/etc/passwd",
        "../project/train.py",
        "*",
        ":(glob)*",
        ":/train.py",
        "train.py/",
        "train.py/x",
    ],
)
def test_what_is_no_file_of_the_commit(lab: Lab, path: str) -> None:
    lab.commit("workers/evaluate.py", "judge\n")
    expected = b"print('training')\n" if path == "train.py/" else None
    assert file_at(lab.root, "main", path) == expected


@pytest.mark.parametrize("name", ["--output=x", "-", ":(glob)*", "a\nb\tc", "ü☃", "$(id)", "*"])
def test_hostile_file_names(lab: Lab, name: str) -> None:
    commit = lab.commit(name, "hostile\n") if not name.startswith(":") else commit_literally(lab, name)
    assert file_at(lab.root, commit, name) == b"hostile\n"
    (lab.root / name).write_text("changed\n")
    assert changed_files(lab.root) == (name,)
    assert b"+changed\n" in patch(lab.root)


def commit_literally(lab: Lab, name: str) -> str:
    (lab.root / name).write_text("hostile\n")
    lab.git("--literal-pathspecs", "add", "--", name)
    lab.git("commit", "-qm", "x")
    return lab.git("rev-parse", "HEAD")


@pytest.mark.parametrize("commit", ["nope", "0" * 40, "--all", "", "main:train.py"])
def test_a_commit_that_does_not_exist(lab: Lab, commit: str) -> None:
    with pytest.raises(UsageError, match="is no commit"):
        file_at(lab.root, commit, "train.py")


def test_commits_of_branches_and_worktrees(lab: Lab, tmp_path: Path) -> None:
    commit = lab.git("rev-parse", "main")
    lab.git("tag", "only-a-tag")
    assert (branch_commit(lab.root, "main"), head_commit(lab.root)) == (commit, commit)
    assert branch_commit(lab.root, "only-a-tag") is None
    assert branch_commit(lab.root, "main~1") is None
    with pytest.raises(ToolError):
        head_commit(tmp_path / "nowhere")
    init(lab, tmp_path / "new")
    with pytest.raises(UsageError, match="no commit yet"):
        head_commit(tmp_path / "new")


def test_a_patch_brings_everything_back_and_leaves_everything_alone(lab: Lab) -> None:
    for name, text in {"gone.py": "gone\n", "run.sh": "run\n", "old name": "same contents\n" * 9}.items():
        lab.commit(name, text)
    for key, value in {
        "diff.noprefix": "true",
        "color.ui": "always",
        "diff.external": "false",
        "core.quotepath": "true",
    }.items():
        lab.git("config", key, value)
    tree = lab.one().path
    (tree / "train.py").write_text("staged\n")
    lab.git("add", "train.py", cwd=tree)
    (tree / "train.py").write_text("staged, then changed\n")
    (tree / "staged-new").write_text("new\n")
    lab.git("add", "staged-new", cwd=tree)
    (tree / "gone.py").unlink()
    (tree / "run.sh").chmod(0o755)
    lab.git("mv", "old name", "new name", cwd=tree)
    (tree / "sub dir").mkdir()
    (tree / "sub dir" / "ü\n.bin").write_bytes(bytes(range(256)))
    (tree / "link").symlink_to("train.py")
    (tree / ":(top)odd*").write_text("odd\n")
    (tree / ".env").write_text("SECRET=1\n")
    before = lab.state()
    made = patch(tree)
    assert lab.state() == before
    assert b"SECRET" not in made
    other = lab.one("other", "other", base="topic").path
    applied = subprocess.run(
        ["git", "apply", "--binary", "-"], input=made, cwd=other, capture_output=True, check=False
    )
    assert applied.returncode == 0, applied.stderr
    (tree / ".env").unlink()
    mine, theirs = (
        {str(path).removeprefix(str(folder)): held for path, held in snapshot(folder, skip=".git").items()}
        for folder in (tree, other)
    )
    assert mine == theirs
    assert (other / "run.sh").stat().st_mode & 0o100


def test_a_change_as_old_as_the_index_is_seen(lab: Lab) -> None:
    """Of the same size, and written at the very time of the index: only its bytes tell that it changed."""
    lab.git("config", "core.trustctime", "false")
    file, at = lab.root / "file", 1_700_000_000 * 10**9
    file.write_text("before\n")
    os.utime(file, ns=(at, at))
    lab.git("add", "file")
    lab.git("commit", "--quiet", "-m", "before")
    file.write_text("after!\n")
    for path in (file, lab.root / ".git" / "index"):
        os.utime(path, ns=(at, at))
    assert b"+after!\n" in patch(lab.root)


def test_nothing_changed_is_an_empty_patch(lab: Lab) -> None:
    assert (patch(lab.root), changed_files(lab.root)) == (b"", ())


def test_large_untracked_files_are_named_instead(lab: Lab) -> None:
    (lab.root / "data\n.bin").write_bytes(b"x" * 2000)
    (lab.root / "small.txt").write_text("small\n")
    init(lab, lab.root / "nested")
    made = patch(lab.root, untracked_limit_bytes=1000)
    assert made.startswith(
        b"# left out: 'data\\n.bin'\n# left out: 'nested/'\ndiff --git a/small.txt b/small.txt\n"
    )
    check = subprocess.run(["git", "apply", "--check", "-R", "-"], input=made, cwd=lab.root, check=False)
    assert check.returncode == 0


def test_a_callers_index_is_not_written_to(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git hook sets GIT_INDEX_FILE; a patch is built with an index of our own all the same."""
    (lab.root / "new.txt").write_text("new\n")
    index = lab.root / ".git" / "index"
    before = index.read_bytes()
    monkeypatch.setenv("GIT_INDEX_FILE", str(index))
    assert b"new.txt" in patch(lab.root)
    assert index.read_bytes() == before
