"""Always-valid methods, to be held against Bonferroni's correction: e-values from the ranks that the verdict's test uses.

Given the ranks r of |d|, each sign is + or - with equal chance where d is symmetric about 0. So for any bet t
exp(t * sum(sign * r)) / prod(cosh(t * r)) has mean 1, and so has a mean of such bets: an e-value. By Markov's
inequality it is 1/alpha or more with a chance of at most alpha. Sources: Vovk and Wang (2021), Annals of Statistics
49:1736; Ramdas, Grünwald, Vovk and Shafer (2023), Statistical Science 38:576.

All methods take log ratios less the margin's, [race, worker, look, clip], and say at which look each worker wins:
[race, worker], `LOOKS` for never.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from null_races import LOOKS, WORKERS

if TYPE_CHECKING:
    from null_races import Logs
    from numpy.typing import NDArray

    Looks = NDArray[np.intp]

BETS = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 7.0])  # in standard deviations of the signed rank sum


def signed_ranks(logs: Logs) -> Logs:
    """The sum of the ranks of |d|, each with the sign of d; simulated values have no ties and no zeros."""
    order = np.abs(logs).argsort(axis=-1)
    positive = np.take_along_axis(logs > 0, order, axis=-1)
    ranks = np.arange(1.0, logs.shape[-1] + 1)
    sums: Logs = 2 * (positive @ ranks) - ranks.sum()
    return sums


def bets(logs: Logs) -> Logs:
    """The logarithm of what each bet has become, in a new last axis."""
    ranks = np.arange(1.0, logs.shape[-1] + 1)
    sizes = BETS / np.sqrt((ranks**2).sum())
    cost = np.log(np.cosh(sizes[:, None] * ranks)).sum(axis=-1)
    become: Logs = signed_ranks(logs)[..., None] * sizes - cost
    return become


def e_values(logs: Logs) -> Logs:
    """One e-value for each check: the mean of the bets. Every check has all clips."""
    values: Logs = np.exp(bets(logs)).mean(axis=-1)
    return values


def e_bonferroni(logs: Logs, alpha: float) -> Looks:
    """A check wins by its own e-value, against (number of checks) / alpha."""
    return first(e_values(logs) * alpha / (WORKERS * LOOKS) >= 1)


def mean_so_far(logs: Logs, alpha: float) -> Looks:
    """The worker's e-values so far are added up, against (number of checks) / alpha.

    A mean of e-values is one however they depend on one another, and parts of it are less. But what is refuted then
    is that the ratio was at most the margin at *every* check so far, not that it is so at the check that wins.
    """
    return first(e_values(logs).cumsum(axis=-1) * alpha / (WORKERS * LOOKS) >= 1)


def as_if_fresh(logs: Logs, alpha: float) -> Looks:
    """The bets are multiplied over the looks, as if each look had clips of its own. It has not: this is wrong."""
    return first(process(bets(logs)) * alpha / WORKERS >= 1)


def fresh_slices(logs: Logs, alpha: float) -> Looks:
    """Each look is given its own part of the clips, so that the bets may be multiplied over the looks."""
    size = logs.shape[-1] // LOOKS
    parts = np.stack([logs[:, :, k, k * size : (k + 1) * size] for k in range(LOOKS)], axis=2)
    return first(process(bets(parts)) * alpha / WORKERS >= 1)


def process(log_bets: Logs) -> Logs:
    """The e-process of each worker: every bet's product over the looks, then their mean."""
    with np.errstate(over="ignore"):
        become: Logs = np.exp(log_bets.cumsum(axis=-2)).mean(axis=-1)
    return become


def first(crossed: NDArray[np.bool_]) -> Looks:
    """The first look at which it is so, from 0; `LOOKS`: never."""
    return np.where(crossed.any(axis=-1), crossed.argmax(axis=-1), LOOKS)


METHODS = {
    "one for each check": e_bonferroni,
    "added up": mean_so_far,
    "fresh clips": fresh_slices,
}
