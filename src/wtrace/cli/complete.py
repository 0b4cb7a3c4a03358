"""What the shell offers when a word is half typed. It answers at once, and whatever is wrong it offers nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any  # Typer reads the annotations of these functions

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_RACES = 200


def races(incomplete: str) -> list[str]:
    """The ids of this repo's races, the newest first."""
    return _legal(incomplete, reversed(_raced()))


def workers(ctx: Any, incomplete: str) -> list[str]:
    """The workers of the race that is asked about, else of the newest one, and before any race those of the config."""
    given = ctx.params.get("workers") or ctx.params.get("worker") or ()
    named = {given} if isinstance(given, str) else set(given)
    known = _workers_of(ctx.params.get("race")) or _configured(ctx.params.get("config"))
    return _legal(incomplete, [name for name in known if name not in named])


def configured(ctx: Any, incomplete: str) -> list[str]:
    """The workers of the config."""
    return _legal(incomplete, _configured(ctx.params.get("config")))


def _legal(incomplete: str, names: Iterable[str]) -> list[str]:
    """Those that begin so. Names go into a shell's word list: what is no plain name is never offered."""
    from wtrace.config.names import NAME

    return [name for name in names if name.startswith(incomplete) and NAME.fullmatch(name)]


def _raced() -> list[str]:
    from wtrace.race.paths import Layout
    from wtrace.store.reader import Reader

    try:
        with Reader(Layout(_root()).database) as reader:
            return [race.id for race in reader.races()[-MOST_RACES:]]
    except Exception:  # noqa: BLE001 - a message would land in the middle of what the user types
        return []


def _workers_of(race_id: str | None) -> list[str]:
    from wtrace.race.paths import Layout
    from wtrace.store.reader import Reader

    try:
        with Reader(Layout(_root()).database) as reader:
            wanted = race_id or reader.latest()
            standing = None if wanted is None else reader.standing(wanted)
        return [] if standing is None else [worker.name for worker in standing.workers]
    except Exception:  # noqa: BLE001 - as above
        return []


def _configured(config: str | Path | None) -> list[str]:
    """The workers that the config names, also where the rest of it is still half written."""
    import tomllib

    from wtrace.cli.common import config_text

    try:
        path = _root() / "wtrace.toml" if config is None else Path(config)
        return list(tomllib.loads(config_text(path)).get("workers", {}))
    except Exception:  # noqa: BLE001 - as above
        return []


def _root() -> Path:
    from wtrace.cli.common import find_root

    return find_root()
