"""The figures of a finished race as part of the page itself: data URIs, so that the file stays useful alone."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n"
MOST_BYTES = 8_000_000  # of one figure


@data
class Figure:
    """A picture, or why there is none."""

    title: str
    file: str
    source: str | None
    problem: str | None


def embedded(paths: Iterable[Path]) -> list[Figure]:
    """Each PNG file as a figure; one that cannot be shown is told with the reason, and raises nothing."""
    return [_figure(path) for path in paths]


def _figure(path: Path) -> Figure:
    title = plain(path.stem.replace("_", " ").strip(), 80).capitalize()
    file = plain(path.name, 80)
    try:
        if path.stat().st_size > MOST_BYTES:
            return Figure(title, file, None, "too large for this page")
        data = path.read_bytes()
    except OSError as error:
        return Figure(title, file, None, f"cannot be read: {plain(error.strerror or 'unknown error')}")
    if not data.startswith(PNG):
        return Figure(title, file, None, "not a PNG picture")
    return Figure(title, file, f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}", None)
