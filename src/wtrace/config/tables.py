"""The whole schema of `wtrace.toml`, as one table. The page docs/reference/config.md is written from it."""

from __future__ import annotations

from wtrace.config import sources
from wtrace.config.compound_kinds import (
    Command,
    Include,
    ListOf,
    MetricsTable,
    Pattern,
    RunnerSettings,
    SampleTest,
    SuccessCriterion,
    Variables,
)
from wtrace.config.kinds import Choice, Flag, Memory, Number, Text, Whole, WholeOr
from wtrace.config.names import branch_problem, host_problem, name_problem, path_problem, worker_name_problem
from wtrace.config.schema import Key, Table
from wtrace.config.spec import ConfirmSpec, FiguresSpec, JudgeSpec, MetricsSpec, SyncSpec, WorkerSpec

YEAR_S = 366 * 24 * 3600
MOST_EPOCHS = 1_000_000

EPOCHS = Whole(1, MOST_EPOCHS)
RETRIES = Whole(0, 1000)
COMMANDS = ListOf(Command(), "commands, each a list of arguments")
SECONDS = Number(0.1, YEAR_S, "seconds")
NAME = Text("a name", name_problem)
BRANCH = Text("the name of a branch", branch_problem)
RUNNER = Text("the name of a runner")
PATH = Text("a path inside the worktree", path_problem)
PATHS = ListOf(PATH, "paths inside the repo")
INCLUDES = ListOf(Include(), 'paths inside the repo; for a link { path = "data/", link = true }')
FOLDERS = ListOf(PATH, "folders inside the repo", distinct=True)
URLS = ListOf(Text("an address"), "Apprise addresses")
NAMED = Text("a name")
SOURCES = Choice(("jsonl", "stdout", "csv", "tensorboard", "hf"))
AS_RACE = "as `[race]` says"

RACE = Table(
    "race",
    "The race as a whole.",
    (
        Key("name", NAME, "What the race is called; also the name of a folder.", required=True),
        Key(
            "base",
            BRANCH,
            "The branch that missing branches are created from; created from HEAD where it is missing.",
            absent="HEAD",
        ),
        Key("check_every", EPOCHS, "Epochs between two checks.", 5),
        Key("max_epochs", EPOCHS, "Epochs that a worker may train.", 50),
        Key(
            "max_parallel",
            WholeOr(Whole(1, 10_000), "auto"),
            'Workers that run at once. "auto": as many as there are GPUs, or all where there is none.',
            4,
        ),
        Key("grace", Number(0, YEAR_S, "seconds"), "Seconds between SIGTERM and SIGKILL.", 10.0, "grace_s"),
        Key(
            "signal",
            Choice(("leader", "tree")),
            "Who hears SIGTERM first: the worker's own process, and the rest of its tree when that has ended or half "
            "the grace is over; or the whole tree at once.",
            "leader",
        ),
        Key(
            "on_win",
            Choice(("auto", "stop", "settle", "finish")),
            'What becomes of the winner: "stop" (SIGTERM at once), "settle" (its saves are waited for first), "finish" '
            '(it runs to its own end). "auto": "stop" where it reports by wtrace\'s own lines, else "settle".',
            "auto",
        ),
        Key(
            "settle",
            Number(0, YEAR_S, "seconds"),
            "Seconds at most that settling takes while no file that the worker saves grows.",
            60.0,
            "settle_s",
        ),
        Key(
            "stall_after",
            SECONDS,
            "Seconds without a metric before a worker is called stalled.",
            900.0,
            "stall_after_s",
        ),
        Key("on_stall", Choice(("warn", "restart", "stop")), "What happens to a stalled worker.", "warn"),
        Key(
            "on_nan",
            Choice(("warn", "stop")),
            "What happens to a worker whose loss, or a metric that a criterion uses, is not finite in three reports running: "
            'it is told, or it is ended as failed. "stop" also ends a control.',
            "warn",
        ),
        Key("retries", RETRIES, "Restarts after a crash; the worker may resume from `{output}`.", 0),
        Key(
            "merge",
            Choice(("ask", "auto", "never")),
            'Whether the winner is merged. "ask" without a terminal prints the command to run.',
            "ask",
        ),
        Key(
            "progress_every",
            SECONDS,
            "Seconds between rewrites of the progress pages when nothing happens; `every` of a `[sync]` target, where that is less.",
            60.0,
            "progress_every_s",
        ),
        Key(
            "cost_per_hour",
            Number(0, 1e6),
            "What the machine costs per hour, for the report.",
            absent="not told",
        ),
        Key(
            "wait_for_gpu_memory",
            Memory(),
            "A worker that asks for GPUs starts only where so much of a GPU's memory is free.",
            absent="not waited for",
            field="wait_for_gpu_memory_bytes",
        ),
        Key(
            "memory_floor",
            Memory(),
            "No worker starts where that would leave less of the machine's memory free.",
            absent="not waited for",
            field="memory_floor_bytes",
        ),
        Key(
            "runner",
            RUNNER,
            'Where workers run: "local", "ray", "slurm", or a `[runners.NAME]`.',
            "local",
        ),
        Key(
            "worktrees",
            Text("a path", placeholders=("repo",)),
            "The parent folder of the worktrees, seen from the repo. `{repo}`: the name of the repo's folder.",
            "../{repo}-worktrees",
        ),
    ),
)

