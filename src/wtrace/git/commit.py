"""Commits made by plumbing alone: no worktree and no index of the user's is looked at, and no hook of a commit runs."""

from __future__ import annotations

import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.errors import UsageError
from wtrace.git import command
from wtrace.git.branches import commit_of
from wtrace.git.command import run
from wtrace.git.find import common_dir
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from git import Repo
    from git.objects import Commit

AT_ONCE = 200  # paths in one command


@data
class Message:
    """A commit's message. Subject and trailers are data from outside: each is brought onto one line."""

    subject: str
    body: str = ""
    trailers: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """As git keeps it."""
        trailers = "\n".join(f"{name}: {plain(value)}" for name, value in self.trailers)
        return "\n\n".join(part for part in (plain(self.subject), self.body, trailers) if part) + "\n"


@data
class _Desk:
    """A git folder for one commit: it shares objects with the repository, and has an index and a worktree of its own.

    Git is told of it by options: variables such as GIT_INDEX_FILE would be those of a hook that called us.
    """

    folder: Path

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    def git(self, *args: str, ok: tuple[int, ...] | None = (0,)) -> command.Outcome:
        here = (f"--git-dir={self.folder}", f"--work-tree={self.tree}", "-c", "core.sparseCheckout=false")
        return command.run(self.tree, *here, *args, ok=ok)


def require_identity(root: Path) -> None:
    """UsageError unless git knows whose commits these are; one that it would guess from the machine does not count."""
    for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
        outcome = command.run(root, "-c", "user.useConfigOnly=true", "var", who, ok=(0, 1, 128))
        if outcome.code:
            raise UsageError(
                "git does not know who you are, and a commit needs an author",
                seen=command.last_line(outcome),
                hint='git config --global user.name "…" and git config --global user.email "…"',
            )


def commit_files(root: Path, parent: str, files: Mapping[str, bytes | Path], message: Message) -> str:
    """Make a commit on `parent` with these files (path in the repo to content, or to the file that holds it).

    Returns its id; no ref leads to it yet. What the repo's attributes say of a path (LFS, line ends) is heeded.
    UsageError without an identity or without such a parent.
    """
    require_identity(root)
    if commit_of(root, parent) is None:
        raise UsageError(f"the commit {parent} is not in this repository")
    with _desk(root, parent) as desk:
        for path, content in files.items():
            if isinstance(content, bytes):
                _write(desk.tree / path, content)
        _bring_attributes(desk, files)
        blobs = {path: _blob(desk, path, content) for path, content in sorted(files.items())}
        for some in _parts([f"100644,{blob},{path}" for path, blob in blobs.items()]):
            desk.git("update-index", "--add", *(word for info in some for word in ("--cacheinfo", info)))
        tree = desk.git("write-tree").text
    return commit_tree(root, tree, [parent], message)


def commit_tree(root: Path, tree: str, parents: Sequence[str], message: Message) -> str:
    """Make a commit of a tree that is in the repository already; returns its id. UsageError without an identity."""
    require_identity(root)
    with tempfile.TemporaryDirectory(prefix="wtrace-") as folder:
        file = Path(folder) / "message"
        file.write_bytes(message.text.encode("utf-8", errors="backslashreplace"))
        links = [word for parent in parents for word in ("-p", parent)]
        encoding = ("-c", "i18n.commitEncoding=UTF-8")
        return command.run(root, *encoding, "commit-tree", *links, "-F", str(file), tree).text


def goes_to_lfs(root: Path, commit: str, path: str) -> bool:
    """Whether a file at that path would be kept by Git LFS: the commit's attributes say so, and LFS is installed."""
    installed = command.run(root, "config", "--get-regexp", r"^filter\.lfs\.(clean|process)$", ok=(0, 1)).out
    if not installed:
        return False
    with _desk(root, commit) as desk:
        return desk.git("check-attr", "-z", "--cached", "filter", "--", path).items[2:] == ["lfs"]


@contextmanager
def _desk(root: Path, commit: str) -> Iterator[_Desk]:
    with tempfile.TemporaryDirectory(prefix="wtrace-") as folder:
        desk = _Desk(Path(folder).resolve())
        desk.tree.mkdir()
        (desk.folder / "commondir").write_text(f"{common_dir(root)}\n", errors="surrogateescape")
        (desk.folder / "HEAD").write_text("ref: refs/heads/wtrace-has-no-branch\n")
        desk.git("read-tree", commit)
        yield desk


