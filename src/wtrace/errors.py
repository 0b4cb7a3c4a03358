"""What a user is told when something is wrong: each error carries what, what was seen, and what to try."""

from __future__ import annotations


class WtraceError(Exception):
    """A user's mistake or a tool's failure. `exit_code` is what the command line returns for it."""

    exit_code = 1

    def __init__(self, what: str, *, seen: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.seen = seen
        self.hint = hint


class UsageError(WtraceError):
    """The command was called in a way that cannot work here (no repo, no such worker, a race runs already)."""

    exit_code = 2


class ConfigError(WtraceError):
    """`wtrace.toml` holds a mistake. `what` begins with the place, e.g. `race.check_every: …`."""

    exit_code = 2


class TrustError(WtraceError):
    """The commands of this config have not been approved by this user."""

    exit_code = 2


class ToolError(WtraceError):
    """A tool that wtrace needs (git, ssh, rsync, the file system) failed."""

    exit_code = 4


class RecordError(ToolError):
    """`wtrace.db` cannot be read."""


class DamagedRecordError(RecordError):
    """`wtrace.db` is damaged, or not what wtrace made: no later try will read it."""


class NewerRecordError(RecordError):
    """`wtrace.db` was written by a newer wtrace; this one leaves it alone."""
