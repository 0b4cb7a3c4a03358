"""The commands, put together. The only place where an error becomes text and an exit code."""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import sys
from typing import TYPE_CHECKING

import typer

from wtrace import __version__
from wtrace.errors import WtraceError
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {  # (what is typed, what it does)
    "demo": (("wtrace demo", "a race to watch, before there is one of your own"),),
    "init": (
        ("wtrace init", "a worker for each branch that is checked out nowhere"),
        ("wtrace init --from-branches 'exp/*'", "a worker for each branch that matches"),
    ),
    "doctor": (("wtrace doctor", "before the first race, and after changes to the machine"),),
    "try": (
        (
            "wtrace try train.log",
            "which lines match, which epochs are judged; without a config, a pattern for them",
        ),
        ("python train.py | wtrace try -", "of a training that runs now"),
        ("wtrace try --worker fast", "the newest log of that worker, by the config as it is now"),
    ),
    "trust": (("wtrace trust", "read the commands of a config that somebody else wrote, then approve them"),),
    "setup": (
        ("wtrace setup", "make what is missing; a second time changes nothing"),
        ("wtrace setup --config quick.toml", "for the workers of another config"),
    ),
    "run": (
        ("wtrace run --dry-run", "what would start where, with which command"),
        ("wtrace run --max-epochs 10 --worker fast --worker slow", "a shorter race of two"),
        ("wtrace run --detach", "start it and get the prompt back; `wtrace watch` shows it"),
    ),
    "status": (
        ("wtrace status", "one table"),
        ("wtrace status --json | jq -r .race.winner", "for a script"),
    ),
    "watch": (("wtrace watch", "leave it with `q`; the race runs on"),),
    "logs": (
        ("wtrace logs fast -n 100", "the last 100 lines"),
        ("wtrace logs fast -f", "as it grows"),
    ),
    "stop": (
        ("wtrace stop", "the whole race"),
        ("wtrace stop slow", "one worker; the others run on"),
    ),
    "pause": (("wtrace pause slow", "its memory stays taken, its cores are free"),),
    "unpause": (("wtrace unpause slow", "let it go on"),),
    "sync": (
        ("wtrace sync --to macbook", "to the `[sync.macbook]` of the config, once"),
        ("wtrace sync --to macbook --watch", "until the race has ended"),
    ),
    "pull": (("wtrace pull box:project --watch", "asked for from the laptop"),),
    "report": (("wtrace report", "of the newest race"),),
    "plot": (("wtrace plot --dark", "in light and dark colours"),),
    "replay": (
        ("wtrace replay --config stricter.toml", "who would have won under other criteria"),
        ("wtrace replay --json | jq -r .winner", "for a script"),
    ),
    "notify": (("wtrace notify test", "whether the addresses under `[notify]` are reached"),),
    "merge": (
        ("wtrace merge", "the winner of the newest race into the base"),
        ("wtrace merge --no-results", "without a folder of results in the repo"),
    ),
    "evidence": (
        ("wtrace evidence red fast", "before the change: its tests must fail"),
        ("wtrace evidence green fast -- -k accuracy", "after it: those that name accuracy must pass"),
    ),
    "history": (
        ("wtrace history", "one line for each race"),
        ("wtrace history --csv > races.csv", "for a spreadsheet"),
    ),
    "compare": (("wtrace compare 20261125-033050-demo 20261126-090000-demo", "two races by their ids"),),
    "export": (
        ("wtrace export --to csv > curves.csv", "every value of the newest race, one a row"),
        ("wtrace export --to tensorboard --output runs", "as event files, below runs/RACE/"),
    ),
    "clean": (
        ("wtrace clean", "worktrees that hold work are kept, and named"),
        ("wtrace clean --keep-files", "those in which a training left files too"),
    ),
}


def epilog(command: str) -> str:
    """The examples as the last part of the command's `--help`."""
    lines = [line for typed, told in EXAMPLES.get(command, ()) for line in (f"  {typed}", f"      {told}")]
    return "\n".join(["\b", "Examples:", *lines]) if lines else ""


BUG = 3
USAGE = 2
COMPLETION = "_WTRACE_COMPLETE"  # set by what `wtrace --show-completion` prints

