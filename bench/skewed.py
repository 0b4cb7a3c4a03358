"""What does the studentized signed-rank test add to the signed-rank test, one look at a time?

    python bench/skewed.py            some minutes; writes a table of docs/explanation/statistics.md
    python bench/skewed.py --smoke    the smallest run; writes nothing

Log ratios whose pseudomedian is exactly at the margin are drawn from the shapes of bench/null_races.py. A test at an
error of 1 % (and of 0.025 %, the share of one of forty looks) should pass as seldom as that.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from always_valid import signed_ranks
from null_races import SHAPES
from pages import write
from scipy import stats

from wtrace.judging.statistics import paired

if TYPE_CHECKING:
    from null_races import Logs

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "statistics.md"
ERRORS = (0.01, 0.01 / 40)
SETS = {20: 400_000, 50: 300_000, 100: 200_000, 400: 100_000}
BATCH = 4000
SIEVE = 1.8  # standard deviations of the rank sum: what is below passes neither test


def passed(setting: tuple[int, int, int]) -> list[int]:
    """Of so many sets of a shape (by its number), how many pass: signed-rank, judged, sign test, at both errors."""
    number, n, count = setting
    rng = np.random.default_rng([5, number, n])
    spread = np.sqrt((np.arange(1.0, n + 1) ** 2).sum())
    found = np.zeros(6, dtype=int)
    for _ in range(max(1, count // BATCH)):
        logs: Logs = SHAPES[number].of(rng.standard_normal((BATCH, n)))
        strong = logs[signed_ranks(logs) > SIEVE * spread]
        p = np.array([(paired.signed_rank_p(row), paired.ratio_p(row)) for row in strong]).reshape(-1, 2)
        signs = stats.binom.sf((logs > 0).sum(axis=1) - 1, n, 0.5)
        found += [int((column < error).sum()) for column in (p[:, 0], p[:, 1], signs) for error in ERRORS]
    return [int(each) for each in found]


def table(pool: ProcessPoolExecutor, sets: dict[int, int]) -> str:
    """How many times the nominal error each test makes, by shape and number of clips."""
    settings = [(number, n, count) for number in range(len(SHAPES)) for n, count in sets.items()]
    lines = [
        "| log ratios | clips | signed-rank alone | as judged | sign test |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for (number, n, count), found in zip(settings, pool.map(passed, settings), strict=True):
        drawn = max(1, count // BATCH) * BATCH
        times = [each / drawn / ERRORS[i % 2] for i, each in enumerate(found)]
        cells = [f"{times[i]:.2f} · {times[i + 1]:.2f}" for i in (0, 2, 4)]
        lines.append(f"| {SHAPES[number].name} | {n} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Simulate, print, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    with ProcessPoolExecutor() as pool:
        text = table(pool, dict.fromkeys(SETS, BATCH) if smoke else SETS)
    print(text)
    if not smoke:
        write(PAGE, {"skewed": text})
    return 0


if __name__ == "__main__":
    sys.exit(main())
