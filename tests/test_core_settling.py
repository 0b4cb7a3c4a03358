"""When a winner that saves after it prints may be ended: the rules, without a process, a file or a clock."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_core_race import Story, spec, with_worker
from wtrace.config.spec import MetricsSpec, RaceSpec
from wtrace.race import events as ev
from wtrace.race import policy, view
from wtrace.race.open_file import FileId, OpenFile
from wtrace.race.phases import Running, Stopping
from wtrace.race.settling import (
    GROWTH_BYTES,
    GROWTH_S,
    LOG_LOOKS,
    LOG_OPEN_S,
    QUIET_S,
    STILL_S,
    Activity,
    Saved,
    Seen,
    Settling,
    ends_by,
    grown,
    is_log,
    logs_among,
    may_end,
    remember,
    saves,
)

LIMIT_S = 60.0


def file(path: str = "/out/model.pt", inode: int = 1, size: int = 1000, **more: object) -> OpenFile:
    base = OpenFile(path, 0, inode, size, modified_ns=size, position=size, appends=False)
    return replace(base, **more)  # type: ignore[arg-type]


def settling(**more: object) -> Settling:
    return replace(Settling("winner", 100.0, 5), **more)  # type: ignore[arg-type]


def looks(*files: OpenFile) -> dict[FileId, Seen]:
    """What is remembered of a file after it was seen so, every second."""
    seen: dict[FileId, Seen] = {}
    for second, each in enumerate(files):
        seen = remember(seen, [each], float(second))
    return seen


# -- which files are logs


def test_a_file_that_only_grows_and_slowly_is_a_log_after_some_looks() -> None:
    growing = [file("/out/history", size=size) for size in range(100, 100 + 10 * LOG_LOOKS, 10)]
    assert logs_among(looks(*growing)) == ((0, 1),)
    assert logs_among(looks(*growing[:-1])) == ()


def test_a_file_that_nobody_writes_to_meanwhile_is_a_log_too() -> None:
    assert logs_among(looks(*[file("/out/history")] * LOG_LOOKS)) == ((0, 1),)


@pytest.mark.parametrize(
    "again",
    [
        file(size=500, modified_ns=9999),  # truncated
        file(modified_ns=9999),  # written anew, to the same size
        file(size=1100, position=10),  # its place is further back: another opening
        file(size=1000 + 2 * GROWTH_BYTES),  # as fast as only a save is
    ],
)
def test_a_file_that_is_saved_again_and_again_is_no_log_however_often_it_is_seen(again: OpenFile) -> None:
    before = [file()] * (LOG_LOOKS - 1)
    assert logs_among(looks(*before, again)) == ()
    assert logs_among(looks(*[file(), again] * LOG_LOOKS)) == ()


def test_of_an_empty_file_nothing_can_be_said() -> None:
    assert logs_among(looks(*[file(size=0)] * 2 * LOG_LOOKS)) == ()


def test_a_file_that_was_closed_in_between_begins_anew() -> None:
    seen = remember(looks(*[file()] * (LOG_LOOKS - 1)), [], 10.0)
    assert seen == {}
    assert logs_among(remember(seen, [file()], 11.0)) == ()


@pytest.mark.parametrize("name", ["events.out.tfevents.17.host", "run-1.wandb", "train.log"])
def test_event_files_and_logs_are_known_by_their_names(name: str) -> None:
    assert is_log(Seen(file(f"/out/{name}", size=0), 0.0, 0.0))


def test_what_is_opened_to_append_is_a_log() -> None:
    assert is_log(Seen(file(appends=True), 0.0, 0.0))
    assert not is_log(Seen(file(), 0.0, 0.0))


def test_a_fast_log_is_known_after_a_while() -> None:
    seen: dict[FileId, Seen] = {}
    for second in range(int(LOG_OPEN_S) + 1):
        assert logs_among(seen) == ()
        seen = remember(seen, [file("/out/chatty", size=1000 + second * GROWTH_BYTES)], float(second))
    assert logs_among(seen) == ((0, 1),)
    cut = remember(seen, [file("/out/chatty", size=1000)], LOG_OPEN_S + 1)
    assert logs_among(cut) == ()


def test_a_save_is_what_is_open_and_no_log() -> None:
    found = [file(), file("/out/history", inode=2), file("/out/x.log", inode=3)]
    assert [each.path for each in saves({}, found, [(0, 2)], 5.0).values()] == ["/out/model.pt"]


@given(st.lists(st.integers(0, 10 * GROWTH_BYTES), min_size=1))
def test_a_save_grows_by_what_it_was_seen_to_grow_in_all(sizes: list[int]) -> None:
    saved, grew = None, []
    for second, size in enumerate(sizes):
        saved = grown(saved, "/out/model.pt", size, float(second))
        grew.append(saved.grew)
    assert grew == sorted(grew)
    assert grew[0] == 0.0
    slow = all(abs(size - sizes[0]) < GROWTH_BYTES and size >= sizes[0] for size in sizes)
    assert not slow or grew[-1] == 0.0


# -- when it may end


def ends(now: float, *, epoch: int = 5, limit_s: float = LIMIT_S, **activity: object) -> bool:
    seen = replace(Activity((), 100.0), **activity)  # type: ignore[arg-type]
    return may_end(settling(), epoch, seen, limit_s, now)


def test_it_ends_when_it_has_gone_on_to_a_later_reading() -> None:
    assert not ends(100.1)
    assert ends(100.1, epoch=6)


def test_it_ends_when_nothing_has_changed_for_a_while() -> None:
    assert not ends(100.0 + QUIET_S - 0.1)
    assert ends(100.0 + QUIET_S)
    assert not ends(100.0 + QUIET_S, changed=105.0)
    assert ends(105.0 + QUIET_S, changed=105.0)


def test_it_ends_when_its_time_is_over_however_much_changes() -> None:
    assert ends(100.0 + LIMIT_S, changed=100.0 + LIMIT_S)


def test_what_is_being_saved_is_waited_for_whatever_it_has_reported() -> None:
    saving = (Saved("/out/model.pt", 0, 100.0),)
    assert not ends(100.0 + LIMIT_S - 0.1, epoch=9, saves=saving)
    assert ends(100.0 + LIMIT_S, epoch=9, saves=saving)


def test_a_save_that_grows_is_waited_for_beyond_every_limit() -> None:
    late = 100.0 + 100 * LIMIT_S
    assert not ends(late, saves=(Saved("/out/model.pt", 0, late - GROWTH_S + 0.1),))
    assert ends(late, saves=(Saved("/out/model.pt", 0, late - GROWTH_S),))


def test_a_training_that_saves_into_one_file_all_the_time_is_ended_when_its_time_is_over() -> None:
    found, again = [file(size=1000)], [file(size=10)]
    first = saves({}, found, (), 0.0)
    assert not first[0, 1].again
    assert not saves(first, found, (), 1.0)[0, 1].again
    second = saves(first, again, (), 2.0)
    assert second[0, 1].again
    assert saves(second, found, (), 3.0)[0, 1].again
    renamed = saves({}, [file(inode=2)], (), 4.0, finished={"/out/model.pt"})
    assert renamed[0, 2].again
    assert not ends(100.0 + LIMIT_S - 1, saves=(renamed[0, 2],))
    assert ends(100.0 + LIMIT_S, saves=(Saved("/out/model.pt", 0, 100.0 + LIMIT_S, again=True),))
    assert not ends(100.0 + LIMIT_S, saves=(Saved("/out/shard-2", 0, 100.0 + LIMIT_S),))


def test_where_open_files_cannot_be_asked_for_they_must_be_still_too() -> None:
    assert not ends(100.0 + STILL_S - 0.1, epoch=6, asked=False)
    assert ends(100.0 + STILL_S, epoch=6, asked=False)


# -- the race


def printing(race: RaceSpec, **more: object) -> RaceSpec:
    """A race to whose workers wtrace's own lines are unknown."""
    return replace(race, metrics=MetricsSpec("stdout"), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("on_win", "source", "expected"),
    [
        ("auto", MetricsSpec(), "stop"),
        ("auto", MetricsSpec("stdout"), "settle"),
        ("auto", MetricsSpec("jsonl", path="{output}/log.jsonl"), "settle"),
        ("settle", MetricsSpec(), "settle"),
        ("stop", MetricsSpec("csv"), "stop"),
        ("finish", MetricsSpec("csv"), "finish"),
    ],
)
def test_what_becomes_of_the_winner_follows_from_where_its_metrics_come_from(
    on_win: str, source: MetricsSpec, expected: str
) -> None:
    race = spec("a", on_win=on_win, metrics=source)
    assert ends_by(race, race.workers[0]) == expected


