"""Draw every figure of a race. One that cannot be drawn is told, and never keeps the others from being drawn."""

from __future__ import annotations

import logging
import secrets
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wtrace.publish.figures import before_after, progression, sample_grid, separation, sheet, timeline
from wtrace.publish.figures.figure_data import NotDrawableError
from wtrace.publish.figures.style import LIGHT, drawing, figure, png
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from wtrace.publish.figures.figure_data import FigureEvidence
    from wtrace.publish.figures.sheet import Draw
    from wtrace.publish.figures.style import Theme

log = logging.getLogger("wtrace")

PARTS: Mapping[str, Draw] = {
    "attention_ratio_progression": progression.draw,
    "before_after_comparison": before_after.draw,
    "distribution_separation": separation.draw,
    "sample_level_grid": sample_grid.draw,
}
SHEET = "SUCCESS_VISUALIZATION"
TIMELINE = "race_timeline"


@dataclass(slots=True)
class Drawn:
    """What came of it. Reasons are in a few words, safe to print; a failure is a mistake of wtrace's own."""

    paths: list[Path] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)  # by file name: what the race has not
    failed: dict[str, str] = field(default_factory=dict)


def draw_all(folder: Path, evidence: FigureEvidence, themes: Sequence[Theme] = (LIGHT,)) -> Drawn:
    """Draw every figure into `folder`, which is made where it is missing; OSError where it cannot be written.

    The files of a theme other than the light one end in its name, `…_dark.png`. A file of an earlier drawing whose
    figure is left out now is removed.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    drawn = Drawn()
    for theme in themes:
        with drawing(theme), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # matplotlib's; they would end up between the lines of a command
            _draw_theme(folder, evidence, theme, drawn)
    return drawn


def make(name: str, evidence: FigureEvidence, theme: Theme) -> Figure:
    """One of the single figures, within `style.drawing`. NotDrawableError where the race has not what it needs."""
    if name == TIMELINE:
        made = figure(12, timeline.height_of(evidence))
        timeline.draw(made, evidence, theme)
    else:
        made = figure(12, 7)
        PARTS[name](made, evidence, theme)
    return made


def make_sheet(names: Sequence[str], evidence: FigureEvidence, theme: Theme) -> Figure:
    """The sheet with these parts, within `style.drawing`."""
    made = figure(sheet.WIDTH, sheet.height_of(len(names)))
    sheet.draw(made, evidence, theme, [PARTS[name] for name in names])
    return made


def _draw_theme(folder: Path, evidence: FigureEvidence, theme: Theme, drawn: Drawn) -> None:
    suffix = "" if theme.name == LIGHT.name else f"_{theme.name}"

    def attempt(name: str, maker: Callable[[], Figure]) -> bool:
        path = folder / f"{name}{suffix}.png"
        try:
            data = png(maker())
        except NotDrawableError as why:
            drawn.left_out[path.name] = str(why)
            path.unlink(missing_ok=True)
            return False
        except Exception as error:
            log.exception("%s could not be drawn", path.name)
            drawn.failed[path.name] = plain(f"{type(error).__name__}: {error}", 200)
            return False
        _write(path, data)
        drawn.paths.append(path)
        return True

    parts = [name for name in PARTS if attempt(name, lambda name=name: make(name, evidence, theme))]  # type: ignore[misc]
    attempt(SHEET, lambda: make_sheet(parts, evidence, theme))
    attempt(TIMELINE, lambda: make(TIMELINE, evidence, theme))


def _write(path: Path, data: bytes) -> None:
    """Others read the file while it is written: whole, or as it was."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        temporary.touch(mode=0o600, exist_ok=False)
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
