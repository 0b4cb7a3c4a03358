"""What a race costs, and what stopping early saved, while it runs."""

from __future__ import annotations

from dataclasses import replace

from standing_samples import STARTED, running_race, won_race
from wtrace.cli.terminal.live import Frame, render, summary
from wtrace.publish.markdown.progress import progress_page
from wtrace.publish.savings import cost_line, machine_s, savings


def text_of(frame: Frame) -> str:
    return "\n".join("".join(piece.text for piece in line) for line in frame.lines)


PRICE = 3.6  # per hour: a thousandth a second


def test_the_cost_grows_with_the_race_and_stands_in_the_live_view_and_on_the_page() -> None:
    race = replace(running_race(), cost_per_hour=PRICE)
    assert cost_line(race, STARTED + 700) == "cost so far: 0.70 at 3.6 per hour"
    assert cost_line(race, STARTED + 1400) == "cost so far: 1.40 at 3.6 per hour"
    picture = render(race, {}, width=120, height=40, now=STARTED + 700)
    assert "cost so far: 0.70" in text_of(picture)
    assert "cost so far: 0.70" in progress_page(race)


def test_once_it_is_decided_what_was_saved_is_told_too() -> None:
    race = won_race()
    workers = tuple(replace(row, ended=STARTED + 803) for row in race.workers)
    race = replace(race, workers=workers, cost_per_hour=PRICE)
    spared = machine_s(savings(race)) / 1000
    assert spared > 0
    line = cost_line(race, STARTED + 9999)
    assert line is not None
    assert line.startswith(f"cost so far: 0.80 at 3.6 per hour; saved by stopping early: {spared:.2f}")
    assert "saved by stopping early" in text_of(summary(race, width=120))


def test_without_a_price_nothing_is_said() -> None:
    assert cost_line(running_race(), STARTED + 700) is None
    assert "cost" not in progress_page(running_race())
