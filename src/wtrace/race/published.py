"""What is published about a race: every file of `results/`, which a mirror brings to other machines."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from wtrace.data import data

if TYPE_CHECKING:
    from collections.abc import Iterable


@data
class Published:
    """A file, or files, below `results/`. A `*` stands for a name, without a slash."""

    path: str
    what: str
    live: bool = False  # rewritten while the race runs; else it is written at the end
    page: bool = False  # opens in a browser: a mirror that does not trust its source makes its own


PUBLISHED = (
    Published("PARALLEL_PROGRESS.md", "where the race stands, as Markdown", live=True),
    Published("dashboard.html", "the same with every curve, as one page", live=True, page=True),
    Published("standing.json", "the same as data, for `wtrace pull`", live=True),
    Published("SUCCESS_REPORT.md", "how the race was won, and the evidence"),
    Published("SUCCESS_REPORT.html", "the same as one page, the figures inside", page=True),
    Published("FAILURE_REPORT.md", "how close each worker came, where nobody won"),
    Published("FAILURE_REPORT.html", "the same as one page", page=True),
    Published("success_viz/*.png", "the figures"),
)


def is_published(path: str, among: Iterable[Published] = PUBLISHED) -> bool:
    """Whether a file of that path below `results/` is one of these."""
    return any(fnmatchcase(path, each.path) and path.count("/") == each.path.count("/") for each in among)
