"""Many processes at once, and processes that are killed while git makes a worktree."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from repo_lab import Lab, make_lab, python, wait_for
from wtrace.errors import ToolError, UsageError
from wtrace.git import registry
from wtrace.git.clean import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_ONCE = 16

PREPARE = """
import sys, json
from pathlib import Path
from wtrace.errors import WtraceError
from wtrace.git.worktrees import WorktreeRequest, prepare
from wtrace.git.command import let_act
root, parent, *names = sys.argv[1:]
let_act()
import git
print("ready", flush=True)
for line in sys.stdin:
    round_parent = Path(parent) / line.strip()
    wanted = [WorktreeRequest(f"{line.strip()}-{name}", f"{line.strip()}/{name}") for name in names]
    try:
        print(json.dumps([p.made for p in prepare(Path(root), wanted, base="main", parent=round_parent)]), flush=True)
    except WtraceError as error:
        print(f"{error.what} | {error.seen} | {error.hint}", flush=True)
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make_lab(tmp_path, monkeypatch)


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that a test starts; their groups are gone when it ends."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        kill_group(process)
        process.communicate()


def kill_group(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def begin(lab: Lab, started: list[subprocess.Popen[str]], *names: str) -> subprocess.Popen[str]:
    process = python(PREPARE, lab.root, lab.parent, *names)
    started.append(process)
    return process


def say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_sixteen_processes_at_once(lab: Lab, started: list[subprocess.Popen[str]]) -> None:
    """Half the rounds give each process a worktree of its own, half let all of them want the same four."""
    own = [begin(lab, started, f"w{number}") for number in range(AT_ONCE)]
    assert [hear(process) for process in own] == ["ready"] * AT_ONCE
    for number in range(3):
        for process in own:
            say(process, f"round{number}")
        assert [hear(process) for process in own] == ['["created"]'] * AT_ONCE
    same = [begin(lab, started, "a", "b", "c", "d") for _ in range(AT_ONCE)]
    assert [hear(process) for process in same] == ["ready"] * AT_ONCE
    for number in range(3):
        for process in same:
            say(process, f"same{number}")
        created, kept = '["created", "created", "created", "created"]', '["kept", "kept", "kept", "kept"]'
        assert sorted(hear(process) for process in same) == [created, *[kept] * (AT_ONCE - 1)]
    assert lab.git("fsck", "--no-dangling") == ""
    assert len(lab.git("worktree", "list").split("\n")) == 1 + 3 * AT_ONCE + 3 * 4
    assert not list((lab.root / ".git" / "wtrace" / "making").iterdir())


class Blocked:
    """A repository whose checkout stops in the middle, at `middle.bin`, until it is let go."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.tree = lab.parent / "r" / "r-w"
        lab.commit(".gitattributes", "*.bin filter=slow\n")
        lab.commit("a-first.txt", "before the middle\n")
        lab.commit("middle.bin", "x" * 1000)
        lab.commit("z-last.txt", "after the middle\n")
        self.gate, self.reached = lab.root.parent / "gate", lab.root.parent / "reached"
        self.pid = lab.root.parent / "pid"
        os.mkfifo(self.gate)
        script = lab.root.parent / "smudge"
        script.write_text(
            f'#!/bin/sh\nif [ -p "{self.gate}" ]; then echo $$ > "{self.pid}"; : > "{self.reached}"; cat "{self.gate}"; fi\ncat\n'
        )
        script.chmod(0o755)
        lab.git("config", "filter.slow.smudge", str(script))
        lab.git("config", "filter.slow.clean", "cat")

    def start(self, started: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
        process = begin(self.lab, started, "w")
        say(process, "r")
        wait_for(self.reached.exists, "the middle of the checkout")
        return process

    def let_go(self) -> None:
        gate = os.open(
            self.gate, os.O_RDWR
        )  # whoever waits at the gate may have been killed: do not wait for one
        os.close(gate)

    def open_for_good(self) -> None:
        self.gate.unlink()

    def again(self) -> str:
        made = self.lab_prepare()
        assert self.lab.git("status", "--porcelain", cwd=self.tree) == ""
        assert (self.tree / "z-last.txt").read_text() == "after the middle\n"
        assert registry.read_linked(self.lab.root / ".git")[0].worker == "r-w"
        assert self.lab.git("worktree", "list", "--porcelain").count("locked") == 0
        return made

    def lab_prepare(self) -> str:
        lab = Lab(self.lab.root, self.lab.parent / "r")
        return lab.one("r-w", "r/w", base="main").made


def test_everything_killed_in_the_middle_of_a_checkout(
    lab: Lab, started: list[subprocess.Popen[str]]
) -> None:
    blocked = Blocked(lab)
    kill_group(blocked.start(started))
    assert (lab.admin(blocked.tree) / "locked").read_text().strip() == "initializing"
    assert (blocked.tree / "a-first.txt").exists()
    blocked.open_for_good()
    (blocked.tree / "z-last.txt").write_text("after the")  # cut off while it was being written
    assert blocked.again() == "created"


def test_what_the_user_put_into_a_half_made_worktree_is_kept(
    lab: Lab, started: list[subprocess.Popen[str]]
) -> None:
    blocked = Blocked(lab)
    kill_group(blocked.start(started))
    blocked.open_for_good()
    for name, text in {"outputs/best.pt": "mine", "a-first.txt": "before the middle\nmine"}.items():
        (blocked.tree / name).parent.mkdir(exist_ok=True)
        (blocked.tree / name).write_text(text)
        before = lab.state()
        with pytest.raises(UsageError, match="never finished, yet it holds work") as caught:
            blocked.lab_prepare()
        assert name in (caught.value.seen or "")
        assert clean(lab.root)[0].removed is False
        assert lab.state() == before
        (blocked.tree / name).unlink()
    assert [(result.worker, result.removed) for result in clean(lab.root)] == [("r-w", True)]
    assert not blocked.tree.exists()


def test_only_wtrace_killed_while_git_works_on(lab: Lab, started: list[subprocess.Popen[str]]) -> None:
    blocked = Blocked(lab)
    first = blocked.start(started)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    second = begin(lab, started, "w")
    say(second, "r")
    assert hear(second) == "ready"
    (note,) = (lab.root / ".git" / "wtrace" / "making").iterdir()
    waits = Path(f"/proc/{second.pid}/fd")
    wait_for(
        lambda: (
            second.poll() is not None
            or any(fd.is_symlink() and fd.readlink() == note for fd in waits.iterdir())
        ),
        "the second one looks at the note",
    )
    blocked.let_go()
    assert hear(second) == '["kept"]'
    assert blocked.again() == "kept"
    assert not note.exists()


def test_only_git_killed(lab: Lab) -> None:
    """As when memory runs out: git is gone, what it had started for the checkout has still finished."""
    lab.commit(".gitattributes", "*.bin filter=killer\n")
    lab.commit("data.bin", "data\n")
    script = lab.root.parent / "smudge"
    script.write_text("#!/bin/sh\nkill -9 $(cut -d ' ' -f 4 /proc/$PPID/stat)\ncat\n")
    script.chmod(0o755)
    lab.git("config", "filter.killer.smudge", str(script))
    before = lab.git("worktree", "list")
    with pytest.raises(ToolError, match="could not make the worktree"):
        lab.one()
    assert lab.git("worktree", "list") == before
    assert not (lab.parent / "w").exists()
    script.write_text("#!/bin/sh\ncat\n")
    assert lab.one().made == "created"


def test_killed_between_the_checkout_and_our_mark(lab: Lab) -> None:
    """What such a kill leaves: a whole worktree, no mark, and the note that it was being made."""
    tree = lab.one().path
    (lab.admin(tree) / "wtrace").unlink()
    leave_note(lab, tree)
    assert lab.one().notes == ()
    assert registry.read_linked(lab.root / ".git")[0].worker == "w"
    assert [result.removed for result in clean(lab.root)] == [True]


def leave_note(lab: Lab, tree: Path) -> None:
    note = python(
        "import os, sys; from pathlib import Path; from wtrace.git import lock\n"
        "with lock.making(Path(sys.argv[1]), 'w', Path(sys.argv[2])): os._exit(0)",
        lab.root / ".git",
        tree,
    )
    assert note.wait() == 0
    note.communicate()


STAGES = {
    "nothing but a lock": [
        "gitdir",
        "HEAD",
        "commondir",
        "index",
        "logs",
        "ORIG_HEAD",
        "wtrace",
        "wtrace-before",
    ],
    "no HEAD": ["HEAD", "commondir", "index", "logs", "ORIG_HEAD", "wtrace", "wtrace-before"],
    "no commondir": ["commondir", "index", "logs", "ORIG_HEAD", "wtrace", "wtrace-before"],
    "no index": ["index", "logs", "ORIG_HEAD", "wtrace", "wtrace-before"],
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("folder", ["as git leaves it", "without .git", "gone"])
def test_every_stage_at_which_an_add_can_be_killed(lab: Lab, stage: str, folder: str) -> None:
    if stage == "nothing but a lock" and folder == "as git leaves it":
        folder = "without .git"  # git writes the two one after the other, and this one last
    tree, admin = lab.one().path, lab.admin(lab.parent / "w")
    for name in STAGES[stage]:
        target = admin / name
        for file in sorted(target.rglob("*"), reverse=True) if target.is_dir() else []:
            file.unlink() if file.is_file() else file.rmdir()
        target.rmdir() if target.is_dir() else target.unlink(missing_ok=True)
    (admin / "locked").write_text("initializing\n")
    for file in tree.iterdir():
        if file.name != ".git" or folder != "as git leaves it":
            file.unlink()
    if folder == "gone":
        tree.rmdir()
    done = lab.one()
    assert done.made == "created"
    assert lab.git("status", "--porcelain", cwd=tree) == ""
    assert lab.git("worktree", "list").count("\n") == 1
    assert [entry.name for entry in (lab.root / ".git" / "worktrees").iterdir()] == ["w"]
    assert lab.one().made == "kept"
