"""Figure 10: 16 worktrees at once, by one command for all and by 16 processes that want one each, without a failure.

Floor: git's own `git worktree add`, one after another.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from lab import Lab, lab
from measure import interleave, options, ratio_row, tell, worst_row

from wtrace.git import command
from wtrace.git.worktrees import WorktreeRequest, prepare

LIMIT = 1.2


class Rounds:
    """Each round begins without worktrees; failures are counted over all of them."""

    def __init__(self, found: Lab) -> None:
        self.found = found
        self.parent = found.folder / "places"
        self.requests = [WorktreeRequest(name, f"try/{name}") for name in found.names]
        self.failures = 0

    def all_by_one(self) -> float:
        begun = time.perf_counter()
        self._prepare(self.requests)
        return self._took(begun)

    def one_by_each(self) -> float:
        """All processes exist and have loaded what they need before the clock starts."""
        reading, writing = os.pipe()
        children = [self._wait_and_prepare(request, reading, writing) for request in self.requests]
        os.close(reading)
        begun = time.perf_counter()
        os.close(writing)  # the start of all
        for child in children:
            _, status = os.waitpid(child, 0)
            self.failures += status != 0
        return self._took(begun)

    def git_alone(self) -> float:
        begun = time.perf_counter()
        for request in self.requests:
            words = ["git", "worktree", "add", "--quiet", str(self.parent / request.worker), request.branch]
            subprocess.run(words, cwd=self.found.root, env=self.found.env, check=True)
        return self._took(begun)

    def _prepare(self, requests: list[WorktreeRequest]) -> None:
        prepare(self.found.root, requests, base=None, parent=self.parent)

    def _wait_and_prepare(self, request: WorktreeRequest, reading: int, writing: int) -> int:
        child = os.fork()
        if child:
            return child
        try:
            os.close(writing)
            os.read(reading, 1)
            self._prepare([request])
            os._exit(0)
        finally:
            os._exit(1)

    def _took(self, begun: float) -> float:
        took = time.perf_counter() - begun
        made = self.found.git("worktree", "list", "--porcelain").count("branch refs/heads/try/")
        complete = sum((self.parent / name / "script.py").exists() for name in self.found.names)
        self.failures += 2 * len(self.requests) - made - complete
        self._clear()
        return took

    def _clear(self) -> None:
        shutil.rmtree(self.parent)
        shutil.rmtree(Path(self.found.root, ".git", "worktrees"))


def main() -> None:
    given = options(__doc__)
    count, rounds = given.pick(16, 3), given.pick(20, 1)
    with lab("starter.py", count) as found:
        os.environ.update(found.env)
        command.run(found.root, "version")  # what wtrace imports for git is not what is measured here
        each = Rounds(found)
        sides = {
            "one `prepare`": each.all_by_one,
            "16 at once": each.one_by_each,
            "git, one after another": each.git_alone,
        }
        measured = interleave(sides, rounds=rounds, seconds=given.seconds)
    floor = "git, one after another"
    done = len(measured[floor])
    failures = [float(each.failures)]
    tell(
        [
            worst_row("10", f"{count} worktrees at once, {done} rounds: failures", failures, limit=0, unit=""),
            ratio_row("10", f"{count} worktrees, one command", measured, ours="one `prepare`", other=floor, limit=LIMIT),
            ratio_row("10", f"{count} worktrees, {count} processes at once", measured, ours="16 at once", other=floor, limit=LIMIT),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
