"""`wtrace history` and `wtrace compare`: past races, and what differs between two."""

from __future__ import annotations

import csv
import difflib
import io
import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wtrace.cli import common
from wtrace.cli.common import JsonOption, current_standing, find_root, require_standing
from wtrace.race.paths import Layout
from wtrace.race.status_json import iso, race_json
from wtrace.store.reader import Reader
from wtrace.text import beside, bound, cells, csv_cell, markdown, pad, plain, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from wtrace.race.status import Standing

MarkdownOption = Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")]
Race = Annotated[str, typer.Argument(metavar="RACE", autocompletion=common.races)]

SHOWN_FILES = 10
HISTORY = ("id", "name", "state", "winner", "epoch", "started", "duration")


def history(
    as_json: JsonOption = False, as_markdown: MarkdownOption = False, as_csv: CsvOption = False
) -> None:
    """All races of this repo, oldest first."""
    root = find_root()
    standings = list(_standings(root))
    if as_json:
        print(
            json.dumps(
                {"schema": 1, "races": [_race_json(standing) for standing in standings]}, allow_nan=False
            )
        )
        return
    rows = [_history_row(standing) for standing in standings]
    if not rows and not as_csv:
        print("no race in this repo yet: `wtrace run` starts one")
        return
    _print_table(HISTORY, rows, as_markdown=as_markdown, as_csv=as_csv)


def compare(
    first: Race,
    second: Race,
    as_json: JsonOption = False,
    as_markdown: MarkdownOption = False,
    as_csv: CsvOption = False,
) -> None:
    """What differs between two races: criteria, configs, commits, outcomes."""
    root = find_root()
    races = [require_standing(root, race_id) for race_id in (first, second)]
    rows = [row for row in (*_compared(*races), *_commits(root, *races)) if row[1] != row[2]]
    config = _config_difference(root, *races)
    if as_json:
        what = [{"what": name, "first": one, "second": other} for name, one, other in rows]
        print(json.dumps({"schema": 1, "races": [first, second], "differences": what, "config": config}))
        return
    _print_table(("what", first, second), rows, as_markdown=as_markdown, as_csv=as_csv)
    if config and not as_csv:
        print("\nconfig:")
        for line in config:
            print(plain(f"    {line}" if as_markdown else f"  {line}"))


def _standings(root: Path) -> Iterator[Standing]:
    layout = Layout(root)
    with Reader(layout.database) as reader:
        for race in reader.races():
            standing = reader.standing(race.id)
            if standing is not None:
                yield standing if standing.ended is not None else current_standing(layout, standing)


def _history_row(standing: Standing) -> tuple[str, ...]:
    epoch = "" if standing.winner_epoch is None else str(standing.winner_epoch)
    return (
        standing.id,
        standing.name,
        standing.state,
        standing.winner or "",
        epoch,
        iso(standing.started) or "",
        seconds((standing.ended or time.time()) - standing.started),
    )


def _race_json(standing: Standing) -> dict[str, Any]:
    return {**race_json(standing), "workers": {worker.name: worker.state for worker in standing.workers}}


def _compared(one: Standing, other: Standing) -> Iterator[tuple[str, str, str]]:
    """Rows (what, in the first race, in the second); `—` where a race has no such thing."""
    facts = [dict(_facts(standing)) for standing in (one, other)]
    for name in dict.fromkeys([*facts[0], *facts[1]]):
        yield name, facts[0].get(name, "—"), facts[1].get(name, "—")


def _facts(standing: Standing) -> Iterator[tuple[str, str]]:
    yield "state", standing.state
    yield "winner", standing.winner or "nobody"
    yield "winning epoch", "" if standing.winner_epoch is None else str(standing.winner_epoch)
    yield "confirmed", "yes" if standing.confirmed else "no"
    yield "duration", seconds((standing.ended or standing.at) - standing.started)
    for criterion in standing.criteria:
        yield f"criterion {criterion.name}", criterion.text
        yield f"threshold of {criterion.name}", bound(criterion.op, criterion.applied)
    for worker in standing.workers:
        yield f"{worker.name}: outcome", f"{worker.state} at epoch {worker.epoch}"
        for criterion, value in zip(
            standing.criteria, worker.best.values if worker.best else (), strict=False
        ):
            yield f"{worker.name}: best {criterion.name}", beside(value, criterion.applied)


def _commits(root: Path, one: Standing, other: Standing) -> Iterator[tuple[str, str, str]]:
    """For each worker what was raced in each race, and which files differ between the two."""
    from wtrace.git.commit import changed_between, subject

    raced = [{worker.name: worker.commit for worker in standing.workers} for standing in (one, other)]
    for name in dict.fromkeys([*raced[0], *raced[1]]):
        old, new = raced[0].get(name, ""), raced[1].get(name, "")
        if old == new:
            continue
        told = [f"{each[:12]} {subject(root, each) or ''}".strip() or "—" for each in (old, new)]
        yield f"{name}: commit", told[0], told[1]
        changed = changed_between(root, old, new)
        if changed:
            more = f" and {len(changed) - SHOWN_FILES} more" if len(changed) > SHOWN_FILES else ""
            yield f"{name}: files that differ", "", ", ".join(changed[:SHOWN_FILES]) + more


def _config_difference(root: Path, one: Standing, other: Standing) -> list[str]:
    old, new = (_config(root, standing) for standing in (one, other))
    lines = difflib.unified_diff(old, new, lineterm="", n=0)
    return [line for line in lines if line[:1] in "+-" and not line.startswith(("+++", "---"))]


def _config(root: Path, standing: Standing) -> list[str]:
    path = Layout(root).race(standing.id).config
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _print_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, as_markdown: bool, as_csv: bool
) -> None:
    if as_csv:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(
            [header, *([csv_cell(cell) for cell in row] for row in rows)]
        )
        print(out.getvalue(), end="")
    elif as_markdown:
        for row in (header, ["---"] * len(header), *rows):
            print("| " + " | ".join(cell if cell == "---" else markdown(cell) for cell in row) + " |")
    else:
        safe = [[plain(cell) for cell in row] for row in (header, *rows)]
        widths = [max(map(cells, column)) for column in zip(*safe, strict=True)]
        for row in safe:
            print("  ".join(pad(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip())
