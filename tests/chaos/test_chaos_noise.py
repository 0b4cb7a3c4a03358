"""A noisy worker harms nobody: a huge log, lines of 10 MB, floods, and a metrics file that is everything but one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from chaos_lab import LONG, SAFE, ChaosLab, figure, script
from wtrace.supervisor.jobs.job_reader import NOT_READ

LOG_MB = 1000 if LONG else 120
LINES = 2_000_000 if LONG else 150_000
PER_S = 100_000
MOST_MB = 150


def peak_mb(pid: int) -> float:
    """The most memory that the process ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def test_a_noisy_worker_harms_nobody(chaos: ChaosLab) -> None:
    quiet = script(["epochs", 1, 2], ["wait", "go"], ["check", 5, 2.0], ["forever"])
    prints = script(["log", LOG_MB], ["mark", "printed"], ["forever"])
    floods = script(["flood", LINES, PER_S], ["mark", "flooded"], ["flood", 50 * PER_S, PER_S], ["forever"])
    chaos.race({"quiet": quiet, "prints": prints, "floods": floods})
    chaos.start_race()
    supervisor = chaos.wait_for(lambda: chaos.status()["supervisor"]["pid"], "the supervisor")
    for mark in ("printed", "flooded"):
        chaos.wait_for((chaos.gates / mark).exists, mark, timeout_s=120)
    began = time.time()
    chaos.open_gate("go")
    verdict = chaos.wait_for(lambda: chaos.events("VerdictReached"), "the verdict")[0]["at"]
    memory = peak_mb(supervisor)
    chaos.wait_for_end()
    took_s = (chaos.gates / "flooded").stat().st_mtime - (chaos.gates / "starts-floods").stat().st_mtime
    figure(
        f"noise: {LOG_MB} MB of log, {LINES:,} lines in {took_s:.1f} s: the supervisor needed {memory:.0f} MB"
    )
    figure(
        f"noise: the winning line was judged after {1000 * (verdict - began):.0f} ms in the middle of the flood"
    )
    assert memory < MOST_MB
    assert verdict - began < 5
    began = time.monotonic()
    for words in (["status"], ["logs", "prints", "-n", "5"], ["logs", "floods"]):
        told = chaos.wtrace(*words).stdout
        assert SAFE.fullmatch(told), words
    assert time.monotonic() - began < 15
    floods_read = chaos.worker("floods")
    written = (chaos.latest / "floods" / "metrics.jsonl").read_bytes().count(b"\n")
    left_out = any(NOT_READ in event["text"] for event in chaos.events("Noticed"))
    assert floods_read["bad_lines"] == 0
    assert floods_read["lines"] == written or (left_out and floods_read["lines"] < written)
    assert written >= LINES
    assert chaos.survivors() == []


def test_a_metrics_file_that_is_everything_but_one(chaos: ChaosLab) -> None:
    steps: list[Any] = [*script(["epochs", 1, 2], ["wait", "0"])]
    ways = ["truncate", "binary", "replace", "long", "fifo", "link", "replace"]
    for number, way in enumerate(ways):
        steps += [["shift", way], ["mark", f"shifted {number}"], ["wait", str(number + 1)]]
        steps += [["epochs", 10 + number, 10 + number]] if way not in ("fifo", "link") else []
    chaos.race({"a": script(["wait", "go"], ["check", 5, 2.0], ["forever"]), "b": [*steps, ["mark", "done"], ["forever"]]})  # fmt: skip
    chaos.start_race()
    supervisor = chaos.wait_for(lambda: chaos.status()["supervisor"]["pid"], "the supervisor")
    chaos.wait_for(lambda: chaos.worker("b")["lines"] == 2, "the first lines")
    said = {"truncate": "shortened", "fifo": "a FIFO", "link": "a link"}
    for number, way in enumerate(ways):
        chaos.open_gate(str(number))
        chaos.wait_for_mark(f"shifted {number}")
        if way in said:
            chaos.wait_for(lambda: any(said[way] in e["text"] for e in chaos.events("Noticed")), way)  # noqa: B023
        elif way in ("binary", "long"):
            bad = chaos.worker("b")["bad_lines"]
            chaos.wait_for(lambda: chaos.worker("b")["bad_lines"] > bad or bad, way)  # noqa: B023
        if number and ways[number - 1] not in ("fifo", "link"):
            chaos.wait_for(lambda: chaos.worker("b")["epoch"] == 9 + number, "the line before")  # noqa: B023
    chaos.open_gate(str(len(ways)))
    chaos.wait_for_mark("done")
    chaos.wait_for(lambda: chaos.worker("b")["epoch"] == 9 + len(ways), "the last line")
    memory = peak_mb(supervisor)
    chaos.open_gate("go")
    chaos.wait_for_end()
    assert memory < MOST_MB
    assert chaos.worker("b")["exit"] == {"code": 40, "signal": None, "known": True}
    assert SAFE.fullmatch(chaos.wtrace("status").stdout)
    assert "root:" not in chaos.wtrace("status").stdout  # of /etc/passwd, where the link led


def test_a_file_that_is_replaced_all_the_time_is_not_told_all_the_time(chaos: ChaosLab) -> None:
    again: list[list[Any]] = [
        ["shift", "replace"],
        ["epochs", 1, 1, 0.005],
        ["shift", "truncate"],
        ["epochs", 1, 1, 0.005],
    ]
    chaos.race({"a": script(["wait", "go"], ["check", 5, 2.0], ["forever"]), "b": [*again * 100, ["mark", "done"], ["forever"]]})  # fmt: skip
    chaos.start_race()
    chaos.wait_for_mark("done")
    chaos.open_gate("go")
    chaos.wait_for_end()
    assert 1 <= len(chaos.events("Noticed")) <= 2
