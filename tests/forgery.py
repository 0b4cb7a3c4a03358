"""A repo as a stranger would make it: records that nobody here made, links, commands where nobody expects them."""

from __future__ import annotations

from pathlib import Path

from race_lab import Lab

EVERY_COMMAND = [
    ["status"], ["status", "--json"], ["watch"], ["logs", "a"], ["run"], ["run", "--resume"], ["stop"], ["pause", "a"],
    ["report"], ["plot"], ["replay"], ["merge"], ["history"], ["clean"], ["setup"], ["export", "--to", "json"],
]  # fmt: skip


def home_of(lab: Lab) -> Path:
    return lab.root / ".wtrace"


def everything_below(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Mode, links, time and content of every entry, so that any change shows; but what readers of SQLite share."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name.endswith(("-shm", "-wal")):
            continue
        about = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path.relative_to(folder))] = (about.st_mode, about.st_nlink, about.st_mtime_ns, content)
    return found


def commit_home(lab: Lab) -> None:
    """Have git track what a race left in `.wtrace/`."""
    (home_of(lab) / ".gitignore").unlink(missing_ok=True)
    lab.git("add", "--force", ".wtrace")
    lab.git("commit", "--quiet", "-m", "a record")
