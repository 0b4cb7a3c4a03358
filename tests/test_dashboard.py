"""The dashboard says what the standing says, in a real browser, opened from disk, and nothing a stranger wrote acts."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import threading
import time
from dataclasses import replace
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler
from importlib import resources
from itertools import pairwise
from pathlib import Path
from socketserver import TCPServer

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard_browser import Browser, Page
from dashboard_samples import (
    HOSTILE,
    curves_of,
    hostile_race,
    picture,
    race_of,
    shifted,
    unjudged_race,
    won_at_length,
)
from standing_samples import STARTED, lost_race, point, running_race, won_race
from wtrace.judging.checks import CheckSummary
from wtrace.publish.dashboard import Curves, dashboard_page
from wtrace.publish.dashboard.curves import MOST_POINTS
from wtrace.publish.dashboard.geometry import APART, PIXELS_HIGH, End, placed
from wtrace.race.status import Standing
from wtrace.text import plain

NOWHERE = Curves()


def written(
    folder: Path,
    standing: Standing,
    curves: Curves | None = None,
    *,
    every_s: float = 60.0,
    figures: tuple[Path, ...] = (),
) -> Path:
    """The page as a file, its race standing at this moment."""
    standing = shifted(standing, time.time() - 1)
    page = dashboard_page(
        standing, curves or curves_of(standing), figures=figures, now=time.time(), every_s=every_s
    )
    file = folder / "dashboard.html"
    temporary = folder / ".dashboard.html.tmp"
    temporary.write_text(page, encoding="utf-8")
    temporary.replace(file)
    return file


def assert_sound(page: Page, file: Path) -> None:
    """Nothing was complained of, and nothing but the file itself was asked for."""
    assert page.complaints() == []
    outside = {url for url in page.requests() if not url.startswith("data:image/png")}
    assert outside == {file.as_uri()}


def test_a_running_race_as_it_is_rendered(browser: Browser, tmp_path: Path) -> None:
    file = written(tmp_path, running_race())
    with browser.page(file) as page:
        assert page.text("h1") == "early-persistence"
        assert page.text("h1 + .chip") == "running"
        assert page.text(".verdict h2").split() == ["Leader", ":", "1", "attention-supervised"]
        assert "epoch 15, 4 of 5 met; needs val_accuracy +0.04." in page.text(".verdict")
        rows = [" ".join(text.split()) for text in page.texts("tbody")]
        assert "17/50" in rows[0]
        assert "✓met: 1.62" in rows[0]
        assert "✗not met: 0.71 (\u22120.04)" in rows[0]
        assert "● running" in rows[0]
        assert "! stalled" in rows[1]
        assert "line 7 is not JSON; 2 bad metrics lines" in rows[2]
        assert "○ waiting" in rows[3]
        assert page.texts(".chart h3")[2].split() == ["3", "separation", "<", "0.00025"]
        assert "Written < 0.01, judged at < 0.00025" in page.text('[data-chart="3"] figcaption')
        assert page.evaluate("document.querySelectorAll('[data-chart=\"1\"] .curve').length") == 3
        assert "400 at every check of every worker" in page.text('[data-chart="5"]')
        assert page.texts(".events li")[0].endswith("pretrained-features stalled: no metric for 900 s")
        assert_sound(page, file)


def test_a_race_that_was_won(browser: Browser, tmp_path: Path) -> None:
    standing, curves = won_at_length()
    figures = (picture(tmp_path / "attention_ratio_progression.png"), tmp_path / "sample_level_grid.png")
    file = written(tmp_path, standing, curves, figures=figures)
    with browser.page(file) as page:
        assert page.text("h1 + .chip") == "won"
        assert page.text(".verdict h2").split() == ["★", "Winner", ":", "1", "attention-supervised"]
        assert "confirmed on held-out data. First by the clock, not best." in page.text(".verdict")
        assert page.texts(".tile dd")[0].split() == ["✓met:", "1.62≥", "1.5"]
        assert "★ winner" in page.text("tbody.winner")
        assert page.text("#fresh").startswith("final, as of 20")
        assert page.evaluate("document.getElementById('pause').hidden")
        assert page.evaluate("document.querySelectorAll('.star').length") == 4
        page.wait_for("document.querySelector('.figures img').naturalWidth === 640")
        assert page.text(".figures h3") == "Attention ratio progression"
        assert "sample_level_grid.png: cannot be read: No such file" in page.text(".figures .alarm")
        assert_sound(page, file)


def test_a_race_without_a_winner_and_one_that_nobody_supervises(browser: Browser, tmp_path: Path) -> None:
    with browser.page(written(tmp_path, lost_race())) as page:
        assert page.text("h1 + .chip") == "no winner"
        assert page.text(".verdict h2").startswith("No winner. Closest")
        assert "exit code 3; RuntimeError: NaN loss" in page.text("tbody:nth-of-type(2)")
    left = replace(running_race(), state="interrupted", supervisor_alive=False)
    with browser.page(written(tmp_path, left)) as page:
        assert "Nobody supervises this race any more" in page.text("#alone")
    with browser.page(written(tmp_path, unjudged_race(), NOWHERE)) as page:
        assert "No check has been judged yet." in page.text(".verdict")
        assert page.complaints() == []


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_it_fits_the_screen_and_stays_a_table(browser: Browser, tmp_path: Path, width: int) -> None:
    for standing, curves in ((hostile_race(), None), race_of(16, 40)):
        with browser.page(written(tmp_path, standing, curves), width=width, height=740) as page:
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            roles = [
                node["role"]["value"]
                for node in page.send("Accessibility.getFullAXTree")["nodes"]
                if "role" in node
            ]
            assert roles.count("table") == 1
            assert roles.count("rowheader") == len(standing.workers)
            assert roles.count("cell") >= 10 * len(standing.workers)


def test_what_a_stranger_named_is_shown_as_text(browser: Browser, tmp_path: Path) -> None:
    standing = hostile_race()
    file = written(tmp_path, standing)
    with browser.page(file) as page:
        names = page.texts("tbody th .title bdi")
        assert names == [plain(name, 64) for name in HOSTILE]
        assert page.text("h1") == HOSTILE[1]
        assert (
            page.evaluate("document.querySelectorAll('img, iframe, object, embed, link, base').length") == 0
        )
        assert page.evaluate("document.querySelectorAll('script').length") == 3
        page.evaluate("document.getElementById('chart-1').focus()")
        page.send("Input.dispatchKeyEvent", type="keyDown", key="End")
        assert HOSTILE[0] in page.text(".tip")
        assert page.evaluate("document.querySelectorAll('img').length") == 0
        assert_sound(page, file)


def test_were_something_let_in_the_policy_would_stop_it(browser: Browser, tmp_path: Path) -> None:
    asked: list[str] = []

    class Counter(BaseHTTPRequestHandler):
        timeout = 1  # the browser opens a connection ahead of a request that it then refuses to make

        def do_GET(self) -> None:
            asked.append(self.path)

        def log_message(self, *_: object) -> None:
            pass

    server = TCPServer(("127.0.0.1", 0), Counter)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    there = f"http://127.0.0.1:{server.server_address[1]}"
    intruders = (
        f"<script>window.stolen = 1</script><img src='{there}/img' onerror='window.stolen = 2'>"
        f"<script src='{there}/script'></script><link rel=stylesheet href='{there}/style'>"
        f"<iframe src='{there}/frame'></iframe><style>h1 {{ background: url({there}/url) }}</style>"
    )
    file = written(tmp_path, running_race())
    file.write_text(file.read_text().replace("<main>", f"<main>{intruders}"))
    try:
        with browser.page(file) as page:
            for way in (f"fetch('{there}/fetch').catch(() => 0)", f"new Image().src = '{there}/image'"):
                page.evaluate(way)
            with pytest.raises(RuntimeError, match="Trusted"):
                page.evaluate("document.body.insertAdjacentHTML('beforeend', '<b>x</b>')")
            assert page.evaluate("window.stolen ?? null") is None
            assert len([line for line in page.complaints() if "Content Security Policy" in line]) >= 6
            assert page.text("h1 + .chip") == "running"  # the page itself goes on
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert asked == []


def test_the_age_counts_up_and_turns_into_a_warning(browser: Browser, tmp_path: Path) -> None:
    with browser.page(written(tmp_path, running_race(), every_s=1.0)) as page:
        assert page.text("#stale") == ""
        assert not page.evaluate("document.querySelector('#fresh').classList.contains('warn')")
        page.wait_for("document.querySelector('#age').textContent === '2 s ago'")
        page.wait_for("document.querySelector('#age').textContent === '4 s ago'")
        assert page.text("#stale").startswith("! Old data: a new page was due every 1 s")
        assert page.evaluate("document.querySelector('#fresh').classList.contains('warn')")


def test_an_ended_race_does_not_grow_stale(browser: Browser, tmp_path: Path) -> None:
    with browser.page(written(tmp_path, won_race(), every_s=0.1)) as page:
        page.wait_for("performance.now() > 1500")
        assert page.text("#stale") == ""


def test_it_loads_what_is_new_by_itself_and_keeps_the_readers_place(browser: Browser, tmp_path: Path) -> None:
    file = written(tmp_path, running_race())
    with browser.page(file, width=360, height=640) as page:
        page.evaluate("document.getElementById('theme').click()")
        page.evaluate("document.getElementById('pick-1').click()")
        page.evaluate("scrollTo(0, 700)")
        written(tmp_path, won_race())
        page.wait_for("document.querySelector('h1 + .chip').innerText === 'won'")
        page.wait_for("scrollY === 700")
        assert page.evaluate("document.documentElement.dataset.theme") == "light"
        assert page.evaluate("document.getElementById('pick-1').ariaPressed") == "true"
        page.evaluate("document.getElementById('theme').click(); document.getElementById('theme').click()")


def test_updates_can_be_paused(browser: Browser, tmp_path: Path) -> None:
    with browser.page(written(tmp_path, running_race())) as page:
        page.evaluate("document.getElementById('pause').click()")
        written(tmp_path, won_race())
        page.wait_for("performance.now() > 6500")
        assert page.text("h1 + .chip") == "running"
        page.evaluate("document.getElementById('pause').click()")
        page.wait_for("document.querySelector('h1 + .chip').innerText === 'won'")


def test_colours_follow_the_system_and_the_button(browser: Browser, tmp_path: Path) -> None:
    back = "getComputedStyle(document.body).backgroundColor"
    with browser.page(written(tmp_path, running_race()), dark=True) as page:
        dark = page.evaluate(back)
        assert page.text("#theme") == "◐ auto"
        page.evaluate("document.getElementById('theme').click()")
        light = page.evaluate(back)
        assert page.text("#theme") == "☀ light"
        assert light != dark
        page.evaluate("document.getElementById('theme').click()")
        assert page.evaluate(back) == dark
        page.evaluate("document.getElementById('theme').click()")
        assert page.evaluate("localStorage.getItem('wtrace.theme')") == "auto"
    with browser.page(written(tmp_path, running_race())) as page:
        assert page.evaluate(back) == light


def test_values_by_the_arrow_keys_and_one_workers_curves(browser: Browser, tmp_path: Path) -> None:
    with browser.page(written(tmp_path, running_race())) as page:
        page.evaluate("document.getElementById('chart-1').focus()")
        for key in ("End", "ArrowLeft"):
            page.send("Input.dispatchKeyEvent", type="keyDown", key=key)
        told = page.evaluate("document.getElementById('chart-1').getAttribute('aria-valuetext')")
        assert told == (
            "epoch 10: attention-supervised 1.31 not met, pretrained-features 1.18 not met, contrastive 1.14 not met"
        )
        assert "✗ 1.31" in page.text(".tip:not([hidden])")
        page.send("Input.dispatchKeyEvent", type="keyDown", key="Escape")
        assert page.evaluate("document.querySelector('.tip:not([hidden])')") is None
        page.evaluate("document.getElementById('pick-3').click()")
        page.send("Input.dispatchKeyEvent", type="keyDown", key="End")
        assert page.text(".tip:not([hidden])").split("\n")[0] == "epoch 15"
        assert "attention-supervised" not in page.text(".tip:not([hidden])")
        assert page.evaluate("document.querySelectorAll('.curves .off').length") == 2 * 4


def test_without_scripts_it_says_the_same(browser: Browser, tmp_path: Path) -> None:
    with browser.page(written(tmp_path, running_race()), script=False) as page:
        assert "1.62" in page.text("tbody")
        assert page.evaluate("document.querySelectorAll('.curve').length") == 12
        assert re.search(r"as of \d{4}-\d\d-\d\dT", page.text("#fresh"))
        assert page.evaluate("getComputedStyle(document.querySelector('.controls')).display") == "none"


def test_sixteen_workers_of_500_checks_are_small_and_open_at_once(browser: Browser, tmp_path: Path) -> None:
    standing, curves = race_of(16, 500)
    file = written(tmp_path, standing, curves)
    assert file.stat().st_size < 1_000_000
    with browser.page(file) as page:
        opened_ms = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
        assert 0 < opened_ms < 1000
        assert page.evaluate("document.querySelectorAll('.curve').length") == 16 * 4
        assert "at most 150 of its up to 500 checks" in page.text("#curves + p")
        assert "The leader's 95 % confidence intervals are shaded" in page.text("#curves + p")
        assert page.evaluate("document.querySelectorAll('.band').length") == 3
        assert page.complaints() == []


# ---- without a browser


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend((name, value or "") for name, value in attrs)


def test_the_file_holds_only_its_own_scripts_and_style() -> None:
    page = dashboard_page(hostile_race(), curves_of(hostile_race()), now=STARTED)
    tags = _Tags()
    tags.feed(page)
    assert tags.tags.count("script") == 3
    assert tags.tags.count("style") == 1
    assert not {"img", "iframe", "link", "object", "base", "form"} & set(tags.tags)
    assert not [
        name for name, _ in tags.attributes if name.startswith("on") or name in ("src", "href", "style")
    ]
    policy = next(value for _, value in tags.attributes if "default-src" in value)
    for pattern in (r"<script>(.*?)</script>", r"<style>(.*?)</style>"):
        for own in re.findall(pattern, page, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    page.encode("utf-8")


def test_colours_can_be_read() -> None:
    """WCAG 2.2: 4.5 for text, 3 for what is drawn."""
    style = resources.files("wtrace.publish.dashboard").joinpath("dashboard.css").read_text()
    pairs = dict(re.findall(r"--([\w-]+): light-dark\((#\w{6}, #\w{6})\)", style))
    colours = {name: pair.split(", ") for name, pair in pairs.items()}
    text = ("text", "dim", "good", "bad", "warn", "accent")
    for theme in (0, 1):
        found = {name: pair[theme] for name, pair in colours.items()}
        for ground in ("page", "card"):
            assert min(_contrast(found[name], found[ground]) for name in text) >= 4.5
        for name in ("good", "bad", "warn"):
            assert _contrast(found["warn"], found["warn-back"]) >= 4.5
            assert _contrast(found["text"], found[f"{name}-back"]) >= 4.5
        assert _contrast(found["dim"], found["good-back"]) >= 4.5
        for number in range(1, 9):
            assert _contrast(found[f"c{number}"], found["card"]) >= 3
            assert _contrast(found[f"c{number}"], found["on-colour"]) >= 4.5


def _contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_curves_stay_bounded_and_keep_what_stands_out() -> None:
    curves = Curves()
    for epoch in range(1, 20_001):
        value = 9.0 if epoch == 777 else -3.0 if epoch == 15_000 else 1.0 + epoch / 1e6
        curves.add("w", CheckSummary(epoch, STARTED + epoch, (value,), (value > 5,)))
        assert len(curves.of("w", 0)) <= MOST_POINTS
    points = curves.of("w", 0)
    assert curves.checks("w") == 20_000
    assert len(points) > MOST_POINTS // 4
    assert {777: 9.0, 15_000: -3.0, 1: 1.0, 20_000: 1.02}.items() <= {
        p.epoch: p.value for p in points
    }.items()
    gaps = [b.epoch - a.epoch for a, b in pairwise(points)]
    assert max(gaps) < 6 * 20_000 / len(points)  # no age of the race is starved


def test_curves_take_checks_in_any_order_and_intervals_later() -> None:
    curves = Curves()
    for epoch in (10, 5, 15, 5):
        curves.add("w", CheckSummary(epoch, STARTED, (epoch / 10, math.nan), (True, False)))
    curves.add_bands("w", 10, [(0.9, 1.1), (math.nan, 1.0)])
    curves.add_bands("w", 11, [(0.0, 1.0)])
    curves.add_bands("nobody", 10, [(0.0, 1.0)])
    assert [(p.epoch, p.value, p.band) for p in curves.of("w", 0)] == [
        (5, 0.5, None),
        (10, 1.0, (0.9, 1.1)),
        (15, 1.5, None),
    ]
    assert [(p.value, p.band) for p in curves.of("w", 1)] == [(None, None)] * 3
    assert curves.of("w", 2) == ()
    assert curves.of("nobody", 0) == ()


def test_a_check_without_a_number_parts_the_curve() -> None:
    curves = Curves()
    for epoch, value in ((5, 1.0), (10, 1.1), (15, None), (20, 1.2), (25, 1.3)):
        curves.add("attention-supervised", CheckSummary(epoch, STARTED, (value,), (False,)))
    page = dashboard_page(running_race(), curves, now=STARTED)
    assert [path.count("M") for path in re.findall(r'class="curve" d="([^"]*)"', page)] == [2]


def test_each_page_draws_the_latest_check() -> None:
    curves = curves_of(running_race())
    for value in (1.7, 1.9):
        curves.add("attention-supervised", point(20, (value, 0.8, 1e-6, 0.9, 400)))
        page = dashboard_page(running_race(), curves, now=STARTED)
        found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
        assert found is not None
        line = json.loads(found[1])["charts"][0]["lines"][0]
        assert (line["e"], line["v"][-1]) == ([5, 10, 15, 20], value)


_numbers = st.one_of(
    st.none(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 5e-324, 1.7e308, -1.7e308, math.nan, math.inf]),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(_numbers, _numbers, _numbers), max_size=30),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_whatever_a_worker_reports_is_drawn_within_the_chart(
    values: list[tuple[float | None, float | None, float | None]], threshold: float
) -> None:
    race = running_race()
    criteria = (
        replace(race.criteria[0], threshold=threshold, applied=threshold),
        race.criteria[1],
        race.criteria[2],
    )
    checks = tuple(CheckSummary(k + 1, STARTED + k, row, (False,) * 3) for k, row in enumerate(values))
    row = replace(race.workers[0], recent=checks, best=None, criteria=())
    standing = replace(race, criteria=criteria, workers=(row,))
    curves = Curves()
    for check in checks:
        value = check.values[0]
        curves.add(row.name, check, [None if value is None else (value, value)])
    page = dashboard_page(standing, curves, now=STARTED)
    drawn = re.findall(r' (?:d|points|x|y|cy|height)="([^"]*)"', page)
    assert drawn
    assert not re.search(r"nan|inf", " ".join(drawn))
    for path in re.findall(r'class="(?:curve|band|dots)" d="([^"]*)"', page):
        assert all(0 <= int(place) <= 4000 for place in re.findall(r"-?\d+", path))


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, PIXELS_HIGH)), max_size=24))
def test_numbers_at_the_ends_of_curves_never_cover_one_another(ends: list[tuple[float, float]]) -> None:
    badges = placed(End(x, y, number) for number, (x, y) in enumerate(ends, 1))
    assert len(badges) == len(ends)
    columns: dict[tuple[float, int], list[float]] = {}
    for badge in badges.values():
        assert APART / 2 - 0.1 <= badge.y <= PIXELS_HIGH - APART / 2 + 0.1
        columns.setdefault((badge.x, badge.shift), []).append(badge.y)
    for heights in columns.values():
        ordered = sorted(heights)
        assert all(b - a >= APART - 0.2 for a, b in pairwise(ordered))
