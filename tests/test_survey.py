from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from wtrace.config.load import parse
from wtrace.config.template import config_template
from wtrace.git.scan import MOST_BYTES, survey

ARGPARSE = (
    "import argparse\nimport torch\nparser.add_argument('--epochs')\nparser.add_argument(\"--output-dir\")\n"
)


def git(folder: Path, *args: str) -> None:
    subprocess.run(["git", "-C", str(folder), *args], check=True, capture_output=True)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "a")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "a@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    repo = tmp_path / "repo"
    repo.mkdir()
    git(repo, "init", "-b", "main")
    git(repo, "commit", "--allow-empty", "-m", "first")
    return repo


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_branches_are_found_where_they_are(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for name in ("exp/a", "exp/b", "$(x);`y`"):
        git(root, "branch", name)
    git(tmp_path, "clone", str(root), "other")
    git(tmp_path, "clone", str(root), "third")
    git(other, "branch", "only-here")
    git(other, "remote", "add", "third", str(tmp_path / "third"))
    git(tmp_path / "third", "branch", "twice")
    git(root, "branch", "twice")
    git(other, "fetch", "--all")
    git(other, "worktree", "add", str(tmp_path / "wt"), "exp/b")
    found = survey(other)
    assert (found.current, found.base) == ("main", "main")
    assert found.local == ("exp/b", "main", "only-here")
    assert found.remote == ("$(x);`y`", "exp/a")  # `twice` is ambiguous: both remotes have it
    assert found.checked_out == {"main", "exp/b"}
    assert found.racing == ("only-here", "$(x);`y`", "exp/a")


def test_the_base_is_the_usual_one_else_the_current_branch(root: Path) -> None:
    git(root, "switch", "-c", "exp/a")
    found = survey(root)
    assert (found.current, found.base, found.racing) == ("exp/a", "main", ())
    git(root, "branch", "-m", "main", "paper")
    assert survey(root).base == "exp/a"
    git(root, "switch", "--detach")
    found = survey(root)
    assert (found.current, found.base, found.racing) == (None, None, ("exp/a", "paper"))


def test_training_scripts_are_found_the_likeliest_first(root: Path) -> None:
    write(root, "train.py", ARGPARSE)
    write(root, "experiments/deep/train_big.py", "from lightning import Trainer\nimport torch\n")
    write(root, "fit.py", "from sklearn.svm import SVC\np.add_argument('--max-epochs')\n")
    write(root, "main.py", "import keras\n")
    write(root, "tools/main.py", "print('--epochs are described elsewhere')\n")
    write(root, "strain.py", "import numpy\n")
    write(root, "tests/train.py", ARGPARSE)
    write(root, "test_train.py", ARGPARSE)
    write(root, "ignored/train.py", ARGPARSE)
    write(root, ".gitignore", "ignored/\n")
    git(root, "add", "train.py", "main.py")
    scripts = survey(root).scripts
    assert [(script.path, script.framework) for script in scripts] == [
        ("train.py", "torch"),
        ("fit.py", "sklearn"),
        ("experiments/deep/train_big.py", "lightning"),
        ("main.py", "keras"),
    ]
    assert scripts[0].options == ("--epochs", "--output-dir")


def test_files_are_read_as_data_and_only_so_far(root: Path, tmp_path: Path) -> None:
    write(tmp_path, "outside.py", ARGPARSE)
    (root / "train_link.py").symlink_to(tmp_path / "outside.py")
    (root / "train_loop.py").symlink_to("train_loop.py")
    (root / "train_folder.py").mkdir()
    write(root, "train_boom.py", "import pathlib\npathlib.Path('boom').touch()\nraise SystemExit(1)\n")
    (root / "train_bytes.py").write_bytes(b"\xff\xfe\x00import torch\n" + os.urandom(1000))
    write(root, "train_long.py", "#" * MOST_BYTES + "\nimport torch\n")
    write(root, "train_\x1b[2J.py", ARGPARSE)
    write(root, "train_fifo.py", "")
    git(root, "add", "-A")
    (root / "train_fifo.py").unlink()
    os.mkfifo(root / "train_fifo.py")
    scripts = {script.path: script for script in survey(root).scripts}
    assert set(scripts) == {"train_boom.py", "train_bytes.py", "train_long.py"}
    assert scripts["train_long.py"].framework is None
    assert not (root / "boom").exists()


def test_nothing_is_written(root: Path) -> None:
    write(root, "train.py", ARGPARSE)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    survey(root)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_what_is_found_becomes_a_config_that_parses(root: Path) -> None:
    write(root, "src/{output}/train.py", ARGPARSE)
    for name in ("exp/a", "b/a", "$(x)", '"q"', "\u202e", "-" * 3 + "x"):
        subprocess.run(["git", "-C", str(root), "update-ref", f"refs/heads/{name}", "HEAD"], check=True)
    found = survey(root)
    script = found.scripts[0]
    text = config_template(
        name=root.name, base=found.base, branches=found.racing, script=script.path, options=script.options,
        framework=script.framework,
    )  # fmt: skip
    spec = parse(text)
    assert (spec.name, spec.base) == ("repo", "main")
    assert {worker.branch for worker in spec.workers} == {"exp/a", "b/a", "$(x)", '"q"', "\u202e"}
    assert len({worker.name for worker in spec.workers}) == 5
    assert spec.workers[0].command == (
        "python", "src/{{output}}/train.py", "--output-dir", "{output}", "--epochs", "{max_epochs}",
    )  # fmt: skip


def test_a_repo_without_other_branches_gets_two_to_be_made(root: Path) -> None:
    found = survey(root)
    assert (found.racing, found.scripts) == ((), ())
    spec = parse(config_template(name="r", base=found.base, branches=found.racing))
    assert [worker.branch for worker in spec.workers] == ["try-first-idea", "try-second-idea"]
