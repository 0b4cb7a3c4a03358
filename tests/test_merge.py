"""Merging the winner: real repositories, real races; what is the user's stays as it is, byte by byte."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from repo_lab import Lab, make_lab, snapshot
from test_repo_scenarios import User, commits
from wtrace.data import replace
from wtrace.errors import ToolError, UsageError
from wtrace.git.commit import Message, commit_files, goes_to_lfs
from wtrace.git.find import common_dir
from wtrace.git.merge import Ground, MergeRequest, carry_out, kept_ref, make_plan, merge
from wtrace.git.refs import MovedMeanwhile

if TYPE_CHECKING:
    from collections.abc import Sequence

SCENARIOS = int(os.environ.get("WTRACE_SCENARIOS", "30"))
RACE = "20260131-120000-lab"
REPORT = b"# won\r\n"
HOSTILE = (
    "$(touch${IFS}pwned)",
    "a;touch${IFS}pwned",
    "`touch${IFS}pwned`",
    "=x|y",
    "it's",
    "<script>",
    "ü/@",
)


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make_lab(tmp_path, monkeypatch)


def winner(lab: Lab, branch: str = "topic", worker: str = "w") -> Path:
    """A branch with a commit of its own, raced in a worktree of wtrace's."""
    tree = lab.one(worker, branch).path
    lab.commit("model.py", f"model of {worker}\n", cwd=tree)
    return tree


def request(
    lab: Lab, *, branch: str = "topic", base: str | None = "base", race_id: str = RACE
) -> MergeRequest:
    message = Message("Merge the winner", "It won.", (("Wtrace-Race", race_id), ("Wtrace-Winner", "w")))
    files: dict[str, bytes | Path] = {"REPORT.md": REPORT, "figures/one.png": b"\x89PNG\0"}
    return MergeRequest(
        race_id, "lab", branch, lab.git("rev-parse", f"refs/heads/{branch}"), base, message, files
    )


def heads(lab: Lab) -> dict[str, str]:
    lines = lab.git("for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads").split("\n")
    return dict(line.rsplit(" ", 1) for line in lines)


def users_bytes(lab: Lab) -> dict[str, str]:
    """Every file of every worktree, and every index and HEAD, but for those of worktrees that wtrace may move."""
    git_dir = lab.root / ".git"
    own = {**snapshot(lab.root, skip=".git"), **snapshot(lab.parent, skip=".git")}
    for admin in (git_dir, *(git_dir / "worktrees").glob("*")):
        for name in ("index", "HEAD", "MERGE_HEAD"):
            if (admin / name).exists():
                own[str(admin / name)] = hashlib.sha256((admin / name).read_bytes()).hexdigest()
    return own


def finish(lab: Lab, lines: Sequence[str], *, ok: bool = True) -> None:
    """Do as the user was told, in a shell."""
    for line in lines:
        done = subprocess.run(["sh", "-c", line], cwd=lab.root, capture_output=True, check=False)
        assert done.returncode == 0 or not ok, (line, done.stderr)


def in_use(lab: Lab, branch: str) -> None:
    """The state that most users are in: the base is checked out, with changes of all kinds."""
    lab.git("switch", "--quiet", branch)
    (lab.root / "train.py").write_text("edited\n")
    (lab.root / "staged.py").write_text("staged\n")
    lab.git("add", "staged.py")
    (lab.root / "untracked.py").write_text("untracked\n")
    (lab.root / ".env").write_text("secret\n")


