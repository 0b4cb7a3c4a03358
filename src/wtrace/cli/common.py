"""What several commands need: the repo, its config, its newest race, and the completion of their names."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any  # Typer reads the annotations of these functions

import typer

from wtrace.errors import ConfigError, ToolError, UsageError
from wtrace.race.paths import Layout
from wtrace.race.view import Fate, unsupervised
from wtrace.store import home
from wtrace.text import plain, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wtrace.config.spec import RaceSpec
    from wtrace.race.status import Standing

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

    try:
        path = _root() / "wtrace.toml" if config is None else Path(config)
        return list(tomllib.loads(config_text(path)).get("workers", {}))
    except Exception:  # noqa: BLE001 - as above
        return []


def _root() -> Path:

    return find_root()


CONFIG_NAME = "wtrace.toml"
LARGEST_CONFIG = 1_000_000  # bytes

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The config, instead of wtrace.toml at the repo's root."),
]
TrustOption = Annotated[bool, typer.Option("--trust", help="Approve this config's commands without asking.")]
RaceOption = Annotated[
    str | None,
    typer.Option("--race", metavar="ID", help="Another race than the newest.", autocompletion=races),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def find_root() -> Path:
    """The main worktree of the repo around the current folder.

    UsageError outside of one, and where its `.wtrace/` came with the repo, or from somebody else.
    """
    from wtrace.git.find import find_root as find
    from wtrace.git.tracked import require_untracked
    from wtrace.store import home

    root = find(Path.cwd())
    home.require_own(Layout(root))
    require_untracked(root)
    return root


def read_config(root: Path, file: Path | None) -> RaceSpec:
    """The race that the config describes. ConfigError says what is wrong and where."""
    from wtrace.config import load

    path = root / CONFIG_NAME if file is None else file
    try:
        text = config_text(path)
    except FileNotFoundError as error:
        hint = "`wtrace init` writes one" if file is None else None
        raise ConfigError(f"there is no config {path}", hint=hint) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text", seen=str(error)) from error
    except OSError as error:
        raise ToolError(f"cannot read {path}", seen=str(error)) from error
    spec = load.parse(text, source=str(path))
    if spec.notify_urls:
        from wtrace.publish.notify.sender import check_urls

        check_urls(spec.notify_urls)
    return spec


def config_text(path: Path) -> str:
    """What the file says. ConfigError where it is no regular file, or larger than a config can be; OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        os.close(descriptor)
        raise ConfigError(f"{path} is no regular file", hint="a config is a file of text")
    with open(descriptor, encoding="utf-8") as file:  # noqa: PTH123 - a descriptor, not a path
        if about.st_size > LARGEST_CONFIG:
            raise ConfigError(
                f"{path} is too large for a config: {size(about.st_size)}",
                hint=f"at most {size(LARGEST_CONFIG)}; is it the right file?",
            )
        return file.read()


def require_trust(
    root: Path, spec: RaceSpec, *, approve: bool, may_ask: bool = True, race_id: str | None = None
) -> None:
    """Nothing that a config names is started before this user has approved it. TrustError otherwise.

    `may_ask`: whether standard output is for people, so that the question may be put there. `race_id`: the config is
    that of this race's record.
    """
    from wtrace.cli.commands.trust import ask_for_trust
    from wtrace.git import command

    approved = approve or os.environ.get("WTRACE_TRUST") == "1"
    ask_for_trust(root, spec, approve=approved, may_ask=may_ask, race_id=race_id)
    command.let_act()


def latest_standing(root: Path, race_id: str | None = None) -> Standing | None:
    """Where that race (the newest) stands, told truly also when its supervisor is gone. None: no race yet.

    UsageError when there is no race of that id.
    """
    from wtrace.store import home
    from wtrace.store.reader import Reader

    with Reader(Layout(root).database) as reader:
        wanted = race_id or reader.latest()
        if wanted is not None:
            home.require_own_race(Layout(root).race(wanted))
        standing = None if wanted is None else reader.standing(wanted)
        if standing is None and race_id is not None:
            known = ", ".join(race.id for race in reader.races()[-5:]) or "none"
            raise UsageError(f"there is no race {race_id}", hint=f"the latest are: {known}")
    return None if standing is None else current_standing(Layout(root), standing)


def require_standing(root: Path, race_id: str | None = None) -> Standing:
    """As `latest_standing`; UsageError when there is no race yet."""
    standing = latest_standing(root, race_id)
    if standing is None:
        raise UsageError("there is no race in this repo yet", hint="start one with `wtrace run`")
    return standing


def require_workers(standing: Standing, names: Sequence[str]) -> None:
    """UsageError for a name that is no worker of that race, with the nearest one."""
    from wtrace.config.names import did_you_mean

    known = [worker.name for worker in standing.workers]
    for name in names:
        if name not in known:
            raise UsageError(f"there is no worker {name} in this race{did_you_mean(name, known)}")


def regular(file: str) -> Path:
    """A file that the user names, wherever links lead to it. UsageError where none is there, ToolError where it cannot be read."""
    try:
        path = Path(file).resolve(strict=True)
        if not path.is_file():
            raise UsageError(f"{file} is {'a folder' if path.is_dir() else 'no file'}", hint="name a file")
        with path.open("rb"):
            return path
    except FileNotFoundError:
        raise UsageError(f"there is no file {file}") from None
    except (OSError, RuntimeError, ValueError) as error:
        raise ToolError(f"cannot read {file}", seen=str(error)) from error


def print_left_running(race_id: str) -> None:
    """What a user who leaves the viewer should know."""
    print(plain(f"race {race_id} runs on: `wtrace watch` shows it again, `wtrace stop` ends it"))


def current_standing(layout: Layout, standing: Standing) -> Standing:
    """The standing as it is now: with a living supervisor as recorded, else with the fate of each process."""
    supervised = home.is_locked(layout) and home.who_holds(layout) == standing.id
    if supervised:
        return standing
    folders = {
        worker.name: layout.race(standing.id).attempt(worker.name, worker.attempt)
        for worker in standing.workers
        if worker.attempt > 0
    }
    fates = {name: _fate(folder) for name, folder in folders.items()}
    return unsupervised(standing, {name: fate for name, fate in fates.items() if fate is not None})


def _fate(folder: Path) -> Fate | None:
    """What became of an attempt; None when it was never started."""
    from wtrace.runners.attempt_folder import read_claim, read_exit
    from wtrace.runners.engine import read_record
    from wtrace.runners.processes import is_alive

    claim, exit_ = read_claim(folder), read_exit(folder)
    if claim is None:
        return None
    elsewhere = read_record(folder) is not None  # nothing that can be seen from here says that it has ended
    alive = elsewhere or (claim.of_this_boot and (is_alive(claim.worker) or is_alive(claim.shim)))
    return Fate(alive, None if exit_ is None else (exit_.code, exit_.signal, exit_.known))
