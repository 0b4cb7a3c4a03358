from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from repo_lab import Lab, init, make_lab
from wtrace.errors import ToolError, UsageError, WtraceError
from wtrace.git.registry import asked_head

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = [
    "=1+1",
    "$(id>pwned)",
    "a;touch${IFS}pwned",
    "`id`",
    "a|b",
    "<script>",
    "a/'b\"",
    "ünï-☃",
    "@x",
    "main-g1234",
]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make_lab(tmp_path, monkeypatch)


def refused(lab: Lab, *pairs: tuple[str, str], base: str | None = None) -> UsageError:
    """The UsageError that prepare ends with, after a look that not one byte was changed by it."""
    before = lab.state()
    with pytest.raises(UsageError) as caught:
        lab.prepare(*pairs, base=base)
    assert lab.state() == before
    return caught.value


def told(error: WtraceError) -> str:
    return f"{error.what} | {error.seen} | {error.hint}"


def test_each_worker_gets_its_branch_and_a_second_call_changes_nothing(lab: Lab) -> None:
    lab.branch("early/one")
    own = lab.commit("more.py", "1\n")
    lab.branch("two")
    first = lab.prepare(("one", "early/one"), ("two", "two"), ("three", "three"), base="main")
    assert [(p.worker, p.made, p.branch_made) for p in first] == [
        ("one", "created", "existing"),
        ("two", "created", "existing"),
        ("three", "created", "from-base"),
    ]
    assert [p.path for p in first] == [lab.parent / name for name in ("one", "two", "three")]
    assert first[1].commit == own == lab.git("rev-parse", "HEAD", cwd=first[1].path)
    assert lab.git("symbolic-ref", "HEAD", cwd=first[0].path) == "refs/heads/early/one"
    assert "no commit of its own yet" in first[2].notes[0]
    assert first[0].notes == ()
    before = lab.state()
    second = lab.prepare(("one", "early/one"), ("two", "two"), ("three", "three"), base="main")
    assert lab.state() == before
    assert [(p.made, p.branch_made, p.commit, p.dirty) for p in second] == [
        ("kept", "existing", p.commit, ()) for p in first
    ]


def test_git_reads_a_worktrees_head_as_we_do(lab: Lab) -> None:
    tree = lab.one(branch="a/b").path
    assert asked_head(lab.admin(tree)) == ("a/b", None)
    lab.git("checkout", "-q", "--detach", cwd=tree)
    assert asked_head(lab.admin(tree)) == (None, lab.git("rev-parse", "main"))


@pytest.mark.parametrize("branch", HOSTILE)
def test_hostile_branch_names_are_only_names(lab: Lab, branch: str) -> None:
    lab.git("update-ref", f"refs/heads/{branch}", "HEAD")
    lab.git("tag", "-f", branch, "HEAD~1")  # a tag of the same name must not be taken for it
    done = lab.one(branch=branch)
    made = lab.one(worker="made", branch=f"{branch}-new", base=branch)
    assert (done.branch_made, made.branch_made) == ("existing", "from-base")
    assert done.commit == made.commit == lab.git("rev-parse", "HEAD")
    assert lab.git("symbolic-ref", "HEAD", cwd=made.path) == f"refs/heads/{branch}-new"
    assert not list(lab.root.rglob("pwned*"))


@pytest.mark.parametrize(
    "branch",
    [
        "",
        "-x",
        "--output=x",
        "HEAD",
        "@",
        "a..b",
        "a b",
        "a~1",
        "x.lock",
        "a/",
        "/a",
        "a\nb",
        "a\0b",
        "refs/heads/a",
        "@{-1}",
    ],
)
def test_names_that_git_forbids(lab: Lab, branch: str) -> None:
    error = refused(lab, ("fine", "fine"), ("w", branch))
    assert "cannot be the name of a branch" in told(error) or "NUL" in told(error)


@pytest.mark.parametrize(
    "worker", ["", ".", "..", "a/b", "../x", "/tmp/x", "a\\b", "a\n", "ü", ".git", ".GIT"]
)
def test_names_that_leave_their_folder(lab: Lab, worker: str) -> None:
    assert "cannot name a folder" in told(refused(lab, ("fine", "fine"), (worker, "b")))


