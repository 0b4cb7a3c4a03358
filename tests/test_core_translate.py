"""Which readings of foreign sources become checks, and when: pure, without a file."""

from __future__ import annotations

import math
import re
import time
import tracemalloc
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtrace.metrics.foreign import rows
from wtrace.metrics.foreign.check_builder import Plan, Translator
from wtrace.metrics.foreign.doubts import Doubts
from wtrace.metrics.foreign.numbering import Numbering
from wtrace.metrics.foreign.rows import Reading

PLAN = Plan(check_every=2, max_epochs=5, wanted=frozenset({"loss"}))


def settled(epoch: float, **values: float) -> Reading:
    return Reading(epoch, values, settled=True)


def open_(epoch: float, **values: float) -> Reading:
    return Reading(epoch, values, settled=False)


def told(records: Iterable[dict[str, Any]]) -> list[tuple[str, int, dict[str, float]]]:
    return [(record["event"], record["epoch"], record["metrics"]) for record in records]


def translated(given_: Sequence[Reading], plan: Plan = PLAN) -> list[tuple[str, int, dict[str, float]]]:
    translator = Translator(plan)
    records = [record for reading in given_ for record in (*translator.take(reading), *translator.flush())]
    return told([*records, *translator.finish(whole=True)])


def test_planned_epochs_and_the_last_become_checks() -> None:
    assert [(event, epoch) for event, epoch, _ in translated([settled(e, loss=1) for e in range(8)])] == [
        ("epoch", 0), ("epoch", 1), ("check", 2), ("epoch", 3), ("check", 4), ("check", 5), ("epoch", 6), ("epoch", 7),
    ]  # fmt: skip


def test_a_settled_check_waits_for_nothing() -> None:
    translator = Translator(PLAN)
    assert told(translator.take(settled(2, loss=0.5))) == [("check", 2, {"loss": 0.5})]
    assert translator.finish(whole=True) == []


def test_what_may_still_change_waits_for_the_next_epoch() -> None:
    translator = Translator(PLAN)
    assert translator.take(open_(2, loss=0.1)) == []
    assert translator.take(open_(2, loss=0.9)) == []
    assert translator.flush() == []
    translator.take(open_(3, loss=0.3))
    assert told(translator.flush()) == [("check", 2, {"loss": 0.9})]


def test_an_epoch_that_has_only_begun_ends_the_one_before() -> None:
    assert translated([open_(2, loss=0.1), open_(3), open_(2, loss=0.9)]) == [("check", 2, {"loss": 0.1})]


def test_a_check_is_never_made_of_a_part() -> None:
    """Two rows of one epoch, the validation's after the training's: one check that has both."""
    assert translated([open_(2, train=0.3), open_(2, loss=0.2), open_(3, train=0.1)]) == [
        ("check", 2, {"train": 0.3, "loss": 0.2}),
        ("epoch", 3, {"train": 0.1}),
    ]


def test_an_epoch_without_what_the_criteria_use_is_no_check_and_that_is_told_once() -> None:
    translator = Translator(PLAN)
    for epoch in range(1, 6):
        translator.take(open_(epoch, val_acc=0.9))
        translator.flush()
    assert translator.hints == ["epoch 2 is no check: it lacks loss, which the criteria use; it has val_acc"]
    assert [event for event, _, _ in told(translator.finish(whole=True))] == ["epoch"]


def test_an_epoch_that_was_cut_short_is_no_reason_to_doubt_the_names() -> None:
    translator = Translator(PLAN)
    translator.take(settled(2, loss=0.5))
    translator.take(open_(4, train=0.3))
    assert [record["event"] for record in translator.finish(whole=True)] == ["epoch"]
    assert translator.hints == []


def test_two_files_of_one_training_that_are_read_one_after_the_other_make_whole_checks() -> None:
    train = [open_(epoch, train=0.5) for epoch in (1, 2, 3, 4)]
    validation = [open_(epoch, loss=0.4) for epoch in (1, 2, 3, 4)]
    found = translated([*train, *validation])
    assert [(event, epoch) for event, epoch, _ in found if event == "check"] == [("check", 2), ("check", 4)]
    assert ("check", 2, {"train": 0.5, "loss": 0.4}) in found


def test_what_comes_after_a_check_is_told_but_is_no_second_check() -> None:
    assert translated([settled(2, loss=0.5), settled(2, loss=0.1, seconds=9), settled(4, loss=0.2)]) == [
        ("check", 2, {"loss": 0.5}),
        ("epoch", 2, {"seconds": 9}),
        ("check", 4, {"loss": 0.2}),
    ]


