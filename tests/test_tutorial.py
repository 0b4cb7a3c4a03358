"""The tutorial of the digits is true: its files make the repo, its commands run, and they print what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "tutorial" / "digits.md"
BLOCK = re.compile(r"(?:^`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
HOME = "/home/ada"
RACE = re.compile(r"\d{8}-\d{6}-digits")

# What the page says will differ from run to run, and what it is put down as.
VOLATILE = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "MOMENT"),
    (RACE.pattern, "RACE"),
    (r"\b(?=[a-f]*\d)[0-9a-f]{7,40}\b", "HASH"),
    (r"\b\d+:\d\d:\d\d\b|\b\d+ (?:s|min)\b( ago)?", "TIME"),
    (r"[□■] (finished|terminated) +\d+/60 +✗ [\d.]+ \(\u2212[\d.]+\)", "LOSER"),
    (r"★ won +\d+/60", "WINNER"),
    (r"(\d finished, )?(\d terminated, )?1 won", "ENDED"),
    (r"[▁▂▃▄▅▆▇█]+", "TREND"),
    (r" +", " "),
)
LEFT_OUT = "…"


def lines_of(text: str) -> list[str]:
    """The lines of an output, without what differs from run to run."""
    for pattern, instead in VOLATILE:
        text = re.sub(pattern, instead, text)
    return [line.rstrip() for line in text.splitlines()]


def agree(shown: list[str], printed: list[str]) -> bool:
    """Whether the page shows what was printed; `…` stands for any number of lines."""
    if not shown:
        return not printed
    if shown[0] == LEFT_OUT:
        return any(agree(shown[1:], printed[start:]) for start in range(len(printed) + 1))
    return bool(printed) and shown[0] == printed[0] and agree(shown[1:], printed[1:])


@dataclass
class Reader:
    """Somebody who does what the page says, in a home folder of their own."""

    home: Path
    at: Path = field(init=False)
    env: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.at = self.home
        config = self.home / ".gitconfig"
        config.write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
        here = {
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "GIT_CONFIG_GLOBAL": str(config),
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.env = {**os.environ, **here, "PATH": tools, "COLUMNS": "100", "OMP_NUM_THREADS": "1"}

    def do(self, command: str) -> str:
        """Run a command of the page; what it printed."""
        if command.startswith("cd "):
            self.at /= command.removeprefix("cd ")
            return ""
        done = subprocess.run(
            ["sh", "-c", self.mine(command)], cwd=self.at, env=self.env, check=False, text=True, timeout=120,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return done.stdout

    def mine(self, text: str) -> str:
        """A text of the page with this reader's paths and race."""
        latest = self.at / ".wtrace" / "latest"
        race = latest.readlink().name if latest.is_symlink() else ""
        return RACE.sub(race, text).replace(HOME, str(self.home))


def commands(block: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output that is shown below it."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def test_the_tutorial_of_the_digits_does_what_it_shows(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for name, language, body in BLOCK.findall(PAGE.read_text("utf-8")):
        if name:
            (reader.at / name).write_text(body, "utf-8")
        elif language == "console":
            for command, shown in commands(body):
                printed = reader.do(command)
                wanted = reader.mine(shown)
                assert agree(lines_of(wanted), lines_of(printed)), f"$ {command}\n{printed}\nnot\n{wanted}"
    assert (reader.at / "results" / "digits" / "SUCCESS_REPORT.md").exists()
    assert "MLPClassifier" in (reader.at / "model.py").read_text()


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\n…\nd", "a\nb\nc\nd", True),
        ("…\nd", "d", True),
        ("a\n…\nd", "a\nb\nc", False),
        ("a", "a\nb", False),
        ("network WINS at epoch 35, after 20 s", "network WINS at epoch 35, after 7 s", True),
        ("network WINS at epoch 35, after 20 s", "network WINS at epoch 30, after 20 s", False),
        ("✓ accuracy 0.976 (≥ 0.97)", "✓ accuracy 0.965 (≥ 0.97)", False),
        ("■ terminated 23/60 ✗ 0.943 (\u22120.027) ▁▄", "□ finished 60/60 ✗ 0.959 (\u22120.011) ▄▆", True),
        ("accuracy", "", False),
    ],
)
def test_what_counts_as_the_same_output(shown: str, printed: str, same: bool) -> None:
    assert agree(lines_of(shown), lines_of(printed)) is same
