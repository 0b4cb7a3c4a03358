"""The pieces that every Markdown page is made of. Cells and lines come in as Markdown, escaped already."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A GitHub table. A heading that ends in `:` (dropped) aligns its column to the right."""
    rules = ["---:" if title.endswith(":") else "---" for title in header]
    titles = [title.removesuffix(":") for title in header]
    return "\n".join(_row(cells) for cells in (titles, rules, *rows))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def bullets(lines: Iterable[str]) -> str:
    """A list, one line each."""
    return "\n".join(f"- {line}" for line in lines)


def fenced(text: str, language: str = "") -> str:
    """A block of code; whatever the text holds, it stays inside."""
    lines = [plain(line) for line in text.replace("\t", "    ").split("\n")]
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{language}", *lines, fence])


def folded(title: str, body: str) -> str:
    """A part that GitHub shows closed, under its title."""
    return f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>"


def page(*parts: str | None) -> str:
    """The parts, a blank line between them; what is empty is left out."""
    return "\n\n".join(part for part in parts if part) + "\n"
