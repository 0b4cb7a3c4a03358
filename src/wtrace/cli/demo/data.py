"""Points on the two arms of a spiral, made from a seed: the same in every branch."""

import numpy as np

SEEDS = {"train": 1, "validation": 2, "test": 3}
SIZES = {"train": 48_000, "validation": 2_000, "test": 2_000}
TURNS, NOISE = 2.5, 0.03


def points(split):
    """Where the points of a split lie (n, 2), and on which arm, 0 or 1 (n,)."""
    random = np.random.default_rng(SEEDS[split])
    arm = random.integers(0, 2, SIZES[split])
    distance = np.sqrt(random.uniform(0.02, 1.0, len(arm)))
    angle = 2 * np.pi * TURNS * distance + np.pi * arm
    where = np.stack([distance * np.cos(angle), distance * np.sin(angle)], axis=1)
    return where + random.normal(0, NOISE, where.shape), arm
