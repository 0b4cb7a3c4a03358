"""Evidence that the tests of the shipped losses can fail: red with a loss taken away, green with it put back.

    python bench/evidence_of_losses.py FOLDER --commit COMMIT

The shipped approaches were written on one branch, not raced on four, so there is no commit from before each loss. It is
made here, and said so: in a clone of the commit, on each worker's branch, the worker's loss is replaced by one that is
always 0, and `wtrace evidence red` runs its tests; that commit is reverted, and `wtrace evidence green` runs them again.
What both kept is copied to artifacts/. The commits that they name have fixed authors and dates: whoever runs this on the
same commit gets the same ones.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIG = "wtrace.quick.toml"
LOSSES_FILE = "workers/persistence/losses.py"
TESTS = ("tests/test_workers_losses.py", "-p", "no:cacheprovider", "-k")
LOSSES = {
    "attention-supervised": ("attention_gap", "attention"),
    "pretrained-features": ("classification", "classification"),
    "contrastive": ("contrastive", "contrastive"),
    "multi-task": ("duration", "duration"),
}
"""Each worker's loss (of pre-trained features the one on the classes alone), and the word that its tests share."""
NOTHING = '    """Taken away."""\n    return ({}.float() * 0).sum()\n'


def taken_away(source: str, name: str) -> str:
    """The module with a function that is always 0, with a gradient of 0, in the place of the one of that name."""
    (function,) = [
        node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == name
    ]
    lines = source.splitlines(keepends=True)
    nothing = NOTHING.format(function.args.args[0].arg)
    return "".join([*lines[: function.body[0].lineno - 1], nothing, *lines[function.end_lineno :]])


class Clone:
    """A clone with a worktree per worker, in which everything has the same author and date."""

    def __init__(self, folder: Path, commit: str) -> None:
        self.root = folder / "repo"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(self.root)], check=True)
        date = self.git("show", "--no-patch", "--format=%cI", commit).strip()
        self.env = {
            **os.environ,
            "HOME": str(folder),
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{f"GIT_{who}_NAME": "wtrace" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "wtrace@example.org" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_DATE": date for who in ("AUTHOR", "COMMITTER")},
        }
        self.git("switch", "--quiet", "--detach", commit)
        self.wtrace("setup", "--config", CONFIG, "--trust")

    def git(self, *args: str, at: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *args],
            cwd=at or self.root,
            env=getattr(self, "env", None),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout

    def wtrace(self, *args: str) -> None:
        subprocess.run([sys.executable, "-m", "wtrace", *args], cwd=self.root, env=self.env, check=True)

    def prove(self, worker: str, loss: str, word: str) -> None:
        """Red without the loss, green with it; both on the worker's branch."""
        tree = self.root.parent / "repo-worktrees" / worker
        file = tree / LOSSES_FILE
        file.write_text(taken_away(file.read_text(), loss))
        self.git("commit", "--quiet", "-am", f"Take {loss} away: it is 0", at=tree)
        for colour in ("red", "green"):
            self.wtrace("evidence", colour, worker, "--config", CONFIG, "--trust", "--", *TESTS, word)
            if colour == "red":
                self.git("revert", "--no-edit", "HEAD~1", at=tree)
        shutil.copytree(tree / "artifacts", ROOT / "artifacts", dirs_exist_ok=True)


def main() -> None:
    """Take the evidence of every loss."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--commit", default="HEAD")
    args = parser.parse_args()
    args.folder.mkdir(parents=True)
    commit = subprocess.run(
        ["git", "rev-parse", args.commit], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
    clone = Clone(args.folder.resolve(), commit)
    for worker, (loss, word) in LOSSES.items():
        clone.prove(worker, loss, word)


if __name__ == "__main__":
    main()