SUCCESS = Table(
    "success",
    "The criteria. Every one must hold at one and the same check. The keys are names of your own; "
    "a value is the criterion, or a table `{ is = CRITERION, for_checks = N, min_checks = M }`: met only if it holds at "
    "N checks in a row, and not before a worker's check number M.",
    entry=SuccessCriterion(),
)

JUDGE = Table(
    "judge",
    "How checks are judged.",
    (
        Key(
            "files",
            PATHS,
            "Files that must be byte-equal in every branch, at the start and again at a claim.",
            (),
        ),
        Key(
            "correction",
            Choice(("bonferroni", "none")),
            "How thresholds on p values are corrected for the number of planned checks.",
            "bonferroni",
        ),
        Key(
            "stop_at_first",
            Flag(),
            "Whether the others are ended when one has won. `false`: the winner is the same, but everybody runs to the end.",
            True,
        ),
    ),
    JudgeSpec,
)

CONFIRM = Table(
    "confirm",
    "A claim is judged again, by the same criteria, on what this command reports. Without this table a claim is the verdict.",
    (
        Key("command", Command(), "Evaluates `{checkpoint}` on held-out data.", required=True),
        Key(
            "attempts",
            Whole(1, 1000),
            "How many claims of one worker held-out data may refute; then it is ended.",
            3,
        ),
        Key("timeout", SECONDS, "Seconds that a confirmation may take.", 600.0, "timeout_s"),
    ),
    ConfirmSpec,
    optional=True,
)

STOP = Table(
    "stop",
    "When a worker is ended before the race is decided.",
    (
        Key(
            "hopeless_below",
            Number(0, 1),
            "End a worker whose chance of success falls below this; 0: never.",
            0.0,
        ),
    ),
)

FIGURES = Table(
    "figures",
    "What the figures show.",
    (
        Key("before", Whole(0, MOST_EPOCHS), 'The epoch of the "before" picture.', 0, "before_epoch"),
        Key(
            "sample_pass",
            ListOf(SampleTest(), "tests of one sample"),
            "When one sample counts as PASS in the grid.",
            (),
        ),
    ),
    FiguresSpec,
)

KEEP = Table(
    "keep",
    "What is kept after the race.",
    (
        Key(
            "checkpoints",
            Choice(("best", "all", "last")),
            "Which of the losers' checkpoints are kept once there is a winner.",
            "best",
            "keep_checkpoints",
        ),
    ),
)

SOURCE_KEYS = (
    Key(
        "from",
        SOURCES,
        "What is read; see [how to](../how-to/read-metrics-you-already-have.md).",
        "jsonl",
        "source",
    ),
    Key(
        "pattern",
        Pattern(),
        'What finds an epoch and its metrics in a line of the log, by named groups. Only for `from = "stdout"`.',
        absent="lines of JSON",
    ),
    Key(
        "path",
        Text("a path, `*` and `**` as in a shell", sources.path_problem, sources.PATH_BASES),
        "The files, in `{output}`, in `{worktree}`, or relative to where the command runs. Links are not followed.",
        absent="where the source usually lies in `{output}`",
    ),
    Key("epoch_key", NAMED, "What the epoch is called there.", absent="`epoch`; of event files: their step"),
    Key("first_epoch", Whole(0, 1), "The number that its first epoch has there.", 1),
    Key(
        "epoch_comes",
        Choice(("first", "last")),
        'Whether the number of an epoch stands before its metrics or, "last", after them, where they are on several lines of a log.',
        "first",
    ),
    Key(
        "checkpoint",
        Text("a path relative to the output folder", sources.checkpoint_problem, ("epoch",)),
        "The checkpoint of a check, for `[confirm]`; `{epoch}` is its epoch, as the source counts.",
        absent="none",
    ),
)
METRICS = Table(
    "metrics",
    "Where the metrics of all workers come from; a worker's own `metrics` takes its place.",
    SOURCE_KEYS,
    MetricsSpec,
)

