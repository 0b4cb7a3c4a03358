"""What a reader of a foreign file gives, and what every reader offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from wtrace.data import data
from wtrace.metrics.foreign.rows import Reading

if TYPE_CHECKING:
    from collections.abc import Sequence


@data
class OwnLine:
    """A line of the worker protocol, found among others; it is passed on as it is."""

    raw: bytes


@data
class Problem:
    """Something that cannot be used, for a person. `kind` is equal for those that need telling only once."""

    kind: str
    text: str


@data
class Anew:
    """The file is read from its beginning again: what was read of it before comes once more."""


Item: TypeAlias = Reading | OwnLine | Problem | Anew


class Reader(Protocol):
    """Follows one file. Nothing is raised for what is found in it or at its path."""

    def read(self) -> tuple[Sequence[Item], bool]:
        """What came since the last call, and whether there is more than one turn should take; never waits."""

    def finish(self, *, whole: bool) -> Sequence[Item]:
        """What remains where nobody writes any more, once `read` has no more. `whole`: the writer ended by itself and well;
        else what it was writing may be torn.
        """

    def close(self) -> None:
        """Let go of the file."""
