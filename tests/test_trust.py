from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

import config_samples as samples
from wtrace.config import approval
from wtrace.config.approval import FREE
from wtrace.config.load import override, parse
from wtrace.config.spec import ConfirmSpec, MetricsSpec, RaceSpec, SyncSpec, WorkerSpec
from wtrace.errors import ToolError
from wtrace.store.approvals import forget_start, is_trusted, note_start, trust, was_started

WHOLE = parse(samples.WHOLE)


def digest(spec: RaceSpec, **contents: str) -> str:
    return approval.digest(spec, contents)


def approved_parts(spec: RaceSpec) -> tuple[str, ...]:
    return approval.approved_parts(spec, {})


def edited(old: str, new: str) -> RaceSpec:
    assert old in samples.WHOLE
    return parse(samples.WHOLE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (">= 1.5", ">= 1.4"),
        ("attention_ratio =", "ratio ="),
        ("max_epochs = 40", "max_epochs = 10"),
        ("max_epochs = 30", "max_epochs = 10"),
        ("check_every = 2", "check_every = 4"),
        ("priority = 85", "priority = 1"),
        ("attempts = 2", "attempts = 1"),
        ("before = 1", "before = 2"),
        ("cost_per_hour = 3.06", "cost_per_hour = 1"),
        ("gpus = 0.25", "gpus = 1"),
    ],
)
def test_what_runs_nothing_else_asks_nothing_again(old: str, new: str) -> None:
    changed = edited(old, new)
    assert changed != WHOLE
    assert digest(changed) == digest(WHOLE)
    assert approved_parts(changed) == approved_parts(WHOLE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"train.py"', '"other.py"'),
        ('"--output", "{output}"', '"--output {output}"'),
        ('SEED = "7"', 'SEED = "8"'),
        ('SEED = "7"', 'PYTHONPATH = "7"'),
        ('cwd = "src"', 'cwd = "lib"'),
        ('"early-persistence/baseline"', '"early-persistence/base-line"'),
        ('"evaluate.py", "--ch', '"judge.py", "--ch'),
        ('"scripts/publish.py"', '"scripts/push.py"'),
        ('["uv", "sync"]', '["make"]'),
        ('".env"', '".secrets"'),
        ('host = "me@macbook"', 'host = "elsewhere"'),
        ('"races/{race}"', '".ssh"'),
        ("/opt/homebrew/bin/rsync", "/tmp/rsync"),
        ('"ntfy://races"', '"ntfy://others"'),
        ('worktrees = "/scratch/{repo}"', 'worktrees = "/home/{repo}"'),
        ('"http://head:8265"', '"http://other:8265"'),
        ("retries = 2\nmerge", "retries = 0\nmerge"),
        ('name = "early-persistence"', 'name = "late"'),  # it fills {race}
    ],
)
def test_what_runs_or_sends_something_is_approved_anew(old: str, new: str) -> None:
    assert digest(edited(old, new)) != digest(WHOLE)


def test_commands_that_change_branches_are_approved_anew() -> None:
    swapped = samples.WHOLE.replace('"early-persistence/baseline"', "@")
    swapped = swapped.replace('"early-persistence/hybrid"', '"early-persistence/baseline"')
    swapped = swapped.replace("@", '"early-persistence/hybrid"', 1)
    assert digest(parse(swapped)) != digest(WHOLE)


