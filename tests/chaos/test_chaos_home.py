"""Whatever lies in `.wtrace/`, commands answer or say what is wrong: no traceback, no hang, nothing outside touched."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from forgery import everything_below, home_of
from race_lab import Lab
from wtrace.cli import fast_status
from wtrace.cli.app import run

ROUNDS = 1500 if os.environ.get("CHAOS_LONG") else 50
ASKING = [
    ["status"], ["status", "--json"], ["history"], ["logs", "a"], ["replay"], ["replay", "--json"], ["stop"],
    ["run", "--resume"], ["export", "--to", "json"], ["pause", "a"],
]  # fmt: skip
WRONG = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"7",
    b'"text"',
    b"{}",
    b"\xff\xfe\x00",
    b"[" * 50_000,
    b'{"version": 1e999}',
    b"a\0b\n",
    b"../../x",
]


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    lab = Lab(tmp_path_factory.mktemp("raced"))
    lab.race({"a": [["claim", 5, 2.0, "best.pt"]], "b": [["check", 5, 1.0]]})
    lab.wtrace("run")
    return lab


def replaced(file: Path, chance: random.Random) -> None:
    file.write_bytes(chance.choice(WRONG))


def cut(file: Path, chance: random.Random) -> None:
    os.truncate(file, chance.randrange(file.stat().st_size + 1))


def flipped(file: Path, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    for _ in range(min(len(content), 20)):
        content[chance.randrange(len(content))] = chance.randrange(256)
    file.write_bytes(content)


def retyped(file: Path, chance: random.Random) -> None:
    """A JSON value for another one, deep inside."""
    try:
        whole = json.loads(file.read_bytes())
        name = chance.choice(list(whole))
        whole[name] = chance.choice([None, [], {}, "x", -1, 1e300, True])
    except (ValueError, TypeError, IndexError, KeyError):
        whole = chance.choice([None, [], {}])
    file.write_text(json.dumps(whole))


def gone(file: Path, chance: random.Random) -> None:
    file.unlink()


def folder(file: Path, chance: random.Random) -> None:
    file.unlink()
    file.mkdir()


def pipe(file: Path, chance: random.Random) -> None:
    file.unlink()
    os.mkfifo(file)


def link(file: Path, chance: random.Random) -> None:
    file.unlink()
    file.symlink_to(chance.choice(["/dev/zero", "/etc/passwd", "..", file.name, "/nowhere"]))


SPOILS: list[Callable[[Path, random.Random], None]] = [
    replaced,
    cut,
    flipped,
    retyped,
    gone,
    folder,
    pipe,
    link,
]


def answer(words: list[str]) -> int:
    """As the console script does: the quick answer, else the whole command line."""
    code = fast_status.answer(words)
    return run(words) if code is None else code


def test_whatever_lies_there_commands_say_so(
    raced: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(raced.root)
    for name, value in raced.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WTRACE_TRUST", "0")
    home, kept = home_of(raced), tmp_path / "kept"
    shutil.copytree(home, kept, symlinks=True)
    outside = [raced.home, raced.root.parent / "repo-worktrees", raced.root / ".git"]
    before = [everything_below(folder) for folder in outside]
    wrong = []
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        shutil.rmtree(home)
        shutil.copytree(kept, home, symlinks=True)
        files = sorted(path for path in home.rglob("*") if path.is_file() and not path.is_symlink())
        spoilt = chance.choice(files)
        spoil = chance.choice(SPOILS)
        spoil(spoilt, chance)
        words = chance.choice(ASKING)
        code = answer(words)
        told = capsys.readouterr()
        what = f"seed {seed}: {spoil.__name__} of {spoilt.relative_to(home)}, then {words}: {told.err}"
        if code not in (0, 1, 2, 4) or "Traceback" in told.out + told.err:
            wrong.append(what)
    assert wrong == []
    assert [everything_below(folder) for folder in outside] == before