def test_a_training_may_say_that_it_saves_after_it_reports() -> None:
    race = Story(spec("a", "b"))
    race.start_all()
    race.note(ev.SettlingAsked(race.now, "a"))
    race.check("a", 5, ratio=1.6)
    assert phase_of(race, "a").settling is not None
    race = Story(spec("a", "b", on_win="stop"))
    race.start_all()
    race.note(ev.SettlingAsked(race.now, "a"))
    race.check("a", 5, ratio=1.6)
    assert ("a", "winner") in stops(race)


def phase_of(race: Story, name: str) -> Running:
    phase = race.state.workers[name].phase
    assert isinstance(phase, Running)
    return phase


def won(race: RaceSpec) -> Story:
    story = Story(race)
    story.start_all()
    story.check("a", 5, ratio=1.6)
    return story


def stops(race: Story) -> list[tuple[str, str]]:
    return [(deed.worker, deed.cause) for deed in race.deeds if isinstance(deed, policy.Stop)]


def test_losers_are_told_at_the_verdict_and_the_winner_when_it_has_settled() -> None:
    race = won(printing(spec("a", "b", "c")))
    assert stops(race) == [("b", "beaten"), ("c", "beaten")]
    assert phase_of(race, "a").settling == Settling("winner", race.now, 5)
    assert view.worker_standing(race.state, "a", view.Place("", "", "", "", "")).state == "won"
    race.note(ev.WorkerSettled(race.now, "a"))
    race.settle()
    assert stops(race)[2:] == [("a", "winner")]


