"""A real repository in a temporary folder, for the tests of the repo room."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wtrace.git.worktrees import Prepared, WorktreeRequest, prepare

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


@dataclass
class Lab:
    root: Path
    parent: Path

    def git(self, *args: str, cwd: Path | None = None, ok: bool = True) -> str:
        done = subprocess.run(["git", *args], cwd=cwd or self.root, capture_output=True, check=False)
        assert done.returncode == 0 or not ok, (args, done.stderr.decode())
        return os.fsdecode(done.stdout).removesuffix("\n")

    def commit(self, name: str, text: str, cwd: Path | None = None) -> str:
        file = (cwd or self.root) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        self.git("add", "--", name, cwd=cwd)
        self.git("commit", "--quiet", "-m", f"write {name}", cwd=cwd)
        return self.git("rev-parse", "HEAD", cwd=cwd)

    def branch(self, name: str, at: str = "HEAD") -> str:
        commit = self.git("rev-parse", at)
        self.git("update-ref", f"refs/heads/{name}", commit)
        return commit

    def prepare(self, *pairs: tuple[str, str], base: str | None = None) -> list[Prepared]:
        requests = [WorktreeRequest(worker, branch) for worker, branch in pairs]
        return prepare(self.root, requests, base=base, parent=self.parent)

    def one(self, worker: str = "w", branch: str = "topic", base: str | None = None) -> Prepared:
        return self.prepare((worker, branch), base=base)[0]

    def admin(self, worktree: Path) -> Path:
        return self.root / ".git" / "worktrees" / worktree.name

    def state(self) -> dict[str, str]:
        """Every byte of the repository and of the worktrees, but for wtrace's own lock."""
        return {**snapshot(self.root, skip="wtrace"), **snapshot(self.parent, skip="wtrace")}


def make_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A repository with two commits on main, out of reach of this machine's git configuration."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    lab = Lab((tmp_path / "project").resolve(), (tmp_path / "project-worktrees").resolve())
    init(lab, lab.root)
    lab.commit("train.py", "print('training')\n")
    lab.commit(".gitignore", "outputs/\n.env\n")
    return lab


def init(lab: Lab, folder: Path, *options: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lab.git("init", "--quiet", "--initial-branch=main", *options, cwd=folder)
    for key, value in {"user.name": "Test", "user.email": "test@example.org", "gc.auto": "0"}.items():
        lab.git("config", key, value, cwd=folder)


def snapshot(folder: Path, skip: str | None = None) -> dict[str, str]:
    """Each file and link under a folder with a hash of what it holds; `skip` is a file or folder name to leave out."""
    found = {}
    for path in folder.rglob("*"):
        if skip is not None and skip in path.relative_to(folder).parts:
            continue
        if path.is_symlink():
            found[str(path)] = f"-> {path.readlink()}"
        elif path.is_file():
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def python(code: str, *args: object) -> subprocess.Popen[str]:
    """Python in a process group of its own, with this environment's packages."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.005)
