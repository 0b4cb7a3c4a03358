"""What trainings leave in their worktrees, after real races: it is the race's, and what a person made is theirs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from race_lab import Lab
from repo_lab import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

LEFT = {
    "mnist_cnn.pt": "weights\n",
    "data/MNIST/raw/train-images": "images\n",
    "lightning_logs/version_0/metrics.csv": "epoch,loss\n",
    "outputs/2026-11-29/08-00-00/.hydra/config.yaml": "lr: 1\n",
    ".venv/bin/activate": "as uv makes it\n",
}
WON = ["check", 5, 2.0]


@pytest.fixture
def leaving(lab: Lab) -> Lab:
    """A race of one worker that leaves in its worktree what well-known frameworks leave; some of it ignored by git."""
    (lab.root / ".gitignore").write_text("lightning_logs/\noutputs/\n.venv\n")
    lab.git("add", ".gitignore")
    lab.git("commit", "--quiet", "-m", "ignore")
    lab.race({"a": [*(["leave", name, text] for name, text in LEFT.items()), WON]})
    return lab


def tree(lab: Lab, worker: str = "a") -> Path:
    return lab.root.parent / "repo-worktrees" / worker


def left(lab: Lab, folder: str = "worktree") -> dict[str, str]:
    """What lies in the race's folder now."""
    top = lab.latest / "a" / folder
    return {str(path.relative_to(top)): path.read_text() for path in top.rglob("*") if path.is_file()}


def cleaned(lab: Lab, *options: str) -> Sequence[str]:
    return lab.wtrace("clean", *options).stdout.splitlines()


def test_what_a_training_left_is_moved_into_the_races_folder_and_the_worktree_goes(leaving: Lab) -> None:
    leaving.wtrace("run")
    told = cleaned(leaving)
    moved = os.path.relpath(leaving.latest / "a" / "worktree", leaving.root)
    assert told == [f"removed  {tree(leaving)}", f"         5 files that the race left there: {moved}"]
    assert not tree(leaving).exists()
    assert left(leaving) == LEFT


def test_with_keep_files_they_stay_where_they_are(leaving: Lab) -> None:
    leaving.wtrace("run")
    before = snapshot(tree(leaving))
    (told,) = cleaned(leaving, "--keep-files")
    assert told.startswith(f"kept     {tree(leaving)}: left by a race: ")
    assert snapshot(tree(leaving)) == before
    assert cleaned(leaving)[0] == f"removed  {tree(leaving)}"


CHANGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "appended": ("mnist_cnn.pt", lambda tree: append(tree / "mnist_cnn.pt")),
    "renamed": ("best.pt", lambda tree: (tree / "mnist_cnn.pt").rename(tree / "best.pt")),
    "made": ("notes.txt", lambda tree: append(tree / "notes.txt")),
    "made-among-them": ("outputs/notes.txt", lambda tree: append(tree / "outputs" / "notes.txt")),
    # Each file in it has its time from the race, when it lay elsewhere.
    "moved-here": ("old/MNIST/raw/train-images", lambda tree: (tree / "data").rename(tree / "old")),
}


def append(file: Path) -> None:
    with file.open("a") as opened:
        opened.write("mine\n")


def test_what_a_person_made_or_changed_since_is_kept_and_named(lab: Lab) -> None:
    steps = [["leave", name, text] for name, text in LEFT.items()]
    lab.race({how: [*steps, ["exit", 0]] for how in CHANGES})
    lab.wtrace("run", expect=1)
    for how, (_, change) in CHANGES.items():
        change(tree(lab, how))
    before = snapshot(lab.root.parent / "repo-worktrees")
    told = cleaned(lab)
    assert len(told) == len(CHANGES)
    for line, (how, (name, _)) in zip(told, sorted(CHANGES.items()), strict=True):
        assert line.startswith(f"kept     {tree(lab, how)}: ")
        assert name in line
    assert snapshot(lab.root.parent / "repo-worktrees") == before, "nothing is moved out of what is kept"
    assert not list(lab.latest.glob("*/worktree"))


def test_what_was_there_before_is_the_persons_though_the_training_wrote_over_it(leaving: Lab) -> None:
    leaving.wtrace("setup")
    (tree(leaving) / "mnist_cnn.pt").write_text("mine, from a week ago\n")
    leaving.wtrace("run")
    assert (tree(leaving) / "mnist_cnn.pt").read_text() == "weights\n"
    (told,) = cleaned(leaving)
    assert told == f"kept     {tree(leaving)}: untracked: mnist_cnn.pt"


def test_what_an_earlier_race_left_is_no_persons_in_the_next(leaving: Lab) -> None:
    leaving.wtrace("run")
    first = leaving.latest
    (tree(leaving) / "data" / "MNIST" / "raw" / "train-images").unlink()
    leaving.wtrace("run")
    assert leaving.latest != first
    assert cleaned(leaving)[0] == f"removed  {tree(leaving)}"
    assert left(leaving) == LEFT, "the second wrote all of it anew"


def test_what_a_confirmation_and_a_command_afterwards_leave_is_the_races_too(lab: Lab) -> None:
    write = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('made')"
    confirm = (
        "import json, os\n"
        "open('confirmed.txt', 'w').write('made')\n"
        "samples = {'persistent': [2.0] * 20, 'transient': [1.0] * 20, 'accuracy': [0.9] * 20}\n"
        "print(json.dumps({'event': 'check', 'epoch': 5, 'metrics': {}, 'samples': samples}),"
        " file=open(os.environ['WTRACE_METRICS'], 'a'))\n"
    )
    (lab.root / "confirm.py").write_text(confirm)
    lab.git("add", "confirm.py")
    lab.git("commit", "--quiet", "-m", "confirm")
    # It is over by itself before it is confirmed: the confirmation's time is no attempt's.
    lab.race(
        {"a": [["claim", 5, 2.0, "model.pt"]]},
        extra='[confirm]\ncommand = ["python", "confirm.py"]\n'
        f'[after]\nwinner = [["python", "-c", "{write}", "after.txt"]]',
    )
    lab.wtrace("run")
    assert cleaned(lab)[0] == f"removed  {tree(lab)}"
    assert left(lab) == {"confirmed.txt": "made", "after.txt": "made"}


def test_a_second_clean_after_a_second_start_mixes_nothing(leaving: Lab) -> None:
    leaving.wtrace("run")
    cleaned(leaving)
    (leaving.latest / "a" / "worktree" / "mnist_cnn.pt").write_text("looked at, and changed\n")
    first = leaving.latest
    leaving.wtrace("run")
    assert cleaned(leaving)[0] == f"removed  {tree(leaving)}"
    assert left(leaving) == LEFT
    assert (first / "a" / "worktree" / "mnist_cnn.pt").read_text() == "looked at, and changed\n"


def test_nothing_is_moved_through_a_link_in_a_races_folder(leaving: Lab) -> None:
    leaving.race({"b": [WON]})
    leaving.write_config(["a", "b"])
    leaving.wtrace("run", "--worker", "a")
    first, outside = leaving.latest, leaving.root.parent / "outside"
    leaving.wtrace("run", "--worker", "b")
    (first / "a").rename(outside)
    (first / "a").symlink_to(outside)
    before = snapshot(outside)
    told = cleaned(leaving)
    assert [line.split(":")[0] for line in told] == [
        f"kept     {tree(leaving)}",
        f"removed  {tree(leaving, 'b')}",
    ]
    assert snapshot(outside) == before
