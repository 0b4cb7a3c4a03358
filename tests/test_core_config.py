from __future__ import annotations

import contextlib
import math
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import config_samples as samples
from wtrace.config import kinds
from wtrace.config.load import dump, override, parse
from wtrace.config.names import branch_problem
from wtrace.config.reference import config_reference
from wtrace.config.rules import side_by_side
from wtrace.config.spec import MetricsSpec, RaceSpec, RunnerSpec, SyncSpec, WorkerSpec
from wtrace.config.tables import TABLES
from wtrace.config.template import config_template
from wtrace.errors import ConfigError, UsageError

MINIMAL = samples.MINIMAL


def mistake(text: str, **options: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(text, **options)
    assert caught.value.what.isprintable()
    return caught.value


def with_race(line: str) -> str:
    return MINIMAL.replace("[race]", f"[race]\n{line}")


def with_worker(line: str) -> str:
    return f"{MINIMAL}{line}\n"


def test_all_that_is_not_given_has_the_defaults_of_the_spec() -> None:
    spec = parse(MINIMAL)
    command = ("python", "train.py", "--out", "{output}")
    assert spec == RaceSpec(
        name="digits", success=spec.success, workers=(WorkerSpec("plain", "exp/plain", command),)
    )
    assert [(each.name, each.text) for each in spec.success] == [("accuracy", "val_accuracy >= 0.9")]


def test_the_whole_schema_is_understood_and_written_back() -> None:
    spec = parse(samples.WHOLE)
    supervised, baseline, hybrid = spec.workers
    assert spec.max_parallel is None
    assert (spec.grace_s, spec.stall_after_s, spec.progress_every_s) == (3.0, 60.5, 5.0)
    assert (spec.hopeless_below, spec.keep_checkpoints, spec.cost_per_hour) == (0.05, "all", 3.06)
    assert spec.confirm is not None and (spec.confirm.attempts, spec.confirm.timeout_s) == (2, 60.0)
    assert [test.text for test in spec.figures.sample_pass] == [
        "persistent / transient > 1.3",
        "accuracy >= 0.75",
    ]
    assert [criterion.for_checks for criterion in spec.success] == [1, 1, 2]
    assert supervised.command[-1] == '{"lr": {"start": 0.1}}'
    assert supervised.memory_bytes == 16 * 10**9
    assert supervised.metrics == MetricsSpec("stdout", r"epoch (?P<epoch>\d+) loss (?P<loss>\S+)")
    assert baseline.control and hybrid.combines == ("supervised", "baseline")
    assert spec.runners == (RunnerSpec("cluster", {"engine": "ray", "address": "http://head:8265"}),)
    assert spec.sync == (
        SyncSpec(
            "macbook", "me@macbook", "races/{race}", 30.0, False, "/opt/homebrew/bin/rsync", "~/.ssh/races"
        ),
    )
    assert parse(dump(spec)) == spec


DEFAULTS = """
[race]
name = "ten"
[success]
accuracy = "val_accuracy >= 0.9"
[defaults]
command = ["python", "train.py", "{output}"]
retries = 2
env = { LR = "0.1", SEED = "7" }
metrics = { from = "csv" }
[workers.plain]
branch = "exp/plain"
[workers.own]
branch = "exp/own"
command = ["python", "other.py"]
retries = 0
env = { LR = "0.3" }
metrics = { from = "stdout" }
"""


def test_defaults_hold_for_every_worker_that_says_nothing_else() -> None:
    spec = parse(DEFAULTS)
    plain, own = spec.workers
    assert plain.command == ("python", "train.py", "{output}")
    assert (plain.retries, plain.env, plain.metrics) == (2, {"LR": "0.1", "SEED": "7"}, MetricsSpec("csv"))
    assert (own.command, own.retries) == (("python", "other.py"), 0)
    assert (own.env, own.metrics) == ({"LR": "0.3", "SEED": "7"}, MetricsSpec("stdout"))
    assert "[defaults]" not in dump(spec) and parse(dump(spec)) == spec


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("retries = 2", "retires = 2", "defaults: unknown key `retires`; did you mean `retries`?"),
        ("retries = 2", 'retries = "two"', "defaults.retries: expected a whole number"),
        ('command = ["python", "train.py", "{output}"]', "", "workers.plain.command: missing"),
        ("[defaults]", "[default]", "unknown key `default`; did you mean `defaults`?"),
        ("[defaults]", "[[defaults]]", "defaults: expected a table, [defaults], got a list"),
    ],
)
def test_a_mistake_in_the_defaults_is_told_with_its_place(old: str, new: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(DEFAULTS.replace(old, new, 1))
    assert caught.value.what.startswith(what)


@pytest.mark.parametrize("line", samples.WHOLE.splitlines())
def test_every_line_of_the_schema_is_needed_to_say_what_it_says(line: str) -> None:
    """No key is read and then forgotten: without a line the race is another one, or none."""
    if not line or samples.WHOLE.count(line) > 1:
        return
    whole = parse(samples.WHOLE)
    with contextlib.suppress(ConfigError):
        assert parse(samples.WHOLE.replace(line, "")) != whole


def test_a_default_that_is_written_out_changes_nothing() -> None:
    text = with_race('runner = "local"') + (
        'gpus = 0\ninclude = []\n[metrics]\nfrom = "jsonl"\n'
        '[keep]\ncheckpoints = "best"\n[after]\nwinner = []\n[notify]\nurls = []\n[sync]\n[runners]\n'
    )
    assert parse(text) == parse(MINIMAL)


COMMAND = 'command = ["python", "train.py", "--out", "{output}"]'
MISTAKES: dict[str, tuple[str, str]] = {
    "unknown key": (
        with_race("chek_every = 5"),
        "race: unknown key `chek_every`; did you mean `check_every`?",
    ),
    "unknown table": (MINIMAL + "[judg]\n", "unknown key `judg`; did you mean `judge`?"),
    "unknown key of a worker": (
        with_worker("priorty = 1"),
        "workers.plain: unknown key `priorty`; did you mean `priority`?",
    ),
    "key outside of a table": (
        "max_epoch = 5\n" + MINIMAL,
        "unknown key `max_epoch` outside of any table; did you mean `max_epochs` in [race]?",
    ),
    "text for a number": (
        with_race('check_every = "five"'),
        "race.check_every: expected a whole number of at least 1, got 'five'",
    ),
    "zero epochs": (
        with_race("max_epochs = 0"),
        "race.max_epochs: expected a whole number of at least 1, got 0",
    ),
    "negative": (with_race("retries = -1"), "race.retries: expected a whole number of at least 0, got -1"),
    "boolean for a number": (
        with_race("check_every = true"),
        "race.check_every: expected a whole number of at least 1, got true",
    ),
    "boolean for seconds": (
        with_race("grace = true"),
        "race.grace: expected a number of seconds of at least 0, got true",
    ),
    "fraction": (
        with_race("check_every = 5.0"),
        "race.check_every: expected a whole number of at least 1, got 5.0",
    ),
    "not a number": (with_race("grace = nan"), "race.grace: expected a finite number of seconds, got nan"),
    "infinite": (with_race("cost_per_hour = inf"), "race.cost_per_hour: expected a finite number, got inf"),
    "overflow": (with_race("grace = 1e999"), "race.grace: expected a finite number of seconds, got inf"),
    "huge": (
        with_race("max_epochs = 0x" + "f" * 5000),
        "race.max_epochs: expected a whole number of at most 1,000,000, got a number with very many digits",
    ),
    "huge seconds": (
        with_race("stall_after = 1" + "0" * 400),
        "race.stall_after: expected a number of seconds of at most 31,622,400, got a number with very many digits",
    ),
    "choice": (
        with_race('on_stall = "warm"'),
        'race.on_stall: expected "warn", "restart" or "stop", got \'warm\'; did you mean `warn`?',
    ),
    "date": (
        with_race("name2 = 1").replace('"digits"', "2026-01-01").replace("name2 = 1\n", ""),
        "race.name: expected a name, got a date or a time",
    ),
    "flag": (with_worker("control = 1"), "workers.plain.control: expected true or false, got 1"),
    "max_parallel": (
        with_race('max_parallel = "all"'),
        "race.max_parallel: expected a whole number of at least 1 or \"auto\", got 'all'",
    ),
    "race name": (
        MINIMAL.replace('"digits"', '"../digits"'),
        "race.name: expected letters, digits, `.`, `_` and `-`, beginning with a letter or a digit; got '../digits'",
    ),
    "empty name": (
        MINIMAL.replace('"digits"', '" "'),
        "race.name: expected letters, digits, `.`, `_` and `-`, beginning with a letter or a digit; got ' '",
    ),
    "worker name with a slash": (
        MINIMAL.replace("[workers.plain]", '[workers."a/b"]'),
        "workers.\"a/b\": expected letters, digits, `.`, `_` and `-`, beginning with a letter or a digit; got the name 'a/b'",
    ),
    "worker name with dots": (
        MINIMAL.replace("[workers.plain]", '[workers."a..b"]'),
        "workers.\"a..b\": a name holds no `..` and ends neither with `.` nor with `.lock`; got the name 'a..b'",
    ),
    "long worker name": (
        MINIMAL.replace("[workers.plain]", f"[workers.{'n' * 65}]"),
        f"workers.{'n' * 65}: expected at most 64 characters; got the name '{'n' * 65}'",
    ),
    "reserved worker name": (
        MINIMAL.replace("[workers.plain]", "[workers.Claims]"),
        "workers.Claims: this name is taken by wtrace's own files; got the name 'Claims'",
    ),
    "one branch twice": (
        MINIMAL + f'[workers.other]\nbranch = "exp/plain"\n{COMMAND}\n',
        "workers.other.branch: `exp/plain` is the branch of `plain` already",
    ),
    "names that differ in case": (
        MINIMAL + f'[workers.Plain]\nbranch = "exp/other"\n{COMMAND}\n',
        "workers.Plain: differs from `plain` only in upper and lower case",
    ),
    "one name twice": (
        MINIMAL + f'[workers.plain]\nbranch = "exp/other"\n{COMMAND}\n',
        "wtrace.toml: line 10, column 15: not valid TOML: Cannot declare ('workers', 'plain') twice",
    ),
    "a branch below another": (
        MINIMAL + f'[workers.other]\nbranch = "exp/plain/more"\n{COMMAND}\n',
        "workers.other.branch: git cannot have the branches `exp/plain` and `exp/plain/more` side by side",
    ),
    "a branch below the base": (
        with_race('base = "exp"'),
        "workers.plain.branch: git cannot have the branches `exp` and `exp/plain` side by side",
    ),
    "branch": (
        MINIMAL.replace('"exp/plain"', '"--upload-pack=x"'),
        "workers.plain.branch: a branch name cannot begin with `-`; got '--upload-pack=x'",
    ),
    "only controls": (
        with_worker("control = true"),
        "workers: every worker is a control, and a control can never win",
    ),
    "no worker": (MINIMAL[: MINIMAL.index("[workers")], "workers: at least one worker is required"),
    "no criterion": (
        MINIMAL.replace('accuracy = "val_accuracy >= 0.9"', ""),
        "success: at least one criterion is required",
    ),
    "no race": (MINIMAL[MINIMAL.index("[success]") :], "race.name: missing"),
    "no command": (MINIMAL.replace(COMMAND, ""), "workers.plain.command: missing"),
    "command as text": (
        MINIMAL.replace(COMMAND, 'command = "python train.py"'),
        "workers.plain.command: expected a command as a list of arguments, got 'python train.py'",
    ),
    "empty command": (
        MINIMAL.replace(COMMAND, "command = []"),
        "workers.plain.command: expected a command as a list of arguments, got an empty list",
    ),
    "empty program": (
        MINIMAL.replace(COMMAND, 'command = ["", "x"]'),
        "workers.plain.command: the first argument names the program and cannot be empty",
    ),
    "argument that is no text": (
        MINIMAL.replace(COMMAND, 'command = ["python", 5]'),
        "workers.plain.command[1]: expected text, got 5",
    ),
    "NUL in an argument": (
        MINIMAL.replace(COMMAND, 'command = ["python", "a\\u0000b"]'),
        "workers.plain.command[1]: text cannot hold a NUL character",
    ),
    "placeholder": (
        MINIMAL.replace("{output}", "{ouput}"),
        "workers.plain.command: unknown placeholder `{ouput}`; did you mean `{output}`?",
    ),
    "env value": (with_worker("env = { SEED = 7 }"), "workers.plain.env.SEED: expected text, got 7"),
    "env name": (
        with_worker('env = { "A=B" = "7" }'),
        'workers.plain.env."A=B": expected the name of an environment variable',
    ),
    "env of wtrace": (
        with_worker('env = { WTRACE_METRICS = "x" }'),
        "workers.plain.env.WTRACE_METRICS: wtrace sets this variable itself",
    ),
    "env NUL": (
        with_worker('env = { A = "\\u0000" }'),
        "workers.plain.env.A: text cannot hold a NUL character",
    ),
    "cwd outside": (
        with_worker('cwd = "a/../../b"'),
        "workers.plain.cwd: expected a path inside the worktree, relative and without `..`; got 'a/../../b'",
    ),
    "absolute judge file": (
        MINIMAL + '[judge]\nfiles = ["a.py", "/etc/passwd"]\n',
        "judge.files[1]: expected a path inside the worktree, relative and without `..`; got '/etc/passwd'",
    ),
    "worker that is no table": (
        MINIMAL.replace("[workers.plain]", "[workers]"),
        "workers.branch: expected a table [workers.NAME], got 'exp/plain'",
    ),
    "list of tables": (MINIMAL.replace("[race]", "[[race]]"), "race: expected a table, [race], got a list"),
    "NaN threshold": (MINIMAL.replace("0.9", "nan"), "success.accuracy: not a finite number"),
    "criterion that is a number": (
        MINIMAL.replace('"val_accuracy >= 0.9"', "0.9"),
        'success.accuracy: expected a criterion such as "mean(accuracy) >= 0.75", got 0.9',
    ),
    "for_checks": (
        MINIMAL.replace('"val_accuracy >= 0.9"', '{ is = "a >= 0.9", for_checks = 0 }'),
        "success.accuracy.for_checks: expected a whole number of at least 1, got 0",
    ),
    "for_check": (
        MINIMAL.replace('"val_accuracy >= 0.9"', '{ is = "a >= 0.9", for_check = 2 }'),
        "success.accuracy: unknown key `for_check`; did you mean `for_checks`?",
    ),
    "unnamed criterion": (
        MINIMAL.replace("accuracy =", '"\\u001b[2J" ='),
        'success."\\u001B[2J": a criterion\'s name is text on one line of at most 64 characters',
    ),
    "syntax": (
        MINIMAL.replace('"digits"', '"digits'),
        "wtrace.toml: line 2, column 15: not valid TOML: Illegal character '\\n'",
    ),
    "digits without end": (
        with_race("max_epochs = " + "9" * 5000),
        "wtrace.toml: not valid TOML: a number has too many digits",
    ),
    "nesting without end": (f"a = {'[' * 5000}", "wtrace.toml: nested too deeply"),
    "surrogate": (MINIMAL + "# \ud800", "wtrace.toml: not text in UTF-8"),
    "too long an argument": (
        MINIMAL.replace("train.py", "x" * 40_000),
        "workers.plain.command[1]: text of 40,000 characters is longer than 32,768",
    ),
    "too long": ("#" * 1_000_001, "wtrace.toml: longer than 1,000,000 characters"),
}


METRICS_MISTAKES: dict[str, tuple[str, str]] = {
    "no such source": ('from = "wandb"', 'from: expected "jsonl", "stdout", "csv", "tensorboard" or "hf", got \'wandb\''),
    "a pattern for a file": ('from = "csv", pattern = "(?P<epoch>.)(?P<a>.)"', 'pattern: only a log is searched, from = "stdout"'),
    "a path for the log": ('from = "stdout", path = "a.log"', "path: the worker's log is read, wherever it lies"),
    "no epoch but a key": ('from = "stdout", epoch_key = "e", pattern = "(?P<a>.)(?P<b>.)"', "pattern: no group is called `e`, so that no epoch is found; got a, b"),
    "a step in place of the epoch": ('from = "stdout", pattern = "(?P<a>.)(?P<iter>.)"', "pattern: no group is called `epoch`, so that no epoch is found; got a, iter"),
    "other letters": ('from = "stdout", pattern = "(?P<a>.)(?P<Epoch>.)"', "pattern: no group is called `epoch`, so that no epoch is found; got a, Epoch"),
    "a number that comes last and is not there": ('from = "stdout", epoch_comes = "last", pattern = "(?P<a>.)"', "pattern: no group is called `epoch`, so that no number comes last"),
    "a number that comes last in a row": ('from = "csv", epoch_comes = "last"', "epoch_comes: in such a source (csv) number and metrics stand together"),
    "a number that comes last in own lines": ('epoch_comes = "last"', "epoch_comes: lines of the worker protocol say this themselves"),
    "no metric": ('from = "stdout", pattern = "(?P<epoch>.)"', "pattern: no named group for a metric"),
    "no groups": ('from = "stdout", pattern = "epoch"', "pattern: no named group; got 'epoch'"),
    "a pattern without end": (f'from = "stdout", pattern = "{"a" * 1001}(?P<epoch>.)"', "pattern: longer than 1,000 characters"),
    "out of the worktree": ('from = "csv", path = "../a.csv"', "path: expected a path inside {output} or {worktree}, or relative to where the command runs, without `..`; got '../a.csv'"),
    "out of the output": ('from = "csv", path = "{output}/../a.csv"', "path: expected a path inside {output} or {worktree}, or relative to where the command runs, without `..`; got '{output}/../a.csv'"),
    "absolute": ('from = "csv", path = "/etc/passwd"', "path: expected a path inside {output} or {worktree}, or relative to where the command runs, without `..`; got '/etc/passwd'"),
    "a folder": ('from = "csv", path = "{output}/"', "path: expected the path of files, not of a folder; got '{output}/'"),
    "braces in the middle": ('from = "csv", path = "a/{output}/b"', "path: a folder between braces stands at the beginning of the path, before a `/`; got 'a/{output}/b'"),
    "glued braces": ('from = "csv", path = "{output}2/a.csv"', "path: a folder between braces stands at the beginning of the path, before a `/`; got '{output}2/a.csv'"),
    "another placeholder": ('from = "csv", path = "{home}/a.csv"', "path: unknown placeholder `{home}`"),
    "git's own": ('from = "csv", path = ".git/a.csv"', "path: git's own folder cannot be named here; got '.git/a.csv'"),
    "an epoch for own lines": ('first_epoch = 0', "first_epoch: lines of the worker protocol say this themselves"),
    "a third beginning": ('from = "csv", first_epoch = 2', "first_epoch: expected a whole number of at most 1, got 2"),
    "a checkpoint elsewhere": ('from = "csv", checkpoint = "../best.pt"', "checkpoint: expected a path relative to the output folder, without `..`; got '../best.pt'"),
}  # fmt: skip


@pytest.mark.parametrize("case", METRICS_MISTAKES)
def test_a_mistake_about_metrics_is_told_with_its_place(case: str) -> None:
    content, what = METRICS_MISTAKES[case]
    assert mistake(with_worker(f"metrics = {{ {content} }}")).what == f"workers.plain.metrics.{what}"
    table = re.sub(r", (?=\w+ = )", "\n", content)
    assert mistake(with_worker(f"[metrics]\n{table}")).what == f"metrics.{what}"


def test_a_pattern_that_python_wonders_about_is_taken_without_a_word() -> None:
    parse(with_worker("metrics = { from = 'stdout', pattern = '[[a](?P<epoch>.)(?P<b>.)' }"))


def test_readings_without_a_number_may_be_counted() -> None:
    parse(with_worker("metrics = { from = 'stdout', pattern = 'loss (?P<a>.)' }"))


@pytest.mark.parametrize("key", ["for_checks", "min_checks"])
def test_more_checks_than_are_planned_are_refused(key: str) -> None:
    text = MINIMAL.replace('"val_accuracy >= 0.9"', f'{{ is = "a >= 0.9", {key} = 3 }}')
    text = text.replace('name = "digits"', 'name = "digits"\ncheck_every = 5\nmax_epochs = 11')
    assert parse(text).success  # 5, 10, 11
    few = text.replace("max_epochs = 11", "max_epochs = 10")
    told = "success.accuracy.%s: 3 checks are asked for, and check_every = 5 and max_epochs = 10 make 2"
    assert mistake(few).what == told % key
    assert parse(few, recorded=True).success  # a race of an earlier version can still be read
    with pytest.raises(UsageError, match=r"--max-epochs: success\.accuracy"):
        override(parse(text), max_epochs=9)


def test_a_workers_metrics_take_the_place_of_the_races() -> None:
    race = parse(
        with_worker('metrics = { from = "csv", path = "{worktree}/a/*.csv" }\n[metrics]\nfrom = "stdout"')
    )
    assert race.metrics_of(race.worker("plain")) == MetricsSpec("csv", path="{worktree}/a/*.csv")
    assert race.metrics == MetricsSpec("stdout")
    assert parse(dump(race)) == race


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told_with_its_place(case: str) -> None:
    text, what = MISTAKES[case]
    assert mistake(text).what == what


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('"baseline"]', '"base-line"]', "workers.hybrid.combines: no worker is called `base-line`; did you mean `baseline`?"),
        ('"baseline"]', '"hybrid"]', "workers.hybrid.combines: a worker cannot combine itself"),
        ('"baseline"]', '"supervised"]', "workers.hybrid.combines: 'supervised' stands there twice"),
        ("control = true", 'combines = ["hybrid"]', "workers.baseline.combines: `hybrid` combines others itself; name those instead"),
        ('"races/{race}"', '"races/{rac}"', "sync.macbook.path: unknown placeholder `{rac}`; did you mean `{race}`?"),
        ('"16 GB"', '"16 gigs"', "workers.supervised.memory: expected an amount such as \"16 GB\" or \"512 MiB\", got '16 gigs'"),
        ('runner = "cluster"', 'runner = "clutser"', "race.runner: no runner is called `clutser`; did you mean `cluster`?"),
        ("(?P<epoch>", "(?P<epoch", "workers.supervised.metrics.pattern: this regular expression cannot be used: "),
        ("hopeless_below = 0.05", "hopeless_below = 2", "stop.hopeless_below: expected a number from 0 to 1, got 2"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_part_to_come_is_told_too(old: str, new: str, what: str) -> None:
    assert old in samples.WHOLE
    text = samples.WHOLE.replace(old, new)
    assert mistake(text).what.startswith(what)


@pytest.mark.parametrize(
    "host", ["-v", "me@-v", "-oProxyCommand=x", "a b", "a:b", "/etc", "", "a@b@c", "a\nb"]
)
def test_a_host_that_could_be_read_as_something_else_is_refused(host: str) -> None:
    text = samples.WHOLE.replace('"me@macbook"', kinds.toml_string(host))
    assert mistake(text).what.startswith("sync.macbook.host: expected a name")


def test_a_command_as_text_is_shown_as_the_list_that_it_should_be() -> None:
    assert mistake(MISTAKES["command as text"][0]).hint == 'write it as ["python", "train.py"]'


@settings(max_examples=150, deadline=None)
@given(samples.specs())
def test_what_is_dumped_is_parsed_as_the_same_race(spec: RaceSpec) -> None:
    assert parse(dump(spec), recorded=True) == spec


KEYS = st.sampled_from(
    [table.name for table in TABLES] + [key.name for table in TABLES for key in table.keys]
)
# Values as they stand in TOML.
SCALARS = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from(["a >= 1", "mean(x) > 0", "auto", "main", "a/b", "{output}", "{x}", "..", "-x", "local"]),
).map(kinds.toml_value) | st.sampled_from(["0x" + "f" * 5000, "2026-01-01", "1e999", "-0.0"])


def as_table(entries: dict[str, str]) -> str:
    return f"{{ {', '.join(f'{kinds.toml_key(name)} = {value}' for name, value in entries.items())} }}"


VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=4).map(as_table)
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4).map(as_table) | VALUES, max_size=5))
def test_data_of_any_shape_is_a_race_or_a_config_error(content: dict[str, str]) -> None:
    only_a_config_error("".join(f"{name} = {value}\n" for name, value in content.items()))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_value_of_any_kind_at_any_key_is_a_race_or_a_config_error(data: st.DataObject) -> None:
    lines = samples.WHOLE.splitlines()
    assigned = [n for n, line in enumerate(lines) if " = " in line]
    n = data.draw(st.sampled_from(assigned))
    lines[n] = f"{lines[n].split(' = ')[0]} = {data.draw(VALUES)}"
    only_a_config_error("\n".join(lines))