def other(value: Any) -> Any:
    """Another value of the same kind."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}x"
        case Mapping():
            return {**value, "MORE": "x"}
        case tuple() if value and isinstance(value[0], str):
            return (*value, "x")
        case tuple():
            return value[1:] if value else ("x",)
        case MetricsSpec():
            return replace(value, pattern="other")
        case None:
            return "x"
        case _:
            return None


def names_of(kind: type) -> list[tuple[type, str]]:
    return [(kind, name) for name in kind.__dataclass_fields__]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "name"),
    [*names_of(RaceSpec), *names_of(WorkerSpec), *names_of(SyncSpec), *names_of(ConfirmSpec)],
)
def test_what_is_not_named_as_free_is_approved_and_shown(kind: type, name: str) -> None:
    """Every key of the config, also one that is new: whoever adds it decides."""

    def edit(part: Any) -> Any:
        return replace(part, **{name: other(getattr(part, name))})

    if kind is RaceSpec:
        changed = edit(WHOLE)
    elif kind is WorkerSpec:
        changed = replace(WHOLE, workers=(edit(WHOLE.workers[0]), *WHOLE.workers[1:]))
    elif kind is SyncSpec:
        changed = replace(WHOLE, sync=(edit(WHOLE.sync[0]),))
    else:
        changed = replace(WHOLE, confirm=edit(WHOLE.confirm))
    is_free = name in FREE[kind]
    assert (digest(changed) == digest(WHOLE)) is is_free
    assert (approved_parts(changed) == approved_parts(WHOLE)) is is_free


def test_what_is_free_is_there() -> None:
    assert all(names <= set(kind.__dataclass_fields__) for kind, names in FREE.items())  # type: ignore[attr-defined]


def test_the_content_of_a_file_is_approved_and_not_only_its_name() -> None:
    named = {"~/.ssh/races": "a"}
    assert (
        len({digest(WHOLE), approval.digest(WHOLE, named), approval.digest(WHOLE, {"~/.ssh/races": "b"})})
        == 3
    )
    copied = replace(WHOLE, sync=(replace(WHOLE.sync[0], ssh_config="/copy"),))
    assert approval.digest(copied, {"/copy": "a"}) == approval.digest(WHOLE, named)


def test_options_of_the_command_line_ask_nothing_again() -> None:
    assert digest(override(WHOLE, check_every=1, max_epochs=2)) == digest(WHOLE)


def test_a_user_is_shown_all_that_is_approved_but_no_value_of_the_environment() -> None:
    assert approval.approved_parts(WHOLE, {"~/.ssh/races": "abc123"}) == (
        "race early-persistence",
        "    begins at: early-persistence/magvit",
        "    when a worker stalls: restart",
        "    restarts after a crash: 2",
        "    merges the winner: never",
        "    worktrees in: /scratch/{repo}",
        "    checkpoints that are kept: all",
        "worker supervised on branch early-persistence/supervised",
        "    python train.py --output '{output}' '{\"lr\": {\"start\": 0.1}}'",
        "    set-up: uv sync",
        "    restarts after a crash: 1",
        "    sets: SEED, TOKEN",
        "    in: src",
        "    runs on: slurm",
        "    brings along: .env, data/ (a link to the original)",
        "    only: workers, src",
        r"    metrics: source: stdout; pattern: epoch (?P<epoch>\d+) loss (?P<loss>\S+)",
        "worker baseline on branch early-persistence/baseline",
        "    ./train",
        "    a control, which never wins: yes",
        "worker hybrid on branch early-persistence/hybrid",
        "    python hybrid.py",
        "    combines: supervised, baseline",
        "confirmation of a claim",
        "    python evaluate.py --checkpoint '{checkpoint}'",
        "after the race, for the winner",
        "    python scripts/publish.py '{output}'",
        "sent to",
        "    macbook: me@macbook:races/{race} through /opt/homebrew/bin/rsync, with ~/.ssh/races, progress only",
        "told to",
        "    ntfy://…",
        "runs on",
        "    cluster",
        "    cluster: engine = ray, address = http://head:8265",
        "files that these name, by SHA-256",
        "    ~/.ssh/races: abc123",
    )
    assert "s3cret" not in str(approved_parts(WHOLE))


@settings(max_examples=100, deadline=None)
@given(samples.specs())
def test_the_lines_are_safe_for_a_terminal(spec: RaceSpec) -> None:
    assert all(line.isprintable() for line in approved_parts(spec))


def test_an_argument_that_hides_something_is_shown_with_escapes() -> None:
    worker = replace(WHOLE.workers[1], command=("sh", "-c", "ls\n\x1b[1A\u202erm", "a b"))
    assert approved_parts(replace(WHOLE, workers=(worker,)))[8] == r"    sh -c 'ls\n\x1b[1A\u202erm' 'a b'"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "wtrace" / "trusted.json"


def test_an_approval_holds_for_one_repo_and_one_content(file: Path, tmp_path: Path) -> None:
    repo, other = tmp_path / "repo", tmp_path / "other"
    repo.mkdir()
    other.mkdir()
    (tmp_path / "link").symlink_to(repo)
    assert not is_trusted(repo, "d1")
    trust(tmp_path / "link", "d1")
    trust(repo, "d2")
    assert is_trusted(repo, "d1") and is_trusted(tmp_path / "link", "d2")
    assert not is_trusted(repo, "d3") and not is_trusted(other, "d1")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in file.parent.iterdir()] == ["trusted.json"]


def test_without_xdg_it_lies_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    trust(tmp_path, "d")
    assert (tmp_path / ".config" / "wtrace" / "trusted.json").is_file()


def test_only_the_latest_approvals_of_a_repo_are_kept(file: Path, tmp_path: Path) -> None:
    for n in [*range(60), 15]:
        trust(tmp_path, f"d{n}")
    assert not is_trusted(tmp_path, "d9")
    assert is_trusted(tmp_path, "d15") and is_trusted(tmp_path, "d59")
    trust(tmp_path, "d15")
    assert len(json.loads(file.read_text())["repos"][str(tmp_path)]) == 50


def group_writable(file: Path) -> None:
    file.chmod(0o660)


def linked(file: Path) -> None:
    file.rename(file.with_suffix(".real"))
    file.symlink_to(file.with_suffix(".real"))


def replaced_by(content: bytes) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(content)


def fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


SPOILS: list[Callable[[Path], object]] = [
    group_writable,
    linked,
    fifo,
    *map(
        replaced_by,
        (b'{"repos": {"', b"", b"[]", b'{"repos": []}', b'{"repos": {"/": "d"}}', b"\xff\xfe", b"[" * 99999),
    ),
]


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_file_that_cannot_be_relied_on_approves_nothing_and_is_left_alone(
    spoil: Callable[[Path], object], file: Path, tmp_path: Path
) -> None:
    trust(tmp_path, "d")
    spoil(file)
    before = file.lstat()
    assert not is_trusted(tmp_path, "d")
    with pytest.raises(ToolError, match=r"trusted\.json cannot be used") as caught:
        trust(tmp_path, "d")
    assert caught.value.hint == "remove that file; wtrace will ask for approval again"
    assert (file.lstat().st_ino, file.lstat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_folder_that_cannot_be_made_is_a_clear_error(file: Path, tmp_path: Path) -> None:
    file.parent.parent.write_text("a file, not a folder")
    with pytest.raises(ToolError, match="cannot be stored in"):
        trust(tmp_path, "d")
    assert not is_trusted(tmp_path, "d")


def test_approvals_at_the_same_time_lose_none(file: Path, tmp_path: Path) -> None:
    digests = [f"d{n}" for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda each: trust(tmp_path, each), digests))
    assert all(is_trusted(tmp_path, each) for each in digests)


def test_a_race_is_known_as_started_here_as_long_as_its_record_says_the_same(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert not was_started(tmp_path, "race", "d")
    note_start(tmp_path, "race", "d")
    assert was_started(tmp_path, "race", "d")
    assert not was_started(tmp_path, "race", "e")
    assert not was_started(tmp_path, "other", "d")
    assert not was_started(tmp_path / "copy", "race", "d")
    (kept,) = (tmp_path / "state" / "wtrace" / "started").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    kept.chmod(0o666)
    assert not was_started(tmp_path, "race", "d")
    kept.chmod(0o600)
    forget_start(tmp_path, "race")
    assert not was_started(tmp_path, "race", "d")
    forget_start(tmp_path, "race")
