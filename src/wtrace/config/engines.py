"""The places where a worker may run, and the settings that each understands in its `[runners.NAME]`."""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING

from wtrace.config.kinds import Place
from wtrace.config.names import did_you_mean
from wtrace.data import data
from wtrace.errors import ConfigError
from wtrace.text import plain as visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wtrace.config.spec import RaceSpec, RunnerSpec

LOCAL = "local"
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "ray": {
        "address": "Where its dashboard answers, such as `http://head:8265`. Without it `RAY_ADDRESS`, else a Ray on this machine.",
        "python": "The Python that a worker's `python` means there. Without it the one that runs Ray.",
        "resources": 'Custom resources that each worker takes, such as `"TPU=1, disk=0.5"`.',
    },
    "slurm": {
        "partition": "The partition, as for `sbatch --partition`.",
        "account": "The account, as for `sbatch --account`.",
        "qos": "The quality of service, as for `sbatch --qos`.",
        "gres": "Generic resources, as for `sbatch --gres`; without it `gpus` is asked for as `gpu:N`.",
        "time": "The time limit, as for `sbatch --time`.",
        "options": "More options for `sbatch`, separated by blanks.",
        "python": "The Python that starts a worker on the nodes. Without it the one that runs wtrace.",
    },
}
ENGINES = (LOCAL, *SETTINGS)
_AMOUNT = re.compile(r"\s*([^\s=,]+)\s*=\s*([0-9]+(?:\.[0-9]+)?)\s*")


@data
class Engine:
    """What a runner's name stands for."""

    name: str  # as the config calls it
    kind: str  # local, ray or slurm
    settings: Mapping[str, str] = field(default_factory=dict)


def engine_of(spec: RaceSpec, name: str) -> Engine:
    """The engine behind a runner's name. The config has been checked."""
    for runner in spec.runners:
        if runner.name == name:
            settings = {key: str(value) for key, value in runner.settings.items() if key != "engine"}
            return Engine(name, _kind(runner), settings)
    return Engine(name, name)


def _kind(runner: RunnerSpec) -> str:
    return str(runner.settings.get("engine", runner.name))


def check_settings(runner: RunnerSpec) -> None:
    """ConfigError for an engine that there is not, or a setting that it does not understand."""
    at = Place(("runners", runner.name))
    kind = _kind(runner)
    if kind not in SETTINGS:
        what = f"no engine is called `{visible(kind, 70)}`{did_you_mean(kind, SETTINGS)}"
        raise ConfigError(f"{at}: {what}", hint=f"`engine` is one of {', '.join(SETTINGS)}")
    known = ("engine", *SETTINGS[kind])
    for name, value in runner.settings.items():
        if name not in known:
            raise ConfigError(
                f"{at}: unknown key `{visible(name, 70)}`{did_you_mean(name, known)}",
                hint=f"{kind} knows: {', '.join(known)}",
            )
        if isinstance(value, bool) or not str(value).strip():
            raise ConfigError(f"{at / name}: expected text, got {value!r}")
    if kind == "ray" and "resources" in runner.settings:
        custom_resources(str(runner.settings["resources"]), at / "resources")


def custom_resources(text: str, at: Place) -> dict[str, float]:
    """`"TPU=1, disk=0.5"` as amounts by name. ConfigError where it cannot be read."""
    amounts: dict[str, float] = {}
    for part in text.split(","):
        found = _AMOUNT.fullmatch(part)
        if found is None:
            raise ConfigError(f'{at}: expected NAME=AMOUNT, such as "TPU=1", got `{visible(part, 70)}`')
        amounts[found[1]] = float(found[2])
    return amounts