def test_a_branch_or_a_worker_named_twice(lab: Lab) -> None:
    assert "branch 'x' is named twice" in told(refused(lab, ("a", "x"), ("b", "x")))
    assert "worker 'a' is named twice" in told(refused(lab, ("a", "x"), ("a", "y")))


def test_base(lab: Lab) -> None:
    old = lab.branch("old", "HEAD~1")
    head = lab.git("rev-parse", "HEAD")
    assert lab.one("a", "a", base="old").commit == old
    assert lab.one("b", "b", base=old[:9]).commit == old
    assert lab.one("c", "c", base="HEAD~1").commit == old
    assert lab.one("d", "d").commit == head
    made = lab.one("e", "e", base="team/goal")
    assert (made.commit, lab.git("rev-parse", "refs/heads/team/goal")) == (head, head)
    assert "'team/goal' (the base) was missing: made from HEAD" in made.notes[0]
    assert lab.one("f", "g/h", base="g/h").branch_made == "from-base"  # a worker may train the base itself


def test_a_slip_in_a_name_is_told(lab: Lab) -> None:
    lab.branch("early/attention")
    assert "early/attention" in " ".join(lab.one("a", "early/atention").notes)
    assert "early/attention" in " ".join(lab.one("b", "b", base="early/attentoin").notes)


@pytest.mark.parametrize(
    "base", ["0123456789abcdef0123456789abcdef01234567", "abcdef012", "main~99", "nope^", "-x", "a b"]
)
def test_a_base_that_is_nowhere(lab: Lab, base: str) -> None:
    assert "base" in told(refused(lab, ("w", "b"), base=base)) or base.startswith("-") or " " in base


def test_the_nearest_branches_are_named(lab: Lab) -> None:
    lab.branch("deadbeef1")
    assert "deadbeef1" in told(refused(lab, ("w", "b"), base="deadbeef2"))


def clone_with(lab: Lab, tmp_path: Path, *remotes: str) -> Lab:
    """A clone that has the branch `topic` only at its remotes, after `git fetch`."""
    lab.branch("topic", "HEAD~1")
    clone = Lab(tmp_path / "clone", tmp_path / "clone-worktrees")
    init(clone, clone.root)
    for remote in remotes:
        clone.git("remote", "add", remote, str(lab.root))
        clone.git("fetch", "--quiet", remote)
    clone.git("merge", "--quiet", "--ff-only", f"{remotes[0]}/main")
    return clone


def test_a_branch_that_only_the_remote_has(lab: Lab, tmp_path: Path) -> None:
    clone = clone_with(lab, tmp_path, "up/stream")
    lab.root.rename(lab.root.with_name("out of reach"))  # no network: it must do without the remote
    done = clone.one(branch="topic", base="main")
    assert (done.branch_made, done.notes) == ("from-remote", ())
    assert done.commit == clone.git("rev-parse", "main~1")
    assert (
        clone.git("rev-parse", "--symbolic-full-name", "topic@{upstream}") == "refs/remotes/up/stream/topic"
    )
    again = clone.one(branch="topic", base="main")
    assert (again.branch_made, again.made, again.dirty) == ("existing", "kept", ())


def test_a_base_that_only_the_remote_has(lab: Lab, tmp_path: Path) -> None:
    clone = clone_with(lab, tmp_path, "origin")
    done = clone.one(branch="new", base="topic")
    assert done.commit == clone.git("rev-parse", "main~1") == clone.git("rev-parse", "refs/heads/topic")
    assert "made from origin's" in done.notes[0]


def test_a_branch_that_two_remotes_have(lab: Lab, tmp_path: Path) -> None:
    clone = clone_with(lab, tmp_path, "origin", "fork")
    error = refused(clone, ("fine", "fine"), ("w", "topic"))
    assert (error.exit_code, error.seen) == (2, "fork, origin")
    assert "git branch --track" in (error.hint or "")
    assert "several remotes" in told(refused(clone, ("w", "b"), base="topic"))


def test_a_remotes_branch_named_as_such(lab: Lab, tmp_path: Path) -> None:
    clone = clone_with(lab, tmp_path, "origin")
    assert "write 'topic'" in told(refused(clone, ("w", "origin/topic")))


