"""`dashboard.html`: one file without any network, made of the package's template, style and scripts."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from wtrace.publish.dashboard.charts import draw
from wtrace.publish.dashboard.geometry import HEIGHT, PIXELS_HIGH, WIDTH
from wtrace.publish.dashboard.model import SPARK_HEIGHT, SPARK_WIDTH, model
from wtrace.publish.data_uri import embedded
from wtrace.text import MINUS, utc

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jinja2 import Template

    from wtrace.publish.dashboard.charts import Chart
    from wtrace.publish.dashboard.curves import Curves
    from wtrace.publish.dashboard.model import Model
    from wtrace.race.status import Standing

COLOURS = 8  # of curves; further workers have the same ones, dashed
FIGURES_FOLLOW_S = 900  # after the end of a race a page without figures is looked for anew so long


def dashboard_page(
    standing: Standing,
    curves: Curves,
    *,
    figures: Sequence[Path] = (),
    now: float,
    every_s: float = 60.0,
) -> str:
    """The page as HTML. It reads nothing but the figures (PNG files).

    `now`: when it is written, in seconds since 1970; the race's own time is the standing's. `every_s`: the seconds after which a reader may expect the next page at the latest;
    the page warns when it is three times as old. Figures that cannot be read are told on the page.
    """
    page = model(standing)
    drawing = draw(standing, curves)
    return _template().render(
        page=page,
        drawing=drawing,
        figures=embedded(figures),
        written=utc(now),
        data=_data(standing, page, drawing.charts, every_s=every_s, complete=bool(figures)),
        policy=_policy(),
        early=_own("early.js"),
        script=_own("dashboard.js"),
        style=_own("dashboard.css"),
        sizes={"width": WIDTH, "height": HEIGHT, "pixels": PIXELS_HIGH, "spark": (SPARK_WIDTH, SPARK_HEIGHT)},
        colours=COLOURS,
    )


def _data(
    standing: Standing, page: Model, charts: Sequence[Chart], *, every_s: float, complete: bool
) -> dict[str, Any]:
    """What the script works on. Only numbers, and texts that it shows as text."""
    ended = standing.ended
    return {
        "at": standing.at,
        "started": standing.started,
        "ended": ended,
        "every": every_s,
        "live": ended is None,
        "until": None if ended is None else ended + (0 if complete else FIGURES_FOLLOW_S),
        "minus": MINUS,
        "colours": COLOURS,
        "workers": [row.name for row in page.rows],
        "charts": [_chart_data(chart) for chart in charts if chart.constant is None],
    }


def _chart_data(chart: Chart) -> dict[str, Any]:
    return {
        "number": chart.number,
        "name": chart.name,
        "low": chart.low,
        "high": chart.high,
        "log": chart.log,
        "last": chart.last_epoch,
        "above": chart.goal_above,
        "lines": [
            {"w": line.number, "e": line.epochs, "v": line.values, "m": line.met}
            for line in chart.lines
            if line.epochs
        ],
    }


@cache
def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.from_string(_text("dashboard.html.j2"))


@cache
def _own(name: str) -> str:
    """A script or style of the package, to be written into the page as it is."""
    from markupsafe import Markup

    return Markup(_text(name))  # noqa: S704 - nothing from outside is in it


@cache
def _policy() -> str:
    """The Content Security Policy: nothing is fetched, and only the package's own scripts and style count."""
    scripts = f"{_hash('early.js')} {_hash('dashboard.js')}"
    return (
        f"default-src 'none'; script-src {scripts}; style-src {_hash('dashboard.css')}; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )


def _hash(name: str) -> str:
    digest = hashlib.sha256(_text(name).encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
