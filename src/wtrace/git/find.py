"""Where a repository lies. Reads git's own files instead of calling git: `status` asks this first, and in a hurry."""

from __future__ import annotations

import re
from pathlib import Path

from wtrace.errors import ToolError, UsageError

_BARE = re.compile(r"^\s*bare\s*(=\s*(true|yes|on|1)\s*)?$", re.IGNORECASE | re.MULTILINE)
_WORKTREE = re.compile(r"^\s*worktree\s*=", re.IGNORECASE | re.MULTILINE)


def find_root(start: Path) -> Path:
    """The main worktree's folder, from anywhere inside it or inside one of its linked worktrees.

    Variables like GIT_DIR have no say. UsageError outside a repository, in a bare one, and in one that has no
    commit yet.
    """
    try:
        start = start.resolve()
        root = _search(start)
        git_dir = common_dir(root)
        if not _has_commit(git_dir) and not _git(git_dir, "for-each-ref", "--count=1"):
            raise UsageError(
                f"the repository {root} has no commit yet", hint='make one: git add … && git commit -m "…"'
            )
    except PermissionError as error:
        raise ToolError(f"cannot look for a git repository from {start}", seen=str(error)) from error
    return root


def common_dir(root: Path) -> Path:
    """The git folder that all worktrees of a repository share, given its main worktree (or any linked one)."""
    dot_git = root / ".git"
    return (dot_git if dot_git.is_dir() else common_of(git_dir_of(root))).resolve()


def git_dir_of(worktree: Path) -> Path:
    """The git folder that belongs to this worktree alone; UsageError when its `.git` says nothing of use."""
    dot_git = worktree / ".git"
    if dot_git.is_dir():
        return dot_git
    target = pointed_to(dot_git)
    if target is None:
        raise UsageError(f"not a git repository: {worktree}", seen=f"{dot_git} names no git folder")
    return target


def pointed_to(dot_git: Path) -> Path | None:
    """The folder that a `.git` file names (`gitdir: …`), whether it exists or not; None when it is no such file."""
    try:
        first, _, folder = dot_git.read_text(errors="surrogateescape").partition(" ")
    except (OSError, ValueError):
        return None
    return (dot_git.parent / folder.rstrip("\n")).resolve() if first == "gitdir:" and folder.strip() else None


def common_of(git_dir: Path) -> Path:
    """The shared git folder, given that of one worktree."""
    try:
        return (git_dir / (git_dir / "commondir").read_text().rstrip("\n")).resolve()
    except OSError:
        return git_dir


def _search(start: Path) -> Path:
    for folder in (start, *start.parents):
        dot_git = folder / ".git"
        if _is_git_dir(dot_git):
            return _unless_bare(dot_git, folder)
        if dot_git.is_file():
            return _main_of_linked(folder)
        if _is_git_dir(folder) and folder.name != ".git":
            _unless_bare(folder, folder)
            raise UsageError(f"{start} is inside a git folder", hint="go to a worktree of the repository")
    raise UsageError(
        f"not a git repository: {start}", hint="go into your repository, or try `git init` and make a commit"
    )


def _main_of_linked(folder: Path) -> Path:
    git_dir = git_dir_of(folder)
    if not git_dir.is_dir():
        raise UsageError(
            f"{folder} was a worktree of a repository that is not where it was",
            seen=f"its .git file names {git_dir}",
            hint="in the repository, try `git worktree repair` with this folder",
        )
    common = common_of(git_dir)
    if common == git_dir:  # a submodule, or a repository made with --separate-git-dir
        return folder
    if _matches(_WORKTREE, common):  # a worktree of a submodule
        return (common / _git(common, "config", "core.worktree")).resolve()
    _unless_bare(common, folder)
    if common.name == ".git":
        return common.parent
    raise UsageError(
        f"cannot tell where the main worktree of {common} is", hint="start there, not in a linked worktree"
    )


def _unless_bare(git_dir: Path, root: Path) -> Path:
    if _matches(_BARE, git_dir) and _git(git_dir, "rev-parse", "--is-bare-repository") == "true":
        raise UsageError(
            f"the repository {git_dir} is bare: it has no main worktree in which a race could be kept",
            hint="clone it (`git clone PATH`) and race there",
        )
    return root


def _is_git_dir(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()


def _matches(pattern: re.Pattern[str], git_dir: Path) -> bool:
    """Whether the repository's configuration may say so; git itself is asked only then."""
    files = [git_dir / "config", git_dir / "config.worktree"]
    return any(pattern.search(file.read_text(errors="replace")) for file in files if file.is_file())


def _has_commit(git_dir: Path) -> bool:
    """Whether a commit can be seen from the files alone; False means only that git must be asked."""
    if not (git_dir / "HEAD").read_text().startswith("ref:"):
        return True
    packed = git_dir / "packed-refs"
    if packed.is_file() and any(not line.startswith(b"#") for line in packed.read_bytes().splitlines()):
        return True
    return any(found.is_file() for found in (git_dir / "refs" / "heads").rglob("*"))


def _git(git_dir: Path, *args: str) -> str:
    from wtrace.git import command

    return command.run(git_dir, f"--git-dir={git_dir}", *args, ok=(0, 1)).text