COMMANDS = {  # name: its module in commands/, its function there, one line about it
    "demo": ("demo", "demo", "Make a small repo and race it, to see what a race is."),
    "init": ("init", "init", "Write a commented wtrace.toml for this repo."),
    "doctor": ("doctor", "doctor", "Check whether this machine is fit for a race."),
    "try": ("try_", "try_", "Read a log or a metrics file as a race would."),
    "trust": ("trust", "trust", "Show and approve the config's commands."),
    "setup": ("worktrees", "setup", "Make one worktree per worker."),
    "run": ("run", "run", "Run the race and show it live."),
    "status": ("status", "status", "Tell where the race stands."),
    "watch": ("status", "watch", "Show the running race live."),
    "logs": ("logs", "logs", "Show a worker's log."),
    "stop": ("stop", "stop", "End the race, or some workers of it."),
    "pause": ("stop", "pause", "Halt a worker."),
    "unpause": ("stop", "unpause", "Let a halted worker go on."),
    "sync": ("sync", "sync", "Push progress and results to a target now."),
    "pull": ("pull", "pull", "Fetch a race's progress and results from another machine."),
    "report": ("report", "report", "Write the report again."),
    "plot": ("report", "plot", "Draw the figures again."),
    "replay": ("report", "replay", "Judge a race again, also under other criteria."),
    "notify": ("notify", "notify", "Try the addresses that notices go to."),
    "merge": ("merge", "merge", "Merge the winner."),
    "evidence": ("evidence", "evidence", "Run a worker's tests and keep the outcome."),
    "history": ("history", "history", "List all races."),
    "compare": ("history", "compare", "Tell what differs between two races."),
    "export": ("export", "export", "Hand a race's curves to other tools."),
    "clean": ("worktrees", "clean", "Remove worktrees that hold no work."),
}

# Typer brings its own copy of Click since 0.26; the class of Click's usage errors is found through one of them.
Misuse = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wtrace {__version__}")
        raise typer.Exit


def _options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Show the version."
    ),
) -> None:
    del version


def command_line(first: str | None = None) -> typer.Typer:
    """The whole command line; where its first word names a command, only that one, whose module alone is imported."""
    line = typer.Typer(
        name="wtrace",
        add_completion=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Race git branches to a goal: supervised trainings, a referee for every check, a proof of the verdict.",
    )
    line.callback()(_options)
    for name in [first] if first in COMMANDS else COMMANDS:
        module, function, help_ = COMMANDS[name]
        found = importlib.import_module(f"wtrace.cli.commands.{module}")
        line.command(name, short_help=help_, epilog=epilog(name))(getattr(found, function))
    return line


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code. No traceback reaches the user: a bug is told with the path of a log."""
    if os.environ.get(COMPLETION):
        return _complete()
    try:
        code = command_line(*arguments[:1])(list(arguments) or ["--help"], standalone_mode=False)
        return code if isinstance(code, int) else 0
    except WtraceError as error:
        _tell(error)
        return error.exit_code
    except typer.Exit as leave:
        return leave.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except SystemExit as leave:
        # Click's own way with a pipe that nobody reads any more; a question that was answered is no failure.
        return 0 if type(sys.stdout).__name__ == "PacifyFlushWrapper" else int(leave.code or 0)
    except BrokenPipeError:
        # Whoever read our output has gone; a second failure at interpreter exit must not be shown either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 (the last resort)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EIO) and error.filename is None:
            return _stdout_failed(error)
        return _misuse(error) if isinstance(error, Misuse) else _bug(error)


def _complete() -> int:
    """Offer the shell how the word may go on. Whatever is wrong, nothing is said: it would land amid what is typed."""
    typed = (os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or "").split()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            command_line(*typed[1:2])([], prog_name="wtrace", complete_var=COMPLETION, standalone_mode=False)
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 0
    except Exception:  # noqa: BLE001 (as above)
        return 0
    return 0


def _stdout_failed(error: OSError) -> int:
    """A full disk behind a redirection, a terminal that vanished: what else is there to print must not fail again."""
    from wtrace.cli.fast_status import unwritable

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return unwritable(error)


def _misuse(error: Any) -> int:
    """A command line that cannot be understood."""
    where = error.ctx.command_path if getattr(error, "ctx", None) else "wtrace"
    print(f"error: {plain(error.format_message())}", file=sys.stderr)
    print(f"  try: {where} --help", file=sys.stderr)
    return USAGE


def _tell(error: WtraceError) -> None:
    """What is wrong, what was seen, what to try."""
    print(f"error: {_lines(error.what)}", file=sys.stderr)
    if error.seen:
        print(f"  seen: {_lines(error.seen)}", file=sys.stderr)
    if error.hint:
        print(f"  try: {_lines(error.hint)}", file=sys.stderr)


def _lines(text: str) -> str:
    """Text from outside, safe for the terminal; its own line breaks are kept, indented."""
    return "\n        ".join(plain(line) for line in text.split("\n"))


def _bug(error: Exception) -> int:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="wtrace-bug-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
    ) as log:
        traceback.print_exception(error, file=log)
    print(f"error: this is a bug in wtrace: {type(error).__name__}", file=sys.stderr)
    print(f"  try: report it with {log.name}", file=sys.stderr)
    return BUG
