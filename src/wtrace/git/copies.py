"""Untracked files of the main worktree brought along into a worker's: copies, which share their blocks where the
file system can, or links where the config asks for them.

Nothing that lies there is overwritten. A copy leads nowhere: neither a hard link nor a link of the main worktree's that
would let a branch write to an original becomes a part of it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import filecmp
import json
import os
import shutil
import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from wtrace import files
from wtrace.errors import ToolError, UsageError
from wtrace.git import command, registry
from wtrace.git.lock import name_some

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wtrace.config.spec import IncludeSpec

NOTE = "wtrace-included"
DRAFT = ".wtrace-draft-"
"""A copy that is being made; what a kill leaves of it goes with the caches."""

FICLONE = 0x40049409  # linux/fs.h: let the new file share the blocks of the old one
COPIED_AT_ONCE = 4 * 1024 * 1024  # bytes

Mark = list[int | str]


@dataclass(slots=True)
class _Brought:
    """What became of one worker's files, by their paths in the repo."""

    marks: dict[str, Mark]  # of what was brought, now and before
    new: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def check(root: Path, worker: str, items: Sequence[IncludeSpec]) -> None:
    """UsageError for what the main worktree does not have, or has only through a link."""
    for item in items:
        path = _clean(item.path)
        if not os.path.lexists(root / path):
            raise UsageError(
                f"workers.{worker}.include: the main worktree has no {item.path}",
                seen=f"it would be {root / path}",
            )
        link = next((part for part in (*reversed(path.parents), path) if (root / part).is_symlink()), None)
        if link is not None and not (item.link and link == path):
            raise UsageError(
                f"workers.{worker}.include: {item.path} is reached through a link",
                seen=f"{root / link} leads to {_link_of(root / link)}",
                hint=f'a copy never follows links; for a link to it: include = [{{ path = "{link}", link = true }}]',
            )


def bring(root: Path, worktree: Path, items: Sequence[IncludeSpec]) -> list[str]:
    """Bring along what is not there yet; what there is to say about it. ToolError where the disk does not let us."""
    if not items:
        return []
    brought = _Brought(_marks(worktree))
    try:
        for item in items:
            _bring_one(root, worktree, item, brought)
    except OSError as error:
        raise ToolError(f"cannot bring files along to {worktree}", seen=str(error)) from error
    finally:
        if brought.new:
            with contextlib.suppress(OSError):  # `clean` then takes them for the user's
                registry.write_note(worktree, NOTE, json.dumps(brought.marks))
    return _told(brought)


def unchanged(worktree: Path, names: Sequence[str]) -> set[str]:
    """Of these paths those that were brought along and have not been touched since: no work of anybody's."""
    marks = _marks(worktree)
    return {name for name in names if name in marks and _mark(worktree / name) == marks[name]}


def brought(worktree: Path) -> set[str]:
    """All that was ever brought along to this worktree, whatever has become of it since."""
    return set(_marks(worktree))


def _told(brought: _Brought) -> list[str]:
    said = [f"brought along: {name_some(brought.new)}"] if brought.new else []
    if brought.differing:
        names = name_some(brought.differing)
        said.append(f"not brought along, it has its own: {names} (delete it there to have it brought)")
    if brought.left_out:
        said.append(f"not brought along: {name_some(brought.left_out)}")
    return said


def _bring_one(root: Path, worktree: Path, item: IncludeSpec, brought: _Brought) -> None:
    path = _clean(item.path)
    if item.link:
        _link(root, worktree, path, brought)
        return
    for name in _untracked(root, path):
        kind = _kind(root / name)
        if name.endswith("/"):
            brought.left_out.append(f"{name} (a repository of its own)")
        elif kind == "link" and not _stays_inside(root, path, PurePosixPath(name)):
            brought.left_out.append(f"{name} (a link that leads out of {path})")
        elif kind == "other":
            brought.left_out.append(f"{name} (no file)")
        elif kind is not None:
            _place(root, worktree, name, brought, is_link=kind == "link")


def _untracked(root: Path, path: PurePosixPath) -> Iterator[str]:
    """The files at or below the path that git does not track, ignored ones included; wtrace's own are left out."""
    literal = {"GIT_LITERAL_PATHSPECS": "1"}
    for name in command.run(root, "ls-files", "--others", "-z", "--", str(path), env=literal).items:
        if not name.startswith(".wtrace/"):
            yield name


