"""Worktrees that can train: files brought along, submodules, Git LFS, sparse checkouts. Real repositories."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from repo_lab import Lab, init, make_lab, snapshot
from wtrace import files
from wtrace.config.spec import IncludeSpec
from wtrace.errors import UsageError
from wtrace.git import copies
from wtrace.git.changes import changed_files, patch
from wtrace.git.clean import clean
from wtrace.git.worktree_plan import WorktreeRequest
from wtrace.git.worktrees import Prepared, prepare

ALLOWED = '[protocol "file"]\nallow = always\n'
COPY_OF_DATA = IncludeSpec("data/")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    made = make_lab(tmp_path, monkeypatch)
    write(made.root / ".env", "TOKEN=1\n")
    write(made.root / "data" / "deep" / "a.bin", "a" * 1000)
    write(made.root / "data" / "run.sh", "#!/bin/sh\n").chmod(0o755)
    made.branch("topic")
    return made


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def make(lab: Lab, *items: str | IncludeSpec, sparse: tuple[str, ...] = ()) -> Prepared:
    specs = tuple(IncludeSpec(item) if isinstance(item, str) else item for item in items)
    request = WorktreeRequest("w", "topic", specs, sparse)
    return prepare(lab.root, [request], base=None, parent=lab.parent)[0]


def said(prepared: Prepared) -> str:
    return "; ".join(prepared.notes)


def test_untracked_files_are_copied_with_their_modes_and_told(lab: Lab) -> None:
    made = make(lab, ".env", COPY_OF_DATA)
    assert snapshot(made.path / "data").keys() == {
        str(made.path / "data" / name) for name in ("deep/a.bin", "run.sh")
    }
    assert (made.path / ".env").read_text() == "TOKEN=1\n"
    assert os.access(made.path / "data" / "run.sh", os.X_OK)
    assert "brought along: .env, data/deep/a.bin, data/run.sh" in said(made)
    again = make(lab, ".env", COPY_OF_DATA)
    assert (again.notes, again.dirty) == ((), ())


def test_a_branch_cannot_write_an_original_through_what_was_brought(lab: Lab) -> None:
    lab.commit("data/kept.txt", "tracked\n")
    lab.git("branch", "--force", "topic")
    (lab.root / "data" / "inner").symlink_to("deep/a.bin")
    (lab.root / "data" / "absolute").symlink_to(lab.root / "data" / "deep" / "a.bin")
    (lab.root / "data" / "escape").symlink_to("../.env")
    os.mkfifo(lab.root / "data" / "fifo")
    before = snapshot(lab.root, skip=".git")
    made = make(lab, COPY_OF_DATA)
    for file in (made.path / "data").rglob("*"):
        if file.is_file():
            file.write_text("written by the branch\n")
    assert snapshot(lab.root, skip=".git") == before
    assert (made.path / "data" / "inner").is_symlink()
    assert not os.path.lexists(made.path / "data" / "absolute")
    for name in ("absolute", "escape"):
        assert f"data/{name} (a link that leads out of data)" in said(made)
    assert not os.path.lexists(made.path / "data" / "fifo")


def test_a_link_that_leads_out_through_another_is_not_brought(lab: Lab) -> None:
    (lab.root / "data" / "deep" / "top").symlink_to("..")
    (lab.root / "data" / "out").symlink_to("deep/top/../.env")  # `data/deep/.env` to who does not look
    made = make(lab, COPY_OF_DATA)
    assert (made.path / "data" / "deep" / "top").readlink() == Path("..")
    assert not os.path.lexists(made.path / "data" / "out")
    assert "data/out (a link that leads out of data)" in said(made)


def test_a_draft_is_never_written_through_a_link_of_the_branchs(lab: Lab, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    tree = lab.one("x", "topic").path
    (tree / f"{copies.DRAFT}.env").symlink_to(mine)
    lab.git("add", "--force", f"{copies.DRAFT}.env", cwd=tree)
    lab.git("commit", "--quiet", "-m", "a link where the draft will be", cwd=tree)
    lab.git("worktree", "remove", str(tree))
    made = make(lab, ".env")
    assert mine.read_text() == "mine"
    assert (made.path / ".env").read_text() == (lab.root / ".env").read_text()


def test_a_link_only_where_it_is_asked_for(lab: Lab) -> None:
    made = make(lab, IncludeSpec("data/", link=True))
    assert (made.path / "data").readlink() == lab.root / "data"
    assert make(lab, IncludeSpec("data/", link=True)).notes == ()
    assert changed_files(made.path) == ()
    assert [cleaned.removed for cleaned in clean(lab.root)] == [True]
    assert (lab.root / "data" / "deep" / "a.bin").exists()


def test_what_the_worktree_has_is_never_overwritten(lab: Lab) -> None:
    made = make(lab, ".env", COPY_OF_DATA)
    write(made.path / ".env", "TOKEN=own\n")
    write(lab.root / "data" / "run.sh", "#!/bin/bash\n")
    write(lab.root / "data" / "new", "new\n")
    again = make(lab, ".env", COPY_OF_DATA)
    assert (made.path / ".env").read_text() == "TOKEN=own\n"
    assert (made.path / "data" / "run.sh").read_text() == "#!/bin/sh\n"
    assert (made.path / "data" / "new").read_text() == "new\n"
    assert "it has its own: .env" in said(again)


def test_a_link_of_the_branchs_does_not_lead_a_copy_elsewhere(lab: Lab, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    tree = lab.one("x", "topic").path
    (tree / "data").symlink_to(elsewhere)
    lab.git("add", "data", cwd=tree)
    lab.git("commit", "--quiet", "-m", "a link", cwd=tree)
    lab.git("worktree", "remove", str(tree))
    made = make(lab, COPY_OF_DATA)
    assert list(elsewhere.iterdir()) == []
    assert "in the way: data" in said(made)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (IncludeSpec("nowhere"), "has no nowhere"),
        (IncludeSpec("linked/a"), "through a link"),
        (IncludeSpec("linked"), "through a link"),
        (IncludeSpec("linked/a", link=True), "through a link"),
    ],
)
def test_what_cannot_be_brought_is_told_before_anything_is_made(
    lab: Lab, tmp_path: Path, item: IncludeSpec, words: str
) -> None:
    write(tmp_path / "outside" / "a", "secret\n")
    (lab.root / "linked").symlink_to(tmp_path / "outside")
    before = lab.state()
    with pytest.raises(UsageError, match=words):
        make(lab, item)
    assert lab.state() == before


def test_a_link_of_ones_own_may_be_linked_to_when_asked(lab: Lab, tmp_path: Path) -> None:
    write(tmp_path / "outside" / "a", "big\n")
    (lab.root / "linked").symlink_to(tmp_path / "outside")
    made = make(lab, IncludeSpec("linked", link=True))
    assert (made.path / "linked" / "a").read_text() == "big\n"


def test_copies_that_were_not_touched_are_no_work_and_changed_ones_are(lab: Lab) -> None:
    made = make(lab, ".env", COPY_OF_DATA)
    assert changed_files(made.path) == ()
    assert patch(made.path) == b"", "a secret does not get into a race's record"
    file = made.path / "data" / "deep" / "a.bin"
    times = file.stat()
    file.write_text("b" * 1000)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # the same size and time, but another file
    assert changed_files(made.path) == ("data/deep/a.bin",)
    (kept,) = clean(lab.root)
    assert not kept.removed
    assert kept.reasons == ("untracked: data/deep/a.bin",)
    shutil.copy2(lab.root / "data" / "deep" / "a.bin", file)
    file.unlink()
    make(lab, ".env", COPY_OF_DATA)
    assert [cleaned.removed for cleaned in clean(lab.root)] == [True]
    assert not made.path.exists()


def test_an_ignored_copy_that_was_changed_is_kept(lab: Lab) -> None:
    made = make(lab, ".env")
    write(made.path / ".env", "TOKEN=changed\n")
    (kept,) = clean(lab.root)
    assert kept.reasons == ("ignored by git, but yours: .env",)


def test_a_copy_that_was_cut_off_is_made_anew_and_is_no_work(lab: Lab) -> None:
    made = make(lab)
    write(made.path / "data" / f"{copies.DRAFT}run.sh", "#!/b")
    assert changed_files(made.path) == ()
    make(lab, COPY_OF_DATA)
    assert (made.path / "data" / "run.sh").read_text() == "#!/bin/sh\n"
    assert not (made.path / "data" / f"{copies.DRAFT}run.sh").exists()
    assert [cleaned.removed for cleaned in clean(lab.root)] == [True]


def test_tracked_files_and_repositories_of_their_own_are_not_brought(lab: Lab) -> None:
    init(lab, lab.root / "data" / "nested")
    lab.commit("x", "y\n", cwd=lab.root / "data" / "nested")
    lab.commit("data/tracked.txt", "main's\n")
    made = make(lab, COPY_OF_DATA)
    assert not (made.path / "data" / "tracked.txt").exists()
    assert "data/nested/ (a repository of its own)" in said(made)


def test_copies_share_their_blocks_where_the_file_system_can(tmp_path: Path) -> None:
    """FICLONE needs btrfs or XFS: a small image of one, mounted for the test."""
    tool = next((name for name in ("mkfs.btrfs", "mkfs.xfs") if shutil.which(name)), None)
    if tool is None or os.geteuid() != 0:
        pytest.skip("needs root and mkfs.btrfs or mkfs.xfs")
    image, mount = tmp_path / "image", tmp_path / "mount"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(320 << 20)
    subprocess.run([tool, "-q", str(image)], check=True, capture_output=True)
    if subprocess.run(
        ["mount", "-o", "loop", str(image), str(mount)], capture_output=True, check=False
    ).returncode:
        pytest.skip("cannot mount an image here")
    try:
        source, target = mount / "a", mount / "b"
        source.write_bytes(os.urandom(50 << 20))
        settle = ["sync", "-f", str(mount)]
        subprocess.run(settle, check=True)
        before = shutil.disk_usage(mount).used
        with files.opened(mount) as folder:
            copies._copy(source, folder, target.name)
        subprocess.run(settle, check=True)
        assert target.read_bytes() == source.read_bytes()
        assert shutil.disk_usage(mount).used - before < 10 << 20
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_elsewhere_they_are_copied(lab: Lab) -> None:
    with (lab.root / ".env").open() as one, (lab.root / "other").open("w") as other:
        try:
            fcntl.ioctl(other.fileno(), copies.FICLONE, one.fileno())
        except OSError as error:
            assert error.errno in (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY)
    (lab.root / "other").unlink()
    assert (make(lab, ".env").path / ".env").read_text() == "TOKEN=1\n"


@pytest.fixture
def library(lab: Lab, tmp_path: Path) -> Path:
    """A submodule of main's at lib/, which has one of its own; the repositories that they came from can go away."""
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    for folder in (inner, outer):
        init(lab, folder)
    lab.commit("deep.txt", "deep\n", cwd=inner)
    allowed = ("-c", "protocol.file.allow=always")
    lab.git(*allowed, "submodule", "--quiet", "add", str(inner), "inner", cwd=outer)
    lab.commit("lib.txt", "lib\n", cwd=outer)
    lab.git(*allowed, "submodule", "--quiet", "add", str(outer), "lib")
    lab.git(*allowed, "submodule", "--quiet", "update", "--init", "--recursive")
    lab.git("commit", "--quiet", "-m", "a submodule")
    lab.git("branch", "--force", "topic")
    return outer


