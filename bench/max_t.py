"""What would a correction that knows how the looks correlate (max-T) gain over Bonferroni's, and what would it cost?

    python bench/max_t.py            a minute or two; writes a table of docs/explanation/statistics.md
    python bench/max_t.py --smoke    the smallest run; writes nothing

Looks at one worker are normal deviates with equal correlation, and the better worker's climb as in bench/null_races.py.
The correction spends 1 % / 40 at every look, like Bonferroni's, but only on races that no earlier look has won: its
critical value at a look is that which so many of the null races reach first there. It is told the true correlation,
which a race would have to learn by flipping the signs of whole clips; so this is the most that can be had.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from null_races import LOOKS, WORKERS, learning
from pages import write
from scipy import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "statistics.md"
ALPHA = 0.01
PER_LOOK = ALPHA / (WORKERS * LOOKS)
SETTINGS = ((400, 1.4), (400, 1.37), (400, 1.35))
CORRELATIONS = (0.0, 0.5, 0.9, 0.97)
NULL, POWER = 2_000_000, 100_000
SPREAD = 0.3  # of a clip's log ratios
EFFICIENCY = (3 / np.pi) ** 0.5  # of signed ranks of normal differences
FLIPS = 400_000  # 100 of them lie beyond a critical value of 1 % / 40


def deviates(rng: np.random.Generator, count: int, correlation: float) -> Rows:
    """Deviates of one worker's looks, [race, look]."""
    shared, own = rng.standard_normal((count, 1)), rng.standard_normal((count, LOOKS))
    values: Rows = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own
    return values


def spending(rng: np.random.Generator, correlation: float, count: int) -> Rows:
    """The critical value of each look."""
    null = deviates(rng, count, correlation)
    values = np.empty(LOOKS)
    for look in range(LOOKS):
        beyond = max(1, round(PER_LOOK * count))
        values[look] = np.partition(null[:, look], -beyond)[-beyond]
        null = null[null[:, look] < values[look]]
    return values


def power(
    rng: np.random.Generator, correlation: float, clips: int, ratio: float, critical: Rows, count: int
) -> float:
    """How often the better worker wins at one of its looks."""
    added = learning(ratio) / SPREAD * np.sqrt(clips) * EFFICIENCY
    return float((deviates(rng, count, correlation) + added >= critical).any(axis=1).mean())


def seconds_of_flips(clips: int = 400) -> float:
    """What flipping the signs of whole clips costs at the last look: a rank sum of every look for every flip."""
    rng = np.random.default_rng(1)
    ranks = rng.permuted(np.tile(np.arange(1.0, clips + 1), (LOOKS, 1)), axis=1).T
    begin = time.process_time()
    for _ in range(FLIPS // 10_000):
        signs = rng.integers(0, 2, size=(10_000, clips), dtype=np.int8).astype(np.float64) * 2 - 1
        (signs @ ranks).max(axis=1)
    return time.process_time() - begin


def table(null: int, count: int) -> str:
    """Power by Bonferroni's correction and by the one that knows the correlation."""
    lines = [
        "| look correlation | critical p at the last look, of 0.00025 | ratio 1.4 | 1.37 | 1.35 |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for correlation in CORRELATIONS:
        rng = np.random.default_rng([6, round(100 * correlation)])
        bonferroni = np.full(LOOKS, stats.norm.isf(PER_LOOK))
        known = spending(rng, correlation, null)
        cells = []
        for clips, ratio in SETTINGS:
            found = [power(rng, correlation, clips, ratio, each, count) for each in (bonferroni, known)]
            cells.append(f"{found[0]:.1%} → {found[1]:.1%}".replace("%", " %"))
        lines.append(f"| {correlation:g} | {stats.norm.sf(known[-1]):.5f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Simulate, print, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    text = table(40_000 if smoke else NULL, 1000 if smoke else POWER)
    print(text)
    if not smoke:
        print(f"{FLIPS:,} flips of 400 clips at {LOOKS} looks: {seconds_of_flips():.1f} s of processor time")
        write(PAGE, {"max-t": text})
    return 0


if __name__ == "__main__":
    sys.exit(main())
