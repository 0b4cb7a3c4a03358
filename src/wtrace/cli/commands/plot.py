"""`wtrace plot`: draw the figures of a race again from what was recorded."""

from __future__ import annotations

from typing import Annotated

import typer

from wtrace.cli.common import RaceOption, find_root, require_standing
from wtrace.errors import ToolError
from wtrace.race.paths import Layout
from wtrace.text import plain


def plot(
    race: RaceOption = None,
    dark: Annotated[bool, typer.Option("--dark", help="Draw them in dark colours too (*_dark.png).")] = False,
) -> None:
    """Draw the figures of a race again from what was recorded, also while it runs, and say where they lie."""
    from wtrace.supervisor.create import recall
    from wtrace.supervisor.publishing.figures import picture

    root = find_root()
    layout = Layout(root)
    standing = require_standing(root, race)
    context, _, _ = recall(layout, standing.id)
    try:
        drawn = picture(context, layout, standing, dark=dark)
    except OSError as error:
        raise ToolError("the figures cannot be written", seen=str(error)) from error
    for path in drawn.paths:
        print(plain(str(path)))
    for name, why in drawn.left_out.items():
        print(f"{name} is left out: {plain(why)}")
    if drawn.failed:
        raise ToolError(
            "some figures could not be drawn",
            seen="\n".join(f"{name}: {why}" for name, why in drawn.failed.items()),
            hint="this is a bug in wtrace: please report it",
        )
