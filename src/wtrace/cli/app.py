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
from wtrace.cli.examples import epilog
from wtrace.errors import WtraceError
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

BUG = 3
USAGE = 2
COMPLETION = "_WTRACE_COMPLETE"  # set by what `wtrace --show-completion` prints

COMMANDS = {  # name: its module in commands/, its function there, one line about it
    "init": ("init", "init", "Write a commented wtrace.toml for this repo."),
    "doctor": ("doctor", "doctor", "Check whether this machine is fit for a race."),
    "try": ("try_", "try_", "Read a log or a metrics file as a race would."),
    "trust": ("trust", "trust", "Show and approve the config's commands."),
    "setup": ("setup", "setup", "Make one worktree per worker."),
    "run": ("run", "run", "Run the race and show it live."),
    "status": ("status", "status", "Tell where the race stands."),
    "watch": ("watch", "watch", "Show the running race live."),
    "logs": ("logs", "logs", "Show a worker's log."),
    "stop": ("stop", "stop", "End the race, or some workers of it."),
    "pause": ("stop", "pause", "Halt a worker."),
    "unpause": ("stop", "unpause", "Let a halted worker go on."),
    "sync": ("mirror", "sync", "Push progress and results to a target now."),
    "pull": ("pull", "pull", "Fetch a race's progress and results from another machine."),
    "report": ("report", "report", "Write the report again."),
    "plot": ("plot", "plot", "Draw the figures again."),
    "replay": ("replay", "replay", "Judge a race again, also under other criteria."),
    "merge": ("merge", "merge", "Merge the winner."),
    "evidence": ("evidence", "evidence", "Run a worker's tests and keep the outcome."),
    "history": ("history", "history", "List all races."),
    "compare": ("history", "compare", "Tell what differs between two races."),
    "export": ("export", "export", "Hand a race's curves to other tools."),
    "clean": ("clean", "clean", "Remove worktrees that hold no work."),
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
    _show_what_can_be_shown()
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


def _show_what_can_be_shown() -> None:
    """A terminal that cannot show a sign must not end a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


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