def test_the_race_is_not_over_before_the_winner_is() -> None:
    race = won(printing(spec("a", "b")))
    race.exited("b", code=None, signal=15)
    assert race.over() is None
    race.note(ev.WorkerSettled(race.now, "a"))
    race.settle()
    assert race.over() is None
    race.exited("a", code=None, signal=15)
    assert (race.over(), race.outcome("a")) == ("won", "won")


def test_a_winner_that_ends_by_itself_meanwhile_has_won() -> None:
    race = won(printing(spec("a", "b"), retries=3))
    race.exited("a", code=1)
    assert race.outcome("a") == "won"


def test_who_is_asked_to_stop_meanwhile_is_stopped_at_once() -> None:
    race = won(printing(spec("a", "b")))
    race.note(ev.StopAsked(race.now, ("a",), "somebody"))
    race.settle()
    assert ("a", "asked") in stops(race)
    race.exited("a", code=0)
    assert race.outcome("a") == "won"


def test_a_halted_winner_goes_on_and_a_silent_one_is_not_called_stalled() -> None:
    race = Story(printing(spec("a", "b"), on_stall="stop"))
    race.start_all()
    race.note(ev.WorkerPaused(race.now, "a"))
    race.check("a", 5, ratio=1.6)
    assert not phase_of(race, "a").paused
    race.now += 10_000
    race.settle()
    assert not phase_of(race, "a").stalled
    assert ("a", "stalled") not in stops(race)


