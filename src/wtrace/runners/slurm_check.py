"""Is Slurm fit for a race? Asked by `wtrace doctor`, and before a race starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.config.names import did_you_mean
from wtrace.errors import ConfigError
from wtrace.runners import slurm_commands as slurm

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def check(settings: Mapping[str, str]) -> Iterator[str]:
    """What is found out, a line each. ToolError where Slurm does not answer, ConfigError for a partition that is none."""
    yield slurm.version()
    known = slurm.partitions()
    for wanted in filter(None, settings.get("partition", "").split(",")):
        if wanted not in known:
            raise ConfigError(
                f"Slurm has no partition `{wanted}`{did_you_mean(wanted, known)}",
                hint=f"its partitions: {', '.join(known)}",
            )
        if known[wanted] != "up":
            raise ConfigError(f"Slurm's partition {wanted} is {known[wanted]}: no job would start there")
    yield f"partitions: {', '.join(known)}"
