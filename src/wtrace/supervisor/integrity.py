"""Fair play: the files that judge are the same in every branch, at the start and at a claim; and whose code is imported."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wtrace.data import data
from wtrace.errors import ConfigError
from wtrace.supervisor.jobs.launch import environment_of, python_of, working_directory
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from wtrace.race.context import RaceContext

LARGEST_BYTES = 64 * 1024 * 1024


def judge_digests(worktrees: Mapping[str, Path], files: Sequence[str]) -> dict[str, str]:
    """The sha256 of each file that judges, by its path in the repo. `worktrees` are by branch.

    ConfigError names the branch that lacks a file or has another one, and the first line that differs.
    """
    digests: dict[str, str] = {}
    for name in files:
        contents = {branch: read(worktree, name) for branch, worktree in worktrees.items()}
        first, expected = next(iter(contents.items()))
        for branch, content in contents.items():
            if content is None:
                raise ConfigError(
                    f"judge.files: branch {branch} has no {name}",
                    hint="every branch is judged by the same files: merge it there",
                )
            if content != expected:
                raise ConfigError(
                    f"judge.files: {name} of branch {branch} is not that of branch {first}",
                    seen=_first_difference(expected or b"", content),
                    hint="every branch is judged by the same files: make them byte-equal",
                )
        digests[name] = hashlib.sha256(expected or b"").hexdigest()
    return digests


def changed_judge_file(worktree: Path, digests: Mapping[str, str]) -> str | None:
    """Why a claim from this worktree cannot count: which file that judges is not what it was; None: all are."""
    for name, digest in digests.items():
        content = read(worktree, name)
        if content is None:
            return f"{name}, which judges, is gone from its worktree"
        if hashlib.sha256(content).hexdigest() != digest:
            return f"{name}, which judges, was changed in its worktree"
    return None


def read(worktree: Path, name: str) -> bytes | None:
    """The file's bytes; None where there is no such file, or something else than one that could judge. It never waits."""
    try:
        file = os.open(
            worktree / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        )  # a link of the branch's is followed
        with os.fdopen(file, "rb") as opened:
            info = os.fstat(file)
            is_one = stat.S_ISREG(info.st_mode) and info.st_size <= LARGEST_BYTES
            return opened.read() if is_one else None
    except OSError:
        return None


def _first_difference(one: bytes, other: bytes) -> str:
    import difflib

    lines = difflib.unified_diff(
        one.decode("utf-8", "replace").splitlines(),
        other.decode("utf-8", "replace").splitlines(),
        lineterm="",
        n=0,
    )
    changed = [plain(line, 120) for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    return "\n".join(changed[:2]) or "they differ in line ends or in bytes that cannot be shown"


MOST_S = 30.0
MOST_NAMES = 200
PASSED_OVER = frozenset({"conftest", "setup", "test", "tests", "docs", "doc", "examples", "scripts", "build"})
SOURCE_FOLDERS = ("", "src", "lib", "python")

# Run by the worker's Python from a folder without modules; its path is then what the training's will be. Looking a
# top-level module up runs nothing of it.
PROBE = """
import importlib.util, json, os, sys
names, folder, first = json.loads(sys.argv[1])
os.chdir(folder)
sys.path[:1] = [first] if sys.path[:1] == [""] else [first, *sys.path[:1]]
found = {}
for name in names:
    try:
        spec = importlib.util.find_spec(name)
    except Exception:
        continue
    if spec is not None:
        places = list(spec.submodule_search_locations or [])
        found[name] = spec.origin if spec.has_location else places[0] if places else None
print(json.dumps(found))
"""

Whose = Literal["own", "main", "other"]


@data
class Imported:
    """Where a module of a worktree would be imported from."""

    name: str
    origin: str
    whose: Whose


@data
class Proof:
    """What was found out about one worker. `trouble` says why its Python could not be asked."""

    python: str
    modules: tuple[Imported, ...] = ()
    trouble: str | None = None

    @property
    def foreign(self) -> tuple[Imported, ...]:
        """Modules of the worktree that would come from another checkout of the repo."""
        return tuple(module for module in self.modules if module.whose == "main")


def prove_imports(race: RaceContext, worker: str, inherited: Mapping[str, str], main: Path) -> Proof:
    """Ask the worker's Python where the modules of its worktree would come from. `main` is the main worktree."""
    worktree = Path(race.places[worker].worktree).resolve()
    python = _python(race, worker, worktree)
    names = sorted(set(own_modules(worktree)))[:MOST_NAMES]
    folder = working_directory(race, worker)
    question = json.dumps([names, str(folder), str(_first_on_path(race, worker, folder))])
    env = environment_of(race, worker, Path("/dev/null"), inherited)
    command = [python, "-c", PROBE, question]
    try:
        done = subprocess.run(
            command, cwd="/", env=env, capture_output=True, text=True, timeout=MOST_S, check=False
        )
        found = json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return Proof(python, trouble=str(error))
    if not isinstance(found, dict):
        lines = done.stderr.strip().splitlines()
        return Proof(python, trouble=lines[-1] if lines else f"exit code {done.returncode}")
    modules = [
        Imported(name, origin, _whose(Path(origin), worktree, main.resolve()))
        for name, origin in found.items()
        if isinstance(origin, str)
    ]
    return Proof(python, tuple(modules))


def own_modules(worktree: Path) -> Iterator[str]:
    """The top-level modules and packages that a worktree holds, by the usual places for them."""
    for folder in SOURCE_FOLDERS:
        place = worktree / folder
        for file in sorted(place.glob("*.py")):
            yield from _module(file.stem)
        for file in sorted(place.glob("*/__init__.py")):
            yield from _module(file.parent.name)


def _module(name: str) -> Iterator[str]:
    if re.fullmatch(r"[A-Za-z_]\w*", name) and name not in PASSED_OVER and name not in SOURCE_FOLDERS:
        yield name


def _python(race: RaceContext, worker: str, worktree: Path) -> str:
    """The program where the command names a Python by path, else what `python` means there."""
    first = race.spec.worker(worker).command[0]
    named = Path(first)
    if "/" in first and re.fullmatch(r"python(\d(\.\d+)?)?", named.name):
        return str(working_directory(race, worker) / named)
    return python_of(worktree)


def _first_on_path(race: RaceContext, worker: str, folder: Path) -> Path:
    """What Python puts first: the folder of the script, or the working directory."""
    script = next((word for word in race.spec.worker(worker).command[1:] if word.endswith(".py")), None)
    return folder if script is None else (folder / script).parent


def _whose(origin: Path, worktree: Path, main: Path) -> Whose:
    """Links are followed: a `.venv` that is a link into the main checkout does not make code the worktree's own."""
    origin = origin.resolve()
    if "site-packages" in origin.parts or "dist-packages" in origin.parts:
        return "other"
    if origin.is_relative_to(worktree):
        return "own"
    return "main" if origin.is_relative_to(main) or origin.is_relative_to(worktree.parent) else "other"