def test_a_branch_that_is_checked_out_elsewhere(lab: Lab, tmp_path: Path) -> None:
    error = refused(lab, ("fine", "fine"), ("w", "main"))
    assert "checked out elsewhere" in error.what
    assert (error.seen, error.exit_code) == (str(lab.root), 2)
    mine = tmp_path / "mine"
    lab.git("worktree", "add", "-q", "-b", "busy", str(mine))
    assert str(mine) in told(refused(lab, ("w", "busy")))
    assert "git worktree remove" in told(refused(lab, ("w", "busy")))
    lab.one("old", "topic")
    assert "made for worker 'old'" in told(refused(lab, ("new", "topic")))


def test_a_branch_that_a_rebase_or_a_bisect_holds(lab: Lab, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    lab.git("worktree", "add", "-q", "-b", "busy", str(mine))
    lab.commit("train.py", "theirs\n", cwd=mine)
    lab.commit("train.py", "ours\n")
    lab.git("rebase", "main", cwd=mine, ok=False)
    assert "a rebase is in progress" in told(refused(lab, ("w", "busy")))
    lab.git("rebase", "--abort", cwd=mine)
    lab.git("bisect", "start", "HEAD", "HEAD~2", cwd=mine)
    assert "a bisect is in progress" in told(refused(lab, ("w", "busy")))


def test_a_branch_beside_a_folder_of_branches(lab: Lab) -> None:
    lab.branch("exp/a")
    assert "'exp/a'" in told(refused(lab, ("fine", "fine"), ("w", "exp")))
    assert "'exp/a'" in told(refused(lab, ("w", "exp/a/b")))
    assert "cannot be made beside" in told(refused(lab, ("a", "x"), ("b", "x/y")))
    assert "cannot be made beside" in told(refused(lab, ("a", "x"), base="x/base"))


def test_something_else_lies_at_the_target(lab: Lab, tmp_path: Path) -> None:
    lab.parent.mkdir()
    target = lab.parent / "w"
    target.write_text("a file")
    assert "no folder" in told(refused(lab, ("fine", "fine"), ("w", "b")))
    target.unlink()
    target.symlink_to(lab.root)
    assert "no folder" in told(refused(lab, ("w", "b")))
    target.unlink()
    target.mkdir()
    (target / "notes.txt").write_text("mine")
    assert "not empty" in told(refused(lab, ("w", "b")))
    init(lab, target)
    assert "a repository of its own" in told(refused(lab, ("w", "b")))
    (lab.parent / "empty").mkdir()
    assert lab.one("empty", "b").made == "created"


def test_the_parent_folder_cannot_be_made(lab: Lab) -> None:
    lab.parent.write_text("in the way")
    assert "no folder" in told(refused(lab, ("w", "b")))


def test_the_main_worktree_is_never_a_target(lab: Lab) -> None:
    lab.parent = lab.root.parent
    assert "a repository of its own" in told(refused(lab, (lab.root.name, "b")))


def test_a_worktree_that_was_switched_or_detached(lab: Lab) -> None:
    tree = lab.one().path
    lab.git("switch", "-q", "-c", "other", cwd=tree)
    error = refused(lab, ("fine", "fine"), ("w", "topic"))
    assert "on branch 'other'" in told(error)
    assert f"git -C {tree} switch topic" in told(error)
    lab.git("switch", "-q", "--detach", cwd=tree)
    assert "detached at" in told(refused(lab, ("w", "topic")))


def test_a_dirty_worktree_is_kept_and_told(lab: Lab) -> None:
    tree = lab.one().path
    (tree / "train.py").write_text("changed\n")
    (tree / "new\nfile").write_text("new\n")
    (tree / "__pycache__").mkdir()
    (tree / "__pycache__" / "train.cpython-311.pyc").write_bytes(b"")
    before = lab.state()
    done = lab.one()
    assert (done.made, done.dirty) == ("kept", ("new\nfile", "train.py"))
    assert lab.state() == before


def test_a_merge_in_progress_is_kept_and_told(lab: Lab) -> None:
    tree = lab.one().path
    lab.commit("train.py", "theirs\n", cwd=tree)
    lab.commit("train.py", "ours\n")
    lab.git("merge", "main", cwd=tree, ok=False)
    done = lab.one()
    assert (done.made, done.dirty) == ("kept", ("train.py",))
    assert "a merge is in progress in it" in done.notes


def test_the_users_own_worktree_at_the_target_is_used_and_not_marked(lab: Lab) -> None:
    lab.git("worktree", "add", "-q", "-b", "topic", str(lab.parent / "w"))
    before = lab.state()
    done = lab.one()
    assert done.made == "kept"
    assert "not made by wtrace" in done.notes[0]
    assert lab.state() == before


def test_a_post_checkout_hook_runs_and_its_failure_is_told(lab: Lab) -> None:
    hook = lab.root / ".git" / "hooks" / "post-checkout"
    hook.write_text(
        f"#!{sys.executable}\nimport sys\nopen('hooked', 'w')\nopen('train.py', 'w')\nsys.exit('the hook is unhappy')\n"
    )
    hook.chmod(0o755)
    done = lab.one()
    assert done.made == "created"
    assert (done.path / "hooked").exists()
    assert "the hook is unhappy" in done.notes[-1]
    assert lab.one().made == "kept"


def test_a_checkout_that_fails_leaves_nothing_behind(lab: Lab) -> None:
    lab.commit(".gitattributes", "*.bin filter=broken\n")
    lab.commit("data.bin", "data\n")
    lab.git("config", "filter.broken.smudge", "false")
    lab.git("config", "filter.broken.required", "true")
    with pytest.raises(ToolError, match="could not make the worktree") as caught:
        lab.one()
    assert "data.bin" in (caught.value.seen or "")
    assert not os.path.lexists(lab.parent / "w")
    assert not lab.admin(lab.parent / "w").exists()
    lab.git("config", "--unset", "filter.broken.smudge")
    lab.git("config", "filter.broken.required", "false")
    assert lab.one().dirty == ()


def test_nothing_to_begin_at(lab: Lab) -> None:
    lab.git("checkout", "-q", "--orphan", "nothing")
    with pytest.raises(UsageError, match="has no commit yet"):
        lab.one()
    assert lab.one(base="main").made == "created"


def vanish(tree: Path) -> None:
    for file in sorted(tree.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()
    tree.rmdir()


def test_a_vanished_worktree_is_made_again(lab: Lab) -> None:
    vanish(lab.one().path)
    assert lab.one().made == "created"
    vanish(lab.one().path)
    lab.parent = lab.parent / "moved parent"  # the stale note is at another path now, yet it holds the branch
    assert lab.one().made == "created"
    assert lab.git("worktree", "list").count("\n") == 1


@pytest.mark.parametrize("where", ["at the target", "elsewhere"])
def test_a_vanished_worktree_of_which_git_holds_work(lab: Lab, where: str) -> None:
    tree = lab.one().path
    (tree / "train.py").write_text("staged\n")
    lab.git("add", "train.py", cwd=tree)
    vanish(tree)
    pair = ("w" if where == "at the target" else "new", "topic")
    assert "staged: train.py" in told(refused(lab, ("fine", "fine"), pair))


def test_a_worktree_that_was_moved_away(lab: Lab) -> None:
    tree = lab.one().path
    tree.rename(lab.parent / "it's here")
    assert "git worktree repair" in told(refused(lab, ("fine", "fine"), ("w", "topic")))
    lab.git("worktree", "repair", str(lab.parent / "it's here"))
    assert "it's here" in told(refused(lab, ("w", "topic")))


def test_a_moved_repository_is_told_how_to_mend(lab: Lab) -> None:
    tree = lab.one().path
    lab.root = lab.root.rename(lab.root.with_name("renamed"))
    assert "git worktree repair" in told(refused(lab, ("w", "topic")))
    lab.git("worktree", "repair", str(tree))
    assert lab.one().made == "kept"


def test_a_repository_that_nobody_may_write_to(lab: Lab) -> None:
    (lab.root / ".git" / "wtrace").write_text("in the way of the lock")
    with pytest.raises(ToolError, match="cannot write to"):
        lab.one()
