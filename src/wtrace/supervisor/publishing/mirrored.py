"""The pages of a race that was fetched from another machine, drawn here: of what comes from there only the data is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.files import write_atomically
from wtrace.publish.dashboard.page import dashboard_page
from wtrace.publish.markdown.report_html import report_html
from wtrace.race.paths import RaceLayout
from wtrace.supervisor.publishing.figures import drawn_in
from wtrace.supervisor.publishing.snapshots import curves_of

if TYPE_CHECKING:
    from pathlib import Path

    from wtrace.mirror.snapshot import Snapshot


def draw_pages(folder: Path, snapshot: Snapshot) -> None:
    """Write the dashboard, and the report as a page, into the mirror of a race. OSError passes through."""
    race = RaceLayout(folder)
    figures = drawn_in(race.results)
    standing = snapshot.standing
    page = dashboard_page(
        standing, curves_of(snapshot), figures=figures, now=standing.at, every_s=snapshot.every_s
    )
    write_atomically(race.dashboard, page)
    for report in (race.success_report, race.failure_report):
        if report.is_file():
            named = {str(path.relative_to(race.results)): path for path in figures}
            text = report.read_text(encoding="utf-8", errors="replace")
            write_atomically(report.with_suffix(".html"), report_html(text, named))
