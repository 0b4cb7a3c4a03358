"""Races won by trainings that print their metric first and save afterwards, as bench/scripted/saver.py does."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from race_lab import Lab

SAVER = Path(__file__).parents[1] / "bench" / "scripted" / "saver.py"
WINS_AT = 2
METRICS = r"""
[metrics]
from = "stdout"
pattern = 'epoch (?P<epoch>\d+) val_loss (?P<val_loss>\S+)'
"""


def write_race(
    lab: Lab,
    way: str,
    *,
    epoch_s: float = 0.3,
    save_s: float = 0.4,
    epochs: int = 400,
    race: str = "",
    metrics: str = METRICS,
    extra: str = "",
) -> None:
    """A race between a training that saves in that way and wins at epoch 2, and one that does nothing but train."""
    (lab.root / "train.py").write_text(SAVER.read_text())
    lab.git("commit", "--quiet", "-am", "saves")
    for name in ("a", "b"):
        lab.branch(f"try/{name}", [])
    winner = ["python", "train.py", way, str(epochs), "0.1", str(epoch_s), str(save_s)]
    loser = ["python", "train.py", "never", "400", "0.9", "0.2", "0"]
    (lab.root / "wtrace.toml").write_text(
        f'[race]\nname = "lab"\nbase = "main"\ngrace = 1\ncheck_every = 1\nmax_epochs = 400\n{race}\n'
        f'[success]\nloss = "val_loss <= 0.2"\n{metrics}{extra}\n'
        f'[workers.a]\nbranch = "try/a"\ncommand = {json.dumps(winner)}\n'
        f'[workers.b]\nbranch = "try/b"\ncommand = {json.dumps(loser)}\n'
    )


def epoch_of_whole(path: Path) -> int | None:
    """The epoch that was saved there; None where the file is torn."""
    content = path.read_bytes()
    whole, digest = content[:-32], content[-32:]
    return int(whole[:8]) if hashlib.sha256(whole).digest() == digest else None
