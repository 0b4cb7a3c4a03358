"""How what wtrace costs grows with the length of a race, the number of workers, and the number of races.

One race of four workers grows from 100 to 100,000 judged checks. At each size: the supervisor's CPU for a check, its
memory, and what `wtrace status`, the progress page and the dashboard take. Then races of up to 256 silent workers, and
histories of up to 1,000 races. A cost that does not depend on the length shows the same number in every column.

python bench/scale.py            two minutes; writes the tables of docs/performance.md
python bench/scale.py --smoke    whether it works
"""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lab import Lab, console, cpu_s, lab, memory_bytes
from marks import DONE_AT, wait_for
from measure import options

from wtrace.publish.dashboard.page import dashboard_page
from wtrace.publish.markdown.progress import progress_page
from wtrace.store.reader import Reader
from wtrace.store.writer import Writer
from wtrace.supervisor.create import recall_curves

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- scale: begin -->", "<!-- scale: end -->"
WANTED = 2
WORKERS = 4
RACE = "check_every = 1\nmax_epochs = 1000000"

Table = tuple[list[str], list[list[str]]]


def spent_s(command: Sequence[str], found: Lab, times: int = 5) -> float:
    """CPU seconds of a command, the least of a few runs."""
    least = float("inf")
    for _ in range(times):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*console(), *command], cwd=found.root, env=found.env, stdout=subprocess.DEVNULL, check=True)  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        least = min(least, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return least


def quickest_s(call: Callable[[], object], times: int = 5) -> float:
    least = float("inf")
    for _ in range(times):
        begun = time.process_time()
        call()
        least = min(least, time.process_time() - begun)
    return least


def lines_in(found: Lab) -> int:
    with Reader(found.layout.database) as reader:
        latest = reader.latest()
        standing = None if latest is None else reader.standing(latest)
    return 0 if standing is None else sum(worker.checks for worker in standing.workers)


def long_races(sizes: Sequence[int]) -> Table:
    rows: list[list[str]] = []
    with lab("counter.py", WORKERS, files=0, race=RACE) as found:
        supervisor = found.start_race()
        done, before = 0, cpu_s(supervisor)
        for size in sizes:
            found.marks.set(0, WANTED, size // WORKERS)
            wait_for(lambda size=size: lines_in(found) >= size // WORKERS * WORKERS, f"{size} checks", 300)  # type: ignore[misc]
            used = cpu_s(supervisor) - before
            rows.append([f"{size:,}", f"{used / (size - done) * 1e6:.0f}", *at_this_size(found, supervisor)])
            done, before = size, cpu_s(supervisor)
        assert all(found.marks.all(DONE_AT))
        found.stop_race()
    head = [
        "checks so far",
        "supervisor, µs a check",
        "its memory, MB",
        "`status`, ms",
        "progress page, ms",
        "dashboard, ms",
        "dashboard, kB",
    ]
    return head, rows


def at_this_size(found: Lab, supervisor: int) -> list[str]:
    with Reader(found.layout.database) as reader:
        race_id = reader.latest()
        standing = None if race_id is None else reader.standing(race_id)
    assert race_id is not None
    assert standing is not None
    curves = recall_curves(found.layout, race_id)
    page = dashboard_page(standing, curves, figures=(), now=standing.at, every_s=60.0)
    return [
        f"{memory_bytes(supervisor) / 1e6:.0f}",
        f"{spent_s(['status'], found) * 1e3:.0f}",
        f"{quickest_s(lambda: progress_page(standing)) * 1e3:.2f}",
        f"{quickest_s(lambda: dashboard_page(standing, curves, figures=(), now=standing.at, every_s=60.0)) * 1e3:.0f}",
        f"{len(page.encode()) / 1e3:.0f}",
    ]


def wide_races(sizes: Sequence[int]) -> Table:
    rows: list[list[str]] = []
    for size in sizes:
        with lab("counter.py", size, files=0, race=RACE) as found:
            begun = time.monotonic()
            supervisor = found.start_race()
            took = time.monotonic() - begun
            before = cpu_s(supervisor)
            time.sleep(2)
            idle = (cpu_s(supervisor) - before) / 2
            rows.append([str(size), f"{took / size * 1e3:.0f}", f"{idle * 100:.2f}", f"{memory_bytes(supervisor) / 1e6:.0f}",
                         f"{spent_s(['status'], found) * 1e3:.0f}"])  # fmt: skip
            found.stop_race()
    return ["workers", "from command to running, ms a worker", "supervisor while nothing happens, % of a core",
            "its memory, MB", "`status`, ms"], rows  # fmt: skip


def long_histories(sizes: Sequence[int]) -> Table:
    rows: list[list[str]] = []
    with lab("counter.py", WORKERS, files=0, race=RACE) as found:
        found.start_race()
        found.stop_race()
        layout, made = found.layout, 1
        with Reader(layout.database) as reader:
            race_id = reader.latest()
            standing = None if race_id is None else reader.standing(race_id)
        assert standing is not None
        for size in sizes:
            while made < size:
                made += 1
                with Writer(layout.database, f"race-{made}") as writer:
                    writer.create_race(replace(standing, id=f"race-{made}"))
                    writer.close_race(standing.at)
                    writer.commit()
            rows.append(
                [f"{size:,}", *(f"{spent_s(words, found) * 1e3:.0f}" for words in (["status"], ["history"]))]
            )
    return ["races in the history", "`status`, ms", "`history`, ms"], rows


def markdown(table: Table) -> str:
    head, rows = table
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---:"] * len(head), *rows])


def main() -> None:
    given = options(__doc__)
    tables = [
        long_races([100, 400] if given.smoke else [100, 1_000, 10_000, 100_000]),
        wide_races([2] if given.smoke else [4, 16, 64, 256]),
        long_histories([10] if given.smoke else [10, 100, 1_000]),
    ]
    text = "\n\n".join(map(markdown, tables))
    print(text)
    if given.smoke:
        return
    page = PAGE.read_text()
    PAGE.write_text(f"{page.split(BEGIN)[0]}{BEGIN}\n{text}\n{END}{page.split(END)[1]}")


if __name__ == "__main__":
    main()
