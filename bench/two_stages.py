"""What does it cost that both the checks and the confirmation are corrected, and what would each be worth alone?

    python bench/two_stages.py            a minute or two; writes a table of docs/explanation/statistics.md
    python bench/two_stages.py --smoke    the smallest run; writes nothing

Looks are normal deviates, as in bench/max_t.py, at 400 clips; a claim is judged again on 400 other clips, of which the
same hold at every attempt. A look that passes is a claim, as long as the worker has attempts left.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from max_t import EFFICIENCY, SPREAD
from null_races import LOOKS, WORKERS, learning
from pages import write
from scipy import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]
    Mask = NDArray[np.bool_]

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "statistics.md"
ALPHA, CLIPS, CORRELATION = 0.01, 400, 0.9
RATIOS = (1.4, 1.37)
ATTEMPTS = (1, 3)
NULL, POWER, BATCH = 4_000_000, 100_000, 50_000
STAGES = {"both": (True, True), "the checks alone": (True, False), "the confirmation alone": (False, True)}
"""Which stage divides its 1 %: by workers x looks, and by workers x attempts."""


def races(rng: np.random.Generator, count: int, added: Rows) -> Rows:
    """Deviates of one set of clips, [race, worker, look]."""
    shared = rng.standard_normal((count, WORKERS, 1))
    own = rng.standard_normal((count, WORKERS, LOOKS))
    values: Rows = np.sqrt(CORRELATION) * shared + np.sqrt(1 - CORRELATION) * own
    values[:, 0] += added
    return values


def won(rng: np.random.Generator, count: int, added: Rows, attempts: int, stages: tuple[bool, bool]) -> Mask:
    """Which workers have a confirmed claim, [race, worker]."""
    checks, confirmation = stages
    first = stats.norm.isf(ALPHA / (WORKERS * LOOKS if checks else 1))
    second = stats.norm.isf(ALPHA / (WORKERS * attempts if confirmation else 1))
    passed = races(rng, count, added) >= first
    claims = passed & (passed.cumsum(axis=-1) <= attempts)
    confirmed = claims & (races(rng, count, added) >= second)
    return np.asarray(confirmed.any(axis=-1))


def in_batches(seed: int, count: int, added: Rows, attempts: int, stages: tuple[bool, bool]) -> Rows:
    """How often anybody wins, and how often the first worker has a confirmed claim."""
    rng = np.random.default_rng([7, seed])
    found = np.zeros(2)
    for begin in range(0, count, BATCH):
        who = won(rng, min(BATCH, count - begin), added, attempts, stages)
        found += who.any(axis=1).sum(), who[:, 0].sum()
    return found / count


def table(null: int, count: int) -> str:
    """False wins, and the better worker's, by what is corrected and how many attempts there are."""
    lines = [
        f"| corrected | attempts | false wins of 100,000 races | {' | '.join(f'ratio {ratio:g}' for ratio in RATIOS)} |",
        f"| --- | ---: | ---: |{' ---: |' * len(RATIOS)}",
    ]
    for title, stages in STAGES.items():
        for attempts in ATTEMPTS:
            false = 100_000 * in_batches(1, null, np.zeros(LOOKS), attempts, stages)[0]
            cells = []
            for ratio in RATIOS:
                added = learning(ratio) / SPREAD * np.sqrt(CLIPS) * EFFICIENCY
                cells.append(f"{in_batches(2, count, added, attempts, stages)[1]:.1%}".replace("%", " %"))
            lines.append(f"| {title} | {attempts} | {false:.1f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Simulate, print, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    text = table(50_000 if smoke else NULL, 1000 if smoke else POWER)
    print(text)
    if not smoke:
        write(PAGE, {"two-stages": text})
    return 0


if __name__ == "__main__":
    sys.exit(main())
