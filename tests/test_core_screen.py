"""What a terminal shows: of lines that are rewritten, of rows that a cursor returns to, and of what was folded."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtrace.metrics.foreign.screen import LONGEST_ROW, MOST_ROWS, Screen, fold


def shown(text: str) -> list[str]:
    """All rows, the last one without a newline."""
    screen = Screen()
    *lines, rest = text.split("\n")
    return [row for line in lines for row in screen.line(line)] + screen.rest(rest)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("plain\ttext", ["plain\ttext"]),
        ("old\rnew", ["new"]),
        ("longer\rnew", ["newger"]),
        ("ends as on Windows\r\nnext", ["ends as on Windows", "next"]),
        ("12%\b\b\b34%", ["34%"]),
        ("\b\b\bx", ["x"]),
        ("\x1b[32mgreen\x1b[0m \x1b]0;title\x07text\x1b(B", ["green text"]),
        ("long line\r\x1b[Kshort", ["short"]),
        ("long line\x1b[2K\rshort", ["short"]),
        ("long line\x1b[5D\x1b[K", ["long"]),
        ("a\x1b[3Cb", ["a   b"]),
        ("abcdef\x1b[2GX", ["aXcdef"]),
        ("one\ntwo\x1b[A\rONE\n\nthree", ["one", "ONE", "two", "three"]),
        ("\n\r0%\x1b[A\router 1\n\r9%\x1b[A\router 2\n\nend", ["", "outer 2", "9%", "end"]),
        ("one\ntwo\x1b[1Fx\x1b[J", ["one", "x", ""]),
        ("\x1b", [""]),
        ("\x1b[", ["["]),
        ("\x1b[99999999999999999999Cx", ["\x20x"]),
    ],
)
def test_a_line_is_what_a_terminal_shows_when_it_ends(text: str, rows: list[str]) -> None:
    assert shown(text) == rows


texts = st.lists(
    st.sampled_from(
        ["\r", "\b", "\b\b", "a", "bcd", "█é", "\t", "\x1b[K", "\x1b[2K", "\x1b[1K", "\x1b[3C", "\x1b[2D", "\x1b[5G", "\x1b[0m", "\x1b[A",
         "\x1b[2A", "\x1b[B", "\x1b[F", "\x1b[E", "\x1b[J", "\x1b[2J", "\x1b[", "\x07", "\0", "\x1b[4999C"]
    ),
    max_size=12,
).map("".join)  # fmt: skip


@settings(max_examples=500)
@given(st.lists(texts, max_size=4), texts, texts, texts)
def test_what_was_folded_shows_the_same_whatever_was_there_and_follows(
    before: list[str], text: str, after: str, next_line: str
) -> None:
    if text.endswith("\x1b["):
        text += "m"  # it is folded at the end of a sequence
    above = "".join(f"{line}\n" for line in before)
    assert shown(f"{above}{fold(text)}{after}\n{next_line}") == shown(f"{above}{text}{after}\n{next_line}")


@pytest.mark.parametrize(
    "text",
    [
        "x" * 5000,
        "x" * 5000 + "\x1b[3D",
        "x" * 5000 + "\x1b[A",
        "x" * 5000 + "\x1b[A" + "\b" * 2000 + "q",
        "x" * 5000 + "\r\x1b[A\x1b[9999C",
        "\x1b[4999Ca\x1b[J\r",
        "x" * 5000 + "\x1b[K\r",
        "x" * 5000 + "\x1b[2Kq\r",
        "x" * 4500 + "\x1b[2K\x1b[500Dq\r",
    ],
)
def test_what_is_wider_than_a_cursor_may_be_sent_is_folded_without_loss(text: str) -> None:
    for after in ("", "Z", "\rZ", "\x1b[KZ"):
        assert shown(f"one\n{fold(text)}{after}\n") == shown(f"one\n{text}{after}\n")


def test_hours_of_a_bar_are_folded_to_what_is_seen() -> None:
    assert len(fold("\r 10%|#   |" * 10_000)) < 30
    assert fold("x" * LONGEST_ROW) == "x" * LONGEST_ROW


@settings(max_examples=300)
@given(st.text(max_size=200) | st.text("\x1b[]0123456789;ABCDEFGJKm\r\b\ta", max_size=200))
def test_no_text_does_harm(text: str) -> None:
    screen = Screen()
    for line in text.split("\n"):
        for row in screen.line(line):
            assert not set(row) & set(map(chr, [*range(9), *range(10, 32), 127]))


@pytest.mark.parametrize(
    "text",
    ["\rx", "\b", "x\b", "\x1b[A", "\x1b[2K\x1b[3999Gx", "\x1b[2K\x1b[999999Gx", "\x1b[2K\r\x1b[999999Cx", "\x1b[3999C", "\x1b]0;", "\x1b[0", "\x1b[50A\x1b[50B", "\x1b[J", "\x1b[Ax\n\n"],
)  # fmt: skip
def test_time_and_memory_are_bounded_by_the_length_of_the_text(text: str) -> None:
    """A quadratic model would need hours for these."""
    screen, before = Screen(), time.process_time()
    for line in ("x" * 100_000 + text * 20_000).split("\n"):
        screen.line(line)
    fold(text * 20_000)
    assert time.process_time() - before < 20
    assert len(screen.rest("")) <= MOST_ROWS + 1
