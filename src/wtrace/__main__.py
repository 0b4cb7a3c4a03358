"""The console script. `wtrace status` must answer at once, so it is tried before the command line is built."""

from __future__ import annotations

import codecs
import os
import sys


def main() -> None:
    """Run wtrace with the arguments of this process, and leave with its exit code."""
    open_what_was_closed()
    show_what_can_be_shown()
    from wtrace.cli.fast_status import answer

    code = answer(sys.argv[1:])
    if code is not None:
        os._exit(code)  # nothing is left to be cleaned up, and cleaning up takes as long as answering
    from wtrace.cli.app import run

    sys.exit(run(sys.argv[1:]))


def open_what_was_closed() -> None:
    """Standard streams that whoever started us has closed lead nowhere; else a file of ours would take their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.open(os.devnull, os.O_RDWR), mode))  # noqa: PTH123, SIM115 (a descriptor)


def show_what_can_be_shown() -> None:
    """A sign that standard output or error cannot carry is written in ASCII; it must not end a command.

    A terminal under the C locale, which Python takes for one that knows UTF-8, gets ASCII too.
    """
    codecs.register_error("wtrace", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            is_plain = os.environ.get("LC_ALL") in ("C", "POSIX") and stream.isatty()
            stream.reconfigure(encoding="ascii" if is_plain else None, errors="wtrace")


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    from wtrace.text import in_ascii

    return in_ascii(error.object[error.start : error.end]), error.end


if __name__ == "__main__":
    main()
