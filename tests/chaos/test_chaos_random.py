"""The supervisor is killed at random, at points and between them, while workers start, report, crash, claim and end.

CHAOS_KILLS says how often (100), CHAOS_SEED with which dice.
"""

from __future__ import annotations

import os
import random
import signal
import time
from typing import Any

import pytest

from chaos_lab import ChaosLab, Lives, assert_intact
from wtrace.supervisor.failpoints import NAMES

KILLS = int(os.environ.get("CHAOS_KILLS", "100"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
KILLS_PER_RACE = 25
POINTS = [name for name in NAMES if not name.endswith(("report", "page", "close"))]
Steps = list[list[Any]]


def bursts(dice: random.Random, gates: range) -> Steps:
    """Behind each gate some epochs, now and then a check that does not pass, and lines that are torn or no JSON."""
    steps: Steps = []
    epoch = 1
    for gate in gates:
        last = epoch + dice.randint(2, 12)
        steps += [["wait", f"gate-{gate}"], ["epochs", epoch, last, dice.choice([0, 0.002, 0.02])]]
        epoch = last + 1
        if dice.random() < 0.4:
            steps.append(["check", 5 * -(-epoch // 5), round(dice.uniform(0.5, 1.4), 3)])
        if dice.random() < 0.3:
            steps.append(["raw", dice.choice(["not json\n", '{"event": "of-tomorrow"}\n', "\n"])])
    return steps


def scripts(dice: random.Random, gates: int) -> tuple[dict[str, Steps], dict[str, int]]:
    """The workers of a race and how each attempt of theirs ends."""
    code = dice.randint(1, 120)
    signum = dice.choice([signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
    part = [range(*sorted(dice.sample(range(gates), 2))) for _ in range(4)]
    claim: Steps = [["save", "best.pt", 1.1], ["check", 500, 1.9, "best.pt"], ["forever"]]
    workers: dict[str, Steps] = {
        "wins": [*bursts(dice, range(gates)), ["save", "best.pt", 1.9], ["wait", "end"], ["check", 900, 2.0, "best.pt"], ["forever"]],
        "crashes": [*bursts(dice, part[0]), ["raw", '{"event": "epo'], ["exit", code]],
        "is-killed": [["child"], *bursts(dice, part[1]), ["die", signum]],
        "finishes": [*bursts(dice, part[2]), ["exit", 0]],
        "is-refuted": [*bursts(dice, part[3]), *claim],
        "stays": [["child"], ["at last", {"event": "epoch", "epoch": 990}], *bursts(dice, range(2, gates)), ["forever"]],
    }  # fmt: skip
    ends = {"wins": 40, "crashes": code, "is-killed": -signum, "finishes": 0, "is-refuted": 40, "stays": 40}
    return workers, ends


def a_life(dice: random.Random, start_s: float) -> tuple[str, float]:
    """At which points this life is to end or is held up, and how long it may last."""
    words = []
    if dice.random() < 0.6:
        words.append(f"{dice.choice(POINTS)}:{dice.randint(1, 4)}:kill")
    if dice.random() < 0.3:
        words.append(f"{dice.choice(POINTS)}:{dice.randint(1, 3)}:{start_s / 4:.3f}")
    return " ".join(words), start_s * dice.uniform(0.5, 2.2)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(-(-KILLS // KILLS_PER_RACE)))
def test_killed_at_random(chaos: ChaosLab, number: int) -> None:
    dice = random.Random(f"{SEED}/{number}")
    kills = min(KILLS_PER_RACE, KILLS - number * KILLS_PER_RACE)
    workers, ends = scripts(dice, max(kills, 4))
    if number % 4:  # judged without samples, a supervisor starts in half the time
        chaos.criteria = {"ratio": "ratio >= 1.5"}
    chaos.race(
        workers,
        extra=chaos.confirm(more="attempts = 1"),
        race="max_parallel = 4\nmax_epochs = 1000\nretries = 1",
    )
    chaos.start_race("before-commit:1:kill")
    with Lives(chaos) as lives:
        began = time.monotonic()
        lives.die_at("after-commit")
        start_s = time.monotonic() - began
        for kill in range(kills):
            chaos.open_gate(f"gate-{kill}")
            at, at_most_s = a_life(dice, start_s)
            ended = lives.live(at, at_most_s=at_most_s)
            assert ended in ("ended -9", "cut off -9"), f"seed {SEED}/{number}, kill {kill} at {at}: {ended}"
        others = [name for name in workers if name not in ("wins", "stays")]
        for gate in range(kills, 4):
            chaos.open_gate(f"gate-{gate}")
        over = ("failed", "finished", "refuted")
        lives.live_until(
            lambda: all(chaos.worker(name)["state"] in over for name in others), "the others to end"
        )
        chaos.open_gate("end")
        assert lives.live(at_most_s=60) == "ended 0"
    status = chaos.status()["race"]
    assert (status["winner"], status["winner_epoch"], status["confirmed"]) == ("wins", 900, True)
    attempts = {name: len(chaos.noted(f"starts-{name}")) for name in workers}
    assert attempts["crashes"] == attempts["is-killed"] == 2
    assert_intact(chaos, {name: [ends[name]] * attempts[name] for name in workers})
