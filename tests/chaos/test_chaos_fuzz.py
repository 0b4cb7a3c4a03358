"""Names, metrics and logs from outside are never executed, never leave their folder, never drive the terminal."""

from __future__ import annotations

import json
import random
import re
import shlex
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from chaos_lab import LONG, SAFE, ChaosLab, figure, script
from race_lab import Script, wait_for
from wtrace.config import load
from wtrace.errors import ConfigError

INPUTS = 100_000 if LONG else 3_000
NASTY = [
    "\x1b]0;owned\x07", "\x1b]52;c;b3duZWQ=\x07", "\x1b[2J\x1b[1;1H", "\x9b31m", "\x90q\x9c", "\x07\x08\r", "\0", "\n\n# owned", "\u2028",
    "\x85", "\u202eabc", "\u2066", "\u200f", "\ud800", "\U000e0041", "e\u0301\u0301\u0301", "[/red]", "[link=file:///etc]x",
    "<script>alert('owned')</script>", "<img src=x onerror=alert(1)>", "</td></table>", "| a | b |", "`$(touch pwned)`", "; touch pwned",
    "![x](http://x/y)", "[x](javascript:alert(1))", "=cmd|' /C calc'!A0", "../../../pwned", "/etc/passwd", "{output}", "%s%n", "A" * 3000,
    "NaN", "1e999", "-Infinity", "9" * 400, "true", "null", "{\"a\":", "[" * 2000, "\\", "'", '"', "\U0001d538", "\U0001f600" * 30,
]  # fmt: skip
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
BRANCHES = ["a;touch${IFS}pwned", "$(touch${IFS}pwned)", "`touch${IFS}pwned`", "=cmd|x", "<script>alert(1)</script>", "a&b|c'd\"e", "\u202egnp", "x\u200fy"]  # fmt: skip


def text(dice: random.Random) -> str:
    """A few nasty pieces and some harmless ones."""
    return "".join(dice.choice([*NASTY, "loss", "epoch", " ", "0.5"]) for _ in range(dice.randint(1, 3)))


def value(dice: random.Random) -> Any:
    """Whatever JSON can hold."""
    plain: list[Any] = [
        True,
        None,
        -1,
        2**70,
        0.5,
        1e308,
        float("nan"),
        float("inf"),
        [],
        {},
        [[1]],
        text(dice),
    ]
    return dice.choice(plain)