def test_submodules_are_filled_from_the_main_worktree_without_their_origin(lab: Lab, library: Path) -> None:
    library.rename(library.with_name("gone"))
    library.with_name("inner").rename(library.with_name("gone-too"))
    made = make(lab)
    assert (made.path / "lib" / "lib.txt").read_text() == "lib\n"
    assert (made.path / "lib" / "inner" / "deep.txt").read_text() == "deep\n"
    assert lab.git("remote", "get-url", "origin", cwd=made.path / "lib") == str(library)
    assert (made.notes, changed_files(made.path)) == ((), ())
    assert make(lab).notes == ()
    assert [cleaned.removed for cleaned in clean(lab.root)] == [True]


def test_a_commit_that_main_does_not_have_comes_from_the_origin(
    lab: Lab, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = lab.commit("lib.txt", "newer\n", cwd=library)
    tree = lab.one("x", "topic").path
    lab.git("update-index", "--cacheinfo", f"160000,{newer},lib", cwd=tree)
    lab.git("commit", "--quiet", "-m", "a newer lib", cwd=tree)
    lab.git("worktree", "remove", "--force", str(tree))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(write(lab.parent.parent / "config", ALLOWED)))
    made = make(lab)
    assert (made.path / "lib" / "lib.txt").read_text() == "newer\n"