WORKERS = Table(
    "workers",
    "One worker of the race: a branch and how its training starts. A name has letters, digits, `.`, `_` and `-`, at most 64.",
    (
        Key("branch", BRANCH, "The branch; one worker each.", required=True),
        Key("command", Command(), "What is run in the worktree of that branch.", required=True),
        Key("priority", Whole(-1_000_000, 1_000_000), "Who starts first when not all can: the greatest.", 0),
        Key("control", Flag(), "Runs beside the others for comparison and can never win.", False),
        Key(
            "combines",
            ListOf(Text("the name of a worker", name_problem), "names of workers", distinct=True),
            "Workers that this one combines; it is started only when all others ended without success.",
            (),
        ),
        Key("max_epochs", EPOCHS, "As in `[race]`, for this worker.", absent=AS_RACE),
        Key("retries", RETRIES, "As in `[race]`, for this worker.", absent=AS_RACE),
        Key("env", Variables(), "Environment variables to add.", {}),
        Key("cwd", PATH, "The folder in the worktree that the command runs in.", absent="the worktree"),
        Key("gpus", Number(0, 1024), "GPUs that are handed out to it, or a part of one.", 0.0),
        Key(
            "cpus",
            Number(0.1, 65_536),
            "CPU cores that are set aside for it; also how many threads it is told to use.",
            absent="an equal share of the threads",
        ),
        Key(
            "memory",
            Memory(),
            "Memory that is set aside for it.",
            field="memory_bytes",
            absent="none",
        ),
        Key("runner", RUNNER, "Where it runs.", absent=AS_RACE),
        Key("include", INCLUDES, "Untracked files of the main worktree to bring along.", ()),
        Key(
            "sparse",
            FOLDERS,
            "Check out only these folders, and the files at the root.",
            (),
            absent="everything",
        ),
        Key("setup", COMMANDS, "Commands that prepare the worktree, before the first attempt.", ()),
        Key(
            "metrics", MetricsTable(SOURCE_KEYS), "Where its metrics come from.", absent="as `[metrics]` says"
        ),
    ),
    WorkerSpec,
    each=True,
    name_problem=worker_name_problem,
)

DEFAULTS = Table(
    "defaults",
    "Keys of `[workers.NAME]` that hold for every worker, so that workers of one script take a line or two each. A key that "
    "a worker has itself takes the place of the one here; of `env`, each variable by itself. Every key of `[workers.NAME]` "
    "may stand here.",
)

AFTER = Table(
    "after",
    "Commands of your own for the end of the race.",
    (
        Key(
            "winner",
            COMMANDS,
            "Run in the winner's worktree, once the report is written.",
            (),
            "after_winner",
        ),
    ),
)

RUNNERS = Table(
    "runners",
    "A place to run. `engine` says which kind of place; without it the table's name does.",
    each=True,
    entry=RunnerSettings(),
)

SYNC = Table(
    "sync",
    "A machine that progress and results are mirrored to.",
    (
        Key("host", Text("a host", host_problem), "A name that ssh knows (`~/.ssh/config`).", required=True),
        Key("path", Text("a path", placeholders=("race",)), "The folder there.", "wtrace/{race}"),
        Key("every", Number(1, YEAR_S, "seconds"), "Seconds between two transfers.", 120.0, "every_s"),
        Key(
            "results",
            Flag(),
            "Whether the report, the figures and the winner's output follow at the end.",
            True,
        ),
        Key("rsync", Text("a program"), "rsync on the far side.", "rsync"),
        Key("ssh_config", Text("a path"), "The config file for ssh.", absent="ssh's own"),
    ),
    SyncSpec,
    each=True,
    name_problem=name_problem,
)

NOTIFY = Table(
    "notify",
    "Who is told.",
    (
        Key(
            "urls",
            URLS,
            "Addresses of Apprise, and `desktop://`; told of a winner, a failure, a stall, the end.",
            (),
            "notify_urls",
        ),
    ),
)

TABLES = (
    RACE,
    SUCCESS,
    JUDGE,
    CONFIRM,
    STOP,
    METRICS,
    FIGURES,
    KEEP,
    DEFAULTS,
    WORKERS,
    AFTER,
    RUNNERS,
    SYNC,
    NOTIFY,
)
