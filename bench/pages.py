"""Tables that a script writes into a page, each between marks of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write(page: Path, tables: Mapping[str, str]) -> None:
    """Put each text between `<!-- NAME: begin -->` and `<!-- NAME: end -->`."""
    text = page.read_text()
    for name, table in tables.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        head, rest = text.split(begin)
        text = f"{head}{begin}\n\n{table}\n\n{end}{rest.split(end)[1]}"
    page.write_text(text)
