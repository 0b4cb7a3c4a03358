"""The report as HTML says what the Markdown says, in a real browser, alone on a disk, and nothing a stranger wrote acts."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard_browser import Browser
from dashboard_samples import HOSTILE, hostile_race, picture
from race_lab import Lab
from standing_samples import evidence_of, lost_race, won_race
from wtrace.publish.markdown.report import failure_report, success_report
from wtrace.publish.markdown.report_html import report_html
from wtrace.race.status import Standing

SHEET = "success_viz/SUCCESS_VISUALIZATION.png"
ALLOWED = {
    *[
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "main",
        "nav",
        "h1",
        "h2",
        "p",
        "ul",
        "li",
        "a",
        "strong",
        "code",
        "pre",
        "img",
        "span",
        "div",
    ],
    *["table", "thead", "tbody", "tr", "th", "td", "details", "summary"],
}


def markdown_of(standing: Standing, figures: tuple[str, ...] = ()) -> str:
    evidence = replace(evidence_of(standing), figures=figures)
    write = failure_report if standing.winner is None else success_report
    return write(standing, evidence)


class Reading(HTMLParser):
    """The tags, their attributes, and the text that a reader sees."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._inside = tag
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        if self._inside != "style":
            self.words += data.split()


def test_it_says_what_the_markdown_says(tmp_path: Path) -> None:
    file = picture(tmp_path / "sheet.png")
    page = report_html(markdown_of(won_race(), (SHEET,)), {SHEET: file})
    read = Reading(page)
    text = " ".join(read.words)
    for said in (
        "early-persistence: attention-supervised won",
        "The winning check: epoch 20",
        "First by the clock, not best.",
        "✓ 1.94",
        "mean(persistent) / mean(transient) >= 1.5",
        "wtrace.toml as it was raced",
        "9 checks",
    ):
        assert said in text, said
    assert "`" not in text
    assert "**" not in text
    assert page.count("<table>") == page.count("</table>") >= 3
    assert [link for link in read.links if not link.startswith("#")] == [
        link for link in read.links if link.startswith("data:image/png;base64,")
    ]
    assert sum(link.startswith("data:") for link in read.links) == 1


def test_a_figure_that_is_gone_is_told(tmp_path: Path) -> None:
    page = report_html(markdown_of(won_race(), (SHEET,)), {SHEET: tmp_path / "none.png"})
    assert "<img" not in page
    assert "SUCCESS_VISUALIZATION: cannot be read" in page
    assert "<img" not in report_html("# a\n\n![x](https://example.org/x.png)\n", {})


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_a_stranger_wrote_becomes_markup(text: str) -> None:
    standing = hostile_race()
    standing = replace(standing, name=text[:60] or "x")
    page = report_html(markdown_of(standing), {})
    read = Reading(page)
    assert read.tags <= ALLOWED
    assert read.attributes <= {
        *[
            "lang",
            "charset",
            "content",
            "http-equiv",
            "name",
            "id",
            "class",
            "tabindex",
            "href",
            "src",
            "alt",
            "aria-label",
        ]
    }
    assert all(link.startswith("#part-") for link in read.links)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<details>\n<summary><img src=x onerror=alert(1)></summary>\n\nx",
        "a <b onclick=alert(1)>b</b>",
        "[x](javascript:alert(1)) <javascript:alert(1)> [y]\n\n[y]: https://example.org",
        "<style>* { display: none }</style>",
    ],
)
def test_raw_html_and_links_are_shown_as_text(text: str) -> None:
    """Whatever slips through the escapes of the Markdown."""
    read = Reading(report_html(f"# report\n\n{text}\n", {}))
    assert read.tags <= ALLOWED
    assert read.links == []
    assert not {name for name in read.attributes if name.startswith("on")}


@settings(max_examples=25, deadline=None)
@given(st.text(min_size=1, max_size=40), st.text(max_size=60))
def test_any_name_and_note_become_a_page_of_known_tags(name: str, note: str) -> None:
    race = lost_race()
    workers = tuple(replace(worker, name=name, note=note) for worker in race.workers)
    read = Reading(report_html(markdown_of(replace(race, name=name, workers=workers)), {}))
    assert read.tags <= ALLOWED
    assert all(link.startswith("#part-") for link in read.links)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_the_window_and_its_tables_scroll_in_themselves(
    browser: Browser, tmp_path: Path, width: int, *, dark: bool
) -> None:
    file = tmp_path / "SUCCESS_REPORT.html"
    sheet = picture(tmp_path / "sheet.png")
    file.write_text(report_html(markdown_of(won_race(), (SHEET,)), {SHEET: sheet}), encoding="utf-8")
    with browser.page(file, width=width, dark=dark) as page:
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
        sizes = page.evaluate(
            "({page: document.documentElement.scrollWidth, window: innerWidth, "
            "tables: [...document.querySelectorAll('.scroll')].map((t) => [t.clientWidth, t.scrollWidth]), "
            "picture: document.querySelector('img').getBoundingClientRect().width, "
            "drawn: document.querySelector('img').naturalWidth})"
        )
        assert sizes["page"] <= sizes["window"], json.dumps(sizes)
        assert sizes["drawn"] > 0
        assert sizes["picture"] <= sizes["window"]
        assert (width > 500) or any(wide > shown for shown, wide in sizes["tables"])
        colours = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        assert colours == (
            ["rgb(13, 17, 23)", "rgb(230, 235, 241)"] if dark else ["rgb(246, 248, 250)", "rgb(27, 33, 41)"]
        )
        assert page.complaints() == []
        assert [url for url in page.requests() if not url.startswith(("file:", "data:"))] == []


def test_a_race_leaves_both_reports(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 1.6], ["forever"]]})
    lab.wtrace("run")
    page = (lab.latest / "results" / "SUCCESS_REPORT.html").read_text()
    assert "<h1>lab: <code>a</code> won</h1>" in page
    lab.race({"b": [["check", 5, 1.0]]})
    lab.wtrace("run", expect=1)
    assert "no winner</h1>" in (lab.latest / "results" / "FAILURE_REPORT.html").read_text()
