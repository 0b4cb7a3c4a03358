"""How Sphinx builds the documentation: `make docs` writes it to build/site, and every warning is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

project = "wtrace"
extensions = ["myst_parser"]
root_doc = "README"
exclude_patterns = ["images/*.py"]
myst_heading_anchors = 4  # as GitHub makes them
suppress_warnings = ["misc.highlighting_failure"]  # examples of lines that are no JSON
html_theme = "furo"
html_title = "wtrace"
html_show_copyright = False
html_copy_source = False

# The parts in the sidebar; the pages themselves need no list, which would be one more place to keep in step.
PARTS = {
    "Tutorial": ["tutorial/*"],
    "How-to": ["how-to/*"],
    "Reference": ["reference/*"],
    "Explanation": ["explanation/*"],
    "Measured": ["[a-z]*"],
    "Decisions": ["decisions/README", "decisions/*"],
}
REDIRECT = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=README.html">\n'


def add_sidebar(app: Any, page: str, source: list[str]) -> None:  # noqa: ARG001
    """Append the hidden lists of pages, which only Sphinx needs, to the first page."""
    if page == root_doc:
        for part, pages in PARTS.items():
            lines = ["", "```{toctree}", ":hidden:", ":glob:", f":caption: {part}", "", *pages, "```", ""]
            source[0] += "\n".join(lines)


def add_index(app: Any, failure: Exception | None) -> None:
    """The site's address leads to its first page."""
    if failure is None:
        (Path(app.outdir) / "index.html").write_text(REDIRECT, "utf-8")


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_sidebar)
    app.connect("build-finished", add_index)