@settings(max_examples=200, deadline=None)
@given(st.text() | st.text(alphabet='[]{}="\\\n.a1#,\t\r\x00\ud800-+e', max_size=60))
@example("a" * 300_000)
@example("[" + "a." * 20_000 + "b]")
def test_any_text_is_a_race_or_a_config_error(text: str) -> None:
    only_a_config_error(text)


def only_a_config_error(text: str) -> None:
    try:
        spec = parse(text)
    except ConfigError as error:
        assert error.what.isprintable()
        assert len(error.what) < 1000
    else:
        assert parse(dump(spec), recorded=True) == spec


ODD = st.lists(
    st.sampled_from([*"ab/.-@{~^:?*[\\ \x7f\x01$;`|<=", ".lock", "HEAD", "..", "//", "ü"]),
    min_size=1,
    max_size=8,
).map("".join)


@settings(max_examples=120, deadline=None)
@given(ODD)
@example("HEAD")
@example("a/HEAD")
@example("-x")
def test_branch_names_are_those_that_git_takes(name: str) -> None:
    by_git = subprocess.run(
        ["git", "check-ref-format", "--branch", name], capture_output=True, check=False, cwd="/"
    ).returncode
    assert (branch_problem(name) is None) == (by_git == 0 and name != "@")  # elsewhere git reads @ as HEAD


