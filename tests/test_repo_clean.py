from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from repo_lab import Lab, init, make_lab, snapshot
from wtrace.git.changes import is_regenerated
from wtrace.git.clean import Cleaned, clean

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make_lab(tmp_path, monkeypatch)


def write(file: Path, text: str = "mine\n") -> int:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file.write_text(text)


def kept(lab: Lab) -> Cleaned:
    """What clean says of the one worktree, after a look that it changed not one byte."""
    before = lab.state()
    (result,) = clean(lab.root)
    assert lab.state() == before
    assert not result.removed
    return result


def test_worktrees_without_work_go_and_their_branches_stay(lab: Lab) -> None:
    done = lab.prepare(("a", "exp/a"), ("b", "exp/b"))
    commit = lab.commit("a.py", "committed work\n", cwd=done[0].path)
    write(done[0].path / "__pycache__" / "a.cpython-311.pyc")
    write(done[0].path / ".pytest_cache" / "v" / "cache")
    (done[1].path / "empty").mkdir()
    assert clean(lab.root) == [Cleaned("a", done[0].path, True), Cleaned("b", done[1].path, True)]
    assert not lab.parent.exists()
    assert lab.git("worktree", "list").count("\n") == 0
    assert lab.git("rev-parse", "exp/a") == commit
    assert clean(lab.root) == []
    assert lab.prepare(("a", "exp/a"), ("b", "exp/b"))[0].commit == commit


def hide(option: str) -> Callable[[Lab, Path], object]:
    def make(lab: Lab, tree: Path) -> None:
        lab.git("update-index", option, "train.py", cwd=tree)
        write(tree / "train.py")

    return make


def conflict(lab: Lab, tree: Path) -> str:
    lab.commit("train.py", "theirs\n", cwd=tree)
    return lab.commit("train.py", "ours\n")


def commit_detached(lab: Lab, tree: Path) -> str:
    lab.git("checkout", "-q", "--detach", cwd=tree)
    return lab.commit("train.py", "on no branch\n", cwd=tree)


def bisect(lab: Lab, tree: Path) -> None:
    lab.git("bisect", "start", "HEAD", "HEAD~1", cwd=tree)


def detached_without_history(lab: Lab, tree: Path) -> None:
    commit_detached(lab, tree)
    lab.git("reflog", "expire", "--expire=now", "--all", cwd=tree)


def own_ref(lab: Lab, tree: Path) -> None:
    lost = commit_detached(lab, tree)
    lab.git("update-ref", "refs/worktree/mine", lost, cwd=tree)
    lab.git("reflog", "expire", "--expire=now", "--all", cwd=tree)
    lab.git("checkout", "-q", "topic", cwd=tree)
    lab.git("reflog", "expire", "--expire=now", "--all", cwd=tree)


def deleted_branch(lab: Lab, tree: Path) -> None:
    lab.commit("train.py", "committed\n", cwd=tree)
    lab.git("update-ref", "-d", "refs/heads/topic")


WORK: dict[str, tuple[Callable[[Lab, Path], object], str]] = {
    "modified": (lambda lab, tree: write(tree / "train.py"), "modified: train.py"),
    "deleted": (lambda lab, tree: (tree / "train.py").unlink(), "modified: train.py"),
    "staged": (
        lambda lab, tree: (write(tree / "train.py"), lab.git("add", "-A", cwd=tree)),
        "staged: train.py",
    ),
    "untracked": (lambda lab, tree: write(tree / "new dir" / "ü\n.txt"), "untracked: new dir/ü\n.txt"),
    "untracked link": (lambda lab, tree: (tree / "link").symlink_to("/nowhere"), "untracked: link"),
    "ignored": (lambda lab, tree: write(tree / "outputs" / "run" / "best.pt"), "outputs/run/best.pt"),
    "ignored dot file": (lambda lab, tree: write(tree / ".env"), ".env"),
    "beside caches": (lambda lab, tree: write(tree / "__pycache__" / "notes.txt"), "__pycache__/notes.txt"),
    "a repository in it": (lambda lab, tree: init(lab, tree / "nested"), "untracked: nested/"),
    "an ignored repository in it": (
        lambda lab, tree: init(lab, tree / "outputs" / "nested"),
        "outputs/nested/",
    ),
    "assume-unchanged": (hide("--assume-unchanged"), "hidden from git: train.py"),
    "skip-worktree": (hide("--skip-worktree"), "hidden from git: train.py"),
    "detached": (commit_detached, "commits that no branch or tag reaches: "),
    "detached, and no history": (detached_without_history, "commits that no branch or tag reaches: "),
    "detached and left": (
        lambda lab, tree: (commit_detached(lab, tree), lab.git("checkout", "-q", "topic", cwd=tree)),
        "commits that no branch or tag reaches: ",
    ),
    "a ref of its own": (own_ref, "commits that no branch or tag reaches: "),
    "the branch was deleted": (deleted_branch, "commits that no branch or tag reaches: "),
    "rebase": (
        lambda lab, tree: (conflict(lab, tree), lab.git("rebase", "main", cwd=tree, ok=False)),
        "a rebase",
    ),
    "merge": (
        lambda lab, tree: (conflict(lab, tree), lab.git("merge", "main", cwd=tree, ok=False)),
        "a merge",
    ),
    "cherry-pick": (
        lambda lab, tree: (conflict(lab, tree), lab.git("cherry-pick", "main", cwd=tree, ok=False)),
        "a cherry-pick",
    ),
    "revert": (
        lambda lab, tree: (
            lab.commit("train.py", "1\n", cwd=tree),
            lab.git("revert", "--no-commit", "HEAD", cwd=tree),
        ),
        "a revert",
    ),
    "bisect": (bisect, "a bisect"),
    "locked": (
        lambda lab, tree: lab.git("worktree", "lock", "--reason", "on loan", str(tree)),
        "locked: on loan",
    ),
}


