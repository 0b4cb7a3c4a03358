"""A loser whose trainer needs its children in order to save, in a whole race."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from race_lab import Lab, Script

TRAINER = """
import json, multiprocessing, os, pathlib, signal, time
OUTPUT, GATES = pathlib.Path(os.environ["WTRACE_OUTPUT"]), pathlib.Path(os.environ["LAB_GATES"])

def serve(pipe):
    "What a data loader's worker is to its trainer: it has what the trainer asks for."
    while True:
        pipe.recv()
        pipe.send("a shard")

def save(*_):
    with open(OUTPUT / "model.pt", "w") as file:
        for child, pipe in shards:
            if SIGNAL == "tree":
                child.join()  # it has heard too
            pipe.send("state")
            file.write(pipe.recv())
        file.write("; whole")
    os._exit(0)

SIGNAL = (GATES / "signal").read_text()
shards = []
for _ in range(2):
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=serve, args=(theirs,))
    child.start()
    theirs.close()
    shards.append((child, ours))
signal.signal(signal.SIGTERM, save)
time.sleep(0.6)  # a younger child may have been forked in order to save
(GATES / "ready").touch()
while True:
    time.sleep(60)
"""


@pytest.mark.parametrize("first", ["leader", "tree"])
def test_what_a_loser_saves_is_whole_where_its_trainer_hears_first(lab: Lab, first: str) -> None:
    (lab.gates / "signal").write_text(first)
    winner: Script = [["wait", "ready"], ["claim", 5, 3.0, "best.pt"], ["forever"]]
    lab.race({"winner": winner, "loser": []}, race=f'signal = "{first}"\nmerge = "never"')
    lab.git("switch", "--quiet", "try/loser")
    (lab.root / "train.py").write_text(TRAINER)
    lab.git("commit", "--quiet", "-am", "a trainer with children")
    lab.git("switch", "--quiet", "main")
    lab.wtrace("run")
    model = lab.latest / "loser" / "output" / "model.pt"
    assert model.read_text().endswith("; whole") is (first == "leader")
    assert lab.worker("loser")["exit"]["code"] == (0 if first == "leader" else 1)
    assert lab.survivors() == []
