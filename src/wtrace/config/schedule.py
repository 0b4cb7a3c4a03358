"""Which checks are judged, and how many looks that makes: fixed before the race starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wtrace.config.spec import RaceSpec


def planned_epochs(check_every: int, max_epochs: int) -> tuple[int, ...]:
    """The epochs whose first check is judged: multiples of `check_every`, and the last epoch. Both from 1."""
    epochs = tuple(range(check_every, max_epochs + 1, check_every))
    return epochs if max_epochs % check_every == 0 else (*epochs, max_epochs)


def is_planned(epoch: int, check_every: int, max_epochs: int) -> bool:
    """Whether a check at this epoch is judged; at epoch 0 never."""
    return 0 < epoch <= max_epochs and (epoch % check_every == 0 or epoch == max_epochs)


def count_planned(check_every: int, max_epochs: int) -> int:
    """How many epochs `planned_epochs` has."""
    return -(-max_epochs // check_every)


def looks(spec: RaceSpec) -> int:
    """How often the race may be won: the planned checks of all workers but controls, hybrids included."""
    return sum(count_planned(spec.check_every, spec.epochs_of(w)) for w in spec.workers if not w.control)


def divisor(spec: RaceSpec) -> int:
    """What p thresholds are divided by at a check."""
    return 1 if spec.judge.correction == "none" else max(1, looks(spec))


def confirm_divisor(spec: RaceSpec) -> int:
    """What p thresholds are divided by at a confirmation: each worker may be confirmed `attempts` times."""
    if spec.judge.correction == "none" or spec.confirm is None:
        return 1
    return max(1, sum(not worker.control for worker in spec.workers) * spec.confirm.attempts)
