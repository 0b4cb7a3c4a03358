"""Whole races with a mirror: a laptop that answers, one that is away, and one that comes back."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from race_lab import Lab, wait_for
from sync_lab import Machine, machine

WINNER: list[list[Any]] = [["check", 5, 1.2], ["wait", "go"], ["check", 10, 1.62], ["forever"]]
LOSER: list[list[Any]] = [["check", 5, 1.1], ["forever"]]


@pytest.fixture
def laptop(tmp_path: Path, lab: Lab) -> Iterator[Machine]:
    with machine(tmp_path / "laptop") as made:
        yield made
        end_agents(lab)


def end_agents(lab: Lab) -> None:
    """A target that is dead is tried for a day: the test does not wait for it."""
    for file in lab.root.glob(".wtrace/races/*/sync/*.json"):
        state = json.loads(file.read_text())
        if state["stage"] in {"delivered", "given up"} or not state["pid"]:
            continue
        try:
            os.kill(state["pid"], signal.SIGTERM)
        except ProcessLookupError:
            continue
        wait_for(lambda pid=state["pid"]: not Path(f"/proc/{pid}").exists(), "the agent to end", timeout_s=10)  # type: ignore[misc]


def sync_table(laptop: Machine, *more: str) -> str:
    lines = [
        "[sync.mac]", f'host = "{laptop.host}"', f'ssh_config = "{laptop.ssh_config}"', "every = 2", *more
    ]  # fmt: skip
    return "\n".join(lines)


def start_race(lab: Lab, laptop: Machine, *more: str) -> None:
    lab.race({"a": WINNER, "b": LOSER}, extra=sync_table(laptop, *more))


def sync_row(lab: Lab) -> dict[str, Any]:
    rows = lab.status().get("sync") or [{"last_reached": None, "error": None, "stage": None}]
    row: dict[str, Any] = rows[0]
    return row


def test_a_race_ends_with_everything_on_the_laptop(lab: Lab, laptop: Machine) -> None:
    start_race(lab, laptop)
    running = lab.start("run")
    mirror = laptop.home / "wtrace/lab"
    page = mirror / "results/PARALLEL_PROGRESS.md"
    wait_for(page.exists, "the first progress to arrive")
    wait_for(lambda: sync_row(lab)["last_reached"], "status to tell of it")
    own = lab.latest / "results/PARALLEL_PROGRESS.md"
    wait_for(lambda: page.read_text() == own.read_text(), "the mirror to catch up", timeout_s=10)
    lab.open_gate("go")
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    wait_for(lambda: sync_row(lab)["stage"] == "delivered", "everything to arrive")
    assert sync_row(lab)["verified"] is not None
    for path in (lab.latest / "results").rglob("*"):
        if path.is_file():
            assert (
                mirror / "results" / path.relative_to(lab.latest / "results")
            ).read_bytes() == path.read_bytes()
    assert (mirror / "winner").is_dir()
    assert "everything is there, checked" in lab.wtrace("status").stdout


def test_the_verdict_is_told_at_once(lab: Lab, laptop: Machine) -> None:
    lab.race({"a": WINNER, "b": LOSER}, extra=sync_table(laptop).replace("every = 2", "every = 3600"))
    running = lab.start("run")
    wait_for(lambda: sync_row(lab)["last_reached"], "the first progress to arrive")
    lab.open_gate("go")
    running.communicate(timeout=60)
    wait_for(
        lambda: sync_row(lab)["stage"] == "delivered",
        "the results to arrive long before an hour",
        timeout_s=20,
    )


def test_a_race_goes_on_at_full_speed_whatever_the_laptop_does(lab: Lab, laptop: Machine) -> None:
    """The real sshd is stopped: status tells, checks are judged at once, and at the end all arrives when it is back."""
    start_race(lab, laptop)
    running = lab.start("run")
    first = wait_for(lambda: sync_row(lab)["last_reached"], "the first progress to arrive")
    laptop.stop()
    wait_for(lambda: sync_row(lab)["error"], "the trouble to be told")
    assert sync_row(lab)["last_reached"] >= first
    assert "refuses" in sync_row(lab)["error"] or "broke off" in sync_row(lab)["error"]
    assert "last reached" in lab.wtrace("status").stdout
    lab.open_gate("go")
    began = time.monotonic()
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    assert lab.status()["race"]["winner"] == "a"
    assert time.monotonic() - began < 15, "the end of the race waited for the laptop"
    assert sync_row(lab)["stage"] != "delivered"
    laptop.start()
    wait_for(
        lambda: sync_row(lab)["stage"] == "delivered", "the agent to find the laptop again", timeout_s=40
    )
    assert (laptop.home / "wtrace/lab/results/SUCCESS_REPORT.md").exists()


def test_an_agent_that_is_ended_takes_its_ssh_along_and_is_started_again(lab: Lab, laptop: Machine) -> None:
    start_race(lab, laptop)
    running = lab.start("run")
    wait_for(lambda: sync_row(lab)["last_reached"], "the first progress to arrive")
    state = lab.latest / "sync/mac.json"
    pid = json.loads(state.read_text())["pid"]
    logins = laptop.processes()
    assert logins, "there is no held connection"
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: is_zombie(pid), "the agent to end", timeout_s=5)
    wait_for(lambda: not logins & laptop.processes(), "its login to end", timeout_s=5)
    wait_for(lambda: json.loads(state.read_text())["pid"] != pid, "another agent", timeout_s=30)
    lab.open_gate("go")
    running.communicate(timeout=60)
    wait_for(lambda: sync_row(lab)["stage"] == "delivered", "everything to arrive")


def is_zombie(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def test_sync_by_hand(lab: Lab, laptop: Machine) -> None:
    lab.race({"a": WINNER, "b": LOSER})
    lab.open_gate("go")
    lab.wtrace("run")
    (lab.latest / "a" / "output" / ".envrc").write_text("x")
    lab.write_config(["a", "b"], extra=sync_table(laptop, 'path = "by hand/{race}"'))
    done = lab.wtrace("sync", "--to", "mac")
    assert "everything is there, and the same as here" in done.stdout
    assert "left out, since tools may act upon such names: .envrc" in done.stdout
    mirror = laptop.home / "by hand/lab"
    assert (mirror / "results/SUCCESS_REPORT.md").exists()
    assert sync_row(lab)["stage"] == "delivered"
    watched = lab.wtrace("sync", "--to", "mac", "--watch")
    assert "everything is there, checked" in watched.stdout
    laptop.stop()
    done = lab.wtrace("sync", "--to", "mac", expect=4)
    assert "refuses connections" in done.stderr
    assert "problem  reach" in done.stderr, "the questions were not asked"


def test_mistakes_of_sync(lab: Lab, laptop: Machine) -> None:
    lab.race({"a": LOSER}, extra=sync_table(laptop))
    done = lab.wtrace("sync", "--to", "mca", expect=2)
    assert "did you mean `mac`" in done.stderr or "mac" in done.stderr
    assert "no race" in lab.wtrace("sync", "--to", "mac", expect=2).stderr
    lab.env.pop("WTRACE_TRUST")
    assert "approved" in lab.wtrace("sync", "--to", "mac", expect=2).stderr
    for host in ("-oProxyCommand=touch x", "/etc", "", "a b"):
        lab.write_config(["a"], extra=f'[sync.mac]\nhost = "{host}"')
        lab.wtrace("sync", "--to", "mac", "--trust", expect=2)
    assert not (lab.root / "x").exists()
