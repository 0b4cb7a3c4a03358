"""Race git branches to a goal. Workers import `Reporter` from here; it needs the standard library only."""

from __future__ import annotations

TYPE_CHECKING = False  # importing `typing` would double the start-up time of `wtrace status`
if TYPE_CHECKING:
    from wtrace.metrics.reporter import Reporter as Reporter

__version__ = "0.1.0"
__all__ = ["Reporter", "__version__"]


def __getattr__(name: str) -> object:
    """Import `Reporter` only when it is asked for: `wtrace status` must not pay for it."""
    if name == "Reporter":
        from wtrace.metrics.reporter import Reporter

        return Reporter
    raise AttributeError(f"module 'wtrace' has no attribute {name!r}")
