"""`wtrace report`: write the report again, as Markdown and as HTML, from what was recorded."""

from __future__ import annotations

from wtrace.cli.common import RaceOption, find_root, require_standing
from wtrace.errors import ToolError, UsageError
from wtrace.race.paths import Layout
from wtrace.text import plain


def report(race: RaceOption = None) -> None:
    """Write the report of a race that has ended again, as Markdown and as HTML, and say where both lie."""
    from wtrace.supervisor.create import recall
    from wtrace.supervisor.publishing.report import prove

    root = find_root()
    layout = Layout(root)
    standing = require_standing(root, race)
    if standing.ended is None:
        raise UsageError(f"race {standing.id} has not ended", hint="`wtrace status` tells where it stands")
    context, state, _ = recall(layout, standing.id)
    path = prove(context, layout, standing, state.claims)
    if path is None:
        raise ToolError(
            f"the report of race {standing.id} could not be written", hint="the lines above say why"
        )
    for written in (path, path.with_suffix(".html")):
        if written.exists():
            print(plain(str(written)))
