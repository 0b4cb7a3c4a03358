"""A training that prints its metric first and saves afterwards, as many do: saver.py WAY EPOCHS LOSS EPOCH_S SAVE_S.

It reaches LOSS at its second epoch. What it saves can be proved whole: the epoch, the weights, and at the very end their
checksum. Of the standard library alone.
"""

import hashlib
import logging
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

WAY, EPOCHS = sys.argv[1], int(sys.argv[2])
LOSS, EPOCH_S, SAVE_S = map(float, sys.argv[3:6])
OUTPUT = pathlib.Path(os.environ["WTRACE_OUTPUT"])
MODEL = OUTPUT / "model.pt"
WINS_AT = 2
PIECES, PIECE_BYTES, SHORT_S = 10, 100_000, 0.05


def write(path, epoch, take_s):
    whole = hashlib.sha256()
    piece = hashlib.sha256(f"{path} {epoch}".encode()).digest() * (PIECE_BYTES // 32)
    with open(path, "wb", buffering=0) as file:
        for number in range(PIECES):
            content = (f"{epoch:8d}".encode() if number == 0 else b"") + piece
            whole.update(content)
            file.write(content)
            time.sleep(take_s / PIECES)
        file.write(whole.digest())


def in_place(epoch):
    write(MODEL, epoch, SAVE_S)


def by_rename(epoch):
    draft = MODEL.with_suffix(".tmp")
    write(draft, epoch, SAVE_S)
    draft.replace(MODEL)


def several(epoch):
    """One after the other, with a pause behind each."""
    for name in ("model.pt", "optimizer.pt", "scheduler.pt"):
        write(OUTPUT / name, epoch, SAVE_S / 6)
        time.sleep(SAVE_S / 6)


def by_child(epoch):
    subprocess.run([sys.executable, __file__, "child", str(epoch), "0", "0", str(SAVE_S)], check=True)


def computed(epoch):
    """Nothing is open while what is to be saved is computed."""
    time.sleep(SAVE_S)
    write(MODEL, epoch, SHORT_S)


def opened_early(epoch):
    """The file is there, and empty, while what is to be saved is computed."""
    with open(MODEL, "wb"):
        time.sleep(SAVE_S)
        write(MODEL, epoch, SHORT_S)


def by_thread(epoch):
    """The next epoch goes on meanwhile; one save at a time."""
    for saver in savers:
        saver.join()
    savers[:] = [threading.Thread(target=in_place, args=(epoch,))]
    savers[0].start()


def beside_logs(epoch):
    in_place(epoch)
    events.write(b"x" * 10_000)
    events.flush()
    log.warning("epoch %d", epoch)


def never(epoch):
    pass


def at_sigterm(epoch):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(in_place(epoch)))


def hangs(epoch):
    if epoch == WINS_AT:
        with open(MODEL, "wb", buffering=0) as file:
            file.write(b"half of it")
            time.sleep(600)


savers = []
if WAY == "child":
    in_place(EPOCHS)
    sys.exit()
if WAY == "beside_logs":
    events = open(OUTPUT / "events.out.tfevents.1.host", "wb")  # noqa: SIM115 (open all the time)
    log = logging.getLogger("training")
    log.addHandler(logging.FileHandler(OUTPUT / "progress.txt"))
for epoch in range(1, EPOCHS + 1):
    time.sleep(EPOCH_S)
    print(f"epoch {epoch} val_loss {LOSS if epoch >= WINS_AT else 0.9}", flush=True)
    globals()[WAY](epoch)