def test_options_of_the_command_line_override_the_config() -> None:
    text = MINIMAL + f'[workers.own]\nbranch = "exp/own"\n{COMMAND}\nmax_epochs = 80\n'
    text += f'[workers.short]\nbranch = "exp/short"\n{COMMAND}\nmax_epochs = 3\n'
    spec = override(parse(text), check_every=2, max_epochs=60, workers=["short", "own"])
    assert (spec.check_every, spec.max_epochs) == (2, 60)
    assert [(worker.name, spec.epochs_of(worker)) for worker in spec.workers] == [("own", 60), ("short", 3)]
    assert override(parse(text)) == parse(text)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"check_every": 0}, "--check-every: expected a whole number of at least 1, got 0"),
        ({"max_epochs": -1}, "--max-epochs: expected a whole number of at least 1, got -1"),
        ({"workers": ["plian"]}, "no worker is called `plian`; did you mean `plain`?"),
        ({"workers": ["bare"]}, "--worker: workers: every worker is a control, and a control can never win"),
    ],
)
def test_a_wrong_option_is_a_usage_error(options: dict[str, Any], what: str) -> None:
    spec = parse(MINIMAL + f'[workers.bare]\nbranch = "exp/bare"\n{COMMAND}\ncontrol = true\n')
    with pytest.raises(UsageError) as caught:
        override(spec, **options)
    assert caught.value.what == what


