"""The samples of a check as arrays, and what every statistic needs of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.data import data

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]  # one value per sample
    Mask = NDArray[np.bool_]  # one truth per sample
    Index = NDArray[np.intp]  # one group number per sample, from 0


@data
class Weights:
    """How often each resample holds each sample: as often as it holds the part that the sample belongs to."""

    counts: Rows  # (resamples, parts)
    part: Index  # of each sample

    def totals(self, rows: Rows) -> Rows:
        """The weighted sum of each resample, (resamples, 1); `rows` may be other ones for each resample."""
        import numpy as np

        if rows.ndim == 2:
            sums: Rows = (self.of_samples() * rows).sum(axis=1)
        else:
            sums = self.counts @ np.bincount(self.part, weights=rows, minlength=self.counts.shape[1])
        return sums[:, None]

    def numbers(self) -> Rows:
        """How many samples each resample has, (resamples, 1)."""
        import numpy as np

        sums: Rows = self.counts @ np.bincount(self.part, minlength=self.counts.shape[1])
        return sums[:, None]

    def of_samples(self) -> Rows:
        """One by one, (resamples, samples)."""
        return self.counts[:, self.part]


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


def canonical_order(columns: Sequence[Rows], groups: Index | None) -> tuple[Index, Index | None]:
    """An order of the samples that depends on their values alone, and the samples' groups in it.

    Groups are numbered by their content: the same samples in any order have the same groups.
    """
    import numpy as np

    table = np.column_stack(columns) + 0.0  # -0.0 is 0.0
    order: Index = np.lexsort(table.T[::-1])
    if groups is None:
        return order, None
    order = order[np.argsort(groups[order], kind="stable")]
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    members = np.split(order, starts[1:])
    members.sort(key=lambda each: table[each].tobytes())
    numbers: Index = np.repeat(np.arange(len(members)), [len(each) for each in members])
    return np.concatenate(members), numbers


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
