"""Races whose supervisor is killed again and again, and the bookkeeping that tells whether anything was lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import wtrace
from race_lab import CRITERIA, Lab, Script, wait_for
from wtrace.race.paths import Layout
from wtrace.race.view import worker_standing
from wtrace.store.home import is_locked
from wtrace.store.reader import Reader
from wtrace.supervisor import failpoints
from wtrace.supervisor.create import recall

TRAINING = '''
"""Plays script.json step by step, notes each start and each SIGTERM, and leaves with code 40 when it is told to."""
import json, os, signal, sys, time

GATES, METRICS, OUTPUT = os.environ["LAB_GATES"], os.environ["WTRACE_METRICS"], os.environ["WTRACE_OUTPUT"]
WORKER, ATTEMPT = os.environ["WTRACE_WORKER"], METRICS.split("/")[-2]


def append(path, text):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, text.encode())
    os.close(fd)


def report(**record):
    "As a good reporter does: a disk that lets nobody write ends no training. Nothing is lost here, so it waits."
    rest = (json.dumps(record) + "\\n").encode()
    while rest:
        try:
            fd = os.open(METRICS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                rest = rest[os.write(fd, rest):]
            finally:
                os.close(fd)
        except OSError:
            time.sleep(0.02)


def leave(*_):
    append(f"{GATES}/terms-{WORKER}", ATTEMPT + "\\n")
    for line in AT_LAST:
        report(**line)
    os._exit(40)


def child():
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.execve(sys.executable, ["python", "-I", "-S", "-c", "import time; time.sleep(600)"], {})


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]


def log(megabytes):
    "Lines of 10 MB, escape sequences, bytes that are no text."
    chunk = (b"\\x1b]0;owned\\x07\\xff\\xfe\\x00" + os.urandom(4096).replace(b"\\n", b" ")) * 255
    for number in range(megabytes):
        write_all(1, chunk[: 2**20] + (b"\\n" if number % 10 == 9 else b""))


def flood(lines, per_second):
    began, number = time.monotonic(), 0
    fd = os.open(METRICS, os.O_WRONLY | os.O_APPEND)
    while number < lines:
        more = [b'{"event": "epoch", "epoch": %d, "metrics": {"train_loss": 0.5}}\\n' % (n % 50) for n in range(number, number + 1000)]
        write_all(fd, b"".join(more))
        number += 1000
        time.sleep(max(0, began + number / per_second - time.monotonic()))
    os.close(fd)


def copy(path, to):
    with open(path, "rb") as file:
        fd = os.open(METRICS, os.O_WRONLY | os.O_APPEND) if to == "metrics" else 1
        write_all(fd, file.read())


def shift(how):
    if how == "truncate":
        os.truncate(METRICS, 0)
    elif how == "replace":
        os.close(os.open(METRICS + ".new", os.O_WRONLY | os.O_CREAT, 0o600))
        os.rename(METRICS + ".new", METRICS)
    elif how == "binary":
        append(METRICS, "\\0\\x01[]{" * 100_000 + "\\n")
        fd = os.open(METRICS, os.O_WRONLY | os.O_APPEND)
        write_all(fd, os.urandom(300_000) + b"\\n")
    elif how == "long":
        fd = os.open(METRICS, os.O_WRONLY | os.O_APPEND)
        for _ in range(10):
            write_all(fd, b"x" * 2**20)
        write_all(fd, b"\\n")
    else:
        os.unlink(METRICS)
        os.mkfifo(METRICS) if how == "fifo" else os.symlink("/etc/passwd", METRICS)


def be_another(name):
    os.execve(sys.executable, [name, "-I", "-S", "-c", "import time; time.sleep(600)"], {})


def keep_forking():
    while True:
        if os.fork():
            os._exit(0)
        os.setsid()
        time.sleep(0.002)


def escape(way):
    "One of the ways in which a process tries to get out of a tree."
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if way == "SIGTERM ignored" or os.fork():
        return
    if way == "own group":
        os.setpgid(0, 0)
    elif way == "setsid":
        os.setsid()
    else:
        os.setsid()
        if os.fork():
            os._exit(0)
    if way == "cleared environment":
        be_another("python")
    elif way == "changed title":
        be_another("[kworker/0:1]")
    elif way == "halted":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif way == "keeps forking":
        keep_forking()
    while True:
        time.sleep(60)


def play(kind, *values):
    if kind == "epochs":
        for epoch in range(values[0], values[1] + 1):
            report(event="epoch", epoch=epoch, metrics={"train_loss": 1 / epoch})
            time.sleep(values[2] if len(values) > 2 else 0)
    elif kind == "check":
        epoch, ratio, *checkpoint = values
        samples = {"id": list(range(8)), "persistent": [ratio] * 8, "transient": [1.0] * 8, "accuracy": [0.9] * 8}
        more = {"checkpoint": checkpoint[0]} if checkpoint else {}
        report(event="check", epoch=epoch, metrics={"ratio": ratio}, samples=samples, **more)
    elif kind == "save":
        with open(f"{OUTPUT}/{values[0]}", "w") as file:
            file.write(str(values[1]))
    elif kind == "raw":
        append(METRICS, values[0])
    elif kind == "print":
        print(values[0], flush=True)
    elif kind == "wait":
        while not os.path.exists(f"{GATES}/{values[0]}"):
            time.sleep(0.004)
    elif kind == "beat":
        while not os.path.exists(f"{GATES}/{values[0]}"):
            report(event="epoch", epoch=1, metrics={"train_loss": 1})
            time.sleep(0.1)
    elif kind == "need":
        if not os.path.exists(f"{OUTPUT}/{values[0]}"):
            os._exit(77)
    elif kind == "mark":
        append(f"{GATES}/{values[0]}", "")
    elif kind == "child":
        child()
    elif kind == "at last":
        AT_LAST.append(values[0])
    elif kind == "ignore_term":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif kind == "first attempt":
        if ATTEMPT == "1":
            play(*values[0])
    elif kind in DEEDS:
        DEEDS[kind](*values)
    elif kind == "eat":
        EATEN.append(b"x" * values[0])
    elif kind == "exit":
        os._exit(values[0])
    elif kind == "die":
        os.kill(os.getpid(), values[0])
    elif kind == "forever":
        while True:
            time.sleep(60)


AT_LAST, EATEN = [], []
DEEDS = {"log": log, "flood": flood, "shift": shift, "copy": copy, "escape": escape}
signal.signal(signal.SIGTERM, leave)
append(f"{GATES}/starts-{WORKER}", f"{ATTEMPT} {os.getpid()}\\n")
for step in json.load(open("script.json")):
    play(*step)
'''

EVALUATE = '''
"""What held-out data say depends on the frozen checkpoint alone: it holds the ratio."""
import json, os, sys, time
GATES, METRICS = os.environ["LAB_GATES"], os.environ["WTRACE_METRICS"]
with open(f"{GATES}/evaluations", "a") as file:
    file.write("/".join(METRICS.split("/")[-4:-1]) + "\\n")
while "--wait" in sys.argv and not os.path.exists(f"{GATES}/confirm"):
    time.sleep(0.004)
ratio = float(open(sys.argv[1]).read())
samples = {"persistent": [ratio] * 8, "transient": [1.0] * 8, "accuracy": [0.9] * 8}
with open(METRICS, "a") as file:
    file.write(json.dumps({"event": "check", "epoch": 5, "metrics": {"ratio": ratio}, "samples": samples}) + "\\n")
'''

DRIVER = """
import os, select, signal, sys, warnings
from pathlib import Path
from wtrace.supervisor import run
from wtrace.errors import WtraceError
warnings.simplefilter("ignore")
for line in sys.stdin:
    seconds, _, points = line.rstrip("\\n").partition(" ")
    os.environ["WTRACE_TEST_POINTS"] = points
    try:
        run.resume(Path(sys.argv[1]), approved=lambda *_: None)
    except WtraceError as error:
        print("refused:", error.what, flush=True)
        continue
    pid, = [int(task) for task in Path("/proc/self/task", str(os.getpid()), "children").read_text().split()]
    print(pid, flush=True)
    ended = select.select([os.pidfd_open(pid)], [], [], float(seconds))[0]
    if not ended:
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print("ended" if ended else "cut off", code, flush=True)
"""


LONG = os.environ.get("CHAOS_LONG") == "1"
"""Whether the long forms are run: `make chaos`."""

FIGURES: list[str] = []


def figure(text: str) -> None:
    """A figure that was measured, for the summary of the run."""
    FIGURES.append(text)


class ChaosLab(Lab):
    """A lab whose workers start fast and keep books, and whose supervisors can be killed at named points."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.criteria = CRITERIA
        self.prefix: list[str] = []  # what runs each command
        (self.root / "train.py").write_text(TRAINING)
        (self.root / "evaluate.py").write_text(EVALUATE)
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", "training")

    def write_config(
        self, names: Sequence[str], *, extra: str = "", race: str = "", workers: str = ""
    ) -> None:
        criteria = "\n".join(f'{name} = "{text}"' for name, text in self.criteria.items())
        tables = "\n".join(
            f'[workers.{name}]\nbranch = "try/{name}"\ncommand = ["python", "-I", "-S", "train.py"]\n{workers}'
            for name in names
        )
        (self.root / "wtrace.toml").write_text(
            f'[race]\nname = "chaos"\nbase = "main"\ngrace = 5\nmerge = "never"\n{race}\n[success]\n{criteria}\n{extra}\n{tables}\n'
        )

    def confirm(self, *words: str, more: str = "") -> str:
        """The table `[confirm]`."""
        arguments = ", ".join(f'"{word}"' for word in ("python", "evaluate.py", "{checkpoint}", *words))
        return f"[confirm]\ncommand = [{arguments}]\n{more}\n"

    def command(self, *args: str) -> list[str]:
        return [*self.prefix, *super().command(*args)]

    def start_race(self, at: str = "", *, timeout_s: float = 60.0) -> None:
        """`wtrace run --detach`; the first supervisor lives until it comes to that point."""
        self.env[failpoints.VARIABLE] = at
        self.wtrace("run", "--detach", timeout_s=timeout_s)
        self.env[failpoints.VARIABLE] = ""
        if at.endswith(":kill"):
            self.wait_for_nobody()

    def wait_for_end(self) -> None:
        """Until the reports are written."""
        self.wait_for(
            lambda: self.query("SELECT closed FROM races ORDER BY rowid DESC")[0][0], "the end of the race"
        )

    def noted(self, name: str) -> list[str]:
        """What workers noted under that name."""
        path = self.gates / name
        return path.read_text().splitlines() if path.exists() else []

    def query(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the database."""
        with closing(sqlite3.connect(self.root / ".wtrace" / "wtrace.db", timeout=10)) as db:
            return db.execute(query, values).fetchall()

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The journal's events of that kind."""
        rows = self.query("SELECT data FROM events WHERE kind = ? ORDER BY seq", kind)
        return [json.loads(data) for (data,) in rows]

    def kill_supervisor(self) -> None:
        """End the living supervisor, at no point in particular."""
        pid = self.status()["supervisor"]["pid"]
        os.kill(pid, signal.SIGKILL)
        self.wait_for_nobody()

    def wait_for_nobody(self) -> None:
        """Until no supervisor lives."""
        self.wait_for(lambda: not is_locked(Layout(self.root)), "the supervisor to be gone")

    def use_patched(self, *changes: tuple[str, str, str]) -> None:
        """Let this lab run a copy of wtrace in which (file, old text, new text) were replaced: a guard taken out."""
        copy = self.root.parent / "patched"
        shutil.copytree(Path(wtrace.__file__).parent, copy / "wtrace", dirs_exist_ok=True)
        for name, old, new in changes:
            path = copy / "wtrace" / name
            text = path.read_text()
            assert text.count(old) == 1, f"{name}: {text.count(old)} times {old!r}"
            path.write_text(text.replace(old, new))
        self.env["PYTHONPATH"] = str(copy)


class Lives:
    """Supervisors one after the other, each taking up the race that the one before it left."""

    def __init__(self, lab: ChaosLab) -> None:
        self._driver = subprocess.Popen(
            [sys.executable, "-P", "-c", DRIVER, str(lab.root)], cwd="/", env=lab.env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._driver.kill()
        self._driver.communicate()

    def live(self, at: str = "", *, at_most_s: float = 30.0) -> str:
        """One life: to its end, to that point, or for so long; returns how it ended."""
        began = self._begin(at, at_most_s)
        return began if began.startswith("refused") else self._line()

    def live_until(self, condition: Callable[[], Any], what: str) -> None:
        """One life, which is ended as soon as the condition holds."""
        pid = int(self._begin("", 60))
        wait_for(condition, what)
        os.kill(pid, signal.SIGKILL)
        assert self._line() == "ended -9"

    def _begin(self, at: str, at_most_s: float) -> str:
        assert self._driver.stdin is not None
        self._driver.stdin.write(f"{at_most_s} {at}\n")
        self._driver.stdin.flush()
        self.count += 1
        return self._line()

    def _line(self) -> str:
        assert self._driver.stdout is not None
        return self._driver.stdout.readline().strip()

    def die_at(self, point: str, nth: int = 1) -> None:
        """One life that must end at that point."""
        ended = self.live(f"{point}:{nth}:kill")
        assert ended == "ended -9", f"life {self.count} should have been killed at {point} {nth}: {ended}"

    def die_twice_at(self, *names: str) -> None:
        """Two lives in a row that each end at that point, for every one of them."""
        for name in names:
            self.die_at(name)
            self.die_at(name)


def attempts_of(lab: ChaosLab) -> Iterator[tuple[str, int, Path]]:
    """(worker, attempt, folder) of the newest race."""
    for folder in sorted(lab.latest.glob("*/attempts/*")):
        if folder.parts[-4] != "claims":
            yield folder.parts[-3], int(folder.name), folder


def assert_intact(lab: ChaosLab, exits: Mapping[str, Sequence[int]]) -> None:
    """Nothing was lost, told twice, started twice or left over. `exits`: by worker, of each attempt, as Popen tells it."""
    assert lab.survivors() == []
    race = lab.latest.name
    ((closed,),) = lab.query("SELECT closed FROM races WHERE id = ?", race)
    assert closed is not None
    _assert_every_line_once(lab, race)
    _assert_started_once(lab)
    _assert_exits(lab, exits)
    for kind, key in (
        ("CheckJudged", ("worker", "epoch")),
        ("ClaimMade", ("number",)),
        ("VerdictReached", ()),
    ):
        told = Counter(tuple(event[name] for name in key) for event in lab.events(kind))
        assert set(told.values()) <= {1}, f"{kind} more than once: {told}"
    assert len(lab.events("RaceEnded")) == 1
    _assert_record_amounts_to_what_is_shown(lab, race)
    assert [*lab.latest.rglob(".*.tmp"), *(lab.latest / "requests").iterdir()] == []


def _assert_record_amounts_to_what_is_shown(lab: ChaosLab, race: str) -> None:
    """The rows that the last supervisor stored are what its events and positions amount to once more."""
    layout = Layout(lab.root)
    context, state, _ = recall(layout, race)
    with Reader(layout.database) as reader:
        standing = reader.standing(race)
    assert standing is not None
    for row in standing.workers:
        assert row == worker_standing(state, row.name, context.places[row.name])


def _assert_every_line_once(lab: ChaosLab, race: str) -> None:
    counted: Counter[str] = Counter()
    for worker, attempt, folder in attempts_of(lab):
        where = (race, worker, attempt)
        data = (folder / "metrics.jsonl").read_bytes()
        written = [line for line in data.split(b"\n") if line.strip()]
        for table, event in (("epochs", "epoch"), ("checks", "check")):
            rows = lab.query(
                f"SELECT record FROM {table} WHERE race = ? AND worker = ? AND attempt = ? ORDER BY rowid",
                *where,
            )
            kept = [bytes(record) for (record,) in rows]
            assert kept == [line for line in written if f'"{event}"'.encode() in line[:24]], (where, table)
        read = lab.query(
            "SELECT offset, lines FROM positions WHERE race = ? AND worker = ? AND attempt = ?", *where
        )
        complete = len(written) - is_torn(data.rpartition(b"\n")[2])
        assert read == ([(len(data), complete)] if written else []), where
        counted[worker] += complete
    told = {worker["name"]: worker["lines"] for worker in lab.status()["workers"]}
    assert told == {name: counted[name] for name in told}


def is_torn(tail: bytes) -> bool:
    """Whether what follows the last newline is no record."""
    try:
        return bool(tail) and not json.loads(tail)
    except ValueError:
        return True


def _assert_started_once(lab: ChaosLab) -> None:
    for worker in {worker for worker, _, _ in attempts_of(lab)}:
        started = Counter(line.split()[0] for line in lab.noted(f"starts-{worker}"))
        assert set(started.values()) == {1}, f"{worker} was started more than once: {started}"
        told = Counter(lab.noted(f"terms-{worker}"))
        assert set(told.values()) <= {1}, f"{worker} had more than one SIGTERM: {told}"
    evaluations = Counter(lab.noted("evaluations"))
    assert set(evaluations.values()) <= {1}, f"a confirmation was started more than once: {evaluations}"


def _assert_exits(lab: ChaosLab, exits: Mapping[str, Sequence[int]]) -> None:
    told: dict[str, list[int]] = {}
    for event in lab.events("WorkerExited"):
        code = event["code"] if event["signal"] is None else -event["signal"]
        assert event["known"], event
        assert len(told.setdefault(event["worker"], [])) == event["attempt"] - 1, "an attempt ended twice"
        told[event["worker"]].append(code)
        written = json.loads(
            (lab.latest / event["worker"] / "attempts" / str(event["attempt"]) / "exit.json").read_text()
        )
        assert [written[key] for key in ("code", "signal", "known")] == [event["code"], event["signal"], True]
    assert told == {worker: list(codes) for worker, codes in exits.items()}


SAFE = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]*")
"""Text that drives no terminal: no control characters but the line's end, and nothing that turns the direction."""


def script(*steps: Sequence[Any]) -> Script:
    """Steps of a training."""
    return [list(step) for step in steps]
