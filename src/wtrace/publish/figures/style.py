"""How the figures look: themes, fonts, text from outside, and how a picture becomes bytes."""

from __future__ import annotations

import io
import logging
import math
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from wtrace.data import data
from wtrace.text import cut, number, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

DPI = 150
NAME_CELLS = 34  # of a worker's or a criterion's name in a legend


@data
class Theme:
    """Colours. Nothing is told by colour alone: markers, dashes, signs and words stand beside it."""

    name: str
    paper: str
    ink: str
    muted: str
    grid: str
    zone: str
    series: tuple[str, ...]  # workers; after Okabe and Ito (2008) and Tol (2021), for who is colour-blind too
    first: str  # of two kinds of values
    second: str
    passed: str
    failed: str
    between: str  # the middle of the scale from failed to passed


LIGHT = Theme(
    name="light",
    paper="#ffffff",
    ink="#1b1f24",
    muted="#5c6670",
    grid="#e3e7eb",
    zone="#0b7a53",
    series=("#0072b2", "#d55e00", "#009e73", "#882255", "#56b4e9", "#332288", "#222222"),
    first="#0072b2",
    second="#e08214",
    passed="#0b6fa4",
    failed="#b85704",
    between="#f4f4f2",
)
DARK = Theme(
    name="dark",
    paper="#0f1419",
    ink="#e8ecf0",
    muted="#9aa5b1",
    grid="#2a323b",
    zone="#3ecf97",
    series=("#4ea8de", "#ff8c42", "#2ec4a0", "#fff3a0", "#9370ff", "#d64545", "#ffffff"),
    first="#4ea8de",
    second="#f5a04c",
    passed="#58b4ea",
    failed="#f08a3c",
    between="#39424c",
)

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")

_FALLBACKS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Source Han Sans",
    "WenQuanYi Zen Hei",
    "IPAGothic",
    "Hiragino Sans",
    "PingFang SC",
    "Apple SD Gothic Neo",
    "Microsoft YaHei",
    "Noto Sans",
)


@contextmanager
def drawing(theme: Theme) -> Iterator[None]:
    """Within it figures are made and saved: matplotlib's defaults, whatever the user's matplotlibrc says, and ours."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_settings(theme))
        yield


def _settings(theme: Theme) -> dict[Any, object]:  # matplotlib's type of the keys names each of them
    return {
        "text.parse_math": False,  # names are shown as they are, `$` and `\` too
        "text.usetex": False,
        "text.color": theme.ink,
        "font.family": list(families()),
        "font.monospace": ["DejaVu Sans Mono"],
        "font.size": 10,
        "figure.facecolor": theme.paper,
        "figure.dpi": DPI,
        "figure.constrained_layout.w_pad": 0.12,  # inches
        "figure.constrained_layout.h_pad": 0.1,
        "savefig.dpi": DPI,
        "axes.facecolor": theme.paper,
        "axes.edgecolor": theme.muted,
        "axes.labelcolor": theme.ink,
        "axes.titlecolor": theme.muted,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": True,
        "grid.color": theme.grid,
        "grid.linewidth": 0.8,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "hatch.linewidth": 0.6,
        "legend.frameon": False,
        "legend.fontsize": 9.5,
        "lines.solid_capstyle": "round",
    }


def figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches, laid out so that nothing overlaps."""
    return Figure(figsize=(width, height), layout="constrained")


def heading(target: FigureBase, title: str, *lines: str) -> None:
    """The title of a figure, or of its part of a sheet, and lines in smaller print below it."""
    reserved = "\n" * len(lines)  # the layout makes room for the title alone
    above = target.suptitle(title + reserved, x=0.01, ha="left", fontsize=13.5, fontweight="bold")
    below = Annotation("\n".join(lines), (0, 0), xycoords=above, va="bottom", linespacing=1.4)
    below.set_color(mpl.rcParams["axes.titlecolor"])
    target.add_artist(below)


def text_only(axes: Axes) -> Axes:
    """Axes that hold nothing but text, from 0 to 1 both ways."""
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    return axes


def columns(
    axes: Axes,
    y: float,
    xs: Sequence[float],
    texts: Sequence[str],
    *,
    size: float = 10,
    color: str | None = None,
) -> None:
    """One line of a table of text: each text begins at its x."""
    for x, text in zip(xs, texts, strict=True):
        axes.text(x, y, text, va="center", fontsize=size, color=color)


def png(picture: Figure) -> bytes:
    """The figure as PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    picture.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def shown(text: str, limit: int = NAME_CELLS) -> str:
    """Text from outside on one line, at most `limit` cells; what no font can draw is shown as an escape."""
    text = plain(text, limit)
    if text.isascii():
        return text
    return cut("".join(char if _has_glyph(char) else _escape(char) for char in text), limit)


def known(value: float) -> str:
    """A number, or `—` where there is none (the deviation of a single value)."""
    return "—" if math.isnan(value) else number(value)


def tick(value: float, _position: object = None) -> str:
    """A number at an axis."""
    return number(value)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _has_glyph(char: str) -> bool:
    return char.isascii() or any(ord(char) in _characters(family) for family in families())


@lru_cache(maxsize=1)
def families() -> tuple[str, ...]:
    """The fonts that are used: matplotlib's own, and for what it lacks those that this machine has."""
    known = set(font_manager.get_font_names())
    return ("DejaVu Sans", *[name for name in _FALLBACKS if name in known])


@lru_cache(maxsize=16)
def _characters(family: str) -> frozenset[int]:
    return frozenset(font_manager.get_font(font_manager.findfont(family)).get_charmap())