def test_a_base_that_nobody_has_checked_out_gets_the_winner_and_its_results(repo: Lab) -> None:
    tree = winner(repo)
    base, raced = repo.branch("base"), repo.git("rev-parse", "topic")
    (repo.root / "untracked.py").write_text("mine\n")
    before = snapshot(repo.root, skip=".git")
    merged = merge(repo.root, request(repo))
    assert (merged.outcome, merged.base, merged.folder, merged.notes) == ("merged", "base", "results/lab", ())
    assert snapshot(repo.root, skip=".git") == before
    first, second = repo.git("rev-parse", "base^1", "base^2").split("\n")
    assert (first, second) == (base, merged.results)
    assert repo.git("rev-parse", "topic", "topic^") == f"{merged.results}\n{raced}"
    assert repo.git("show", "base:model.py") == "model of w"
    assert repo.git("cat-file", "blob", "base:results/lab/REPORT.md").encode() == REPORT.rstrip(b"\n")
    trailers = repo.git("log", "-1", "--format=%(trailers)", "base").split("\n")
    assert trailers == [f"Wtrace-Race: {RACE}", "Wtrace-Winner: w", "Wtrace-Results: results/lab", ""]
    assert (tree / "results/lab/REPORT.md").read_bytes() == REPORT, "its worktree moved along"
    assert repo.git("status", "--porcelain", cwd=tree) == ""
    assert repo.git("fsck", "--strict") == ""


def test_a_second_call_finds_that_it_is_done(repo: Lab) -> None:
    winner(repo)
    repo.branch("base")
    asked = request(repo)
    first = merge(repo.root, asked)
    before = repo.state()
    second = merge(repo.root, asked)
    assert (second.outcome, second.commit, second.results) == ("merged before", first.commit, first.results)
    assert repo.state() == before


