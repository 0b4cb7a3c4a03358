"""Simulated log ratios of clips: the shapes, how looks depend on one another, and what a worker comes to.

A clip's log ratio at a look is `log(margin) + effect + scale * shape(z)`. z is standard normal; its correlation
between two looks of one worker at one clip is the look correlation, since every look has the same clips. Workers are
independent, which is the worst case for a promise about any of them. A shape has its pseudomedian (the median of the
mean of two) exactly at 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Logs = NDArray[np.float64]

MARGIN = 1.3
WORKERS, LOOKS = 4, 10
GRID = np.linspace(-6.5, 6.5, 20_001)  # a normal value beyond it comes once in 10 billion


@dataclass(frozen=True)
class Shape:
    """A distribution with standard deviation 1, by its quantiles at the normal probabilities of the grid."""

    name: str
    symmetric: bool
    quantiles: Logs

    def of(self, z: Logs) -> Logs:
        """Standard normal values turned into this shape."""
        values: Logs = np.interp(z, GRID, self.quantiles)
        return values


def quantiles(ppf: Callable[[Logs], Logs], isf: Callable[[Logs], Logs]) -> Logs:
    """A distribution's quantiles, each from the tail that it is near to."""
    values: Logs = np.where(GRID < 0, ppf(stats.norm.cdf(GRID)), isf(stats.norm.sf(GRID)))
    return values


def gamma(name: str, k: float, sign: int) -> Shape:
    """Skewness 2 / sqrt(k). Two of them add up to a gamma of 2k: half its median is the pseudomedian."""
    pseudomedian = stats.gamma.ppf(0.5, 2 * k) / 2
    right = (
        quantiles(lambda p: stats.gamma.ppf(p, k), lambda p: stats.gamma.isf(p, k)) - pseudomedian
    ) / k**0.5
    return Shape(name, symmetric=False, quantiles=right if sign > 0 else -right[::-1])


SHAPES = (
    Shape("normal", symmetric=True, quantiles=GRID),
    Shape("Laplace (heavy tails)", True, quantiles(stats.laplace.ppf, stats.laplace.isf) / 2**0.5),
    gamma("skewed, +1", 4.0, 1),
    gamma("skewed, −1", 4.0, -1),
    gamma("skewed, +2", 1.0, 1),
    gamma("skewed, −2", 1.0, -1),
)


def races(
    rng: np.random.Generator, count: int, clips: int, correlation: float, shape: Shape, scale: float = 0.3
) -> Logs:
    """Log ratios less the margin's, of `count` races, everybody exactly at the margin: [race, worker, look, clip]."""
    shared = rng.standard_normal((count, WORKERS, 1, clips))
    own = rng.standard_normal((count, WORKERS, LOOKS, clips))
    logs: Logs = scale * shape.of(np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own)
    return logs


def learning(ratio: float) -> Logs:
    """What is added to one worker's log ratios: it climbs from the margin to `ratio` by the fifth look, and stays."""
    added: Logs = np.log(ratio / MARGIN) * np.minimum(np.arange(1, LOOKS + 1) / 5, 1.0)
    return added