def test_side_by_side_keeps_what_git_can_have_together() -> None:
    assert side_by_side(["a/b", "a", "c", "a/b", "main/x", "a/d"], "main") == ["a/b", "c", "a/d"]


def test_the_reference_page_is_written_from_the_schema() -> None:
    page = Path(__file__).parent.parent / "docs" / "reference" / "config.md"
    command = (
        "PYTHONPATH=src .venv/bin/python -c 'from wtrace.config.reference import config_reference as page; "
        'print(page(), end="")\' > docs/reference/config.md'
    )
    assert page.read_text() == config_reference(), f"the schema has changed; write the page again: {command}"


def uncommented(template: str) -> str:
    """The template with every setting in its comments switched on."""
    return re.sub(r"^# (?=[a-z_]+ = |\[(confirm|metrics)\])", "", template, flags=re.MULTILINE)


def test_the_template_is_a_config_and_so_is_every_setting_in_its_comments() -> None:
    branches = ["exp/a", "exp/b", "b", *(f"more/{n}" for n in range(9))]
    text = config_template(
        name="my repo",
        base="main",
        branches=branches,
        script="src/train.py",
        options=["--lr", "--n_epochs", "--out"],
    )
    spec = parse(text)
    assert (spec.name, spec.base) == ("my-repo", "main")
    assert [worker.name for worker in spec.workers[:4]] == ["a", "b", "b-2", "0"]
    assert len(spec.workers) == 8 and '"more/8"' in text
    assert spec.workers[0].command == (
        "python", "src/train.py", "--out", "{output}", "--n_epochs", "{max_epochs}",
    )  # fmt: skip
    assert replace(parse(text), workers=()) == replace(
        RaceSpec("my-repo", spec.success, (), base="main"), workers=()
    )
    switched_on = parse(re.sub(r"^priority = .*\n", "", uncommented(text), flags=re.MULTILINE))
    assert switched_on.confirm is not None and switched_on.cost_per_hour == 3.06
    assert len(switched_on.success) == 3 and switched_on.metrics.source == "stdout"


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=80),
    st.none() | ODD,
    st.lists(ODD | st.text(max_size=10), max_size=12),
    st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    st.lists(st.sampled_from(["--epochs", "--output_dir", "--check-every", "--seed"]), max_size=3),
)
def test_the_template_parses_whatever_the_repo_is_like(
    name: str, base: str | None, branches: list[str], script: str | None, options: list[str]
) -> None:
    text = config_template(name=name, base=base, branches=branches, script=script, options=options)
    spec = parse(text)
    assert spec.workers
    assert all(char.isprintable() or char == "\n" for char in text)


def test_numbers_that_toml_cannot_hold_are_not_written() -> None:
    assert math.isnan(float(kinds.toml_value(math.nan)))
    with pytest.raises(TypeError):
        kinds.toml_value(object())
