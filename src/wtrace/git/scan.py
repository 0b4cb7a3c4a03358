"""What a repo has that could race: its branches and its training scripts. Files are read as data, and only so far."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from wtrace.config.names import branch_problem, did_you_mean
from wtrace.config.rules import side_by_side
from wtrace.config.template import Guess, guess_metrics, reports_itself
from wtrace.data import data
from wtrace.errors import UsageError
from wtrace.files import open_regular
from wtrace.git import command
from wtrace.git.branches import Refs, read_refs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST_FILES = 300
MOST_BYTES = 256_000
MOST_SCRIPTS = 20
MOST_NAMED = 10  # branches in a message
USUAL_BASES = ("main", "master", "trunk", "develop")
PASSED_OVER = frozenset({"test", "tests", "docs", "node_modules", "site-packages", "venv", "vendor"})

# The most telling first: a script that imports lightning imports torch too.
FRAMEWORKS = {
    "lightning": "lightning|pytorch_lightning",
    "transformers": "transformers",
    "keras": "keras|tensorflow",
    "torch": "torch",
    "sklearn": "sklearn",
}
OPTION = re.compile(r"""["'](--[A-Za-z0-9][A-Za-z0-9_-]{0,40})["']""")
EPOCHS = re.compile(r"--[a-z_-]*epochs?", re.IGNORECASE)
LOG = re.compile(
    r"(?!\.).*\.log|nohup\.out|slurm-\d+.*\.out|(?:log|train|output|stdout).*\.(?:txt|out)", re.IGNORECASE
)
LOG_FOLDERS = ("log", "logs", "out", "output", "outputs", "results", "runs")
TRAINING = re.compile(r"(.*[_-])?train([_-].*|er|ing)?\.py|train.*\.py", re.IGNORECASE)


@data
class Script:
    """A script that may be a training: its path in the repo, what it imports, the options it takes, where it logs."""

    path: str
    framework: str | None
    options: tuple[str, ...]
    metrics: Guess | None = None
    reports: bool = False  # to wtrace, by itself

    @property
    def is_named_so(self) -> bool:
        """Whether its name says that it trains."""
        return TRAINING.fullmatch(PurePosixPath(self.path).name) is not None

    @property
    def counts_epochs(self) -> bool:
        """Whether it takes a number of epochs."""
        return any(EPOCHS.fullmatch(option) for option in self.options)

    @property
    def rank(self) -> tuple[int, int, str]:
        """Sorts the likeliest first, then the one nearest to the root."""
        likely = 2 * self.is_named_so + 2 * self.counts_epochs + (self.framework is not None)
        return -likely, self.path.count("/"), self.path


@data
class Survey:
    """The facts that `wtrace init` begins from; scripts are sorted, the likeliest first."""

    root: Path
    current: str | None  # the branch that is checked out in the main worktree, unless HEAD is detached
    local: tuple[str, ...]
    remote: tuple[str, ...]  # branches that exactly one remote has and no local one is called so
    checked_out: frozenset[str]  # in any worktree: these cannot have another one
    scripts: tuple[Script, ...]
    ambiguous: tuple[str, ...] = ()  # no local branch, and several remotes have one of that name

    @property
    def base(self) -> str | None:
        """The branch that the others probably come from."""
        return next((name for name in USUAL_BASES if name in self.local), self.current)

    @property
    def racing(self) -> tuple[str, ...]:
        """The branches that can become workers: all but the base and those that are checked out."""
        passed_over = {*self.checked_out, *USUAL_BASES, self.base}
        return tuple(name for name in (*self.local, *self.remote) if name not in passed_over)


@data
class Chosen:
    """The branches that patterns name: those that can race, and why each of the others cannot."""

    branches: tuple[str, ...]
    left_out: dict[str, str]


def choose(found: Survey, patterns: Sequence[str]) -> Chosen:
    """The branches that match one of the patterns (`*` also stands for `/`, as in `git branch --list`).

    UsageError where none matches, with the nearest, and where none that matches can race.
    """
    known = (*found.local, *found.remote, *found.ambiguous)
    matching = [name for name in known if any(fnmatchcase(name, pattern) for pattern in patterns)]
    told = " or ".join(repr(pattern) for pattern in patterns)
    if not matching:
        near = did_you_mean(patterns[0], known)
        hint = f"the branches are: {', '.join(known[:MOST_NAMED])}{' …' if len(known) > MOST_NAMED else ''}"
        raise UsageError(f"no branch matches {told}{near}", hint=hint)
    left_out = {name: why for name in matching if (why := _why_not(found, name)) is not None}
    able = [name for name in matching if name not in left_out]
    branches = side_by_side(able, found.base)
    left_out |= {name: "git cannot have it beside the others" for name in able if name not in branches}
    if not branches:
        seen = "\n".join(f"{name}: {why}" for name, why in left_out.items())
        raise UsageError(f"no branch that matches {told} can race", seen=seen)
    return Chosen(tuple(branches), left_out)


def _why_not(found: Survey, branch: str) -> str | None:
    if branch == found.base:
        return "it is the base, which the others come from"
    if branch in found.checked_out:
        return "it is checked out already; switch that worktree to another branch"
    if branch in found.ambiguous:
        return "several remotes have it; make a local branch of one of them"
    return branch_problem(branch)


def survey(root: Path) -> Survey:
    """Look through the repo whose main worktree is `root`; nothing is run but git, and nothing is written."""
    refs = read_refs(root)
    head = command.run(root, "symbolic-ref", "--quiet", "HEAD", ok=(0, 1)).text
    return Survey(
        root=root,
        current=head.removeprefix("refs/heads/") or None,
        local=tuple(sorted(refs.local)),
        remote=_remote(refs, lambda count: count == 1),
        ambiguous=_remote(refs, lambda count: count > 1),
        checked_out=_checked_out(root),
        scripts=_scripts(root),
    )


def logs(root: Path) -> list[Path]:
    """Files that may be logs of trainings, the newest first: in the repo's root, and in the folders where they usually lie."""
    found: dict[Path, float] = {}
    for folder in (root, *(root / name for name in LOG_FOLDERS)):
        try:
            entries = [entry for entry in os.scandir(folder) if LOG.fullmatch(entry.name)][:MOST_FILES]
            files = [entry for entry in entries if entry.is_file(follow_symlinks=False)]
            found |= {Path(entry.path): entry.stat().st_mtime for entry in files}
        except OSError:
            continue
    return sorted(found, key=lambda path: -found[path])


def _remote(refs: Refs, wanted: Callable[[int], bool]) -> tuple[str, ...]:
    """Branches that are not local and that so many remotes have."""
    names = {name for _, name in refs.remote} - set(refs.local)
    return tuple(sorted(name for name in names if wanted(len(refs.remotes_with(name)))))


def _checked_out(root: Path) -> frozenset[str]:
    listing = command.run(root, "for-each-ref", "--format=%(refname)%00%(worktreepath)", "refs/heads").text
    pairs = (line.partition("\0") for line in listing.split("\n"))
    return frozenset(name.removeprefix("refs/heads/") for name, _, path in pairs if path)


def _scripts(root: Path) -> tuple[Script, ...]:
    listed = command.run(
        root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.py"
    ).items
    paths = sorted(set(filter(_is_of_interest, listed)), key=_by_name)
    read = (_script(root, path) for path in paths[:MOST_FILES])
    found = [script for script in read if script is not None and _may_train(script)]
    return tuple(sorted(found, key=lambda script: script.rank)[:MOST_SCRIPTS])


def _is_of_interest(path: str) -> bool:
    *folders, name = path.split("/")
    return (
        path.isprintable()
        and not PASSED_OVER.intersection(folders)
        and not name.startswith(("test_", "conftest"))
    )


def _by_name(path: str) -> tuple[bool, int, str]:
    return TRAINING.fullmatch(path.rsplit("/", 1)[-1]) is None, path.count("/"), path


def _may_train(script: Script) -> bool:
    name = PurePosixPath(script.path).name
    return script.is_named_so or script.counts_epochs or (name == "main.py" and script.framework is not None)


def _script(root: Path, path: str) -> Script | None:
    text = _beginning(root / path)
    if text is None:
        return None
    options = tuple(dict.fromkeys(OPTION.findall(text)))
    framework = _framework(text)
    return Script(path, framework, options[:100], guess_metrics(text, framework), reports_itself(text))


def _framework(text: str) -> str | None:
    for name, modules in FRAMEWORKS.items():
        if re.search(rf"^[ \t]*(?:import|from)[ \t]+(?:{modules})\b", text, re.MULTILINE):
            return name
    return None


def _beginning(file: Path) -> str | None:
    """The beginning of a regular file as text; None for a link, a device, a pipe, or what cannot be read."""
    try:
        handle = open_regular(file)
    except OSError:
        return None
    with open(handle, "rb") as opened:  # noqa: PTH123 - a descriptor, not a path
        return opened.read(MOST_BYTES).decode(errors="replace")