def _place(root: Path, worktree: Path, name: str, brought: _Brought, *, is_link: bool) -> None:
    source, target = root / name, worktree / name
    with _folder_of(worktree, PurePosixPath(name), brought) as folder:
        if folder is None:
            return
        if os.path.lexists(target):
            if not (_mark(target) == brought.marks.get(name) or _is_same(source, target, is_link=is_link)):
                brought.differing.append(name)
            return
        if is_link:
            os.symlink(source.readlink(), target.name, dir_fd=folder)
        else:
            _copy(source, folder, target.name)
        _note(brought, name, target)


def _link(root: Path, worktree: Path, path: PurePosixPath, brought: _Brought) -> None:
    target = worktree / path
    with _folder_of(worktree, path, brought) as folder:
        if folder is None:
            return
        if not os.path.lexists(target):
            os.symlink(root / path, target.name, dir_fd=folder)
            _note(brought, str(path), target)
        elif _link_of(target) != str(root / path):
            brought.differing.append(str(path))


def _note(brought: _Brought, name: str, target: Path) -> None:
    mark = _mark(target)
    assert mark is not None
    brought.new.append(name)
    brought.marks[name] = mark


@contextlib.contextmanager
def _folder_of(worktree: Path, path: PurePosixPath, brought: _Brought) -> Iterator[int | None]:
    """The folder that the path is to be put into, made where it is missing.

    None, and told, where something of the branch's is in the way: a link of its could lead anywhere.
    """
    parents = path.parent.parts
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(files.opened(worktree, parents, make=True))
        except OSError as error:
            if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                raise
            way = [PurePosixPath(*parents[: index + 1]) for index in range(len(parents))]
            blocked = next((each for each in way if _kind(worktree / each) != "folder"), path.parent)
            brought.differing.append(f"{path} (in the way: {blocked})")
            yield None
        else:
            yield folder


def _copy(source: Path, folder: int, name: str) -> None:
    """A copy with the original's mode and time. It appears once, whole, and never in the place of something else."""
    draft = f"{DRAFT}{name}"[:255]
    files.remove(draft, folder)
    try:
        with os.fdopen(files.open_regular(source), "rb") as original:
            status = os.fstat(original.fileno())
            with os.fdopen(files.new_file(draft, folder), "wb") as copy:
                try:
                    fcntl.ioctl(copy.fileno(), FICLONE, original.fileno())
                except OSError:  # another file system, or one that cannot
                    shutil.copyfileobj(original, copy, COPIED_AT_ONCE)
                copy.flush()
                os.fchmod(copy.fileno(), stat.S_IMODE(status.st_mode) & 0o777 | stat.S_IWUSR)
                os.utime(copy.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
        os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        files.remove(draft, folder)


def _is_same(source: Path, target: Path, *, is_link: bool) -> bool:
    if is_link or target.is_symlink():
        return _link_of(source) == _link_of(target)
    return target.is_file() and filecmp.cmp(source, target, shallow=False)


def _stays_inside(root: Path, item: PurePosixPath, link: PurePosixPath) -> bool:
    """Whether a link is relative and leads to something at or below the item, which is brought along too."""
    below = len(link.parent.parts) - len(item.parts)
    return files.leads_inside(str((root / link).readlink()), below)


def _kind(path: Path) -> str | None:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return None  # gone meanwhile
    if stat.S_ISLNK(mode):
        return "link"
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


def _mark(path: Path) -> Mark | None:
    """By what a file is known not to have been written to: as git does, and with the time that nobody can set."""
    try:
        status = path.lstat()
    except OSError:
        return None
    link = str(path.readlink()) if stat.S_ISLNK(status.st_mode) else ""
    return [link, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _link_of(path: Path) -> str | None:
    return str(path.readlink()) if path.is_symlink() else None


def _marks(worktree: Path) -> dict[str, Mark]:
    try:
        found: object = json.loads(registry.read_note(worktree, NOTE) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _clean(path: str) -> PurePosixPath:
    return PurePosixPath(os.path.normpath(path))
