"""The status table and the live view: what they say, that they fit, and that no text from outside steers them."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from standing_samples import (
    CURVES,
    WON,
    big_race,
    gauges_of,
    lost_race,
    running_race,
    standings_of,
    won_race,
    worker,
)
from wtrace.cli.terminal.keys import Ask, ViewState, parse, press
from wtrace.cli.terminal.live import LiveView, render, summary
from wtrace.cli.terminal.table import event_line, plain_line, status_lines
from wtrace.cli.terminal.usage import Gauge
from wtrace.judging.forecast import describe
from wtrace.publish.view import of_worker
from wtrace.race.status import Happening, Standing, WorkerState
from wtrace.text import cells

RACES = {"running": running_race(), "won": won_race(), "lost": lost_race(), "big": big_race(64)}


def printed(frame: object, width: int) -> list[str]:
    """What Rich prints of it, line by line, without colours."""
    console = Console(file=io.StringIO(), width=width, height=200, color_system=None, force_terminal=False)
    console.print(frame, end="", soft_wrap=True)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]


def view(race: Standing, width: int = 120, height: int = 40, gpu: bool = False) -> list[str]:
    return printed(render(race, gauges_of(race, gpu), width=width, height=height, now=race.at + 5), width)


def line_with(lines: list[str], start: str) -> str:
    return next(line for line in lines if line.startswith(start))


def test_what_is_left_until_success_is_counted_to_this_very_second() -> None:
    """Forecasts are dear and made anew for a new check alone; the time that is left is not."""
    race = running_race()
    rising = worker("rising", [(1.0 + 0.1 * k, 0.8, 1e-9, 0.9, 400) for k in range(1, 5)])
    race = replace(race, workers=(rising,))
    picture = LiveView()

    def eta(view: LiveView, now: float) -> str:
        frame = view.render(race, {}, width=200, height=30, now=now)
        found = re.search(r"about \S+ \w+( \(.*?\))?", line_with(printed(frame, 200), "rising"))
        assert found is not None
        return found[0]

    at = rising.recent[-1].at
    for later in (0, 1, 7, 14, 16, 29, 44, 61, 500):
        assert eta(picture, at + later) == eta(LiveView(), at + later)
        estimate = of_worker(rising, race, at + later)
        assert estimate is not None
        assert eta(picture, at + later) == describe(estimate)


@pytest.mark.parametrize("state", ["paused", "stalled", "stopping"])
def test_nothing_is_foretold_of_who_does_not_move(state: WorkerState) -> None:
    race = running_race()
    met = worker("still", [WON, WON, WON], state)
    (line,) = [line for line in view(replace(race, workers=(met,))) if line.startswith("still")]
    assert "any moment" not in line


@pytest.mark.parametrize("race", RACES.values(), ids=RACES)
@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160, 200])
def test_everything_fits_every_width_and_height(race: Standing, width: int) -> None:
    assert all(cells(line) <= width for line in status_lines(race, width, race.at))
    assert all(cell_len(line) <= width for line in printed(summary(race, width=width), width))
    for height in (1, 2, 3, 5, 8, 10, 12, 16, 24, 50, 90):
        lines = view(race, width, height, gpu=True)
        assert len(lines) <= height
        assert all(cell_len(line) <= width for line in lines)


def test_the_status_table_says_where_the_race_stands() -> None:
    lines = status_lines(running_race(), 120, running_race().at + 5)
    text = "\n".join(lines)
    assert "early-persistence  running  0:11:45  2 running, 1 stalled, 1 waiting" in lines[0]
    assert "1 attention_ratio ≥ 1.5" in text
    assert "3 separation < 0.00025" in text
    row = line_with(lines, "attention-supervised")
    assert "● running" in row
    assert "17/50" in row
    assert "✓ 1.62" in row
    assert "✗ 0.71 (\u22120.04)" in row
    assert "leader: attention-supervised, epoch 15, 4 of 5 met; needs val_accuracy +0.04" in text
    assert "line 7 is not JSON; 2 bad metrics lines" in text
    assert "as of 5 s ago" in lines[-1]


def test_a_narrow_table_counts_what_is_met_instead_of_showing_it() -> None:
    lines = status_lines(running_race(), 50, running_race().at)
    assert "4/5" in line_with(lines, "attention-supervised")
    assert "met" in line_with(lines, "worker")


def test_the_winner_is_named_as_first_and_not_as_best() -> None:
    for lines in (
        status_lines(won_race(), 120, won_race().at),
        view(won_race()),
        printed(summary(won_race(), width=120), 120),
    ):
        text = "\n".join(lines)
        assert "attention-supervised" in text
        assert "not confirmed on held-out data. First by the clock, not best." in text


def test_a_race_without_its_supervisor_says_how_to_go_on() -> None:
    race = replace(running_race(), supervisor_alive=False)
    assert "wtrace run --resume" in "\n".join(status_lines(race, 80, race.at))
    assert "wtrace run --resume" in "\n".join(view(race, 80))


@pytest.mark.parametrize(("width", "height"), [(80, 30), (120, 40), (200, 40)])
def test_the_live_view_shows_everything_about_a_worker_where_there_is_room(width: int, height: int) -> None:
    text = "\n".join(view(running_race(), width, height, gpu=True))
    for told in (
        "17/50",
        "✓ 1.62",
        "✗ 0.71",
        "0.04",
        "▁▄█",
        "40 s",
        "98 %",
        "1.2 GB",
        "6.1 GB",
        "epoch 17 loss",
        "○ waiting",
    ):
        assert told in text, told
    assert "ETA" in text
    assert "Ctrl-C" in text


def test_what_happened_is_told_newest_last() -> None:
    lines = [line for line in view(running_race()) if line.startswith("0:")]
    assert lines[-1].startswith("0:11:30  pretrained-features stalled")
    assert lines[0].startswith("0:00:01")


def test_there_is_no_gpu_column_without_a_gpu() -> None:
    assert "GPU" not in "\n".join(view(running_race(), 200))


def test_rows_that_do_not_fit_are_summed_up_and_the_interesting_ones_stay() -> None:
    race = big_race(64)
    finished = replace(race.workers[63], state="confirming")
    race = replace(race, workers=(*race.workers[:63], finished))
    lines = view(race, 120, 24)
    rows = [line for line in lines if line.startswith("approach-")]
    assert "? confirming" in rows[0]
    summed = line_with(lines, "…")
    hidden = 64 - len(rows)
    assert summed.startswith(f"… {hidden} more: ")
    assert sum(int(part.split()[0]) for part in summed.split(": ")[1].split(", ")) == hidden
    assert "waiting" in summed


def test_why_a_worker_ended_stands_where_its_log_stood() -> None:
    text = "\n".join(view(lost_race(), 120, 40))
    assert "exit code 3; RuntimeError: NaN loss" in text
    assert "nobody saw how; its guardian is gone" in text


def test_a_view_with_a_memory_shows_the_same_as_one_without() -> None:
    picture = LiveView()
    race = big_race(12)
    for step in range(30):
        workers = list(race.workers)
        index = step % 3
        values = (1.0 + step / 10, 0.7, 0.01, 0.6, 400.0)
        workers[index] = replace(
            workers[index],
            epoch=workers[index].epoch + 1,
            criteria=standings_of(values),
            note=str(step),
            recent=worker("w", CURVES["attention-supervised"][: step % 4]).recent,
        )
        race = replace(race, at=race.at + 0.5, workers=tuple(workers))
        gauges = {row.name: Gauge(50.0 + step // 5, 10**9, None, f"line {step // 5}") for row in workers}
        size = (120, 40) if step % 7 else (80, 24)
        remembered = picture.render(race, gauges, width=size[0], height=size[1], now=race.at)
        fresh = render(race, gauges, width=size[0], height=size[1], now=race.at)
        assert printed(remembered, size[0]) == printed(fresh, size[0])


def test_the_last_word_keeps_a_long_path_whole() -> None:
    path = "/work/" + "very-long-folder/" * 12 + "SUCCESS_REPORT.md"
    text = "\n".join(printed(summary(won_race(), width=80, report=path, log="wtrace.log"), 80))
    assert f"report: {path}" in text
    assert "★ attention-supervised WINS at epoch 20, after 13 min" in text
    assert "✓ separation 1.2e-09 (< 0.00025)" in text
    lost = "\n".join(printed(summary(lost_race(), width=80), 80))
    assert "no winner after 60 min" in lost
    assert "closest: attention-supervised" in lost


def test_plain_lines_tell_news_only() -> None:
    before = worker("w", CURVES["contrastive"][:2])
    same = replace(before, epoch=before.epoch + 1, lines=99)
    after = worker("w", CURVES["contrastive"])
    assert plain_line(same, before) is None
    assert plain_line(after, before) == (
        "w: running, epoch 17/50, attention_ratio ✗ 1.32 (\u22120.18), val_accuracy ✗ 0.64 (\u22120.11), "
        "separation ✗ 0.02 (+0.02), consistency ✗ 0.6 (\u22120.1), samples ✓ 400"
    )
    failed = replace(after, state="failed", note="out of\x1b[2J memory")
    assert plain_line(failed, after) == "w: failed, epoch 17/50 (out of\\x1b[2J memory)"
    assert event_line(Happening(0.0, "a\nb\x9b")) == "1970-01-01T00:00:00Z a\\x0ab\\x9b"


HOSTILE = st.one_of(
    st.text(),
    st.sampled_from(
        ["[/]", "[bold]x", "\x1b]52;c;aGk=\x07", "\x9b2J", "\u202ecod", "漢字" * 30, "e" + "\u0301" * 50, "\r\n", "\ud800", "", "🏴" * 9]
    ),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(HOSTILE, min_size=5, max_size=5), width=st.integers(40, 200), height=st.integers(1, 40))
def test_hostile_text_neither_steers_nor_breaks_nor_outgrows(
    texts: list[str], width: int, height: int
) -> None:
    name, note, log, happening, reason = texts
    race = running_race()
    first = race.workers[0]
    criteria = (
        replace(first.criteria[0], name=name, met=False, value=float("nan"), reason=reason),
        *first.criteria[1:],
    )
    hostile = replace(first, name=name, branch=note, note=note, state="failed", criteria=criteria)
    race = replace(
        race,
        name=happening,
        id=note,
        workers=(hostile, *race.workers[1:], replace(race.workers[0], name=name + "2")),
        criteria=(replace(race.criteria[0], name=name), *race.criteria[1:]),
        happenings=(Happening(race.at, happening),),
    )
    gauges = {name + "2": Gauge(1.0, 2, 3, log)}
    pages = [
        status_lines(race, width, race.at),
        printed(render(race, gauges, width=width, height=height, now=race.at), width),
        printed(summary(race, width=width), width),
        printed(summary(replace(race, state="won", winner=name, winner_epoch=5), width=width), width),
        [plain_line(hostile) or "", event_line(race.happenings[0])],
    ]
    for page in pages:
        for line in page:
            assert not [
                char for char in line if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
            ], line
    for page in pages[:-1]:
        assert all(cells(line) <= width for line in page)
    assert len(pages[1]) <= height


def test_markup_in_a_name_is_shown_as_it_is() -> None:
    race = running_race()
    race = replace(race, workers=(replace(race.workers[0], name="[red]a[/]"), *race.workers[1:]))
    assert line_with(view(race), "[red]a[/]")


def test_a_sign_says_what_the_colour_says() -> None:
    for line in view(won_race(), 160):
        if "1.94" in line:
            assert "★ won" in line
            assert "✓ 1.94" in line
        if line.startswith("contrastive"):
            assert "✗ failed" in line
            assert "✗ 1.32" in line


def test_the_table_starts_without_anything_heavy() -> None:
    code = (
        "import sys, wtrace.cli.terminal.table; "
        "print(*sorted({m.partition('.')[0] for m in sys.modules} & "
        "{'rich', 'psutil', 'numpy', 'scipy', 'msgspec', 'git', 'typer', 'asyncio', 'subprocess', 'json'}))"
    )
    source = str(Path(__file__).parents[1] / "src")
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": source}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_the_live_view_tells_how_each_target_was_last_reached() -> None:
    race = running_race()
    row = {"target": "macbook", "last_reached": race.at - 720, "error": "it does not answer", "stage": "progress", "next_try": None}  # fmt: skip
    shown = LiveView().render(race, {}, width=100, height=40, now=race.at, sync=[row])
    assert "sync to macbook: last reached 12 min ago; it does not answer" in "".join(
        segment.text for line in shown.lines for segment in line
    )


def test_what_is_to_be_known_of_a_running_worker_stands_below_its_row() -> None:
    race = running_race()
    note = "no line of its log matches its pattern yet, of 61 lines; nearest: 'epoch 1 ratio: 1.0', up to 'epoch 1'"
    rows = tuple(replace(each, note=note if each.state == "running" else None) for each in race.workers)
    noted = next(each for each in rows if each.note)
    lines = view(replace(race, workers=rows), 80, 50)
    at = lines.index(line_with(lines, noted.name))
    assert (
        lines[at + 1].strip() == "no line of its log matches its pattern yet, of 61 lines; nearest: 'epoch 1"
    )
    assert lines[at + 2].strip() == "ratio: 1.0', up to 'epoch 1'"
    tight = view(replace(race, workers=rows), 80, len(race.workers) + 3)  # no room below the rows
    assert any(line.startswith(noted.name) for line in tight)
    assert not any("no line of its log" in line for line in tight)


def test_no_column_moves_when_the_word_of_a_state_changes() -> None:
    race = running_race()
    seen = set()
    for state in ("waiting", "running", "confirming", "retrying", "stopping", "paused"):
        rows = tuple(replace(row, state=state) for row in race.workers)
        heading = line_with(view(replace(race, workers=rows), width=160), "worker")
        seen.add(heading.index("epoch"))
    assert len(seen) == 1


def test_the_row_says_what_a_training_does_before_its_first_check() -> None:
    row = worker("young", [], doing="preparing its backbone: step 40/60\x1b[2J")
    race = replace(running_race(), workers=(row,))
    for width in (80, 120, 200):
        shown = "\n".join(view(race, width=width))
        assert "preparing its backbone: step 40/60" in shown
        assert "\x1b" not in shown
    noted = replace(race, workers=(replace(row, note="its metrics cannot be read"),))
    assert "its metrics cannot be read" in "\n".join(view(noted))


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        (b"q", ["q"]),
        (b"\x1b[A\x1bOB\r", ["up", "down", "enter"]),
        (b"\x1b", ["escape"]),
        (b"\x03", ["ctrl-c"]),
        (b"\x1b[200~x\x1b[201~", ["x"]),  # sequences that mean nothing are no keys
        (b"\x1b[1;5C\x1bOP", []),
        (b"\x1b[", []),
        (b"\xff", ["\ufffd"]),
        (b"", []),
    ],
)
def test_what_a_terminal_sends_is_read_as_keys(sent: bytes, keys: list[str]) -> None:
    assert parse(sent) == keys


def pressed(*keys: str, race: Standing = RACES["running"], **chosen: object) -> tuple[ViewState, list[Ask]]:
    state, asks = ViewState(dashboard="here", **chosen), []  # type: ignore[arg-type]
    for key in keys:
        state, ask = press(state, key, race, [worker.name for worker in race.workers])
        asks += [ask] if ask is not None else []
    return state, asks


@pytest.mark.parametrize(
    ("keys", "asked"),
    [
        ("q", [Ask("leave")]),
        ("ctrl-c", []),
        ("ctrl-c s", [Ask("stop race")]),
        ("ctrl-c enter", [Ask("leave")]),
        ("ctrl-c escape", []),
        ("ctrl-c x y p", []),  # no other key is an answer
        ("p", []),
        ("down p", [Ask("pause", "attention-supervised")]),
        ("down down x y", [Ask("stop", "pretrained-features")]),
        ("down x n", []),
        ("down x q", []),  # no, and not: leave
        ("up x y", [Ask("stop", "multitask")]),  # it waits
        ("up p", []),  # what waits cannot be paused
    ],
)
def test_keys_ask_for(keys: str, asked: list[Ask]) -> None:
    assert pressed(*keys.split())[1] == asked


def test_a_watch_is_left_by_ctrl_c_without_a_question() -> None:
    assert pressed("ctrl-c", may_stop_race=False)[1] == [Ask("leave")]


@pytest.mark.parametrize("race", RACES.values(), ids=RACES)
@pytest.mark.parametrize("keys", ["", "?", "down", "down enter", "down x", "ctrl-c", "s", "s s", "d"])
def test_whatever_is_chosen_fits_and_the_footer_stands_on_the_last_row(race: Standing, keys: str) -> None:
    chosen, _ = pressed(*keys.split(), race=race)
    picture = LiveView()
    for width in (40, 60, 80, 120, 200):
        for height in (8, 16, 24, 50):
            log = ["a line\x1b".replace("\x1b", "?") * 40] * 80
            frame = picture.render(race, {}, width=width, height=height, now=race.at, chosen=chosen, log=log)
            lines = printed(frame, width)
            assert len(lines) == height
            assert all(cell_len(line) <= width for line in lines)
            assert lines[-1][:20] == chosen.footer()[:20]


def test_by_standing_the_best_is_on_top_and_who_cannot_win_below() -> None:
    race = RACES["running"]
    refuted = replace(race.workers[0], ruled_out="refuted: held-out data")
    control = replace(worker("baseline", [WON]), control=True)
    race = replace(race, workers=(refuted, control, *race.workers[1:]))
    order = LiveView().order(race, "standing")
    assert order[:3] == ["pretrained-features", "contrastive", "multitask"]
    assert set(order[3:]) == {"baseline", "attention-supervised"}
    assert LiveView().order(race, "config")[0] == "attention-supervised"


def test_a_selected_worker_is_shown_however_many_there_are() -> None:
    race = big_race(64)
    last = LiveView().order(race, "standing")[-1]
    chosen = ViewState(selected=last)
    frame = LiveView().render(race, {}, width=100, height=16, now=race.at, chosen=chosen)
    assert any(line.startswith(last) for line in printed(frame, 100))
