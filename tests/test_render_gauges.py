"""What real process trees use, and the last line of real logs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from standing_samples import worker
from wtrace.cli.terminal.usage import LINE_LENGTH, Gauge, Gauges, last_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# A worker whose child, not itself, works and holds memory.
TREE = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", '''
block = bytearray(b"x") * 80_000_000
print("ready", flush=True)
while True:
    pass
'''])
child.wait()
"""


@contextmanager
def tree() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", TREE], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        for member in family:
            member.kill()
        process.kill()
        process.communicate()


def sampled_until(gauges: Gauges, pid: int, good: Callable[[Gauge], bool]) -> Gauge:
    deadline = time.monotonic() + 20
    row = worker("w", [], "running", pid=pid, log="")
    while True:
        gauge = gauges.sample([row], time.monotonic())["w"]
        if good(gauge):
            return gauge
        assert time.monotonic() < deadline, gauge
        time.sleep(0.02)


def test_the_whole_tree_is_counted() -> None:
    with tree() as process:
        gauges = Gauges(every_s=0.1)
        gauge = sampled_until(gauges, process.pid, lambda g: (g.cpu_percent or 0) > 20)
        assert gauge.memory is not None
        assert gauge.memory > 80_000_000 + 5_000_000
        assert gauge.gpu_memory is None


def test_a_tree_that_vanished_has_no_figures() -> None:
    gauges = Gauges(every_s=0.0)
    with tree() as process:
        sampled_until(gauges, process.pid, lambda g: g.memory is not None)
        pid = process.pid
    assert sampled_until(gauges, pid, lambda g: g.memory is None) == Gauge()


def test_between_two_samples_nothing_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\n")
    row = worker("w", [], "running", pid=None, log=str(log))
    gauges = Gauges(every_s=1.0)
    assert gauges.sample([row], 10.0)["w"].log_line == "one"
    log.write_text("one\ntwo\n")
    assert gauges.sample([row], 10.9)["w"].log_line == "one"
    assert gauges.sample([row], 11.0)["w"].log_line == "two"
    log.unlink()
    assert gauges.sample([row], 12.0)["w"].log_line == "two"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", None),
        (b"\n \n\n", None),
        (b"first\nlast", "last"),
        (b"first\nlast\n\n", "last"),
        (b"10%\r50%\r99%\r", "99%"),
        (b"\x1b[32mINFO\x1b[0m done\n", "INFO done"),
        (b"a\x1b]52;c;aGk=\x07b \x9b\xff\x00\n", "ab \ufffd\ufffd\\x00"),
        ("\u202eevil\n".encode(), "\\u202eevil"),
    ],
)
def test_the_last_line_of_a_log(tmp_path: Path, content: bytes, line: str | None) -> None:
    log = tmp_path / "log"
    log.write_bytes(content)
    assert last_line(str(log)) == line


def test_of_a_huge_line_the_end_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.truncate(10_000_000_000)  # zeros, on no disk; reading it whole would take minutes
        file.seek(0, os.SEEK_END)
        file.write(b"x" * 5000 + b"the end")
    line = last_line(str(log))
    assert line is not None
    assert line.endswith("xthe end")
    assert len(line) == LINE_LENGTH


def test_what_is_no_file_is_no_log(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert last_line(str(fifo)) is None
    rows = [
        worker("a", [], log=str(fifo)),
        worker("b", [], log=str(tmp_path)),
        worker("c", [], log="nul\x00"),
    ]
    rows.append(worker("d", [], log=""))
    found = Gauges().sample(rows, 0.0)
    assert all(gauge.log_line is None for gauge in found.values())
