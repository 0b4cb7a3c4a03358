"""`wtrace demo`: a small repo with four ideas, raced to a winner and its merge, in a folder of its own."""

from __future__ import annotations

import shutil
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from wtrace.data import data
from wtrace.errors import ToolError, UsageError
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtrace.race.status import Standing

FOLDER = "wtrace-demo"
REPO = "spirals"
FILES = Path(__file__).parents[1] / "demo"
WINNER = "fourier-features"


@data
class Idea:
    """One branch: a single commit on `main` that replaces these pieces of text, by file."""

    branch: str
    message: str
    file: str
    pieces: tuple[tuple[str, str], ...]


IDEAS = (
    Idea("bigger-network", "Four times as many hidden units", "model.py", (("HIDDEN = 24", "HIDDEN = 96"),)),
    Idea(
        "momentum",
        "Go on in the direction of the steps before",
        "train.py",
        (
            ("RATE, BATCH = 0.007, 8\n", "RATE, BATCH, MOMENTUM = 0.007, 8, 0.9\nspeed = {}\n"),
            ('"""Go one step downhill."""', '"""Go one step downhill, on the way of the steps before."""'),
            (
                "        weights[name] = weights[name] - RATE * gradient\n",
                (
                    "        speed[name] = MOMENTUM * speed.get(name, 0.0) - RATE * gradient\n"
                    "        weights[name] = weights[name] + speed[name]\n"
                ),
            ),
        ),
    ),
    Idea(
        "polynomials",
        "Show the network squares and cubes of the position",
        "model.py",
        (
            (
                "    return points\n",
                (
                    "    x, y = points.T\n"
                    "    return np.stack([x, y, x * x, x * y, y * y, x**3, x * x * y, x * y * y, y**3], axis=1)\n"
                ),
            ),
        ),
    ),
    Idea(
        WINNER,
        "Show the network waves of the position",
        "model.py",
        (
            ("HIDDEN = 24\n", "HIDDEN = 24\nWAVES = np.random.default_rng(7).normal(0, 2.0, (2, 12))\n"),
            (
                "    return points\n",
                (
                    "    waves = points @ WAVES\n"
                    "    return np.concatenate([points, np.sin(waves), np.cos(waves)], axis=1)\n"
                ),
            ),
        ),
    ),
)

NEXT = (
    ("wtrace status", "where a race stands, from any terminal, also while it runs"),
    (f"wtrace logs {WINNER} -n 5", "what a training printed"),
    ("wtrace try --worker momentum", "how its log is read, and how each criterion stands"),
    ("wtrace replay", "the race judged once more, from what was recorded"),
    ("wtrace clean", "the worktrees go; the branches stay"),
)


def demo(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER]", show_default=False, help=f"Where to make it; {FOLDER}/ by default."
        ),
    ] = None,
) -> int:
    """Make a small repo with four branches that really differ, race it, and merge the winner. Under a minute.

    Needs numpy alone, which wtrace brings. Everything lies in one folder, which is named, and one command removes it.
    Exit codes as those of `wtrace run`.
    """
    from wtrace.cli.commands.run import WON, run_race
    from wtrace.cli.common import latest_standing, read_config, require_trust

    home = (folder or Path(FOLDER)).absolute()
    _require_free(home, folder or Path(FOLDER))
    print(plain(f"making {home / REPO}: a repo with four branches, each of which is another idea"))
    root = _make(home)
    spec = read_config(root, None)
    require_trust(root, spec, approve=True)  # its commands are wtrace's own
    code = run_race(root, spec)
    standing = latest_standing(root)
    if code == WON and standing is not None and standing.winner is not None:
        _merge(root, standing)
    for line in _last_words(home, root):
        print(plain(line))
    return code


def _require_free(home: Path, named: Path) -> None:
    if home.is_symlink() or (home.exists() and not (home.is_dir() and not any(home.iterdir()))):
        raise UsageError(
            f"{home} is there already",
            hint=f"name another folder, `wtrace demo FOLDER`; or, if it is an earlier demo: rm -rf {quote(str(named))}",
        )


def _make(home: Path) -> Path:
    """The repo, its base checked out and each idea on a branch; returns its root."""
    from wtrace.git import command

    root = home / REPO
    try:
        root.mkdir(parents=True)
        for file in sorted(FILES.iterdir()):
            if file.is_file():
                shutil.copyfile(file, root / file.name)
        (root / ".gitignore").write_text("__pycache__/\n", encoding="utf-8")
    except OSError as error:
        raise ToolError(f"cannot make the demo in {home}", seen=str(error)) from error
    command.run(root, "init", "--quiet", "--initial-branch", "main")
    _name_an_author(root)
    _commit(root, "Tell the two arms of a spiral apart")
    for idea in IDEAS:
        command.run(root, "switch", "--quiet", "--create", idea.branch, "main")
        path = root / idea.file
        text = path.read_text(encoding="utf-8")
        for old, new in idea.pieces:
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
        _commit(root, idea.message)
    command.run(root, "switch", "--quiet", "main")
    return root


def _name_an_author(root: Path) -> None:
    """Where git does not know whose commits these are, they are the demo's."""
    from wtrace.git import command
    from wtrace.git.commit import require_identity

    try:
        require_identity(root)
    except UsageError:
        command.run(root, "config", "user.name", "wtrace demo")
        command.run(root, "config", "user.email", "demo@localhost")


def _commit(root: Path, message: str) -> None:
    from wtrace.git import command

    command.run(root, "add", "--force", ".")
    command.run(root, "-c", "commit.gpgSign=false", "commit", "--quiet", "--no-verify", "--message", message)


def _merge(root: Path, standing: Standing) -> None:
    """Merge the winner as `wtrace merge` does, and show what that made of the base."""
    from wtrace.cli.commands.merge import merge_race
    from wtrace.git import command

    print("\n$ wtrace merge")
    merge_race(root, standing)
    shown = ("log", "--graph", "--oneline", "--decorate", "--max-count", "4", "main")
    print("\n$ git log --graph --oneline --max-count 4 main")
    for line in command.run(root, *shown).text.splitlines():
        print(plain(line))


def _last_words(home: Path, root: Path) -> Iterator[str]:
    results = root / ".wtrace" / "latest" / "results"
    pages = [results / name for name in ("dashboard.html", "SUCCESS_REPORT.html")]
    pictures = [results / "success_viz" / "SUCCESS_VISUALIZATION.png"]
    made = [path for path in (*pages, *pictures) if path.exists()]
    if made:
        yield ""
        yield "its dashboard, its report and its figures:"
        yield from (f"  {path}" for path in made)
    yield ""
    yield f"what to try next, after `cd {quote(str(root))}`:"
    width = max(len(typed) for typed, _ in NEXT)
    yield from (f"  {typed:{width}}  {told}" for typed, told in NEXT)
    yield ""
    yield "in a repo of yours it begins with `wtrace init`"
    yield f"to remove all that the demo made: rm -rf {quote(str(home))}"
