"""`wtrace merge` after whole races: what is committed, what is left out, and the proof that it can be checked."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from race_lab import Lab
from wtrace.cli.commands.merge import offer_merge
from wtrace.race.paths import Layout
from wtrace.store.reader import Reader
from wtrace.supervisor.create import recall
from wtrace.supervisor.merging import collect, merge_at_the_end
from wtrace.supervisor.publishing.redacting import redaction_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STEPS = """    elif kind == "save":
        (OUTPUT / "best.pt").write_text(values[0] * values[1])
    elif kind == "link":
        (OUTPUT / "best.pt").symlink_to(values[0])
    elif kind == "claim it":
        samples = {"persistent": [2.0] * 20, "transient": [1.0] * 20, "accuracy": [0.9] * 20}
        report(event="check", epoch=5, samples=samples, checkpoint="best.pt")
    elif kind == "exit":"""


def won(lab: Lab, steps: Sequence[Sequence[Any]] = (["check", 5, 2.0],), race: str = "") -> str:
    """A race on `main` that worker `a` wins; its id."""
    training = (lab.root / "train.py").read_text()
    (lab.root / "train.py").write_text(training.replace('    elif kind == "exit":', STEPS))
    lab.git("commit", "--quiet", "-am", "further steps")
    lab.race({"a": steps, "b": [["check", 5, 1.0], ["forever"]]}, race=race)
    lab.wtrace("run")
    return str(lab.status()["race"]["id"])


def away(lab: Lab) -> None:
    """Leave the base: nobody has it checked out."""
    lab.git("switch", "--quiet", "-c", "elsewhere")


def blob(lab: Lab, name: str) -> bytes:
    return subprocess.run(
        ["git", "cat-file", "blob", name], cwd=lab.root, env=lab.env, capture_output=True, check=True
    ).stdout


def trailers(lab: Lab, key: str, commit: str = "main") -> list[str]:
    return lab.git("log", "-1", f"--format=%(trailers:key={key},valueonly)", commit).split("\n")[:-2]


def test_the_winner_is_merged_with_proof_that_anybody_can_check(lab: Lab) -> None:
    (lab.root / ".gitattributes").write_text("* text eol=crlf\n")
    lab.git("add", ".gitattributes")
    race_id = won(lab)
    away(lab)
    done = lab.wtrace("merge")
    assert "merged into main" in done.stdout
    assert trailers(lab, "Wtrace-Race") == [race_id]
    assert trailers(lab, "Wtrace-Winner") == ["a"]
    assert trailers(lab, "Wtrace-Criteria") == ["ratio: 2.0 >= 1.5", "accuracy: 0.9 >= 0.75"]
    folder = trailers(lab, "Wtrace-Results")[0]
    sums = blob(lab, f"main:{folder}/SHA256SUMS")
    assert trailers(lab, "Wtrace-Evidence") == [f"sha256:{hashlib.sha256(sums).hexdigest()}"]
    report = (lab.latest / "results" / "SUCCESS_REPORT.md").read_bytes()
    assert blob(lab, f"main:{folder}/SUCCESS_REPORT.md") == report
    metrics = (lab.latest / "b" / "metrics.jsonl").read_bytes()
    assert blob(lab, f"main:{folder}/metrics/b/1.jsonl") == metrics
    lab.git("worktree", "add", "--quiet", "--detach", "../fresh", "main")
    fresh = lab.root.parent / "fresh" / folder
    subprocess.run(["sha256sum", "--quiet", "--strict", "--check", "SHA256SUMS"], cwd=fresh, check=True)
    listed = {line.split("  ")[1] for line in sums.decode().splitlines()}
    there = {str(file.relative_to(fresh)) for file in fresh.rglob("*") if file.is_file()}
    assert there - listed == {"SHA256SUMS", ".gitattributes"}
    assert lab.git("log", "-1", "--format=%an <%ae>", "main") == "Lab <lab@example.org>\n"
    assert "nothing to do" in lab.wtrace("merge", "--race", race_id).stdout


def test_a_base_with_changes_exits_1_and_what_it_prints_finishes(lab: Lab) -> None:
    won(lab)
    (lab.root / "train.py").write_text("# edited\n")
    stood = lab.git("for-each-ref", "refs/heads")
    done = lab.wtrace("merge", expect=1)
    assert lab.git("for-each-ref", "refs/heads") == stood
    assert (lab.root / "train.py").read_text() == "# edited\n"
    (line,) = (line for line in done.stdout.splitlines() if "to finish" in line)
    told, _, command = line.partition(": wtrace ")
    assert told == "to finish, when they are committed, stashed or moved away"
    lab.git("stash")
    lab.wtrace(*command.split())
    lab.git("stash", "pop")
    assert trailers(lab, "Wtrace-Winner") == ["a"]
    assert (lab.root / "train.py").read_text() == "# edited\n"
    lab.wtrace("merge")


def test_without_results_the_trailer_is_the_hash_of_the_note(lab: Lab) -> None:
    won(lab, [["save", "w", 11_000_000], ["claim it"]])
    done = lab.wtrace("merge", "--no-results")
    assert "merged into main" in done.stdout
    assert not (lab.root / "results").exists()
    assert trailers(lab, "Wtrace-Results") == []
    note = blob(lab, lab.git("notes", "--ref", "wtrace", "list", "main").strip())
    assert trailers(lab, "Wtrace-Evidence") == [f"sha256:{hashlib.sha256(note).hexdigest()}"]
    report = (lab.latest / "results" / "SUCCESS_REPORT.md").read_bytes()
    assert f"{hashlib.sha256(report).hexdigest()}  SUCCESS_REPORT.md" in note.decode()
    weights = hashlib.sha256(b"w" * 11_000_000).hexdigest()
    assert f"checkpoint/a.pt  11000000 bytes  sha256:{weights}" in note.decode()
    assert "nothing to do" in lab.wtrace("merge").stdout


def test_the_winning_checkpoint_is_committed_up_to_a_size_and_named_above_it(lab: Lab) -> None:
    won(lab, [["save", "w", 1000], ["claim it"]])
    away(lab)
    lab.wtrace("merge")
    assert blob(lab, "main:results/lab/checkpoint/a.pt") == b"w" * 1000
    lab.git("switch", "--quiet", "main")
    lab.branch("try/c", [["save", "w", 10_000_001], ["claim it"]])
    lab.write_config(["c"])
    lab.wtrace("run")
    second = str(lab.status()["race"]["id"])
    away_again = lab.git("switch", "--quiet", "elsewhere")
    assert away_again == ""
    done = lab.wtrace("merge")
    folder = trailers(lab, "Wtrace-Results")[0]
    assert folder == f"results/{second}", "the earlier race's results are not written over"
    left_out = blob(lab, f"main:{folder}/LEFT_OUT.txt").decode()
    digest = hashlib.sha256(b"w" * 10_000_001).hexdigest()
    assert f"checkpoint/c.pt  10000001 bytes  sha256:{digest}  claims/1/checkpoint.pt" in left_out
    assert "left out of the commit: checkpoint/c.pt" in done.stdout
    assert "checkpoint" not in lab.git("ls-tree", "-r", "--name-only", f"main:{folder}")


def test_what_lies_outside_of_the_race_is_never_committed(lab: Lab) -> None:
    secret = lab.root.parent / "secret"
    secret.write_text("a secret of the user's")
    won(lab, [["link", str(secret)], ["claim it"]])
    away(lab)
    for place in ("b/attempts/1/metrics.jsonl", "results/stolen.md"):
        (lab.latest / place).unlink(missing_ok=True)
        (lab.latest / place).symlink_to(secret)
    os.mkfifo(lab.latest / "results" / "fifo.md")
    (lab.latest / "results" / "a\nb.md").write_text("x")
    for planted in ("b/attempts/1/metrics.jsonl", "results/fifo.md", "results/stolen.md"):
        assert "is a" in lab.wtrace("merge", expect=2).stderr  # a link, a pipe: not what a race has left
        (lab.latest / planted).unlink()
    done = lab.wtrace("merge")
    listed = lab.git("ls-tree", "-r", "-z", "--name-only", "main:results/lab").split("\0")
    assert not any(name.startswith(("checkpoint", "metrics/b", "stolen", "fifo", "a")) for name in listed)
    assert all(secret.read_bytes() not in blob(lab, f"main:results/lab/{name}") for name in listed if name)
    assert "a\\nb.md" in done.stdout


@pytest.mark.parametrize(
    "how", ["a file of the results", "a folder of metrics", "the results", "a confirmation"]
)
def test_a_link_that_comes_after_every_look_is_not_followed(lab: Lab, how: str) -> None:
    """As `merge = "auto"` meets it: no command has looked at the folder, and a worker may have put anything there."""
    secret = lab.root.parent / "private"
    (secret / "1").mkdir(parents=True)
    for name in ("id.md", "metrics.jsonl", "1/metrics.jsonl"):
        (secret / name).write_text("{}")
    won(lab)
    if how == "a file of the results":
        (lab.latest / "results" / "id.md").symlink_to(secret / "id.md")
    elif how == "a folder of metrics":
        shutil.rmtree(lab.latest / "b" / "attempts")
        (lab.latest / "b" / "attempts").symlink_to(secret)
    elif how == "the results":
        shutil.rmtree(lab.latest / "results")
        (lab.latest / "results").symlink_to(secret)
    else:
        (lab.latest / "claims" / "1").mkdir(parents=True, exist_ok=True)
        (lab.latest / "claims" / "1" / "attempts").symlink_to(secret)
    layout = Layout(lab.root).race(lab.latest.name)
    context, state, _ = recall(Layout(lab.root), lab.latest.name)
    with Reader(Layout(lab.root).database) as reader:
        standing = reader.standing(lab.latest.name)
    assert standing is not None
    desk = lab.root.parent / "desk"
    desk.mkdir()
    exhibits = collect(layout, standing, tuple(state.claims), desk, redaction_for(context))
    copied = {path.read_bytes() for path in desk.iterdir()}
    assert b"{}" not in copied
    assert len(exhibits.left_out) >= 1
    assert all("link" in line or "symbolic" in line for line in exhibits.left_out)


def test_without_a_winner_or_a_race_there_is_nothing_to_merge(lab: Lab) -> None:
    assert "no race" in lab.wtrace("merge", expect=2).stderr
    lab.race({"a": [["check", 5, 1.0]]})
    lab.wtrace("run", expect=1)
    done = lab.wtrace("merge", expect=2)
    assert "no winner" in done.stderr
    assert "FAILURE_REPORT.md" in done.stderr


def test_a_race_that_still_runs_is_not_merged(lab: Lab) -> None:
    lab.race({"a": [["mark", "up"], ["forever"]]})
    running = lab.start("run")
    lab.wait_for_mark("up")
    assert "has not ended" in lab.wtrace("merge", expect=2).stderr
    lab.wtrace("stop")
    running.communicate(timeout=30)


def test_without_an_identity_the_merge_says_what_to_do(lab: Lab) -> None:
    won(lab)
    lab.git("config", "--unset", "user.email")
    done = lab.wtrace("merge", expect=2)
    assert "git config --global user.email" in done.stderr
    assert lab.git("for-each-ref", "refs/wtrace") == ""


def test_changes_that_were_raced_but_not_committed_are_named(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 2.0]]})
    lab.wtrace("setup")
    worktree: Path = lab.root.parent / "repo-worktrees" / "a"
    with (worktree / "train.py").open("a") as file:
        file.write("# tuned by hand\n")
    lab.wtrace("run")
    away(lab)
    tip = lab.git("rev-parse", "try/a")
    done = lab.wtrace("merge")
    assert "not part of the merge" in done.stdout
    assert "uncommitted.patch" in done.stdout
    assert lab.git("rev-parse", "try/a") == tip, "its worktree has changes, so its branch stays"
    assert (worktree / "train.py").read_text().endswith("# tuned by hand\n")


@pytest.mark.parametrize("asked", [[], ["--race", "none"]])
def test_a_race_that_is_not_there_is_a_mistake_in_usage(lab: Lab, asked: list[str]) -> None:
    assert lab.wtrace("merge", *asked, expect=2).stderr.startswith("error: there is no race")


def test_at_the_end_of_a_race_a_merge_that_fails_is_logged_and_raises_nothing(
    lab: Lab,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    race_id = won(lab, race='merge = "ask"')
    away(lab)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    layout = Layout(lab.root)
    context, state, _ = recall(layout, race_id)
    with Reader(layout.database) as reader:
        standing = reader.standing(race_id)
    assert standing is not None
    offer_merge(lab.root, standing)
    assert capsys.readouterr().out == f"to merge the winner: wtrace merge --race {race_id}\n"

    lab.git("config", "--unset", "user.email")
    assert merge_at_the_end(context, layout, standing, state.claims) is None
    assert "was not merged" in caplog.text
    lab.git("config", "user.email", "lab@example.org")
    merged = merge_at_the_end(context, layout, standing, state.claims)
    assert merged is not None
    assert merged.outcome == "merged"


def conflicting(lab: Lab) -> None:
    """A race of two, one of which changed a line that the base has changed since."""
    lab.race({"a": [["check", 5, 1.0]], "b": [["check", 5, 1.0]]})
    for branch in ("try/b", "main"):
        lab.git("switch", "--quiet", branch)
        training = lab.root / "train.py"
        training.write_text(f"# as {branch} has it\n{training.read_text()}")
        lab.git("commit", "--quiet", "-am", f"the first line of {branch}")


def test_a_conflict_is_foreseen_before_the_race_and_at_its_end(lab: Lab) -> None:
    conflicting(lab)
    words = "would conflict with the base in train.py"
    dry = lab.wtrace("run", "--dry-run").stdout
    assert dry.count(words) == 1
    assert f"if b wins, it {words}" in lab.wtrace("setup").stdout
    done = lab.wtrace("run", expect=1)
    assert f"b: if it wins, it {words}" in done.stdout
    assert "a: if it wins" not in done.stdout
    report = (lab.latest / "results" / "FAILURE_REPORT.md").read_text()
    part = report.partition("## If it were merged now")[2].partition("##")[0]
    assert f"`b` {words}" in part
    assert "`a` would merge into the base without a conflict" in part


def test_nobody_asks_where_nothing_is_merged(lab: Lab) -> None:
    conflicting(lab)
    config = lab.root / "wtrace.toml"
    config.write_text(config.read_text().replace("grace = 1", 'grace = 1\nmerge = "never"'))
    assert "conflict" not in lab.wtrace("setup").stdout + lab.wtrace("run", expect=1).stdout