def test_what_it_saves_is_shown_and_what_it_still_wrote_stays_noted() -> None:
    race = won(printing(spec("a", "b")))
    place = view.Place("", "", "", "", "")
    race.note(ev.SavingSeen(race.now, "a", "model.pt", ((0, 7),)))
    assert view.worker_standing(race.state, "a", place).note == "saving model.pt"
    assert phase_of(race, "a").settling == Settling(
        "winner", race.now, 5, saving="model.pt", logs=((0, 7),), seen=True
    )
    race.note(ev.WorkerSettled(race.now, "a", "model.pt"))
    race.settle()
    race.exited("a", code=None, signal=9)
    note = view.worker_standing(race.state, "a", place).note
    assert note is not None
    assert "model.pt" in note


def test_with_finish_the_winner_runs_to_its_own_end_even_past_its_last_check() -> None:
    race = won(printing(spec("a", "b"), on_win="finish"))
    race.check("a", 50, ratio=1.6)
    race.check("a", 51, ratio=1.6)
    assert phase_of(race, "a").settling is None
    assert stops(race) == [("b", "beaten")]


def test_where_all_run_to_the_end_nobody_settles_before_it() -> None:
    base = printing(spec("a", "b"))
    race = won(replace(base, judge=replace(base.judge, stop_at_first=False)))
    assert phase_of(race, "a").settling is None
    race.check("a", 50, ratio=1.6)
    race.note(ev.LinesRead(race.now, "a", 1, 0, 51))
    race.settle()
    settles = phase_of(race, "a").settling
    assert settles is not None
    assert settles.cause == "past_end"


# -- past the end


def past_end(race: RaceSpec, last_check: int, reported: int) -> Story:
    story = Story(race)
    story.start_all()
    story.check("a", last_check, ratio=1.0)
    event = ev.LinesRead(story.now, "a", 1, 0, reported)
    assert policy.may_change_policy(story.state, event) is (reported > 50)
    story.note(event)
    story.settle()
    return story


def test_who_goes_on_past_its_last_planned_check_is_settled_and_has_finished() -> None:
    race = past_end(spec("a", "b"), 50, 51)
    assert phase_of(race, "a").settling == Settling("past_end", race.now, 50)
    race.note(ev.WorkerSettled(race.now, "a"))
    race.settle()
    assert isinstance(race.state.workers["a"].phase, Stopping)
    assert stops(race) == [("a", "past_end")]
    race.exited("a", code=None, signal=15)
    assert race.outcome("a") == "finished"
    assert "past its last planned check, epoch 50" in (race.state.workers["a"].note or "")


@pytest.mark.parametrize(
    ("last_check", "reported", "expected"),
    [
        (50, 50, False),  # it may have something to do after its last epoch
        (45, 51, False),  # the last check may be late
        (45, 55, True),  # and is never to come
        (50, 51, True),
    ],
)
def test_the_end_is_past_when_nothing_more_will_be_judged(
    last_check: int, reported: int, *, expected: bool
) -> None:
    race = past_end(spec("a", "b"), last_check, reported)
    assert (phase_of(race, "a").settling is not None) is expected


def test_a_crash_after_its_end_is_neither_a_failure_nor_retried() -> None:
    race = past_end(spec("a", "b", retries=3), 50, 51)
    race.exited("a", code=1)
    assert race.outcome("a") == "finished"


def test_a_halted_worker_is_left_alone_past_its_end() -> None:
    race = Story(with_worker(spec("a", "b"), "a", max_epochs=5))
    race.start_all()
    race.note(ev.WorkerPaused(race.now, "a"))
    race.check("a", 5, ratio=1.0)
    race.check("a", 6, ratio=1.0)
    assert phase_of(race, "a").settling is None
    race.note(ev.WorkerUnpaused(race.now, "a"))
    race.settle()
    assert phase_of(race, "a").settling is not None
