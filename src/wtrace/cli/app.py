"""The commands, put together. The only place where an error becomes text and an exit code."""

from __future__ import annotations

import io
import os
import sys
import tempfile
import traceback
from typing import TYPE_CHECKING

import typer

from wtrace import __version__
from wtrace.cli import (
    clean,
    doctor,
    evidence,
    history,
    init,
    logs,
    merge,
    plot,
    pull,
    replay,
    report,
    run_,
    setup,
    status,
    stop,
    sync,
    trust,
    watch,
)
from wtrace.core.text import plain
from wtrace.errors import WtraceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

BUG = 3
USAGE = 2

app = typer.Typer(
    name="wtrace",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Race git branches to a goal: supervised trainings, a referee for every check, a proof of the verdict.",
)

app.command("init", short_help="Write a commented wtrace.toml for this repo.")(init.init)
app.command("doctor", short_help="Check whether this machine is fit for a race.")(doctor.doctor)
app.command("trust", short_help="Show and approve the config's commands.")(trust.trust)
app.command("setup", short_help="Make one worktree per worker.")(setup.setup)
app.command("run", short_help="Run the race and show it live.")(run_.run)
app.command("status", short_help="Tell where the race stands.")(status.status)
app.command("watch", short_help="Show the running race live.")(watch.watch)
app.command("logs", short_help="Show a worker's log.")(logs.logs)
app.command("stop", short_help="End the race, or some workers of it.")(stop.stop)
app.command("pause", short_help="Halt a worker.")(stop.pause)
app.command("unpause", short_help="Let a halted worker go on.")(stop.unpause)
app.command("sync", short_help="Push progress and results to a target now.")(sync.sync)
app.command("pull", short_help="Fetch a race's progress and results from another machine.")(pull.pull)
app.command("report", short_help="Write the report again.")(report.report)
app.command("plot", short_help="Draw the figures again.")(plot.plot)
app.command("replay", short_help="Judge a race again, also under other criteria.")(replay.replay)
app.command("merge", short_help="Merge the winner.")(merge.merge)
app.command("evidence", short_help="Run a worker's tests and keep the outcome.")(evidence.evidence)
app.command("history", short_help="List all races.")(history.history)
app.command("compare", short_help="Tell what differs between two races.")(history.compare)
app.command("clean", short_help="Remove worktrees that hold no work.")(clean.clean)

# Typer brings its own copy of Click since 0.26; the class of Click's usage errors is found through one of them.
Misuse = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wtrace {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Show the version."
    ),
) -> None:
    del version


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code. No traceback reaches the user: a bug is told with the path of a log."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a sign must not end a command
    try:
        code = app(list(arguments), standalone_mode=False)
        return code if isinstance(code, int) else 0
    except WtraceError as error:
        _tell(error)
        return error.exit_code
    except typer.Exit as leave:
        return leave.exit_code
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; a second failure at interpreter exit must not be shown either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 (the last resort)
        return _misuse(error) if isinstance(error, Misuse) else _bug(error)


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
    with tempfile.NamedTemporaryFile(
        "w", prefix="wtrace-bug-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
    ) as log:
        traceback.print_exception(error, file=log)
    print(f"error: this is a bug in wtrace: {type(error).__name__}", file=sys.stderr)
    print(f"  try: report it with {log.name}", file=sys.stderr)
    return BUG