def _bring_attributes(desk: _Desk, paths: Mapping[str, object]) -> None:
    """Lay out the `.gitattributes` of the commit that concern these paths, where hash-object looks for them."""
    folders = {str(parent) for path in paths for parent in Path(path).parents}
    names = [str(Path(folder, ".gitattributes")) for folder in sorted(folders)]
    for some in _parts([name for name in names if name not in paths]):
        desk.git("checkout-index", "--quiet", "--", *some, ok=(0, 1, 128))  # not every folder has one


def _blob(desk: _Desk, path: str, content: bytes | Path) -> str:
    file = desk.tree / path if isinstance(content, bytes) else content
    return desk.git("hash-object", "-w", f"--path={path}", "--", str(file)).text


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _parts(words: Sequence[str]) -> Iterator[Sequence[str]]:
    for begin in range(0, len(words), AT_ONCE):
        yield words[begin : begin + AT_ONCE]


def subject(root: Path, commit: str) -> str | None:
    """The first line of the commit's message; it comes from outside. `commit` is a full id."""
    with _opened(root) as repo:
        found = _commit(repo, commit)
        return None if found is None else str(found.summary)


def changed_between(root: Path, old: str, new: str) -> list[str] | None:
    """The paths whose contents differ between two commits (full ids), sorted; renamed ones under both names."""
    with _opened(root) as repo:
        found = [_commit(repo, commit) for commit in (old, new)]
        files = [_files(commit) for commit in found if commit is not None]
    return None if len(files) < 2 else sorted({path for path, _ in files[0].items() ^ files[1].items()})


@contextmanager
def _opened(root: Path) -> Iterator[Repo | None]:
    try:
        from git import Repo
        from git.exc import GitError
    except ImportError:  # GitPython looks for git when it is imported
        yield None
        return
    try:
        with Repo(root) as repo:
            repo.git.update_environment(**command.restrained_environment())
            yield repo
    except GitError:
        yield None


def _commit(repo: Repo | None, commit: str) -> Commit | None:
    if repo is None or not re.fullmatch("[0-9a-f]{40}", commit):
        return None
    from git.exc import GitError, ODBError

    try:
        found = repo.commit(commit)
        _ = found.tree, found.summary  # read now: what is missing shows here
    except (ValueError, OSError, GitError, ODBError):
        return None
    return found


def _files(commit: Commit) -> dict[str, str]:
    """Path to content id and mode, of everything but folders."""
    entries = (entry for entry in commit.tree.traverse() if entry.type != "tree")  # type: ignore[union-attr]
    return {str(entry.path): f"{entry.hexsha} {entry.mode:o}" for entry in entries}  # type: ignore[union-attr]


LFS_POINTER = b"version https://git-lfs.github.com/spec/"
LONGEST_POINTER = 1024  # bytes


def export_commit(worktree: Path, commit: str, file: Path) -> None:
    """Write the commit's files to a tar archive. ToolError when git fails."""
    run(worktree, "archive", "--format=tar", f"--output={file}", "--end-of-options", commit)


def size_of(worktree: Path, commit: str) -> int:
    """The size of the commit's files together, in bytes."""
    return sum(size for _, size in _sizes(worktree, commit))


def left_out(worktree: Path, commit: str) -> list[str]:
    """What an archive of the commit lacks, named: submodules, and files of which Git LFS has the content."""
    entries = run(worktree, "ls-tree", "-r", "-l", "-z", "--full-tree", commit).items
    missing: list[str] = []
    for entry in entries:
        about, path = entry.split("\t", 1)
        mode, _, blob, size = about.split()
        if mode == "160000":
            missing.append(f"the submodule {path}")
        elif size.isdigit() and int(size) <= LONGEST_POINTER and _is_pointer(worktree, path, blob):
            missing.append(f"the content of {path} (Git LFS)")
    return missing


def _is_pointer(worktree: Path, path: str, blob: str) -> bool:
    if "lfs" not in run(worktree, "check-attr", "filter", "--", path).text.rsplit(": ", 1)[-1]:
        return False
    return run(worktree, "cat-file", "blob", blob).out.startswith(LFS_POINTER)


def largest(worktree: Path, commit: str, count: int = 3) -> list[tuple[str, int]]:
    """The commit's largest files and their sizes in bytes, the largest first."""
    return sorted(_sizes(worktree, commit), key=lambda each: -each[1])[:count]


def _sizes(worktree: Path, commit: str) -> list[tuple[str, int]]:
    entries = run(worktree, "ls-tree", "-r", "-l", "-z", "--full-tree", commit).items
    sizes = [(entry.split("\t", 1)[1], entry.split("\t", 1)[0].split()[3]) for entry in entries]
    return [(path, int(size)) for path, size in sizes if size.isdigit()]
