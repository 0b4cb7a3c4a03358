"""When a claim's file may be copied, decided from what was seen of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from test_core_race import spec
from wtrace.config.spec import ConfirmSpec, MetricsSpec
from wtrace.race.claims import Claim
from wtrace.race.freezing import (
    STILL_S,
    FileSeen,
    Habit,
    Look,
    Lost,
    Seen,
    Take,
    Wait,
    habit_at_first,
    may_copy,
    seen_now,
)
from wtrace.race.whole import Ending

OWN = spec("a", confirm=ConfirmSpec(("evaluate",)))
ONE_FILE = spec(
    "a",
    confirm=ConfirmSpec(("evaluate",)),
    metrics=MetricsSpec("stdout", pattern="(?P<epoch>)(?P<loss>)", checkpoint="model.pt"),
)
CLAIM = Claim(1, "a", 5, "model.pt", at=100.0)
ANYHOW = Habit()
SETTLED = Ending(at=100.2, settled=True)


def file(modified: float, *, size: int = 1000, inode: int = 1) -> FileSeen:
    return FileSeen(1, inode, size, int(modified * 1e9))


def after(*looks: Look) -> Seen:
    seen = None
    for look in looks:
        seen = seen_now(seen, look)
    assert seen is not None
    return seen


def twice(look: Look) -> tuple[Look, Look]:
    """The loop looks again as soon as it has read what was reported before the first look."""
    return look, replace(look, at=look.at + 0.01)


def answer(
    *looks: Look,
    race: object = OWN,
    claim: Claim = CLAIM,
    habit: Habit = ANYHOW,
    ending: Ending = Ending(),  # noqa: B008 (it never changes)
) -> Take | Wait | Lost:
    return may_copy(race, claim, after(*looks), habit, ending=ending, limit_s=60.0)  # type: ignore[arg-type]


WHOLE = Look(100.1, file(99.0), writing=False)


def test_a_whole_file_is_copied_at_once() -> None:
    assert answer(WHOLE) == Take()


@pytest.mark.parametrize(
    ("look", "why"),
    [(Look(100.1, None), "is not there"), (Look(100.1, file(99.0), writing=True), "is being written")],
)
def test_a_file_that_is_not_whole_is_waited_for_while_it_changes_and_then_given_up(
    look: Look, why: str
) -> None:
    assert answer(look) == Wait(why)
    assert answer(look, replace(look, at=159.0)) == Wait(why)
    assert answer(look, replace(look, at=161.0)) == Lost(f"{why} after 60 s")
    assert answer(look, Look(159.0, file(159.0, size=2000), writing=True), replace(look, at=200.0)) != Lost(
        why
    )
    assert answer(look, Look(130.0, file(129.0, size=5000), writing=False)) == Take()


def test_of_a_worker_that_has_ended_nothing_more_is_waited_for() -> None:
    ended = Ending(at=100.05, by_itself=True)
    assert answer(Look(100.1, None, writing=False), ending=ended) == Lost("is not there")
    assert answer(WHOLE, ending=ended) == Take()


def test_of_a_worker_that_was_killed_amid_its_save_nothing_is_taken() -> None:
    killed = Ending(at=103.0)
    late = Look(103.1, file(102.9), writing=False)
    assert isinstance(answer(Look(100.1, None), late, ending=killed), Lost)
    assert answer(WHOLE, ending=killed) == Take(), "it was saved before it was named"
    assert isinstance(answer(WHOLE, late, race=ONE_FILE, ending=killed), Lost)
    assert answer(WHOLE, *twice(late), race=ONE_FILE, ending=replace(killed, settled=True)) == Take()


def test_where_nobody_can_say_who_writes_a_file_is_whole_when_it_is_still() -> None:
    assert answer(Look(100.1, file(99.9))) == Wait("may be being written")
    assert answer(Look(100.1, file(90.0))) == Take()
    grows = [Look(100.0 + at, file(100.0 + at, size=at)) for at in range(1, 5)]
    assert answer(*grows) == Wait("may be being written")
    assert answer(*grows, replace(grows[-1], at=104.0 + STILL_S)) == Take()


def test_what_is_written_over_a_file_that_was_whole_when_it_was_named_is_of_another_epoch() -> None:
    assert answer(WHOLE, Look(100.5, file(100.4), writing=False)) == Lost(
        "was overwritten before it could be copied"
    )
    assert answer(Look(109.0, file(108.0), writing=False)) == Lost(
        "was overwritten before it could be copied"
    )
    waited = replace(CLAIM, seen_incomplete=True)  # by the supervisor before
    assert answer(Look(109.0, file(108.0), writing=False), claim=waited) == Take()


def test_what_is_found_only_after_a_later_report_may_be_of_that() -> None:
    late = replace(CLAIM, overtaken=101.0)
    assert isinstance(answer(Look(100.5, None), Look(101.5, file(101.2), writing=False), claim=late), Lost)
    assert isinstance(answer(Look(101.0, file(99.0), writing=False), claim=late), Lost)
    assert (
        answer(Look(100.5, file(99.0), writing=False), Look(103.0, file(99.0), writing=False), claim=late)
        == Take()
    )


def test_a_save_that_was_seen_before_the_later_report_is_of_its_own_epoch_however_long_it_takes() -> None:
    """A thread saves while the training goes on."""
    late = replace(CLAIM, overtaken=101.0)
    grows = [Look(100.0 + at / 4, file(100.0 + at / 4, size=at), writing=True) for at in range(1, 17)]
    whole = Look(104.2, file(104.1, size=17), writing=False)
    assert answer(*grows, whole, race=ONE_FILE, claim=late) == Take()
    anew = Look(104.1, file(104.1, size=1), writing=True)  # it was cut: the next save
    assert isinstance(answer(*grows, anew, whole, race=ONE_FILE, claim=late), Lost)


def test_a_save_that_has_grown_while_nobody_looked_may_be_the_next_one() -> None:
    """Read at 101.0; at 101.1 the same file is longer, but the first save may have ended at 100.5."""
    late = replace(CLAIM, overtaken=101.0)
    began = twice(Look(100.1, file(100.1, size=1), writing=True))
    longer = Look(101.1, file(101.1, size=500), writing=True)
    whole = Look(101.2, file(101.2), writing=False)
    assert isinstance(answer(*began, longer, whole, race=ONE_FILE, claim=late), Lost)
    grows = [Look(100.0 + at / 10, file(100.0 + at / 10, size=at), writing=True) for at in range(1, 5)]
    next_look = Look(100.5, file(101.1, size=500), writing=True)
    closed = replace(next_look, at=101.2, writing=False)
    assert answer(*grows, next_look, closed, race=ONE_FILE, claim=late) == Take()
    slow = replace(next_look, until=101.1)  # the turn had begun long before it looked
    assert isinstance(answer(*grows, slow, closed, race=ONE_FILE, claim=late), Lost)


def test_between_two_looks_a_fast_training_may_save_twice() -> None:
    """Its epochs take 0.1 s: at 100.0 the save of epoch 5 is seen, at 100.2 all of that of epoch 6, which only is longer."""
    late = replace(CLAIM, overtaken=100.1)
    began = twice(Look(100.0, file(100.0, size=1), writing=True))
    whole = Look(100.2, file(100.15), writing=False)
    assert isinstance(answer(*began, *twice(whole), race=ONE_FILE, claim=late), Lost)
    assert isinstance(answer(*began, whole, race=ONE_FILE, claim=late, ending=SETTLED), Lost)
    still = Look(100.2, file(100.2, size=900), writing=True)
    ends = Look(100.3, file(100.25), writing=False)
    assert isinstance(answer(*began, still, *twice(ends), race=ONE_FILE, claim=late), Lost)


def test_what_is_written_before_the_next_report_is_read_may_come_after_it() -> None:
    """The worker reports epoch 6 and saves; the file is seen at once, the line a moment later."""
    first = Look(100.1, file(91.0), writing=False)
    next_one = Look(101.0, file(101.0), writing=False)
    assert answer(first, next_one, race=ONE_FILE) == Wait("has just been written")
    unread = replace(next_one, at=101.1, all_read=False)
    assert answer(first, next_one, unread, race=ONE_FILE) == Wait("has just been written")
    late = replace(CLAIM, overtaken=101.2)
    again = replace(next_one, at=101.2)
    assert isinstance(answer(first, next_one, unread, again, race=ONE_FILE, claim=late), Lost)
    assert answer(first, next_one, again, race=ONE_FILE) == Take()


AFTERWARDS = Habit(saves_first=False, previous=90.0)


def test_a_training_that_saves_after_it_reports_is_waited_for() -> None:
    old = Look(100.1, file(91.0), writing=False)
    assert answer(*twice(old), race=ONE_FILE, habit=AFTERWARDS) == Wait(
        "has not been written since epoch 5 was reported"
    )
    saving = Look(115.0, file(115.0, size=10), writing=True)
    saved = Look(116.0, file(116.0), writing=False)
    assert answer(old, saving, race=ONE_FILE, habit=AFTERWARDS) == Wait("is being written")
    assert answer(old, saving, *twice(saved), race=ONE_FILE, habit=AFTERWARDS) == Take()
    renamed = Look(116.0, file(115.9, inode=2), writing=False)
    assert answer(old, *twice(renamed), race=ONE_FILE, habit=AFTERWARDS) == Take()


def test_a_training_that_saves_before_it_reports_is_copied_at_once() -> None:
    first = Habit(saves_first=True, previous=90.0)
    assert answer(Look(100.1, file(99.5), writing=False), race=ONE_FILE, habit=first) == Take()


def test_a_file_that_was_not_written_for_the_claims_epoch_is_no_checkpoint_of_it() -> None:
    stale = Look(100.1, file(80.0), writing=False)
    late = replace(CLAIM, overtaken=110.0)
    assert answer(*twice(stale), race=ONE_FILE, habit=AFTERWARDS, claim=late) == Lost(
        "was not written for epoch 5"
    )
    fresh = Look(100.1, file(91.0), writing=False)  # between the reports of epochs 4 and 5, and not since
    assert answer(*twice(fresh), race=ONE_FILE, habit=AFTERWARDS, claim=late) == Take()


def test_where_the_habit_is_not_known_the_nearer_epoch_counts() -> None:
    near = Look(100.1, file(99.0), writing=False)
    assert isinstance(answer(near, race=ONE_FILE), Wait)
    assert answer(near, replace(near, at=101.0), race=ONE_FILE) == Take()
    assert answer(near, *twice(Look(100.6, file(100.5), writing=False)), race=ONE_FILE) == Take()


def test_a_line_that_was_read_late_was_printed_before_what_is_saved_now() -> None:
    """The worker printed at 95, and had saved by 97; the line was read at 100."""
    saved = Look(100.1, file(97.0), writing=False, printed_at=95.0)
    assert answer(*twice(saved), race=ONE_FILE, habit=AFTERWARDS) == Take()
    later = twice(replace(saved, printed_at=98.0))
    assert answer(*later, race=ONE_FILE, habit=AFTERWARDS) == Wait(
        "has not been written since epoch 5 was reported"
    )


@pytest.mark.parametrize(
    ("there", "silent_at", "printed_at", "saves_first"),
    [
        (None, 15.0, 20.0, False),
        (file(5.0), 15.0, 20.0, False),  # of an earlier attempt
        (file(14.0), 15.0, 20.0, True),
        (file(19.0), 15.0, 18.0, False),  # printed, saved, and read later
        (file(19.0), 15.0, 20.0, None),
        (file(14.0), None, None, None),
    ],
)
def test_the_habit_shows_at_the_first_reading(
    there: FileSeen | None, silent_at: float | None, printed_at: float | None, saves_first: bool | None
) -> None:
    habit = habit_at_first(there, began=10.0, silent_at=silent_at, printed_at=printed_at)
    assert habit.saves_first is saves_first