def line(dice: random.Random) -> bytes:
    """A line of metrics: nearly right, wrong, or torn and stirred."""
    record: dict[str, Any] = {
        "event": dice.choice(["epoch", "check", "start", "end", "check", text(dice)]),
        "epoch": dice.choice([1, 5, 10, 15, 10**9, value(dice)]),
        "metrics": {text(dice): value(dice), "val_loss": value(dice)},
    }
    if dice.random() < 0.4:
        record["samples"] = {"persistent": [value(dice), 1.0], "transient": [1.0, 1.0], text(dice): [value(dice)] * dice.randint(0, 3)}  # fmt: skip
    if dice.random() < 0.3:
        record |= {"checkpoint": text(dice), "reason": text(dice), "info": {text(dice): value(dice)}, text(dice): value(dice)}  # fmt: skip
    data = json.dumps(record, ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")
    if dice.random() < 0.3:
        at = dice.randrange(len(data))
        data = data[:at] + dice.randbytes(dice.randint(0, 4)) + data[at + dice.randint(0, 3) :]
    return data.replace(b"\n", b" ") + b"\n"


def files_of(folder: Path) -> set[Path]:
    """All there is in a lab, without what wtrace and git keep for themselves, and what the test itself notes."""
    own = (".wtrace", ".git", "gates", "repo-worktrees", "home")
    return {path for path in folder.rglob("*") if not {*own} & {*path.relative_to(folder).parts}}


def test_what_comes_from_outside_stays_data(chaos: ChaosLab) -> None:
    dice = random.Random("fuzz")
    for name in ("1", "2"):
        (chaos.gates / f"hostile-{name}").write_bytes(b"".join(line(dice) for _ in range(INPUTS // 2)))
        (chaos.gates / f"log-{name}").write_bytes("\n".join(text(dice) for _ in range(500)).encode("utf-8", "surrogatepass"))  # fmt: skip
    workers = {}
    for number, branch in enumerate(BRANCHES):
        chaos.branch(branch, hostile_steps(chaos, number))
        workers[f"w{number}"] = branch
    chaos.write_config(list(workers), race="max_epochs = 20")
    config_text = (chaos.root / "wtrace.toml").read_text()
    for name, branch in workers.items():
        config_text = config_text.replace(f'"try/{name}"', json.dumps(branch, ensure_ascii=False))
    (chaos.root / "wtrace.toml").write_text(config_text, encoding="utf-8")
    before = files_of(chaos.root.parent)
    chaos.start_race()
    chaos.wait_for(lambda: chaos.worker("w1")["lines"] + chaos.worker("w0")["lines"] >= INPUTS, "all to be read", timeout_s=120)  # fmt: skip
    chaos.wait_for(lambda: chaos.worker("w2")["state"] == "failed", "a crash with hostile last words")
    if shutil.which("tmux"):
        assert_the_terminal_is_left_alone(chaos)
    chaos.wtrace("stop")
    chaos.wait_for_end()
    commands = ["status", "status --json", "watch", "report", "replay", "replay --json", "history", "clean", *(f"logs {name}" for name in workers)]  # fmt: skip
    for command in commands:
        done = chaos.wtrace(*command.split(), expect=None)
        assert done.returncode in (0, 1, 2), chaos.explain(done)
        assert SAFE.fullmatch(done.stdout + done.stderr), command
    pages = [
        path
        for path in (chaos.latest / "results").rglob("*")
        if path.suffix in (".md", ".html", ".json", ".csv")
    ]
    assert len(pages) >= 2
    for page in pages:
        content = page.read_text(encoding="utf-8")
        assert SAFE.fullmatch(content.replace("\t", " ")), page
        # As a browser gets it: code blocks of Markdown hold their text literally, and only there may it look like HTML.
        shown = MARKDOWN.render(content) if page.suffix == ".md" else content
        assert not re.search(r"<script>alert|<img src=x|href=.javascript:", shown), page
    assert files_of(chaos.root.parent) == before
    assert not list(chaos.root.parent.rglob("pwned"))
    assert chaos.survivors() == []
    read = sum(worker["lines"] for worker in chaos.status()["workers"])
    figure(f"fuzz: {read:,} hostile lines: 0 tracebacks, 0 control bytes, 0 files outside their folder")


def hostile_steps(chaos: ChaosLab, number: int) -> Script:
    """What the workers do: two report, one crashes, the others print."""
    gates = chaos.gates
    if number < 2:
        return script(["copy", f"{gates}/hostile-{number + 1}", "metrics"], ["copy", f"{gates}/log-1", "log"], ["forever"])  # fmt: skip
    if number == 2:
        return script(["copy", f"{gates}/log-2", "log"], ["print", "\n" + "".join(NASTY[:12]).replace("\n", "")], ["exit", 3])  # fmt: skip
    return script(["copy", f"{gates}/log-2", "log"], ["forever"])


def assert_the_terminal_is_left_alone(chaos: ChaosLab) -> None:
    """Neither its title nor its clipboard is touched while the live view and the logs are shown."""
    socket = str(chaos.root.parent / "home" / "tmux")

    def tmux(*words: str) -> str:
        return subprocess.run(
            ["tmux", "-S", socket, *words], capture_output=True, text=True, check=True
        ).stdout

    tmux("-f", "/dev/null", "new-session", "-d", "-x", "160", "-y", "40", "-c", str(chaos.root), "-e", f"HOME={chaos.home}", "env PS1='$ ' sh")  # fmt: skip
    try:
        tmux("set", "-g", "set-clipboard", "on")
        tmux("set", "-g", "allow-set-title", "on") if "3.5" in tmux("-V") else None
        title = tmux("display", "-p", "#{pane_title}")
        tmux("send-keys", shlex.join(chaos.command("watch")), "Enter")
        wait_for(lambda: "the race goes on" in tmux("capture-pane", "-p"), "the live view")
        tmux("send-keys", "C-c")
        wait_for(lambda: "wtrace stop" in tmux("capture-pane", "-p"), "the viewer to leave")
        tmux("send-keys", shlex.join(chaos.command("logs", "w3")) + "; echo shown", "Enter")
        wait_for(lambda: "shown" in tmux("capture-pane", "-p").split("\n$")[-1], "the log")
        assert tmux("display", "-p", "#{pane_title}") == title
        assert tmux("list-buffers") == ""
    finally:
        with suppress(subprocess.CalledProcessError):
            tmux("kill-server")


names = st.text(st.characters(), max_size=30) | st.sampled_from(
    [piece for piece in NASTY if "\ud800" not in piece]
)


@settings(max_examples=2000 if LONG else 150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=names, branch=names, cwd=names, criterion=names, word=names)
def test_a_config_is_read_or_refused_in_words_that_drive_nothing(
    name: str, branch: str, cwd: str, criterion: str, word: str
) -> None:
    """And what is accepted leads nowhere outside: names are names of folders, paths stay inside."""
    quoted = [json.dumps(each) for each in (name, branch, cwd, criterion, word)]
    toml = (
        f'[race]\nname = {quoted[0]}\n[success]\n{quoted[3]} = "a >= 1"\n'
        f"[workers.{quoted[0]}]\nbranch = {quoted[1]}\ncwd = {quoted[2]}\ncommand = [{quoted[4]}]\n"
    )
    try:
        spec = load.parse(toml, source="wtrace.toml")
    except ConfigError as error:
        for told in (error.what, error.seen, error.hint):
            assert told is None or SAFE.fullmatch(told.replace("\n", "")), told
        return
    for worker in spec.workers:
        assert "/" not in worker.name
        assert worker.name not in ("", ".", "..")
        assert not Path(worker.cwd or "").is_absolute()
        assert ".." not in Path(worker.cwd or "").parts
