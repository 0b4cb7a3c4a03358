"""Trainings that print their metric first and save afterwards, each in another way; what they save can be proved whole."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from race_lab import Lab

TRAINING = '''
"""Prints, then saves: python train.py WAY EPOCHS LOSS EPOCH_S SAVE_S. Standard library only."""
import hashlib, logging, os, pathlib, subprocess, sys, threading, time

WAY, EPOCHS, LOSS, EPOCH_S, SAVE_S = sys.argv[1], int(sys.argv[2]), *map(float, sys.argv[3:6])
OUTPUT = pathlib.Path(os.environ["WTRACE_OUTPUT"])
CHUNKS, CHUNK = 10, 100_000


def write(path, epoch, take_s=SAVE_S, chunks=CHUNKS):
    """`EPOCH SIZE`, the weights piece by piece, and at the very end their checksum."""
    weights = hashlib.sha256(f"{path} {epoch}".encode()).digest() * (CHUNK // 32)
    whole = hashlib.sha256()
    with open(path, "wb", buffering=0) as file:
        for number in range(chunks):
            piece = (f"{epoch:8d}" .encode() if number == 0 else b"") + weights
            whole.update(piece)
            file.write(piece)
            time.sleep(take_s / chunks)
        file.write(whole.digest())


def in_place(epoch):
    write(OUTPUT / "model.pt", epoch)


def by_rename(epoch):
    write(OUTPUT / "model.tmp", epoch)
    os.replace(OUTPUT / "model.tmp", OUTPUT / "model.pt")


def several(epoch):
    for name in ("model.pt", "optimizer.pt", "scheduler.pt"):
        write(OUTPUT / name, epoch, take_s=SAVE_S / 3)
        time.sleep(SAVE_S)


def by_child(epoch):
    subprocess.run([sys.executable, __file__, "save this", str(epoch), "0", "0", str(SAVE_S)], check=True)


def computed(epoch):
    time.sleep(SAVE_S)
    write(OUTPUT / "model.pt", epoch, take_s=0.1)


def opened_early(epoch):
    """The file is there, and empty, while what is to be saved is still computed."""
    path = OUTPUT / "model.pt"
    with open(path, "wb"):
        time.sleep(SAVE_S)
        write(path, epoch, take_s=0.1)


def never(epoch):
    pass


def hangs(epoch):
    if epoch == EPOCHS_TO_WIN:
        file = open(OUTPUT / "model.pt", "wb", buffering=0)
        file.write(b"half of it")
        time.sleep(600)


def by_thread(epoch):
    """The next epochs go on meanwhile; one save at a time."""
    global saver
    if saver is None or not saver.is_alive():
        saver = threading.Thread(target=in_place, args=(epoch,))
        saver.start()


def beside_logs(epoch):
    in_place(epoch)
    events.write(b"x" * 10_000)
    events.flush()
    log.warning("epoch %d", epoch)


EPOCHS_TO_WIN, saver = 2, None
if WAY == "save this":
    write(OUTPUT / "model.pt", EPOCHS)
    sys.exit()
if WAY == "beside_logs":
    events = open(OUTPUT / "events.out.tfevents.1.host", "wb")
    log = logging.getLogger("training")
    log.addHandler(logging.FileHandler(OUTPUT / "progress.txt"))
for epoch in range(1, EPOCHS + 1):
    time.sleep(EPOCH_S)
    print(f"epoch {epoch} val_loss {LOSS if epoch >= EPOCHS_TO_WIN else 0.9}", flush=True)
    globals()[WAY](epoch)
'''

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
    (lab.root / "train.py").write_text(TRAINING)
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
