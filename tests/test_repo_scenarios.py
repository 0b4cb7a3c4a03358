"""Random work of a user's in random order, with races among it; then `clean` and `prepare`. Not a byte may be lost.

What was lost is found without the code under test: files by their hashes, commits by git's own list of objects.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from repo_lab import Lab, make_lab, snapshot
from wtrace.errors import UsageError
from wtrace.git.clean import clean
from wtrace.git.race_files import Span, note_before

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCENARIOS = int(os.environ.get("WTRACE_SCENARIOS", "30"))


class User:
    """Somebody who works in a worktree; each method is one thing that they may do there."""

    def __init__(self, lab: Lab, tree: Path, seed: int) -> None:
        self.lab, self.tree, self.random = lab, tree, random.Random(seed)
        self.deeds: list[Callable[[], object]] = [
            self.nothing, self.run_python, self.modify, self.stage, self.stage_and_take_back, self.untracked,
            self.ignored, self.hidden, self.delete, self.commit, self.amend, self.reset, self.detach, self.detach_and_return,
            self.stash, self.rebase, self.merge, self.cherry_pick, self.lock, self.nested,
        ]  # fmt: skip

    def git(self, *args: str) -> None:
        self.lab.git(*args, cwd=self.tree, ok=False)  # in a random order, some of it is refused

    def text(self) -> str:
        return f"{self.random.getrandbits(64):x}\n" * self.random.randint(1, 3)

    def write(self, name: str) -> None:
        file = self.tree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.text())

    def tracked(self) -> str:
        return self.random.choice(["train.py", "model.py", "notes/a b.md"])

    def nothing(self) -> None:
        pass

    def run_python(self) -> None:
        self.write("__pycache__/train.cpython-311.pyc")

    def modify(self) -> None:
        self.write(self.tracked())

    def stage(self) -> None:
        self.write(self.tracked())
        self.git("add", "-A")

    def stage_and_take_back(self) -> None:
        self.write("train.py")
        self.git("add", "train.py")
        (self.tree / "train.py").write_text(self.lab.git("show", "HEAD:train.py", cwd=self.tree) + "\n")

    def untracked(self) -> None:
        self.write(
            self.random.choice(["new.py", "notes/--force", "a\nb", "data/x/y.csv", "stray.pyc.bak", "ü"])
        )

    def ignored(self) -> None:
        self.write(self.random.choice([".env", "outputs/best.pt", "outputs/deep/er/log.txt"]))

    def hidden(self) -> None:
        name = self.tracked()
        self.git("update-index", self.random.choice(["--assume-unchanged", "--skip-worktree"]), name)
        self.write(name)

    def delete(self) -> None:
        (self.tree / self.tracked()).unlink(missing_ok=True)

    def commit(self) -> None:
        self.write(self.tracked())
        self.git("commit", "-qam", "work")

    def amend(self) -> None:
        self.git("commit", "-q", "--amend", "--allow-empty", "-m", self.text())

    def reset(self) -> None:
        self.git("reset", "-q", "--hard", "HEAD~1")

    def detach(self) -> None:
        self.git("checkout", "-q", "--detach")
        self.commit()

    def detach_and_return(self) -> None:
        self.detach()
        self.git("checkout", "-q", "topic")

    def stash(self) -> None:
        self.write("train.py")
        self.git("stash", "-q", "--include-untracked")

    def rebase(self) -> None:
        self.git("rebase", "main")

    def merge(self) -> None:
        self.git("merge", "-q", "main")

    def cherry_pick(self) -> None:
        self.git("cherry-pick", "main")

    def lock(self) -> None:
        self.git("worktree", "lock", str(self.tree))

    def nested(self) -> None:
        self.git("init", "-q", self.random.choice(["nested", "outputs/nested"]))


class Races:
    """Trainings that write into the worktree what they like, over the user's files too."""

    def __init__(self, user: User, folder: Path) -> None:
        self.user, self.folder = user, folder
        self.spans: list[Span] = []
        self.made: dict[str, str] = {}  # what only a race has written, by its name
        folder.mkdir()

    def run(self) -> None:
        tree, chance, number = self.user.tree, self.user.random, len(self.spans)
        note_before(tree, lambda: {tree: self.spans})
        before = snapshot(tree)
        start = self._later()
        for name in chance.choices(
            ["new.py", "outputs/best.pt", "outputs/deep/er/log.txt", ".env", "ü"], k=3
        ):
            self.user.write(name)
        end = self._touched("end")
        self.spans.append(Span(start, end, self.folder / f"left-{number}"))
        self._later()
        for name, held in snapshot(tree).items():
            if before.get(name) in (None, self.made.get(name)):
                self.made[name] = held

    def moved(self) -> dict[str, str]:
        """What `clean` has moved to the races' folders, by the names that it had."""
        tree = self.user.tree
        return {
            name.replace(str(span.into), str(tree), 1): held
            for span in self.spans
            for name, held in snapshot(span.into).items()
        }

    def _touched(self, name: str) -> int:
        (self.folder / name).touch()
        return (self.folder / name).stat().st_mtime_ns

    def _later(self) -> int:
        """Wait for the clock of the file system, which counts in jiffies, to go on; its time then."""
        stood = self._touched("clock")
        while (now := self._touched("clock")) == stood:
            pass
        return now


