"""Configs for the tests: the smallest one, one that uses the whole schema, and generated specs."""

from __future__ import annotations

from hypothesis import strategies as st

from wtrace.config.language.criteria import parse_criterion, parse_sample_test
from wtrace.config.rules import side_by_side
from wtrace.config.spec import ConfirmSpec, FiguresSpec, JudgeSpec, MetricsSpec, RaceSpec, WorkerSpec

MINIMAL = """\
[race]
name = "digits"

[success]
accuracy = "val_accuracy >= 0.9"

[workers.plain]
branch = "exp/plain"
command = ["python", "train.py", "--out", "{output}"]
"""

WHOLE = r"""
[race]
name = "early-persistence"
base = "early-persistence/magvit"
check_every = 2
max_epochs = 40
max_parallel = "auto"
grace = 3
stall_after = 60.5
on_stall = "restart"
on_nan = "stop"
retries = 2
merge = "never"
progress_every = 5
cost_per_hour = 3.06
wait_for_gpu_memory = "10 GB"
memory_floor = "4 GiB"
runner = "cluster"
worktrees = "/scratch/{repo}"

[success]
attention_ratio = "mean(persistent) / mean(transient) >= 1.5"
separation = "p_greater(persistent, transient, 1.3) < 0.01"
val_loss = { is = "val_loss <= 0.2", for_checks = 2 }

[judge]
files = ["workers/persistence/evaluate.py"]
correction = "none"
stop_at_first = false

[confirm]
command = ["python", "evaluate.py", "--checkpoint", "{checkpoint}"]
attempts = 2
timeout = 60

[stop]
hopeless_below = 0.05

[figures]
before = 1
sample_pass = ["persistent / transient > 1.3", "accuracy >= 0.75"]

[keep]
checkpoints = "all"

[workers.supervised]
branch = "early-persistence/supervised"
command = ["python", "train.py", "--output", "{output}", '{"lr": {"start": 0.1}}']
priority = 85
max_epochs = 30
retries = 1
env = { SEED = "7", TOKEN = "s3cret" }
cwd = "src"
gpus = 0.25
cpus = 2
memory = "16 GB"
runner = "slurm"
include = [".env", { path = "data/", link = true }]
sparse = ["workers", "src"]
setup = [["uv", "sync"]]
metrics = { from = "stdout", pattern = "epoch (?P<epoch>\\d+) loss (?P<loss>\\S+)" }

[workers.baseline]
branch = "early-persistence/baseline"
command = ["./train"]
control = true

[workers.hybrid]
branch = "early-persistence/hybrid"
combines = ["supervised", "baseline"]
command = ["python", "hybrid.py"]

[after]
winner = [["python", "scripts/publish.py", "{output}"]]

[runners.cluster]
engine = "ray"
address = "http://head:8265"

[sync.macbook]
host = "me@macbook"
path = "races/{race}"
every = 30
results = false
rsync = "/opt/homebrew/bin/rsync"
ssh_config = "~/.ssh/races"

[notify]
urls = ["ntfy://races"]
"""


CRITERIA = ("mean(a) / mean(b) >= 1.5", "p_greater(a, b, 1.3) < 0.01", "count(a) >= 20", "val_loss <= 0.2")
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True).filter(
    lambda name: name.casefold() not in {"claims", "results", "requests"}
)
arguments = st.text(st.characters(exclude_characters="\0{}", exclude_categories=["Cs"]), max_size=15)
argvs = st.lists(arguments | st.sampled_from(["{output}", '{"a": {"b": 1}}', "{{output}}"]), max_size=3).map(
    lambda rest: ("python", *rest)
)
labels = st.text(st.characters(categories=["L", "N"], max_codepoint=0x2FF), min_size=1, max_size=20)
seconds = st.floats(0.1, 1e6)
epochs = st.integers(1, 1_000_000)
# Branches of git's own kind: letters, and characters that only TOML and terminals have trouble with.
branches = st.lists(
    st.sampled_from(["a", "b", "exp", "$(x)", '"q"', "ü", "<script>", "`"]), min_size=1, max_size=3
).map("/".join)


metrics = st.sampled_from(
    [
        MetricsSpec(),
        MetricsSpec("stdout"),
        MetricsSpec("stdout", r"epoch (?P<n>\d+) 'loss' (?P<loss>\S+)", epoch_key="n", first_epoch=0),
        MetricsSpec("csv", path="{worktree}/**/ü [1].csv", checkpoint="epoch={epoch}.pt"),
        MetricsSpec("jsonl", path="log.jsonl"),
    ]
)


@st.composite
def workers(draw: st.DrawFn) -> tuple[WorkerSpec, ...]:
    """One to four workers, the first of which can win."""
    found = side_by_side(draw(st.lists(branches, min_size=1, max_size=4)), None)
    called = draw(st.lists(names, min_size=len(found), max_size=len(found), unique_by=str.casefold))
    return tuple(
        WorkerSpec(
            name=name,
            branch=branch,
            command=draw(argvs),
            priority=draw(st.integers(-1000, 1000)),
            control=bool(n) and draw(st.booleans()),
            max_epochs=draw(st.none() | epochs),
            retries=draw(st.none() | st.integers(0, 9)),
            env=draw(st.dictionaries(st.from_regex(r"[A-Z]{1,8}", fullmatch=True), arguments, max_size=2)),
            cwd=draw(st.sampled_from([None, "src", "a b/ü"])),
            metrics=draw(st.none() | metrics),
        )
        for n, (branch, name) in enumerate(zip(found, called, strict=True))
    )


@st.composite
def specs(draw: st.DrawFn) -> RaceSpec:
    """Any race that a config can describe with the parts that are available."""
    criteria = draw(st.dictionaries(labels, st.sampled_from(CRITERIA), min_size=1, max_size=3))
    success = tuple(
        parse_criterion(
            name,
            text,
            for_checks=draw(st.integers(1, 3)) if text.startswith("val") else 1,
            min_checks=draw(st.integers(1, 3)),
        )
        for name, text in criteria.items()
    )
    return RaceSpec(
        name=draw(names),
        success=success,
        workers=draw(workers()),
        check_every=draw(epochs),
        max_epochs=draw(epochs),
        max_parallel=draw(st.none() | st.integers(1, 64)),
        grace_s=draw(st.floats(0, 1e6)),
        stall_after_s=draw(seconds),
        on_stall=draw(st.sampled_from(["warn", "restart", "stop"])),
        on_nan=draw(st.sampled_from(["warn", "stop"])),
        retries=draw(st.integers(0, 9)),
        merge=draw(st.sampled_from(["ask", "auto", "never"])),
        progress_every_s=draw(seconds),
        cost_per_hour=draw(st.none() | st.floats(0, 1e6)),
        judge=JudgeSpec(("evaluate.py",), draw(st.sampled_from(["bonferroni", "none"])), draw(st.booleans())),
        confirm=draw(st.none() | st.builds(ConfirmSpec, argvs, st.integers(1, 9), seconds)),
        metrics=draw(metrics),
        figures=FiguresSpec(draw(st.integers(0, 9)), (parse_sample_test("a >= 0.5", "a >= 0.5"),)),
    )
