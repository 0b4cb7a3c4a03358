"""Workers that give their supervisor far too much to read, and an honest one beside them."""

from __future__ import annotations

import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from race_lab import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from race_lab import Lab

PRELUDE = """
import json, os, pathlib, time
OUTPUT, GATES = pathlib.Path(os.environ["WTRACE_OUTPUT"]), pathlib.Path(os.environ["LAB_GATES"])
SIZE = float((GATES / "size").read_text())  # of 1: the whole flood
def report(**record):
    with open(os.environ["WTRACE_METRICS"], "a") as file:
        file.write(json.dumps(record) + "\\n")
"""

FLOODS = {
    # a trainer's state of 64 MB, written anew twenty times
    "state": (
        '{ from = "hf" }',
        """
entry = json.dumps({"epoch": 1.5, "loss": 0.123456789, "grad_norm": 1.23456, "learning_rate": 1e-5, "step": 1234567})
text = '{"epoch": 1.5, "global_step": 1, "log_history": [' + ", ".join([entry] * int(SIZE * 63e6 / len(entry))) + "]}"
(OUTPUT / "checkpoint-1").mkdir()
for number in range(20):
    (OUTPUT / "checkpoint-1" / "new").write_text(text)
    (OUTPUT / "checkpoint-1" / "new").rename(OUTPUT / "checkpoint-1" / "trainer_state.json")
    (GATES / NAME).touch()
    time.sleep(0.2)
""",
    ),
    # 150,000 files that match
    "files": (
        '{ from = "csv", path = "{output}/*.csv" }',
        """
for number in range(int(SIZE * 150_000)):
    (OUTPUT / f"{number}.csv").write_text("epoch,loss\\n1,0.5\\n")
    if number == SIZE * 75_000:
        (GATES / NAME).touch()
""",
    ),
    # a table of 30,000 columns
    "columns": (
        '{ from = "csv" }',
        """
with open(OUTPUT / "metrics.csv", "w") as file:
    columns = int(SIZE * 30_000)
    file.write(",".join(["epoch", *(f"column_{number}" for number in range(1, columns))]) + "\\n")
    for epoch in range(1, 400):
        file.write(",".join([str(epoch), *("0.123456" for _ in range(1, columns))]) + "\\n")
        if epoch == 20:
            (GATES / NAME).touch()
""",
    ),
    # a million checks, none of the last planned epoch: whoever goes on after that is ended
    "checks": (
        "",
        """
with open(os.environ["WTRACE_METRICS"], "a") as file:
    for epoch in range(int(SIZE * 1_000_000)):
        file.write(json.dumps({"event": "check", "epoch": epoch % 9, "metrics": {"val_loss": 0.5, "score": 0.1}}) + "\\n")
        if epoch == 10_000:
            (GATES / NAME).touch()
""",
    ),
    # a log of 674 MB, of which every line matches
    "log": (
        """{ from = "stdout", pattern = 'epoch (?P<epoch>\\\\d+) loss (?P<loss>\\\\S+)' }""",
        """
block = b"".join(b"epoch %d loss 0.5 and some more words that make the line as long as lines are\\n" % n for n in range(1000))
for number in range(int(SIZE * 674e6 / len(block))):
    os.write(1, block)
    (GATES / NAME).touch()
""",
    ),
}
HONEST = """
import signal
def told(*_):
    (GATES / "told").write_text(repr(time.time()))
    os._exit(0)
signal.signal(signal.SIGTERM, told)
while not all((GATES / name).exists() for name in FLOODS):
    time.sleep(0.01)
for number in range(1, 6):
    time.sleep(0.3)
    while number == 5 and not (GATES / "noticed").exists():
        time.sleep(0.01)
    (GATES / f"reported-{number}").write_text(repr(time.time()))
    report(event="check", epoch=number, metrics={"score": 1.0 if number == 5 else 0.2})
time.sleep(600)
"""
NOTICES = {"files": "name fewer", "columns": "more than 1000 metrics"}
"""What a race says of some floods; the honest worker wins after that."""
RACE = '\nmerge = "never"\ncheck_every = 1\nmax_epochs = 10'
STAY = "\ntime.sleep(600)\n"


class Waits(Struct):
    """What an honest winner beside a flood waited for, in seconds."""

    judged: list[float]  # from the line to the check on record, each
    ended: float  # from the verdict to the end of `wtrace run`


def race_beside(lab: Lab, floods: Sequence[str], size: float) -> Waits:
    """Race an honest worker beside those that flood, each with that part of its whole flood."""
    (lab.gates / "size").write_text(repr(size))
    lab.race({name: [] for name in ("honest", *floods)}, race=f"max_parallel = {len(floods) + 1}{RACE}")
    before, rest = (lab.root / "wtrace.toml").read_text().split("[success]", 1)
    tables = rest[rest.index("[workers.") :]
    for name in floods:
        if FLOODS[name][0]:
            tables = tables.replace(f"[workers.{name}]", f"[workers.{name}]\nmetrics = {FLOODS[name][0]}")
    (lab.root / "wtrace.toml").write_text(f'{before}[success]\nscore = "score >= 0.9"\n{tables}')
    for name in ("honest", *floods):
        lab.git("switch", "--quiet", f"try/{name}")
        script = HONEST.replace("FLOODS", repr(list(floods))) if name == "honest" else FLOODS[name][1] + STAY
        (lab.root / "train.py").write_text(f"NAME = {name!r}\n{PRELUDE}{script}")
        lab.git("commit", "--quiet", "-am", "what it trains")
    lab.git("switch", "--quiet", "main")
    with ThreadPoolExecutor() as pool:
        noticed = pool.submit(_wait_for_notices, lab, [NOTICES[name] for name in floods if name in NOTICES])
        lab.wtrace("run", timeout_s=600)
        ended = time.time()
    noticed.result()
    checks = {row["epoch"]: row["at"] for row in events(lab, "CheckJudged") if row["worker"] == "honest"}
    checks[max(checks)] = float(
        (lab.gates / "told").read_text()
    )  # an event has the time at which its turn began
    reported = {number: float((lab.gates / f"reported-{number}").read_text()) for number in checks}
    verdict = events(lab, "VerdictReached")[0]["at"]
    return Waits([checks[number] - reported[number] for number in sorted(checks)], ended - verdict)


def _wait_for_notices(lab: Lab, texts: Sequence[str]) -> None:
    def are_there() -> bool:
        with suppress(sqlite3.OperationalError):  # the tables are yet to be made
            told = [event["text"] for event in events(lab, "Noticed")]
            return all(any(text in line for line in told) for text in texts)
        return False

    try:
        wait_for(are_there, "the race to say what it does not read", timeout_s=120)
    finally:
        (lab.gates / "noticed").touch()


def events(lab: Lab, kind: str) -> list[dict[str, Any]]:
    """The events of that kind, in their order."""
    with closing(sqlite3.connect(lab.root / ".wtrace" / "wtrace.db")) as database:
        rows = database.execute("SELECT data FROM events WHERE kind = ? ORDER BY seq", (kind,)).fetchall()
    return [json.loads(data) for (data,) in rows]