def test_a_submodule_that_cannot_be_had_is_told_and_the_worktree_stands(lab: Lab, library: Path) -> None:
    lab.git("submodule", "--quiet", "deinit", "--force", "--all")
    shutil.rmtree(lab.root / ".git" / "modules")
    library.rename(library.with_name("gone"))
    made = make(lab)
    assert "submodule lib could not be filled" in said(made)
    assert (made.path / "train.py").exists()


def test_work_in_a_submodule_stays_as_it_is(lab: Lab, library: Path) -> None:
    made = make(lab)
    for key, value in {"user.name": "Test", "user.email": "test@example.org"}.items():
        lab.git("config", key, value, cwd=made.path / "lib")
    commit = lab.commit("lib.txt", "edited\n", cwd=made.path / "lib")
    make(lab)
    assert lab.git("rev-parse", "HEAD", cwd=made.path / "lib") == commit
    assert not clean(lab.root)[0].removed


def put_into_lfs(lab: Lab) -> None:
    lab.git("lfs", "install", "--local", "--skip-smudge")
    lab.git("lfs", "track", "*.bin")
    lab.commit("weights.bin", "big weights\n")
    lab.git("add", ".gitattributes")
    lab.git("commit", "--quiet", "-m", "lfs")
    lab.git("branch", "--force", "topic")


