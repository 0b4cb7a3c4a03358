"""A bar for a transfer: on a terminal only, from what rsync says while it sends."""

from __future__ import annotations

import contextlib
import re
import sys
from typing import TYPE_CHECKING

from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TOTAL = re.compile(r"([\d,.]+)\s+(\d{1,3})%\s+([\d.,]+[kMGT]?B/s)")


@contextlib.contextmanager
def bar(title: str) -> Iterator[Callable[[str], None] | None]:
    """Gives what takes rsync's output, or None where there is no terminal: then the title is a plain line."""
    if not sys.stdout.isatty():
        print(plain(title), flush=True)
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
    from rich.text import Text

    console = Console(highlight=False)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[rate]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(plain(title), total=None, rate="")

        def told(text: str) -> None:
            found = _TOTAL.findall(text)
            if found:
                _, percent, rate = found[-1]
                progress.update(task, total=100, completed=int(percent), rate=rate)

        yield told
    console.print(Text(f"{plain(title)}: done"))