def test_epochs_may_be_counted_from_0_and_in_parts() -> None:
    plan = Plan(2, 4, frozenset({"loss"}), first_epoch=0)
    assert [(e, n) for e, n, _ in translated([settled(n, loss=1) for n in range(4)], plan)] == [
        ("epoch", 1), ("check", 2), ("epoch", 3), ("check", 4),
    ]  # fmt: skip
    assert translated([open_(1.25, loss=1), open_(2.0, loss=2), open_(2.5, loss=3)]) == [
        ("check", 2, {"loss": 2}),
        ("epoch", 3, {"loss": 3}),
    ]


def test_an_epoch_0_is_asked_about() -> None:
    translator = Translator(PLAN)
    translator.take(settled(0, loss=1))
    assert (
        translator.hints == []
    )  # it may be an evaluation before the training, or the first of 0, 250, 500, …
    translator.take(settled(1, loss=1))
    assert translator.hints == ["its metrics have an epoch 0: if it counts from 0, set first_epoch = 0"]


def test_a_checkpoint_is_named_by_the_epoch_that_the_source_knows() -> None:
    plan = Plan(2, 4, frozenset({"loss"}), first_epoch=0, checkpoint="epoch={epoch}.ckpt")
    [record] = Translator(plan).take(settled(1, loss=0.1))
    assert (record["epoch"], record["checkpoint"]) == (2, "epoch=1.ckpt")


def test_without_criteria_on_metrics_planned_epochs_are_checks_all_the_same() -> None:
    plan = Plan(2, 4, frozenset())
    assert [(e, n) for e, n, _ in translated([open_(n, acc=1) for n in (1, 2, 3)], plan)] == [
        ("epoch", 1), ("check", 2), ("epoch", 3),
    ]  # fmt: skip


@given(
    st.lists(
        st.builds(
            Reading,
            st.integers(0, 7).map(float),
            st.dictionaries(st.sampled_from(["loss", "train", "lr"]), st.floats(0, 1), min_size=1),
            settled=st.booleans(),
        ),
        max_size=25,
    ).map(lambda found: sorted(found, key=lambda reading: reading.epoch or 0)),
    st.lists(st.integers(0, 25), max_size=4),
)
@settings(max_examples=300)
def test_whoever_takes_over_loses_no_check_and_doubles_none(given_: list[Reading], cuts: list[int]) -> None:
    """A supervisor dies after some readings, the next one reads all from the beginning: the same records are told."""
    undisturbed = translated(given_)
    written: list[dict[str, Any]] = []
    for stop in [*sorted(min(cut, len(given_)) for cut in cuts), len(given_)]:
        translator = Translator(PLAN)
        for record in written:
            translator.recall(record["epoch"], record["metrics"], is_check=record["event"] == "check")
        for reading in given_[:stop]:
            written += [*translator.take(reading), *translator.flush()]
    written += translator.finish(whole=True)
    assert checks(told(written)) == checks(undisturbed)
    assert names(told(written)) == names(undisturbed)


def checks(records: list[tuple[str, int, dict[str, float]]]) -> list[tuple[int, float]]:
    return [(epoch, metrics["loss"]) for event, epoch, metrics in records if event == "check"]


def names(records: list[tuple[str, int, dict[str, float]]]) -> set[tuple[int, str]]:
    return {(epoch, name) for _, epoch, metrics in records for name in metrics}


@pytest.mark.parametrize(
    ("given_", "number"),
    [
        ("0.52", 0.52), ("0.52,", 0.52), ("97.5%", 97.5), ("(3)", 3.0), ("1e-3", 0.001), (7, 7), (0.5, 0.5),
        ("0.5}", 0.5), ("0.5].", 0.5), ("3.", 3.0), (".5;", 0.5), ("'0.93',", 0.93), ("\u22120.5", -0.5),
        ("np.float64(0.93)", 0.93), ("np.float32(1e-3),", 0.001), ("tensor(0.1, device='cuda:0')", 0.1), ("tensor(0.1,", 0.1),
        ("tensor([[0.25]])", 0.25), ("Decimal('0.5')", 0.5), ("1,234.5", 1234.5), ("-12,345,678", -12345678.0),
        ("0,42", None), ("12,34", None), ("0.5/1.0", None), ("0.1±0.2", None), ("1.2.3", None), ("f(x)", None), ("...", None),
        ("", None), ("high", None), ("1_000", None), (True, None), (None, None), ([1], None), ("9" * 200, None),
    ],
)  # fmt: skip
def test_what_is_a_number(given_: object, number: float | None) -> None:
    assert rows.number(given_) == number