@pytest.mark.skipif(shutil.which("git-lfs") is None, reason="needs git-lfs")
def test_files_in_lfs_are_fetched(lab: Lab) -> None:
    put_into_lfs(lab)
    made = make(lab)
    assert (made.path / "weights.bin").read_text() == "big weights\n"
    assert (made.notes, changed_files(made.path)) == ((), ())


@pytest.mark.skipif(shutil.which("git-lfs") is None, reason="needs git-lfs")
def test_files_that_lfs_cannot_fetch_are_named(lab: Lab) -> None:
    put_into_lfs(lab)
    shutil.rmtree(lab.root / ".git" / "lfs" / "objects")
    made = make(lab)
    assert "weights.bin: only pointers; Git LFS could not fetch them" in said(made)


def test_without_git_lfs_pointers_are_told(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    lab.commit("weights.bin", pointer)
    lab.commit(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
    lab.git("branch", "--force", "topic")
    bare = tmp_path / "bin"
    bare.mkdir()
    for name in ("git", "env", "sh"):
        (bare / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(bare))
    monkeypatch.setenv("GIT_EXEC_PATH", lab.git("--exec-path"))
    made = make(lab)
    assert "weights.bin: only pointers; install git-lfs" in said(made)


def test_a_sparse_worktree_has_the_folders_it_asks_for_and_the_files_at_the_root(lab: Lab) -> None:
    for name in ("src/a.py", "src/deep/b.py", "docs/page.md", "assets/big"):
        lab.commit(name, f"{name}\n")
    lab.git("branch", "--force", "topic")
    made = make(lab, sparse=("src/",))
    assert {file.name for file in made.path.iterdir()} == {".git", ".gitignore", "train.py", "src"}
    assert (made.path / "src" / "deep" / "b.py").exists()
    assert lab.git("symbolic-ref", "--short", "HEAD", cwd=made.path) == "topic"
    assert (lab.root / "docs" / "page.md").exists(), "the main worktree is as it was"
    assert (make(lab, sparse=("src",)).notes, changed_files(made.path)) == ((), ())
    make(lab, sparse=("src", "docs"))
    assert (made.path / "docs" / "page.md").exists()
    assert [cleaned.removed for cleaned in clean(lab.root)] == [True]
