"""Many random histories of the rules; tests/test_rule_walk.py plays some of them always."""

from __future__ import annotations

from chaos_lab import LONG, figure
from rule_walk import played

HISTORIES = 10_000 if LONG else 200


def test_no_history_of_the_rules_hangs_or_does_anything_twice() -> None:
    events = sum(len(played(seed, 150).journal) for seed in range(1000, 1000 + HISTORIES))
    figure(f"random histories of the rules: {HISTORIES:,}, {events:,} events, none broken")
