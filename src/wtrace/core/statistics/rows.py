"""The samples of a check as arrays, and what every statistic needs of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]  # one value per sample
    Mask = NDArray[np.bool_]  # one truth per sample
    Index = NDArray[np.intp]  # one group number per sample, from 0


def import_for_reports() -> None:
    """Import what the sign test needs, which a report adds to what a check is judged by."""
    import scipy.special  # noqa: F401


def quiet() -> AbstractContextManager[object]:
    """Within it a division by zero gives infinity or NaN without a warning. Both are refused afterwards."""
    import numpy as np

    return np.errstate(all="ignore")


def as_rows(values: Sequence[float]) -> Rows:
    """Numbers as rows."""
    import numpy as np

    return np.asarray(values, dtype=np.float64)


def group_index(groups: Sequence[Hashable]) -> Index:
    """The group of each sample as a number from 0, in the order of their first appearance."""
    import numpy as np

    numbers: dict[Hashable, int] = {}
    return np.asarray([numbers.setdefault(group, len(numbers)) for group in groups], dtype=np.intp)


def group_means(rows: Rows, groups: Index) -> Rows:
    """The mean of each group."""
    import numpy as np

    means: Rows = np.bincount(groups, weights=rows) / np.bincount(groups)
    return means


def first_not_finite(rows: Rows) -> int | None:
    """The index of the first value that is NaN or infinite."""
    import numpy as np

    bad = np.flatnonzero(~np.isfinite(rows))
    return int(bad[0]) if bad.size else None


def first_not_positive(rows: Rows) -> int | None:
    """The index of the first value that is not above zero."""
    import numpy as np

    bad = np.flatnonzero(~(rows > 0))
    return int(bad[0]) if bad.size else None