@pytest.mark.parametrize(
    ("given_", "number"),
    [("0,42", 0.42), ("1.234,5", 1234.5), ("-3,0e-2", -0.03), ("0.42", 0.42), ("1,5,2", None)],
)
def test_what_is_a_number_where_the_comma_is_the_decimal_point(given_: str, number: float | None) -> None:
    assert rows.number(given_, decimal_comma=True) == number


def test_not_a_number_is_kept_as_what_it_is() -> None:
    found = rows.number("nan"), rows.number("-inf")
    assert found[0] is not None and math.isnan(found[0]) and found[1] == -math.inf


def test_a_row_says_what_its_cells_say() -> None:
    assert rows.header_of("\ufeff epoch,  step, 'a/b' \r") == (",", ("epoch", "step", "'a/b'"))
    assert rows.header_of("epoch;loss")[0] == ";"
    header = ("epoch", "step", "loss", "note")
    assert rows.of_cells(header, ["3", "9", "0.5", "ok"], "epoch") == Reading(
        3, {"loss": 0.5}, settled=False, steps=True, unread={"note": "ok"}
    )
    assert rows.of_cells(header, ["", "9", "0.5", "ok"], "epoch") is None
    assert rows.of_cells(header, ["3", "9", "", ""], "epoch") == Reading(3, {}, settled=False, steps=True)
    assert rows.of_cells(header, ["3", "9"], "epoch") == "a row of 2 cells under a header of 4"
    assert rows.of_cells(("epoch", "loss"), ["3", "0.5"], "epoch") == Reading(3, {"loss": 0.5}, settled=True)
    assert rows.of_cells(("epoch", "loss"), ["-3", "0.5"], "epoch") == "its epoch is no epoch: '-3'"


def test_names_that_no_record_can_carry_are_left_out() -> None:
    reading = rows.of_object({"epoch": 1, "\ud800": 1, "a\nb": 1, "": 1, "ok": 2, "x" * 201: 3}, "epoch")
    assert reading == Reading(1, {"ok": 2}, settled=True)


def test_a_step_says_that_an_epoch_has_several_lines() -> None:
    assert rows.of_object({"epoch": 1, "loss": 2, "iter": 50}, "epoch") == Reading(
        1, {"loss": 2}, settled=False, steps=True
    )
    assert rows.of_object({"step": 50, "loss": 2}, "step") == Reading(50, {"loss": 2}, settled=True)
    pattern = re.compile(r"epoch (?P<epoch>\d+)(?: step (?P<step>\d+))? loss (?P<loss>\S+)")
    for text, is_settled in (("epoch 3 loss 0.5", True), ("epoch 3 step 7 loss 0.5", False)):
        groups = rows.groups_of(pattern, text)
        assert groups is not None
        assert rows.of_groups(groups, "epoch") == Reading(
            3, {"loss": 0.5}, settled=is_settled, steps=not is_settled
        )


def test_what_is_remembered_and_told_of_names_without_end_is_bounded() -> None:
    """Each reading has a name of its own, and a text that looks like a number."""
    after_a_number = Numbering(frozenset(), repeats=False)
    after_a_number.take(Reading(1, {"a": 1}, settled=True))
    for numbering in (
        Numbering(frozenset(), comes="last"),
        Numbering(frozenset(), counts=None),
        Numbering(frozenset(), counts=True),
        after_a_number,
    ):
        tracemalloc.start()
        for n in range(20_000):
            numbering.take(Reading(None, {f"x{n}": 1}, settled=True, unread={f"y{n}": "1/2"}))
            numbering.hints.clear()
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert size < 1_000_000
    doubts = Doubts(PLAN)
    for n in range(1000):
        reading = Reading(1, {}, settled=True, unread={f"y{n}": "1/2", "loss": "high"})
        doubts.hear(reading, 1, 0, at_end=True)
    assert len(doubts.hints) <= 10 and "its loss is no number: 'high'" in doubts.hints


def test_many_unplanned_numbers_cost_no_more_than_few() -> None:
    doubts, before = Doubts(Plan(10**6, 10**6, frozenset({"loss"}))), time.process_time()
    for n in range(1, 100_000):
        doubts.hear(settled(n, loss=1), n, 0, at_end=True)
    assert (
        time.process_time() - before < 20
    )  # it would take a minute and more if each were held against all others
