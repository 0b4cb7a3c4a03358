"""What a repo has that could race: its branches and its training scripts. Files are read as data, and only so far."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path, PurePosixPath

from wtrace.core.data import data
from wtrace.repo import git
from wtrace.repo.branches import Refs, read_refs

MOST_FILES = 300
MOST_BYTES = 256_000
MOST_SCRIPTS = 20
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
TRAINING = re.compile(r"(.*[_-])?train([_-].*|er|ing)?\.py|train.*\.py", re.IGNORECASE)


@data
class Script:
    """A script that may be a training: its path in the repo, what it imports, the options it takes."""

    path: str
    framework: str | None
    options: tuple[str, ...]

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

    @property
    def base(self) -> str | None:
        """The branch that the others probably come from."""
        return next((name for name in USUAL_BASES if name in self.local), self.current)

    @property
    def racing(self) -> tuple[str, ...]:
        """The branches that can become workers: all but the base and those that are checked out."""
        passed_over = {*self.checked_out, *USUAL_BASES, self.base}
        return tuple(name for name in (*self.local, *self.remote) if name not in passed_over)


def survey(root: Path) -> Survey:
    """Look through the repo whose main worktree is `root`; nothing is run but git, and nothing is written."""
    refs = read_refs(root)
    head = git.run(root, "symbolic-ref", "--quiet", "HEAD", ok=(0, 1)).text
    return Survey(
        root=root,
        current=head.removeprefix("refs/heads/") or None,
        local=tuple(sorted(refs.local)),
        remote=_only_remote(refs),
        checked_out=_checked_out(root),
        scripts=_scripts(root),
    )


def _only_remote(refs: Refs) -> tuple[str, ...]:
    names = {name for _, name in refs.remote} - set(refs.local)
    return tuple(sorted(name for name in names if len(refs.remotes_with(name)) == 1))


def _checked_out(root: Path) -> frozenset[str]:
    listing = git.run(root, "for-each-ref", "--format=%(refname)%00%(worktreepath)", "refs/heads").text
    pairs = (line.partition("\0") for line in listing.split("\n"))
    return frozenset(name.removeprefix("refs/heads/") for name, _, path in pairs if path)


def _scripts(root: Path) -> tuple[Script, ...]:
    listed = git.run(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.py").items
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
    return Script(path, _framework(text), options[:100])


def _framework(text: str) -> str | None:
    for name, modules in FRAMEWORKS.items():
        if re.search(rf"^[ \t]*(?:import|from)[ \t]+(?:{modules})\b", text, re.MULTILINE):
            return name
    return None


def _beginning(file: Path) -> str | None:
    """The beginning of a regular file as text; None for a link, a device, a pipe, or what cannot be read."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return None
    with open(handle, "rb") as opened:  # noqa: PTH123 - a descriptor, not a path
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        return opened.read(MOST_BYTES).decode(errors="replace")
