"""Draw the pictures of the dashboard from a race that was really run: while it ran, and after its end.

python docs/images/make_dashboard.py REPO RACE_ID

Needs Chromium. `dashboard-running.png` and the phone's show the race at its verdict's eve, with its confidence
intervals computed again from the recorded samples.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

from dashboard_browser import Browser, chromium  # noqa: E402 - the tests' browser
from dashboard_samples import shifted  # noqa: E402
from wtrace.config.schedule import divisor  # noqa: E402
from wtrace.judging import referee  # noqa: E402
from wtrace.judging.checks import CheckSummary  # noqa: E402
from wtrace.publish.dashboard import Band, Curves, dashboard_page  # noqa: E402
from wtrace.race import view  # noqa: E402
from wtrace.race.events import VerdictReached  # noqa: E402
from wtrace.race.paths import Layout  # noqa: E402
from wtrace.race.reduce import evolve  # noqa: E402
from wtrace.race.state import begin  # noqa: E402
from wtrace.store.reader import Reader  # noqa: E402
from wtrace.supervisor.create import recall  # noqa: E402

if TYPE_CHECKING:
    from wtrace.config.language.criteria import Criterion
    from wtrace.race.status import Standing
    from wtrace.store.reader import StoredCheck

SHOTS = (
    ("dashboard-running.png", "running", 1280, 1480, False),
    ("dashboard-won-dark.png", "won", 1280, 1480, True),
    ("dashboard-phone.png", "running", 360, 900, False),
)


def bands_of(check: StoredCheck, criteria: tuple[Criterion, ...]) -> list[Band | None]:
    """The 95 % intervals of a check, from its samples."""
    record = json.loads(check.raw)
    metrics, samples = record.get("metrics") or {}, record.get("samples") or {}
    found = [referee.interval(criterion, metrics, samples) for criterion in criteria]
    return [None if interval is None else (interval.low, interval.high) for interval in found]


def curves_until(reader: Reader, race_id: str, criteria: tuple[Criterion, ...], until: float) -> Curves:
    """The judged checks up to a moment."""
    curves = Curves()
    for check in reader.checks(race_id):
        if check.judged and check.at < until:
            values = tuple(result.value for result in check.results)
            met = tuple(result.met for result in check.results)
            curves.add(
                check.worker, CheckSummary(check.epoch, check.at, values, met), bands_of(check, criteria)
            )
    return curves


def pages(root: Path, race_id: str) -> dict[str, tuple[Standing, Curves]]:
    """The race on the eve of its verdict, and after its end."""
    layout = Layout(root)
    with Reader(layout.database) as reader:
        events = list(reader.events(race_id))
        race, _, _ = recall(layout, race_id)
        at = next(event.at for event in events if isinstance(event, VerdictReached)) - 1
        state = begin(race.spec, events[0].at)
        for event in events:
            if event.at < at:
                state = evolve(state, event)
        criteria = referee.criteria_info(race.spec.success, divisor(race.spec))
        running = view.standing(state, race_id, race.places, criteria, at)
        won = reader.standing(race_id)
        assert won is not None
        success = race.spec.success
        return {
            "running": (running, curves_until(reader, race_id, success, at)),
            "won": (replace(won, at=won.ended or won.at), curves_until(reader, race_id, success, won.at)),
        }


def main(root: Path, race_id: str) -> None:
    """Write the pictures beside this file."""
    program = chromium()
    assert program is not None
    figures = sorted(Layout(root).race(race_id).results.glob("success_viz/*.png"))
    found = pages(root, race_id)
    with tempfile.TemporaryDirectory() as folder:
        browser = Browser(program, Path(folder))
        try:
            for name, kind, width, height, dark in SHOTS:
                standing, curves = found[kind]
                now = time.time() - 4
                shown = figures if kind == "won" else []
                file = Path(folder) / f"{kind}.html"
                file.write_text(dashboard_page(shifted(standing, now), curves, figures=shown, now=now))
                with browser.page(file, width=width, height=height, dark=dark) as page:
                    page.screenshot(HERE / name, whole=False)
        finally:
            browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