@pytest.mark.parametrize("work", WORK)
def test_work_is_kept_and_named(lab: Lab, work: str) -> None:
    tree = lab.one().path
    WORK[work][0](lab, tree)
    result = kept(lab)
    assert (result.worker, result.path) == ("w", tree)
    assert WORK[work][1] in "; ".join(result.reasons)


def test_hidden_but_unchanged_files_and_sparse_checkouts_are_no_work(lab: Lab) -> None:
    tree = lab.one().path
    lab.git("update-index", "--assume-unchanged", "train.py", cwd=tree)
    lab.git("sparse-checkout", "set", "--no-cone", "/train.py", cwd=tree)
    assert not (tree / ".gitignore").exists()
    assert [result.removed for result in clean(lab.root)] == [True]


def test_what_was_amended_or_stashed_stays_to_be_found(lab: Lab) -> None:
    tree = lab.one().path
    first = lab.commit("train.py", "first\n", cwd=tree)
    lab.git("commit", "-q", "--amend", "-m", "second", cwd=tree)
    write(tree / "train.py", "stashed\n")
    lab.git("stash", "-q", cwd=tree)
    assert [result.removed for result in clean(lab.root)] == [True]
    assert first in lab.git("log", "--format=%H", "--walk-reflogs", "topic")
    assert lab.git("show", "stash@{0}:train.py") == "stashed"


def test_a_detached_commit_that_a_tag_reaches_is_no_reason(lab: Lab) -> None:
    tree = lab.one().path
    lab.git("tag", "kept", commit_detached(lab, tree))
    assert [result.removed for result in clean(lab.root)] == [True]


def test_a_monitor_that_misses_changes_is_not_believed(lab: Lab) -> None:
    """A file system monitor that says "nothing changed", as a broken one would."""
    tree = lab.one().path
    hook = lab.root.parent / "monitor"
    hook.write_text("#!/bin/sh\nprintf 'token\\0'\n")
    hook.chmod(0o755)
    lab.git("config", "core.fsmonitor", str(hook))
    lab.git("status", cwd=tree)
    write(tree / "train.py")
    assert lab.git("status", "--porcelain", cwd=tree) == ""
    assert "modified: train.py" in kept(lab).reasons


def test_the_users_own_worktrees_are_not_even_named(lab: Lab) -> None:
    lab.git("worktree", "add", "-q", "-b", "mine", str(lab.parent / "mine"))
    lab.prepare(("mine", "mine"))
    before = lab.state()
    assert clean(lab.root) == []
    assert lab.state() == before


