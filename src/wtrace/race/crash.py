"""Why a program crashed, read from the end of its log: the exception's own line, or the last line that says something.

Python writes `File "…", line N` lines, indented, and then, indented less, the exception: its name, a colon, and a
message that may go on over any number of lines. That is found in the plain form, as `rich` and `loguru` print it, and
behind what launchers put before each line (`[rank0]: `).
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.text import unstyled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONGEST_REASON = 500  # characters
LONGEST_LINE = 2000
MOST_LINES = 4000  # from the end of the log
MOST_AFTER = (
    40  # lines of other things after the last traceback: then the program went on, and ended otherwise
)
MOST_PATHS = 10

_PREFIX = re.compile(
    r"\[(?:rank|default)?\d{1,6}\]: ?|\[\d+,\d+\]<std\w+>: ?|\d{1,4}: |\([^()\n]{0,60}\bpid=\d+[^()\n]{0,60}\) ?"
)
_FRAME = re.compile(r'([ \t>]+)File "[^"\n]+", line \d+')
_GROUP = re.compile(r"^[ +-]*\| ")  # before each line of an exception group
_BOX = re.compile(r"[╭┌].*Traceback \(most recent call last\)")  # as `rich` draws it
_END_OF_BOX = re.compile(r"[╰└]─+[╯┘]$")
_NAMED = re.compile(r"(?P<name>(?:\w+\.)*[^\W\d]\w*(?:\([\w.]+\))?)(?::(?:\s|$)|$)")
_FATAL = re.compile(r"Fatal Python error: .+")
_CPP = re.compile(r"terminate called after throwing an instance of '(?P<name>[^']+)'")
_ROOT_CAUSE = re.compile(r"Root Cause \(first observed failure\)")
_RANK = re.compile(r"\s*rank\s*: (\d+)\b")

# Exceptions that only say that another process failed, and those that another rank's failure brings about.
_WRAPPERS = frozenset(
    [
        "CalledProcessError",
        "ChildFailedError",
        "ProcessRaisedException",
        "ProcessExitedException",
        "RemoteTraceback",
        "BrokenProcessPool",
        "TrainingFailedError",
        "ActorDiedError",
        "WorkerCrashedError",
        "RetryError",
        "ExceptionGroup",
        "BaseExceptionGroup",
        "SystemExit",
    ]
)
_CONSEQUENCES = frozenset(["DistBackendError", "DistNetworkError", "SignalException", "KeyboardInterrupt"])
# What stands before a traceback that ends nothing.
_HARMLESS = ("Exception ignored in", "--- Logging error ---", "Error in atexit._run_exitfuncs")
# Last lines of launchers, which name the exit code and not the reason.
_LAUNCHERS = re.compile(
    r"g?make(?:\[\d+\])?: (?:\*\*\* .*Error \d+$|Leaving directory|Target )"
    r"|error: Recipe `.*` failed|ERROR conda\.cli\.main_run:execute|srun: error: .*: Exited with exit code"
    r"|npm ERR!|Process finished with exit code|exit status \d+$"
)
_MISSING = re.compile(
    r"FileNotFoundError|No such file|not (?:be )?found|n[o']t (?:exist|open|find)|cannot (?:open|find)|errno = 2\b",
    re.IGNORECASE,
)
_MODULE = re.compile(r"ModuleNotFoundError: No module named ['\"]([\w.]+)['\"]")


@data
class _Found:
    """An exception that was printed: where, by whom (the launcher's prefix), and its line."""

    at: int
    stream: str
    name: str
    text: str
    harmless: bool

    @property
    def rank(self) -> int:
        """The less the likelier is it the reason itself, and not what followed from it."""
        name = self.name.rpartition(".")[2].partition("(")[0]
        return 3 if self.harmless else 2 if name in _WRAPPERS else name in _CONSEQUENCES


def reason(tail: str) -> str | None:
    """Why the program failed whose log ends so; None where the log says nothing.

    The exception's own line, not the last line of its message. Of several tracebacks it is the last one that tells
    of more than another process's failure; where torchrun names the rank that failed first, that rank's. A message
    that begins on the next line is joined. Without a traceback: the interpreter's or C++'s last words, else the last
    line that is not a launcher's.
    """
    lines = _lines(tail)
    found = _exception(lines) or _last(lines)
    return None if found is None else found[:LONGEST_REASON]


def exception(tail: str) -> str | None:
    """As `reason`, but None where no exception and no fatal error stands at the log's end."""
    found = _exception(_lines(tail))
    return None if found is None else found[:LONGEST_REASON]


def missing_paths(reason: str) -> tuple[str, ...]:
    """Paths that the program did not find, by its reason; of a module that is missing, where it might lie."""
    module = _MODULE.search(reason)
    if module is not None:
        path = module[1].replace(".", "/")
        return (f"{path}.py", path)
    if not _MISSING.search(reason):
        return ()
    quoted = re.findall(r"'([^'\n]+)'|\"([^\"\n]+)\"", reason)
    words = (word.strip("'\"`,;:()[]<>") for word in reason.split())
    bare = (word for word in words if "/" in word or re.search(r"\w\.\w+$", word))
    both = dict.fromkeys([*(first or second for first, second in quoted), *bare])
    return tuple(path for path in both if "\0" not in path)[:MOST_PATHS]


def _lines(tail: str) -> list[str]:
    return [unstyled(line[:LONGEST_LINE]) for line in re.split(r"[\r\n]+", tail)[-MOST_LINES:]]


def _exception(lines: Sequence[str]) -> str | None:
    return _raised(lines) or _fatal(lines)


def _raised(lines: Sequence[str]) -> str | None:
    streams: dict[str, list[int]] = {}
    for at, line in enumerate(lines):
        if line.strip():
            streams.setdefault(_prefix(line), []).append(at)
    found = [each for stream, ats in streams.items() for each in _exceptions(lines, stream, ats)]
    if not found:
        return None
    last = max(each.at for each in found)
    after = [line for line in lines[last:] if line and not line.startswith((" ", "\t", "frame #"))]
    if len(after) > MOST_AFTER:
        return None
    first_to_fail = _root_cause(lines)
    wanted = [each for each in found if first_to_fail in re.findall(r"rank(\d+)", each.stream)] or found
    return min(wanted, key=lambda each: (each.rank, -each.at)).text


def _prefix(line: str) -> str:
    found = _PREFIX.match(line)
    return found[0] if found else ""


def _exceptions(lines: Sequence[str], stream: str, ats: Sequence[int]) -> Iterator[_Found]:
    """The exceptions that one process printed; `ats` are its lines that are not blank."""
    texts = [_GROUP.sub("", lines[at][len(stream) :]) for at in ats]
    depth, in_box, header = 0, False, 0  # how far its frames are indented; 0: no frames before
    for n, text in enumerate(texts):
        if "Traceback (most recent call last)" in text:
            header, depth, in_box = n, 0, _BOX.match(text) is not None
        elif in_box:
            in_box = _END_OF_BOX.match(text.rstrip()) is None
            depth = 0 if in_box else 1
        elif frame := _FRAME.match(text):
            depth = len(frame[1])
        elif depth and len(text) - len(text.lstrip()) < depth:
            depth = 0
            if said := _NAMED.match(text.lstrip()):
                harmless = header > 0 and texts[header - 1].startswith(_HARMLESS)
                yield _Found(ats[n], stream, said["name"], _joined(texts, n), harmless)


def _joined(texts: Sequence[str], n: int) -> str:
    """The exception's line; with the first line of its message where that begins on the next one."""
    first, *rest = (text.strip() for text in texts[n : n + 2])
    return f"{first} {rest[0]}" if rest and first.endswith(":") else first


def _root_cause(lines: Sequence[str]) -> str | None:
    """The rank that failed first, as torchrun's summary says."""
    at = next((n for n, line in enumerate(lines) if _ROOT_CAUSE.search(line)), None)
    if at is None:
        return None
    ranks = (_RANK.search(line) for line in lines[at : at + 10])
    return next((rank[1] for rank in ranks if rank), None)


def _fatal(lines: Sequence[str]) -> str | None:
    """What the interpreter or the C++ runtime said when it gave up."""
    for line, following in pairwise([*lines, ""]):
        if said := _FATAL.search(line):
            return said[0].strip()
        if thrown := _CPP.search(line):
            what = following.strip().removeprefix("what():").strip()
            return f"{thrown['name']}: {what}" if what else thrown["name"]
    return None


def _last(lines: Sequence[str]) -> str | None:
    said = [line.strip() for line in lines if line.strip()]
    return next((line for line in reversed(said) if not _LAUNCHERS.match(line)), said[-1] if said else None)
