"""A short race of real trainings: the shipped workers, real data, real gradients, on real branches."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from race_lab import Lab

pytest.importorskip("torch", reason="the shipped race needs the extra `train`")
pytestmark = [pytest.mark.torch, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[1]

CONFIG = """
[race]
name = "short"
base = "early-persistence/magvit"
check_every = 1
max_epochs = 2

[success]
learned = "mean(accuracy) >= 0.52"
looked = "count(persistent) >= 400"

[judge]
files = ["workers/persistence/evaluate.py"]

[confirm]
command = ["python", "workers/evaluate.py", "--checkpoint", "{checkpoint}", "--split", "test"]

[workers.attention-supervised]
branch = "early-persistence/attention-supervised"
command = ["python", "workers/train_supervised.py", "--quick", "--lr", "0.003"]

[workers.multi-task]
branch = "early-persistence/multi-task"
command = ["python", "workers/train_multitask.py", "--quick", "--lr", "1e-9"]
"""


def test_real_trainings_race_to_a_confirmed_winner(lab: Lab) -> None:
    shutil.copytree(ROOT / "workers", lab.root / "workers", ignore=shutil.ignore_patterns("__pycache__"))
    (lab.root / ".gitignore").write_text("__pycache__/\n")
    (lab.root / "wtrace.toml").write_text(CONFIG)
    lab.git("add", ".")
    lab.git("commit", "--quiet", "-m", "workers")
    lab.wtrace("run", timeout_s=500)
    status = lab.status()
    assert status["race"]["winner"] == "attention-supervised"
    assert status["race"]["confirmed"]
    winner, loser = status["workers"]
    assert all(criterion["met"] for criterion in winner["criteria"])
    assert winner["bad_lines"] == loser["bad_lines"] == 0
    assert winner["exit"] == {"code": 0, "signal": None, "known": True}
    assert loser["state"] in {"terminated", "finished"}
    assert list(Path(winner["output"], "checkpoints").glob("epoch_*.pt"))
    assert "95 % interval" in (lab.latest / "results" / "SUCCESS_REPORT.md").read_text()
    assert lab.survivors() == []