def test_worktrees_in_use_are_kept(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = lab.one().path
    assert not clean(lab.root, busy=[tree])[0].removed
    write(tree / "sub" / "__pycache__" / "x.pyc")
    monkeypatch.chdir(tree / "sub")
    assert "in use" in kept(lab).reasons[0]
    monkeypatch.chdir(lab.root)
    assert clean(lab.root, busy=[lab.root])[0].removed


def test_a_vanished_worktree_is_forgotten(lab: Lab) -> None:
    first, _ = lab.prepare(("a", "a"), ("b", "b"))
    lab.git("worktree", "add", "-q", "-b", "mine", str(lab.parent / "mine"))
    for name in ("a", "mine"):
        for file in (lab.parent / name).iterdir():
            file.unlink()
        (lab.parent / name).rmdir()
    a, b = clean(lab.root)
    assert (a.removed, a.reasons) == (True, ("its folder was gone already",))
    assert b.removed
    assert str(lab.parent / "mine") in lab.git(
        "worktree", "list"
    )  # the user's own, on a disk that comes back perhaps
    assert str(first.path) not in lab.git("worktree", "list")


@pytest.mark.parametrize("work", ["staged", "detached", "locked", "rebase"])
def test_a_vanished_worktree_of_which_git_holds_work(lab: Lab, work: str) -> None:
    tree = lab.one().path
    WORK[work][0](lab, tree)
    for file in tree.iterdir():
        file.unlink()
    tree.rmdir()
    reasons = kept(lab).reasons
    assert reasons[0] == "its folder is gone"
    assert WORK[work][1] in "; ".join(reasons)


def test_a_worktree_that_was_moved_or_replaced(lab: Lab) -> None:
    tree = lab.one().path
    tree.rename(lab.parent / "elsewhere")
    assert "moved to" in kept(lab).reasons[0]
    init(lab, tree)
    assert "something else" in kept(lab).reasons[0]
    for file in sorted(tree.rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    tree.rmdir()
    tree.symlink_to(lab.parent / "elsewhere")
    assert "something else" in kept(lab).reasons[0]


def with_submodule(lab: Lab, tmp_path: Path) -> Path:
    """A worktree whose submodule is filled."""
    library = tmp_path / "library"
    init(lab, library)
    for name, text in {"lib.py": "lib\n", ".gitignore": "*.bin\n"}.items():
        lab.commit(name, text, cwd=library)
    for key, value in {
        "protocol.file.allow": "always",
        "user.name": "T",
        "user.email": "t@example.org",
    }.items():
        lab.git("config", "--file", str(tmp_path / "config"), key, value)
    os.environ["GIT_CONFIG_GLOBAL"] = str(tmp_path / "config")
    lab.git("submodule", "--quiet", "add", str(library), "lib")
    lab.git("commit", "-qm", "submodule")
    tree = lab.one().path
    lab.git("submodule", "--quiet", "update", "--init", cwd=tree)
    return tree


SUBMODULE_WORK: dict[str, tuple[Callable[[Lab, Path], object], str]] = {
    "modified": (lambda lab, lib: write(lib / "lib.py"), "modified: lib"),
    "untracked": (lambda lab, lib: write(lib / "new.py"), "submodule lib: untracked: new.py"),
    "ignored": (
        lambda lab, lib: write(lib / "best.bin"),
        "submodule lib: ignored by git, but yours: best.bin",
    ),
    "another commit": (
        lambda lab, lib: (
            lab.git("config", "submodule.lib.ignore", "all"),
            lab.git("checkout", "-q", "HEAD~1", cwd=lib),
        ),
        "modified: lib",
    ),
    "a commit": (lambda lab, lib: lab.commit("lib.py", "2\n", cwd=lib), "commits that no remote has"),
    "a commit, then back": (
        lambda lab, lib: (
            lab.git("switch", "-q", "-c", "x", cwd=lib),
            lab.commit("lib.py", "2\n", cwd=lib),
            lab.git("submodule", "update", cwd=lib.parent),
        ),
        "commits that no remote has",
    ),
}


@pytest.mark.parametrize("work", SUBMODULE_WORK)
def test_work_in_a_submodule(lab: Lab, tmp_path: Path, work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = with_submodule(lab, tmp_path)
    SUBMODULE_WORK[work][0](lab, tree / "lib")
    assert SUBMODULE_WORK[work][1] in "; ".join(kept(lab).reasons)


def test_a_submodule_without_work(lab: Lab, tmp_path: Path) -> None:
    tree = with_submodule(lab, tmp_path)
    assert [(result.removed, result.reasons) for result in clean(lab.root)] == [(True, ())]
    assert not tree.exists()


def test_a_worktree_that_git_cannot_read_is_kept(lab: Lab) -> None:
    done = lab.prepare(("a", "a"), ("b", "b"))
    (lab.admin(done[0].path) / "index").write_bytes(b"broken")
    before = snapshot(done[0].path)
    a, b = clean(lab.root)
    assert (a.removed, b.removed) == (False, True)
    assert "failed" in a.reasons[0]
    assert snapshot(done[0].path) == before


def test_which_files_are_caches() -> None:
    for name in (
        "__pycache__/a.cpython-311.pyc",
        "x/y.pyc",
        ".mypy_cache/3.11/x.json",
        "a/.ruff_cache/0",
        ".DS_Store",
    ):
        assert is_regenerated(name), name
    for name in (
        "__pycache__/a.txt",
        "a.py",
        "outputs/best.pt",
        ".pytest_cache",
        "mypyc",
        ".env",
        "x.pyc/data",
    ):
        assert not is_regenerated(name), name
