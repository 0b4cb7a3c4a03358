"""Text from outside, made safe, and numbers as people read them."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from wtrace import text
from wtrace.text import beside, bound, digits_for, numbers

PIECES = (
    "\x1b[2J", "\x1b]52;c;aGk=\x07", "\x9b31m", "\r", "\n", "\t", "\x00", "\u202e", "\u2066", "\u200b", "\ufeff",
    "\ud800", "\U000e0041", "e\u0301\u0301\u0301\u0301", "漢字", "[/]", "[bold]x[/bold]", "|", "`", "``", "<script>",
    "&amp;", "@user", "#12", "*a*", "_b_", "[x](http://y)", "![i](j)", "www.x.com", "https://x.y", ":smile:", "~~s~~",
    "$x$", "\\", "1. ", "- ", "# ", "> ", "+ ", "=", " ", "a", "·",
)  # fmt: skip
HOSTILE = st.one_of(
    st.text(),
    st.text(st.characters(categories=("Cc", "Cf", "Cs", "Zl", "Zp", "Mn", "So", "Lo", "Co", "Cn"))),
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
)


def is_safe(shown: str) -> bool:
    return all(unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn") for char in shown)


@given(HOSTILE)
def test_plain_leaves_nothing_that_steers_a_terminal(hostile: str) -> None:
    shown = text.plain(hostile)
    assert is_safe(shown)
    shown.encode("utf-8")


@given(HOSTILE, st.integers(0, 30))
def test_a_limit_holds_and_is_reached_only_by_cutting(hostile: str, limit: int) -> None:
    shown = text.plain(hostile, limit)
    assert text.cells(shown) <= limit
    whole = text.plain(hostile)
    assert shown == whole if text.cells(whole) <= limit else shown == "" or shown.endswith("…")


@pytest.mark.timeout(20)  # reading it whole would take a minute
def test_a_huge_text_is_cut_without_being_read_whole() -> None:
    assert text.plain("é" * 100_000_000, 5) == "éééé…"


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("plain name", "plain name"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("\x9b2J", "\\x9b2J"),
        ("abc\u202edef", "abc\\u202edef"),
        ("a\u200bb", "a\\u200bb"),
        ("a\nb\tc\u00a0d", "a\\x0ab c d"),
        ("\udcff", "\\udcff"),
        ("blank \u3164 dark \ufe0f", "blank \\u3164 dark \\ufe0f"),
        ("\U000e0041", "\\U000e0041"),
        ("zalgo e\u0301\u0301\u0301", "zalgo e\u0301\u0301\ufffd"),
        ("ünïcödé ✓ 漢字", "ünïcödé ✓ 漢字"),
    ],
)
def test_plain_shows_what_was_there(hostile: str, shown: str) -> None:
    assert text.plain(hostile) == shown


def test_the_sequences_of_coloured_logs_are_taken_out() -> None:
    assert text.unstyled("\x1b[1;32mINFO\x1b[0m \x1b]0;title\x07done\x1b(B") == "INFO done"


def test_cells_counts_wide_and_combining_characters() -> None:
    assert text.cells("ab") == 2
    assert text.cells("漢字") == 4
    assert text.cells("e\u0301") == 1
    assert text.cut("漢字漢字", 4) == "漢…"
    assert text.pad("漢", 4) == "漢  "
    assert text.pad("7", 3, right=True) == "  7"


_PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def _seen(tokens: Any) -> str:
    """What a reader sees of inline tokens; anything but text, code and comments is a failure."""
    seen = ""
    for token in tokens:
        assert token.type in ("text", "text_special", "code_inline", "html_inline"), token
        assert token.type != "html_inline" or token.content == "<!-- -->", token
        seen += "" if token.type == "html_inline" else token.content
    return seen


def _cells_of_table(markdown: str) -> list[str]:
    tokens = _PARSER.parse(f"| a | b |\n| --- | --- |\n| {markdown} | end |\n")
    assert [t.type for t in tokens].count("tr_open") == 2, markdown
    return [_seen(t.children) for t in tokens if t.type == "inline"]


@given(HOSTILE)
def test_markdown_in_a_cell_shows_the_text_and_nothing_else(hostile: str) -> None:
    shown = " ".join(text.plain(hostile).split())
    *_, cell, end = _cells_of_table(text.markdown(hostile))
    assert end == "end"
    assert " ".join(cell.split()) == shown


@given(HOSTILE)
def test_code_in_a_cell_shows_the_text_and_nothing_else(hostile: str) -> None:
    shown = " ".join(text.plain(hostile).split())
    *_, cell, end = _cells_of_table(text.code(hostile))
    assert end == "end"
    assert " ".join(cell.split()) == shown


@given(HOSTILE)
@example("- a")
@example("+ a")
@example("1. a")
@example("12) a")
@example("# a")
@example("> a")
@example("=")
@example("---")
def test_markdown_begins_no_list_heading_or_quote(hostile: str) -> None:
    tokens = _PARSER.parse(text.markdown(hostile))
    assert {t.type for t in tokens} <= {"paragraph_open", "inline", "paragraph_close"}


@given(HOSTILE)
def test_github_finds_no_mention_link_or_emoji(hostile: str) -> None:
    escaped = text.markdown(hostile)
    assert not re.search(r"@\w|#\d|https?://|www\.|(?<!<!-- -->):[\w+-]+:", escaped)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.6234, "1.62"), (0.75, "0.75"), (20.0, "20"), (400, "400"), (3.1234e-05, "3.1e-05"), (0.00025, "0.00025"),
        (-0.18, "\u22120.18"), (1234567.0, "1.23e+06"), (1e308, "1e+308"), (math.nan, "not a number"),
        (math.inf, "infinite"), (None, "—"), (0.0, "0"), (-0.0, "0"),
    ],
)  # fmt: skip
def test_numbers(value: float | None, shown: str) -> None:
    assert text.number(value) == shown


def test_differences_and_thresholds() -> None:
    assert text.signed(0.0449) == "+0.045"
    assert text.signed(-0.18) == "\u22120.18"
    assert text.signed(123.4) == "+123"
    assert text.bound(">=", 1.5) == "≥ 1.5"
    assert text.bound("<", 0.01) == "< 0.01"


@pytest.mark.parametrize(
    ("duration_s", "shown"),
    [
        (0, "0 s"), (45, "45 s"), (89.4, "89 s"), (720, "12 min"), (12000, "3 h 20 min"),
        (7200, "2 h"), (187200, "2 d 4 h"), (-5, "0 s"), (math.nan, "—"), (None, "—"),
    ],
)  # fmt: skip
def test_durations(duration_s: float | None, shown: str) -> None:
    assert text.seconds(duration_s) == shown


def test_other_times_and_sizes() -> None:
    assert text.ago(0.2) == "just now"
    assert text.ago(720) == "12 min ago"
    assert text.clock(465.9) == "0:07:45"
    assert text.pace(3.24) == "3.2 s"
    assert text.size(1_234_000_000) == "1.2 GB"
    assert text.utc(0) == "1970-01-01T00:00:00Z"
    assert text.utc(1e300) == "—"


@given(st.lists(st.one_of(st.none(), st.floats())), st.integers(0, 20))
def test_a_sparkline_never_outgrows_its_width(values: list[float | None], width: int) -> None:
    assert text.cells(text.sparkline(values, width)) <= width


def test_a_sparkline_rises_with_its_values() -> None:
    assert text.sparkline([1, 2, None, 3, 8], 4) == "▁ ▂█"
    assert text.sparkline([2, 2], 8) == "▅▅"
    assert text.sparkline([None], 8) == ""


# As many digits as it takes


@pytest.mark.parametrize(
    ("value", "threshold", "shown"),
    [
        (0.9982, 0.9979, "0.9982"),
        (0.8, 0.9979, "0.8"),
        (0.99788, 0.9979, "0.99788"),
        (0.9979, 0.9979, "0.9979"),
        (0.99784, 0.9979, "0.9978"),
        (1.4996, 1.5, "1.4996"),
        (1.5, 1.5, "1.5"),
        (1.62, 1.5, "1.62"),
        (2.0000001, 2.0, "2.0000001"),
        (0.000209, 0.01 / 48, "0.00021"),
        (-0.70001, -0.7, "−0.70001"),  # noqa: RUF001
        (None, 1.5, "—"),
        (math.nan, 1.5, "not a number"),
    ],
)
def test_a_value_is_told_from_its_threshold(value: float | None, threshold: float, shown: str) -> None:
    assert beside(value, threshold) == shown


def test_values_are_told_from_one_another() -> None:
    assert numbers(0.99812, 0.99824, 1.25) == ["0.9981", "0.9982", "1.25"]
    assert numbers(0.5, 0.5, None, 3) == ["0.5", "0.5", "—", "3"]
    assert digits_for([0.81234567, 0.81234568]) == 6  # no more is spent on that


@pytest.mark.parametrize(
    ("threshold", "shown"),
    [(0.9979, "≤ 0.9979"), (0.70, "≤ 0.7"), (20.0, "≤ 20"), (0.00025, "≤ 0.00025"), (0.01 / 48, "≤ 0.000208"),
     (1.23456, "≤ 1.23456"), (-1.5, "≤ −1.5"), (1e-12, "≤ 1e-12"), (123456.5, "≤ 123456.5")],  # noqa: RUF001
)  # fmt: skip
def test_a_threshold_is_shown_as_it_was_written(threshold: float, shown: str) -> None:
    assert bound("<=", threshold) == shown


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(-1e6, 1e6))
def test_what_is_shown_lies_on_the_side_of_the_threshold_on_which_the_value_lies(
    value: float, threshold: float
) -> None:
    shown = float(beside(value, threshold).replace("−", "-"))  # noqa: RUF001
    assert (shown > threshold, shown < threshold) == (value > threshold, value < threshold)
