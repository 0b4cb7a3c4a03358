"""Losers are gone, their children too, within the grace period: hostile trees at 4, 16 and (the long form) 256 workers."""

from __future__ import annotations

import pytest

from chaos_lab import LONG, ChaosLab, figure, script

WAYS = [
    "own group",
    "setsid",
    "double fork",
    "cleared environment",
    "changed title",
    "SIGTERM ignored",
    "halted",
]
GRACE_S = 1.0


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [4, 16, *([256] if LONG else [])])
def test_nothing_of_a_loser_lives_on(chaos: ChaosLab, count: int) -> None:
    hostile = {
        f"hostile-{number}": script(
            ["escape", WAYS[number % len(WAYS)]], ["mark", f"up-{number}"], ["forever"]
        )
        for number in range(count - 2)
    }
    forks = script(["escape", "keeps forking"], ["mark", "up-forks"], ["forever"])
    wins = script(["wait", "go"], ["check", 5, 2.0], ["forever"])
    chaos.race({"wins": wins, **hostile, "forks": forks}, race=f"max_parallel = {count}")
    config = (chaos.root / "wtrace.toml").read_text().replace("grace = 5", f"grace = {GRACE_S}")
    (chaos.root / "wtrace.toml").write_text(config)
    chaos.start_race(timeout_s=300)
    for number in ("forks", *range(count - 2)):
        chaos.wait_for((chaos.gates / f"up-{number}").exists, f"up-{number}", timeout_s=300)
    chaos.open_gate("go")
    chaos.wait_for_end()
    assert chaos.survivors() == []
    (verdict,) = chaos.events("VerdictReached")
    last = max(event["at"] for event in chaos.events("WorkerExited"))
    after_s = last - verdict["at"] - GRACE_S
    figure(
        f"scale: {count} workers: the last hostile tree was gone {after_s:.2f} s after the grace period, 0 survivors"
    )
    assert after_s < (10 if count > 16 else 3)  # the machine may be busy; the figure is what counts
    known = [
        (event["signal"], event["known"])
        for event in chaos.events("WorkerExited")
        if event["worker"] != "wins"
    ]
    assert known == [(9, True)] * (count - 1)