def commits(lab: Lab) -> set[str]:
    """All commits that can still be reached: by refs, HEADs, indexes and the history of each."""
    lost = [
        line.split(" ")[2] for line in lab.git("fsck", "--unreachable", "--no-progress").split("\n") if line
    ]
    listed = lab.git("cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)").split(
        "\n"
    )
    return {line.split(" ")[0] for line in listed if line.endswith(" commit")} - set(lost)


def files_of_commit(lab: Lab, folder: Path) -> dict[str, str]:
    """What a checkout of the worktree's branch holds, made anew beside it."""
    lab.git("worktree", "add", "-q", "--detach", str(folder), "topic")
    made = {str(path).removeprefix(str(folder)): held for path, held in snapshot(folder, skip=".git").items()}
    lab.git("worktree", "remove", "--force", str(folder))
    return made


def regenerated(name: str) -> bool:
    return "/__pycache__/" in name and name.endswith(".pyc")


@pytest.fixture(scope="module")
def outcomes() -> Counter[str]:
    return Counter()


@pytest.mark.parametrize("seed", range(SCENARIOS))
def test_nothing_is_lost(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcomes: Counter[str]
) -> None:
    lab = make_lab(tmp_path, monkeypatch)
    lab.commit("model.py", "model\n")
    lab.commit("notes/a b.md", "notes\n")
    tree = lab.one().path
    lab.commit("train.py", "main went on\n")
    user = User(lab, tree, seed)
    races = Races(user, tmp_path / "races")
    for _ in range(user.random.choice([0, 1, 1, 2])):
        races.run()
        for deed in user.random.choices(user.deeds, k=user.random.choice([0, 0, 1])):
            deed()
    for deed in user.random.choices(user.deeds, k=user.random.randint(0, 3)):
        deed()
    before, could_reach, branch = (
        snapshot(tree),
        commits(lab),
        lab.git("rev-parse", "topic", "main", "refs/stash", ok=False),
    )

    try:
        assert lab.one().made == "kept"
    except UsageError:
        outcomes["refused"] += 1
    assert snapshot(tree) == before

    (result,) = clean(lab.root, spans={tree: races.spans})
    outcomes["removed" if result.removed else "kept"] += 1
    moved = races.moved()
    outcomes["moved"] += bool(moved)
    assert all(before[name] == held == races.made[name] for name, held in moved.items()), (
        "a race's, every byte"
    )
    assert could_reach <= commits(lab)
    assert lab.git("rev-parse", "topic", "main", "refs/stash", ok=False) == branch
    if not result.removed:
        assert result.reasons
        assert snapshot(tree) == before
        assert not moved
        return
    held = {
        name.removeprefix(str(tree)): text
        for name, text in before.items()
        if not name.endswith(f"{tree.name}/.git")
    }
    recoverable = files_of_commit(lab, tmp_path / "again")
    assert {
        name: text
        for name, text in held.items()
        if text not in (recoverable.get(name), moved.get(f"{tree}{name}")) and not regenerated(name)
    } == {}


def test_the_scenarios_were_of_all_kinds(outcomes: Counter[str]) -> None:
    if outcomes["removed"] + outcomes["kept"] < 30:
        pytest.skip("only some of the scenarios ran")
    assert outcomes["removed"] >= 5
    assert outcomes["kept"] >= 10
    assert outcomes["moved"] >= 3
    assert outcomes["refused"] >= 1
