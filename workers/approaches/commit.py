"""Give an approach's branch its commit: the files of the approach in place of the base's, its hypothesis as message.

    python workers/approaches/commit.py NAME        in the worktree of the branch

This is the set-up of the shipped race (`setup` in its configs). Where the branch has commits of its own, or these files
were changed, nothing is done. The commit depends on the base and these files alone, so that it has the same id in every
clone. Standard library only.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path

BASE = "early-persistence/magvit"
HERE = Path(__file__).resolve().parent
WORKERS = HERE.parent
AUTHOR = {"NAME": "The shipped race", "EMAIL": "shipped-race@wtrace.invalid"}
# As it is everywhere: no hooks, signatures, line ends or housekeeping of this machine's.
SETTINGS = ("core.hooksPath=/dev/null", "commit.gpgSign=false", "core.autocrlf=false", "gc.auto=0")


def main() -> None:
    """Commit from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("approach", metavar="NAME", choices=sorted(names()))
    parser.add_argument(
        "--base", default=BASE, help="the branch that the approaches depart from (%(default)s)"
    )
    args = parser.parse_args()
    try:
        print(commit(HERE / args.approach.replace("-", "_"), args.base), flush=True)
    except subprocess.CalledProcessError as error:
        sys.exit(f"commit.py: git {error.cmd[-1]}: {(error.stderr or '').strip() or error}")


def names() -> list[str]:
    """The approaches, by the names of their workers."""
    return [file.parent.name.replace("_", "-") for file in HERE.glob("*/__init__.py")]


def commit(approach: Path, base: str) -> str:
    """Commit the approach where that is still to be done; what was done, in words."""
    files = [file for file in sorted(approach.glob("*.py")) if file.name != "__init__.py"]
    files = [file for file in files if file.read_bytes() != read(WORKERS / file.name)]
    if not files:
        return "this branch holds the approach already"
    if not is_worktree():  # an export of the commit, on another machine
        copy(files)
        return "this is no git worktree: the files of the approach were copied"
    paths = [f"workers/{file.name}" for file in files]
    if git("rev-list", "-n1", f"{base}..HEAD"):
        return f"this branch has commits beyond {base}: it is used as it is"
    if git("status", "--porcelain", "--", *paths):
        return f"{', '.join(paths)} was changed here: it is used as it is"
    copy(files)
    git("add", "--", *paths)
    git("commit", "--quiet", "--no-verify", "--message", message(approach), "--only", "--", *paths)
    return f"committed {git('log', '-1', '--format=%h %s')}"


def copy(files: list[Path]) -> None:
    """The approach's files in place of the base's."""
    for file in files:
        (WORKERS / file.name).write_bytes(file.read_bytes())


def read(file: Path) -> bytes | None:
    """The bytes of a file; None where there is none."""
    return file.read_bytes() if file.exists() else None


def message(approach: Path) -> str:
    """The approach in a line, and its hypothesis."""
    return inspect.cleandoc(ast.get_docstring(ast.parse((approach / "__init__.py").read_text())) or "")


def is_worktree() -> bool:
    """Whether git knows this very folder as a worktree."""
    try:
        return Path(git("rev-parse", "--show-toplevel")).resolve() == WORKERS.parent
    except (OSError, subprocess.CalledProcessError):
        return False


def git(*command: str) -> str:
    """What git said. CalledProcessError where it failed."""
    settings = [word for setting in SETTINGS for word in ("-c", setting)]
    return subprocess.run(
        ["git", *settings, *command],
        cwd=WORKERS.parent,
        env={**os.environ, **author()} if command[0] == "commit" else None,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def author() -> dict[str, str]:
    """Author and committer, at the time of the commit before."""
    date = f"@{git('log', '-1', '--format=%ct')} +0000"
    values = {**AUTHOR, "DATE": date}
    return {f"GIT_{who}_{name}": value for who in ("AUTHOR", "COMMITTER") for name, value in values.items()}


if __name__ == "__main__":
    main()