def test_a_base_that_is_checked_out_with_changes_stays_and_a_later_call_finishes(
    repo: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    winner(repo)
    in_use(repo, "main")
    before, stood = users_bytes(repo), heads(repo)
    asked = request(repo, base="main")
    merged = merge(repo.root, asked)
    assert merged.outcome == "kept"
    assert f"{repo.root} has changes of yours: staged.py, train.py" in (merged.reason or "")
    assert merged.finish == (f"wtrace merge --race {RACE}",), "it can be typed at any width"
    assert (users_bytes(repo), heads(repo)) == (before, stood)
    assert merged.ref is not None
    assert repo.git("rev-parse", merged.ref) == merged.commit
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2040-01-01T00:00:00Z")
    assert merge(repo.root, asked).commit == merged.commit, "a later call builds nothing new"

    repo.git("stash")
    assert merge(repo.root, asked).outcome == "merged"
    repo.git("stash", "pop")
    assert repo.git("rev-parse", "main") == merged.commit
    assert (repo.root / "train.py").read_text() == "edited\n"
    assert (repo.root / "staged.py").read_text() == "staged\n"
    assert merge(repo.root, asked).outcome == "merged before"
    assert repo.git("rev-parse", "topic") == merged.results, "the winner's branch got its results now"
    assert repo.git("for-each-ref", "refs/wtrace") == ""


def test_a_base_that_is_checked_out_and_clean_moves_along_with_its_worktree(repo: Lab) -> None:
    winner(repo)
    (repo.root / "wtrace.toml").write_text("mine, and never committed\n")
    (repo.root / ".env").write_text("mine, and ignored\n")
    merged = merge(repo.root, request(repo, base="main"))
    assert (merged.outcome, merged.finish) == ("merged", ())
    assert (repo.root / "model.py").read_text() == "model of w\n"
    assert (repo.root / "results/lab/REPORT.md").read_bytes() == REPORT
    assert repo.git("status", "--porcelain") == "?? wtrace.toml"
    assert (repo.root / ".env").read_text() == "mine, and ignored\n"
    assert "merge topic" in repo.git("log", "-g", "-1", "--format=%gs", "HEAD")


def test_a_linked_worktree_of_the_users_moves_along_as_the_main_one_does(repo: Lab, tmp_path: Path) -> None:
    winner(repo)
    repo.git("worktree", "add", "-q", "-b", "base", str(tmp_path / "linked"))
    assert merge(repo.root, request(repo)).outcome == "merged"
    assert (tmp_path / "linked" / "model.py").read_text() == "model of w\n"
    assert repo.git("status", "--porcelain", cwd=tmp_path / "linked") == ""


@pytest.mark.parametrize(
    "how",
    [
        "modified",
        "staged",
        "assume-unchanged",
        "skip-worktree",
        "ignored",
        "link",
        "rebase",
        "bisect",
        "busy",
    ],
)
def test_a_worktree_of_the_users_with_work_in_the_way_does_not_move_along(repo: Lab, how: str) -> None:
    tree = winner(repo)
    repo.commit("train.py", "the winner's\n", cwd=tree)
    (tree / "outputs").mkdir()
    (tree / "outputs" / "best.pt").write_text("the winner's\n")
    repo.git("add", "--force", "outputs", cwd=tree)
    repo.git("commit", "--quiet", "-m", "a checkpoint", cwd=tree)
    repo.git("branch", "fork", "HEAD~1")
    repo.commit("train.py" if how == "rebase" else "other.py", "main went on\n")
    repo.git("switch", "--quiet", "-c", "base")
    if how == "rebase":
        repo.commit("train.py", "diverged\n")
        repo.git("rebase", "topic", ok=False)
    else:
        spoil(repo, repo.root, how)
    before, stood = users_bytes(repo), heads(repo)
    merged = merge(repo.root, request(repo), busy=[repo.root] if how == "busy" else [])
    assert merged.outcome == "kept", merged
    assert merged.reason
    assert (users_bytes(repo), heads(repo)) == (before, stood)


def test_without_results_the_code_alone_is_merged_and_the_proof_is_a_note(repo: Lab) -> None:
    tree = winner(repo)
    raced = repo.git("rev-parse", "topic")
    asked = replace(request(repo, base="main"), files={}, note=b"hash  REPORT.md\n\n# as it is\n")
    merged = merge(repo.root, asked)
    assert (merged.outcome, merged.folder, merged.commit) == ("merged", "", repo.git("rev-parse", "main"))
    assert repo.git("rev-parse", "main^2", "topic") == f"{raced}\n{raced}", "no commit of results"
    assert not (repo.root / "results").exists()
    assert not (tree / "results").exists()
    assert "Wtrace-Results" not in repo.git("log", "-1", "--format=%B", "main")
    blob = repo.git("notes", "--ref", "wtrace", "list", "main")
    assert repo.git("cat-file", "blob", blob) == "hash  REPORT.md\n\n# as it is"
    assert merge(repo.root, asked).outcome == "merged before"
    assert merge(repo.root, request(repo, base="main")).outcome == "merged before"


def test_a_merge_without_results_that_is_kept_is_finished_without_them(repo: Lab) -> None:
    winner(repo)
    in_use(repo, "main")
    asked = replace(request(repo, base="main"), files={}, note=b"hash\n")
    kept = merge(repo.root, asked)
    assert (kept.outcome, kept.finish) == ("kept", (f"wtrace merge --race {RACE} --no-results",))
    assert merge(repo.root, request(repo, base="main")).commit != kept.commit, "with them it is another"


def test_a_merge_that_was_kept_is_not_dropped_before_the_base_has_it(repo: Lab) -> None:
    winner(repo)
    (repo.root / "train.py").write_text("edited\n")
    kept = merge(repo.root, request(repo, base="main"))
    repo.git("stash")
    repo.commit("later.py", "later\n")
    repo.git("switch", "--quiet", "-c", "elsewhere")
    merged = merge(repo.root, request(repo, base="main"))
    assert (merged.outcome, merged.results) == ("merged", kept.results), "the same results, another merge"
    assert {kept.commit, merged.commit} <= commits(repo)


def test_words_in_somebodys_message_are_no_merge(repo: Lab) -> None:
    winner(repo)
    repo.branch(
        "base", repo.git("commit-tree", "main^{tree}", "-p", "main", "-m", f"Wtrace-Race: {RACE}\n\nsaid he")
    )
    assert merge(repo.root, request(repo)).outcome == "merged"


def test_names_do_not_make_lines_of_a_message() -> None:
    message = Message("a\n\nWtrace-Race: b", trailers=(("Wtrace-Winner", "c\nWtrace-Evidence: d"),))
    assert message.text.splitlines() == [
        "a\\x0a\\x0aWtrace-Race: b",
        "",
        "Wtrace-Winner: c\\x0aWtrace-Evidence: d",
    ]


def test_a_base_that_moved_between_the_plan_and_the_act_is_not_moved_back(repo: Lab) -> None:
    winner(repo)
    repo.branch("base")
    asked, ground = request(repo), Ground(repo.root, common_dir(repo.root))
    plan = make_plan(ground, asked)
    tree = repo.git("rev-parse", "main^{tree}")
    others = repo.git("commit-tree", tree, "-p", "base", "-m", "somebody else's")
    repo.git("update-ref", "refs/heads/base", others)
    with pytest.raises(MovedMeanwhile):
        carry_out(ground, asked, plan)
    assert repo.git("rev-parse", "base") == others
    assert merge(repo.root, asked).outcome == "merged", "it is merged into the base as it is now"
    assert repo.git("rev-parse", "base^1") == others


def test_nothing_of_somebody_who_commits_to_the_base_all_the_time_is_lost(repo: Lab) -> None:
    winner(repo)
    base = repo.branch("base")
    made: list[str] = []
    tree = repo.git("rev-parse", "main^{tree}")
    over = threading.Event()

    def commit_all_the_time() -> None:
        while not over.is_set():
            tip = repo.git("rev-parse", "base")
            new = repo.git("commit-tree", f"{tip}^{{tree}}", "-p", tip, "-m", f"mine {len(made)}")
            if repo.git("update-ref", "refs/heads/base", new, tip, ok=False) == "" and new == repo.git(
                "rev-parse", "base"
            ):
                made.append(new)

    somebody = threading.Thread(target=commit_all_the_time)
    somebody.start()
    try:
        outcomes = [merge(repo.root, request(repo, race_id=f"{RACE}-{n}")).outcome for n in range(3)]
    finally:
        over.set()
        somebody.join()
    assert tree
    assert set(outcomes) <= {"merged", "kept"}
    assert made, "somebody was at work"
    assert set(made) <= set(repo.git("rev-list", f"{base}..base").split("\n"))


def test_a_conflict_changes_nothing_and_is_named(repo: Lab) -> None:
    tree = winner(repo)
    repo.commit("notes/a b.md", "theirs\n", cwd=tree)
    repo.git("branch", "base")
    repo.git("switch", "--quiet", "base")
    repo.commit("notes/a b.md", "ours\n")
    repo.git("switch", "--quiet", "main")
    before, stood = users_bytes(repo), heads(repo)
    merged = merge(repo.root, request(repo))
    assert (merged.outcome, merged.conflicts) == ("kept", ("notes/a b.md",))
    assert (users_bytes(repo), heads(repo)) == (before, stood)
    assert repo.git("rev-parse", str(merged.ref)) == merged.results
    finish(repo, merged.finish, ok=False)
    assert 'AA "notes/a b.md"' in repo.git("status", "--porcelain"), "the told commands begin the merge"


def test_unrelated_histories_are_told_as_such(repo: Lab) -> None:
    winner(repo)
    tree = repo.git("rev-parse", "main^{tree}")
    repo.git("update-ref", "refs/heads/base", repo.git("commit-tree", tree, "-m", "another root"))
    stood = heads(repo)
    merged = merge(repo.root, request(repo))
    assert merged.outcome == "kept"
    assert "unrelated" in (merged.reason or "")
    assert heads(repo) == stood


@pytest.mark.parametrize("base", ["gone;touch${IFS}pwned", "v1", None])
def test_a_base_that_is_no_branch_is_told_and_the_commit_kept(repo: Lab, base: str | None) -> None:
    winner(repo)
    repo.git("tag", "v1")
    repo.git("checkout", "--quiet", "--detach")
    before, stood = users_bytes(repo), heads(repo)
    merged = merge(repo.root, request(repo, base=base))
    assert (merged.outcome, users_bytes(repo), heads(repo)) == ("kept", before, stood)
    assert repo.git("rev-parse", str(merged.ref)) == merged.commit
    finish(repo, merged.finish)
    made = heads(repo)[base if base and base.startswith("gone") else "BRANCH"]
    assert made == merged.commit


def test_without_a_base_the_branch_of_the_main_worktree_is_meant(repo: Lab) -> None:
    winner(repo)
    merged = merge(repo.root, request(repo, base=None))
    assert (merged.outcome, merged.base) == ("merged", "main")
    assert repo.git("show", "main:model.py") == "model of w"


def test_a_branch_under_another_name_is_checked_out_too(repo: Lab) -> None:
    winner(repo)
    repo.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    repo.git("symbolic-ref", "HEAD", "refs/heads/alias")
    before, stood = users_bytes(repo), heads(repo)
    merged = merge(repo.root, request(repo, base="main"))
    assert (merged.outcome, merged.reason) == (
        "kept",
        f"it is checked out in {repo.root} under another name, 'alias'",
    )
    assert (users_bytes(repo), heads(repo)) == (before, stood)
    repo.git("symbolic-ref", "HEAD", "refs/heads/main")
    assert merge(repo.root, request(repo, base="alias")).outcome == "merged"
    assert (repo.root / "model.py").read_text() == "model of w\n"


def test_a_base_that_is_being_rebased_is_left_alone(repo: Lab) -> None:
    winner(repo)
    repo.git("branch", "base")
    repo.commit("train.py", "main went on\n")
    repo.git("switch", "--quiet", "base")
    repo.commit("train.py", "base went elsewhere\n")
    repo.git("rebase", "main", ok=False)
    before, stood = users_bytes(repo), heads(repo)
    merged = merge(repo.root, request(repo))
    assert merged.outcome == "kept"
    assert "rebase" in (merged.reason or "")
    assert (users_bytes(repo), heads(repo)) == (before, stood)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_branches_are_never_options_or_commands(repo: Lab, name: str) -> None:
    winner(repo, branch=name)
    repo.git("update-ref", f"refs/heads/base/{name}", "main")
    asked = request(repo, branch=name, base=f"base/{name}")
    assert merge(repo.root, asked).outcome == "merged"
    repo.git("checkout", "--quiet", f"base/{name}")
    merged = merge(repo.root, request(repo, branch=name, base=f"base/{name}", race_id=f"{RACE}-2"))
    assert merged.outcome == "merged"
    assert repo.git("rev-parse", "HEAD") == merged.commit
    assert not list(repo.root.parent.rglob("pwned"))


def test_the_name_of_a_folder_is_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = make_lab(tmp_path / "it's here; $(touch pwned)", monkeypatch)
    repo.commit("train.py", "base\n")
    tree = winner(repo)
    repo.commit("train.py", "the winner's\n", cwd=tree)
    repo.commit("train.py", "main's\n")
    kept = merge(repo.root, request(repo, base="main"))
    assert kept.conflicts == ("train.py",)
    finish(repo, kept.finish, ok=False)
    assert repo.git("rev-parse", "MERGE_HEAD") == kept.commit
    assert not list(tmp_path.rglob("pwned"))


def test_without_an_identity_nothing_is_built(
    repo: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    winner(repo)
    repo.branch("base")
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    monkeypatch.setenv("EMAIL", "guessed@example.org")
    repo.git("config", "--unset", "user.name")
    before = repo.state()
    with pytest.raises(UsageError, match="who you are"):
        merge(repo.root, request(repo))
    assert repo.state() == before


def test_a_commit_that_is_gone_is_told(repo: Lab) -> None:
    winner(repo)
    gone = MergeRequest(RACE, "lab", "topic", "0123456789" * 4, "main", Message("m"), {})
    with pytest.raises(UsageError, match="not in this repository any more"):
        merge(repo.root, gone)


def spoil(lab: Lab, tree: Path, how: str) -> None:
    """Something of the user's in a worktree of wtrace's."""
    match how:
        case "modified":
            (tree / "train.py").write_text("mine\n")
        case "staged":
            (tree / "new.py").write_text("mine\n")
            lab.git("add", "new.py", cwd=tree)
        case "assume-unchanged" | "skip-worktree":
            lab.git("update-index", f"--{how}", "train.py", cwd=tree)
            (tree / "train.py").write_text("mine\n")
        case "ignored":
            (tree / "outputs").mkdir()
            (tree / "outputs" / "best.pt").write_text("mine\n")
        case "link":
            (lab.root / ".git" / "info").mkdir(exist_ok=True)
            (lab.root / ".git" / "info" / "exclude").write_text("outputs\n")
            (tree / "outputs").symlink_to(lab.root.parent)
        case "rebase":
            lab.commit("train.py", "diverged\n", cwd=tree)
            lab.git("rebase", "main", cwd=tree, ok=False)
        case "bisect":
            lab.git("bisect", "start", "HEAD", "HEAD~1", cwd=tree)


@pytest.mark.parametrize(
    "how",
    [
        "modified",
        "staged",
        "assume-unchanged",
        "skip-worktree",
        "ignored",
        "link",
        "rebase",
        "bisect",
        "busy",
    ],
)
def test_a_worktree_of_wtraces_with_work_in_it_does_not_move_along(repo: Lab, how: str) -> None:
    tree = winner(repo)
    repo.commit("train.py", "the winner's\n", cwd=tree)
    (tree / "outputs").mkdir()
    (tree / "outputs" / "best.pt").write_text("the winner's\n")
    repo.git("add", "--force", "outputs", cwd=tree)
    repo.git("commit", "--quiet", "-m", "a checkpoint", cwd=tree)
    other = repo.one("b", "base").path
    repo.commit("other.py", "main went on\n")
    if how == "rebase":
        repo.commit("train.py", "main went on\n")
    spoil(repo, other, how)
    before, stood, moved = users_bytes(repo), heads(repo), repo.git("reflog", "base")
    merged = merge(repo.root, request(repo), busy=[other] if how == "busy" else [])
    assert merged.outcome == "kept", merged
    assert (users_bytes(repo), heads(repo), repo.git("reflog", "base")) == (before, stood, moved)
    assert merged.reason


def test_a_worktree_of_wtraces_that_is_clean_moves_along_with_the_base(repo: Lab) -> None:
    tree = winner(repo)
    repo.commit("train.py", "the winner's\n", cwd=tree)
    other = repo.one("b", "base").path
    (other / ".env").write_text("mine\n")
    (tree / "mnist_cnn.pt").write_text("what the training left\n")
    merged = merge(repo.root, request(repo))
    assert (merged.outcome, merged.notes) == ("merged", ())
    assert repo.git("rev-parse", "topic") == merged.results, "what is not in the way is no hindrance"
    assert (tree / "mnist_cnn.pt").read_text() == "what the training left\n"
    assert (other / "train.py").read_text() == "the winner's\n"
    assert (other / ".env").read_text() == "mine\n"
    assert repo.git("status", "--porcelain", cwd=other) == ""
    assert "merge topic" in repo.git("log", "-g", "-1", "--format=%gs", "HEAD", cwd=other)


@pytest.mark.parametrize("how", ["modified", "own worktree", "moved on", "gone"])
def test_a_winners_branch_that_must_not_move_is_told_and_the_merge_stands(repo: Lab, how: str) -> None:
    tree = winner(repo)
    repo.branch("base")
    asked = request(repo)
    if how == "modified":
        (tree / "train.py").write_text("mine\n")
    elif how == "own worktree":
        (repo.root / ".git" / "worktrees" / "w" / "wtrace").unlink()
    elif how == "moved on":
        repo.commit("later.py", "later\n", cwd=tree)
    else:
        repo.git("worktree", "remove", "--force", str(tree))
        repo.git("branch", "-D", "topic")
    before, stood = snapshot(repo.parent), heads(repo)
    merged = merge(repo.root, asked)
    assert merged.outcome == "merged"
    assert any("'topic'" in note for note in merged.notes)
    assert snapshot(repo.parent) == before
    assert {**stood, "base": merged.commit} == heads(repo)


def test_hooks_of_commits_and_merges_do_not_run_and_a_veto_on_refs_is_heeded(repo: Lab) -> None:
    winner(repo)
    repo.branch("base")
    hooks = repo.root / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in (
        "pre-commit",
        "prepare-commit-msg",
        "commit-msg",
        "post-commit",
        "post-merge",
        "pre-merge-commit",
    ):
        write_hook(hooks / name, f"touch {repo.root.parent}/ran-{name}; exit 1")
    veto = write_hook(
        hooks / "reference-transaction", "if [ $1 = prepared ]; then ! grep -q refs/heads/base; fi"
    )
    stood = heads(repo)
    merged = merge(repo.root, request(repo))
    assert merged.outcome == "kept"
    assert "refused" in (merged.reason or "")
    assert heads(repo) == stood
    veto.unlink()
    assert merge(repo.root, request(repo)).outcome == "merged"
    assert not list(repo.root.parent.glob("ran-*"))


def write_hook(file: Path, script: str) -> Path:
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def test_a_move_that_the_worktree_cannot_follow_is_taken_back(repo: Lab) -> None:
    winner(repo)
    other = repo.one("b", "base").path
    # The disk fails between the look and the act: a hook takes the right to write away.
    hooks = repo.root / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    script = (
        f'[ $1 = committed ] && grep -q "refs/heads/base" && touch "{repo.admin(other)}/index.lock"; true'
    )
    write_hook(hooks / "reference-transaction", script)
    stood = heads(repo)
    merged = merge(repo.root, request(repo))
    assert merged.outcome == "kept"
    assert heads(repo) == stood
    (repo.admin(other) / "index.lock").unlink()
    assert repo.git("status", "--porcelain", cwd=other) == ""


@pytest.mark.parametrize("how", ["committed", "ignored", "committed file", "file"])
def test_results_never_mix_with_what_is_there(repo: Lab, how: str) -> None:
    (repo.root / ".git" / "info").mkdir(exist_ok=True)
    (repo.root / ".git" / "info" / "exclude").write_text("results/\n")
    winner(repo)
    base, mine = repo.branch("base"), repo.root / "results"
    if how.startswith("committed"):
        path = "results/lab/mine.md" if how == "committed" else "results"
        repo.git(
            "update-ref", "refs/heads/base", commit_files(repo.root, base, {path: b"mine"}, Message("mine"))
        )
    elif how == "ignored":
        (mine / "lab").mkdir(parents=True)
        (mine / "lab" / "REPORT.md").write_text("mine\n")
    else:
        mine.write_text("a file of that name\n")
    expected = f"wtrace-results/{RACE}" if how.endswith("file") else f"results/{RACE}"
    assert merge(repo.root, request(repo)).folder == expected


def test_what_a_hook_that_calls_us_says_of_its_index_does_not_count(
    repo: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    winner(repo)
    repo.branch("base")
    index = repo.root / ".git" / "index"
    before = index.read_bytes()
    monkeypatch.setenv("GIT_INDEX_FILE", str(index))
    monkeypatch.setenv("GIT_DIR", str(repo.root / ".git"))
    merge(repo.root, request(repo))
    monkeypatch.delenv("GIT_INDEX_FILE")
    monkeypatch.delenv("GIT_DIR")
    assert repo.git("ls-tree", "-r", "--name-only", "base").split("\n") == [
        ".gitignore", "model.py", "results/lab/REPORT.md", "results/lab/figures/one.png", "train.py",
    ]  # fmt: skip
    assert index.read_bytes() == before


def test_the_attributes_of_the_commit_decide_what_becomes_of_a_file(repo: Lab) -> None:
    repo.git("config", "filter.lfs.clean", "sed s/^/pointer:/")
    parent = repo.commit("results/.gitattributes", "*.pt filter=lfs\n*.txt text\n")
    (repo.root / "results" / ".gitattributes").unlink()
    files: dict[str, bytes | Path] = {
        "results/a.pt": b"big\n",
        "results/b.txt": b"a\r\n",
        "results/c.md": REPORT,
    }
    commit = commit_files(repo.root, parent, files, Message("files"))
    assert repo.git("cat-file", "blob", f"{commit}:results/a.pt") == "pointer:big"
    assert repo.git("cat-file", "blob", f"{commit}:results/b.txt") == "a"
    assert repo.git("cat-file", "blob", f"{commit}:results/c.md") == REPORT.decode().removesuffix("\n")
    assert goes_to_lfs(repo.root, parent, "results/a.pt")
    assert not goes_to_lfs(repo.root, parent, "results/b.txt")
    repo.git("config", "--unset", "filter.lfs.clean")
    assert not goes_to_lfs(repo.root, parent, "results/a.pt"), "without LFS it would be committed whole"


def test_a_path_that_leaves_the_repository_is_refused(repo: Lab) -> None:
    parent = repo.git("rev-parse", "HEAD")
    content = repo.root.parent / "content"
    content.write_text("x")
    for path in ("../outside", ".git/config", "a/../../b"):
        with pytest.raises(ToolError):
            commit_files(repo.root, parent, {path: content}, Message("m"))


@pytest.fixture(scope="module")
def outcomes() -> Counter[str]:
    return Counter()


@pytest.mark.parametrize("seed", range(SCENARIOS))
def test_whatever_the_user_was_doing_nothing_is_lost(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcomes: Counter[str]
) -> None:
    lab, chance = make_lab(tmp_path, monkeypatch), random.Random(seed)
    lab.commit("model.py", "model\n")
    lab.commit("notes/a b.md", "notes\n")
    tree = winner(lab)
    lab.commit("train.py", "the winner's\n", cwd=tree)
    asked = request(lab, base=chance.choice(["main", "base", "free", "linked"]))
    ours = [tree, lab.one("b", "base").path]
    lab.branch("free", "main")
    lab.git("worktree", "add", "-q", "-b", "linked", str(tmp_path / "linked"))
    theirs = [lab.root, tmp_path / "linked"]
    for place in (*ours, *theirs):
        user = User(lab, place, chance.getrandbits(32))
        for deed in chance.choices(user.deeds, k=chance.choice([0, 1, 2, 3])):
            deed()
    on = {place: head_of(lab, place) for place in (*ours, *theirs)}
    files = {place: snapshot(place, skip=".git") for place in (*ours, *theirs)}
    indexes = {place: index_of(lab, place) for place in theirs}
    could_reach, stood = commits(lab), heads(lab)

    merged = merge(lab.root, asked)

    outcomes[merged.outcome] += 1
    now = heads(lab)
    for place in theirs:
        if on[place] != asked.base or merged.outcome != "merged":
            assert (snapshot(place, skip=".git"), index_of(lab, place)) == (files[place], indexes[place])
    for place in (*ours, *theirs):
        kept = snapshot(place, skip=".git")
        changed = {name for name, held in files[place].items() if kept.get(name) != held}
        assert not changed or merged.outcome == "merged"
        assert all(
            was_committed(lab, name.removeprefix(f"{place}/"), files[place][name], stood[on[place]])
            for name in changed
        )
    outcomes["moved along"] += merged.outcome == "merged" and any(on[place] == asked.base for place in theirs)
    assert could_reach <= commits(lab)
    for name, commit in stood.items():
        assert now[name] == commit or lab.git("merge-base", "--is-ancestor", commit, now[name]) == ""
        assert now[name] == commit or (name in ("topic", asked.base) and merged.outcome == "merged")
    if merged.outcome == "kept":
        assert lab.git("rev-parse", kept_ref(RACE)) == merged.commit


def head_of(lab: Lab, place: Path) -> str:
    return lab.git("rev-parse", "--abbrev-ref", "HEAD", cwd=place, ok=False)


def index_of(lab: Lab, place: Path) -> bytes:
    return (Path(lab.git("rev-parse", "--absolute-git-dir", cwd=place)) / "index").read_bytes()


def was_committed(lab: Lab, path: str, held: str, commit: str) -> bool:
    """Whether a file was as its branch had it, so that moving along was free to change it."""
    found = subprocess.run(
        ["git", "cat-file", "blob", f"{commit}:{path}"], cwd=lab.root, capture_output=True, check=False
    )
    return found.returncode == 0 and hashlib.sha256(found.stdout).hexdigest() == held


def test_the_scenarios_were_of_all_kinds(outcomes: Counter[str]) -> None:
    if outcomes["merged"] + outcomes["kept"] + outcomes["merged before"] < 30:
        pytest.skip("only some of the scenarios ran")
    assert outcomes["merged"] >= 5
    assert outcomes["kept"] >= 5
    assert outcomes["moved along"] >= 2
