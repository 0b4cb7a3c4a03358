"""The planned checks, and the number of looks that p values are corrected for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtrace.config import schedule
from wtrace.config.spec import ConfirmSpec, JudgeSpec, RaceSpec, WorkerSpec


@pytest.mark.parametrize(
    ("check_every", "max_epochs", "epochs"),
    [(5, 20, (5, 10, 15, 20)), (5, 12, (5, 10, 12)), (5, 3, (3,)), (5, 5, (5,)), (1, 3, (1, 2, 3))],
)
def test_multiples_and_the_last_epoch_are_planned(
    check_every: int, max_epochs: int, epochs: tuple[int, ...]
) -> None:
    assert schedule.planned_epochs(check_every, max_epochs) == epochs


@given(st.integers(1, 50), st.integers(1, 300))
def test_the_three_ways_to_ask_agree(check_every: int, max_epochs: int) -> None:
    epochs = schedule.planned_epochs(check_every, max_epochs)
    assert schedule.count_planned(check_every, max_epochs) == len(epochs)
    asked = range(-5, max_epochs + 2 * check_every)
    assert tuple(epoch for epoch in asked if schedule.is_planned(epoch, check_every, max_epochs)) == epochs


def test_counting_takes_no_time() -> None:
    assert schedule.count_planned(3, 10**18) == (10**18 + 2) // 3


def test_every_worker_but_controls_is_looked_at() -> None:
    workers = (
        WorkerSpec("a", "a", ("x",)),
        WorkerSpec("b", "b", ("x",), max_epochs=12),
        WorkerSpec("baseline", "c", ("x",), control=True),
        WorkerSpec("hybrid", "d", ("x",), combines=("a", "b")),
    )
    spec = RaceSpec("race", (), workers, check_every=5, max_epochs=50)
    assert schedule.looks(spec) == 10 + 3 + 10
    assert schedule.divisor(spec) == 23
    assert schedule.divisor(replace(spec, judge=JudgeSpec(correction="none"))) == 1
    assert schedule.divisor(replace(spec, workers=workers[2:3])) == 1
    confirmed = replace(spec, confirm=ConfirmSpec(("x",), attempts=2))
    assert schedule.confirm_divisor(confirmed) == 3 * 2
    assert schedule.confirm_divisor(spec) == 1
    assert schedule.confirm_divisor(replace(confirmed, judge=JudgeSpec(correction="none"))) == 1
