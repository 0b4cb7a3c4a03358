"""Run every benchmark, one after the other, and write the table of docs/performance.md.

python bench/run_all.py            all of them, about ten minutes
python bench/run_all.py --smoke    only whether they work, within a minute or two; writes nothing
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
LONGEST_S = 600


def rows_of(script: Path, how: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Run one benchmark; its output is shown, and its rows are returned."""
    command = [sys.executable, str(script), *how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith("{"):
                yield json.loads(line)
            else:
                print(line, end="", flush=True)
    if running.returncode:
        raise SystemExit(f"{script.name} failed with {running.returncode}")


def cell(value: float | None) -> str:
    return "—" if value is None else f"{value:.3g}"


def table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| # | what | measured | may well lie in | at most | | medians of the sides |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        sides = "; ".join(
            f"{name} {side['median']:.4g} {row['side_unit']}" for name, side in row["sides"].items()
        )
        spread = "" if row["low"] is None else f"{cell(row['low'])} to {cell(row['high'])}"
        verdict = "not measured" if row["value"] is None else "met" if row["met"] else "**missed**"
        value = cell(row["value"]) if row["value"] is None else f"{cell(row['value'])} {row['unit']}"
        note = f" ({row['note']})" if row["note"] else ""
        lines.append(
            f"| {row['figure']} | {row['what']} | {value} | {spread} | {row['limit']:.3g} | {verdict}{note} | {sides} |"
        )
    return "\n".join(lines)


def machine(rows: Sequence[dict[str, Any]]) -> str:
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("msgspec", "rich", "typer")
    )
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    loads = [row["load"] for row in rows]
    kernel, _, _ = platform.release().partition("-")
    return (
        f"{datetime.date.today().isoformat()}, {os.cpu_count()} cores, {platform.system()} {kernel}, "
        f"Python {platform.python_version()}, {git}, {versions}; load average {min(loads):.1f} to {max(loads):.1f}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--seconds", help="for each, instead of its own time")
    given = parser.parse_args()
    how = [*(["--smoke"] if given.smoke else []), *(["--seconds", given.seconds] if given.seconds else [])]
    rows = [row for script in sorted(HERE.glob("fig*.py")) for row in rows_of(script, how)]
    if given.smoke:
        return
    page = PAGE.read_text()
    head, tail = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{head}{BEGIN}\n{machine(rows)}\n\n{table(rows)}\n{END}{tail}")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
