"""Draw `live-view.svg` from a race that was really run: its journal, replayed up to the moment before the verdict.

python docs/images/make_live_view.py REPO > docs/images/live-view.svg
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console

from wtrace.cli.terminal.live import render
from wtrace.config.schedule import divisor
from wtrace.judging import referee
from wtrace.race import view
from wtrace.race.events import VerdictReached
from wtrace.race.paths import Layout
from wtrace.race.reduce import evolve
from wtrace.race.state import begin
from wtrace.store.reader import Reader
from wtrace.supervisor.create import recall

WIDTH, HEIGHT = 118, 22


def draw(root: Path) -> str:
    """The live view of the newest race of that repo, as SVG."""
    layout = Layout(root)
    with Reader(layout.database) as reader:
        race_id = reader.latest()
        assert race_id is not None
        events = list(reader.events(race_id))
    race, _, _ = recall(layout, race_id)
    verdict = next(n for n, event in enumerate(events) if isinstance(event, VerdictReached))
    now = events[verdict].at
    before = [event for event in events[: verdict - 2] if event.at < now]
    state = begin(race.spec, events[0].at)
    for event in before:
        state = evolve(state, event)
    criteria = referee.criteria_info(race.spec.success, divisor(race.spec))
    standing = view.standing(state, race_id, race.places, criteria, before[-1].at)
    console = Console(record=True, width=WIDTH, height=HEIGHT, file=io.StringIO(), force_terminal=True)
    console.print(render(standing, {}, width=WIDTH, height=HEIGHT, now=before[-1].at))
    svg = console.export_svg(title="wtrace run")
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)  # no font from the network


if __name__ == "__main__":
    sys.stdout.write(draw(Path(sys.argv[1]).resolve()))
