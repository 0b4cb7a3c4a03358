"""The commented `wtrace.toml` that `wtrace init` writes, and what it guesses from a script."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from wtrace.config import kinds
from wtrace.config.names import LONGEST_NAME, branch_problem, worker_name_problem
from wtrace.config.placeholders import literal
from wtrace.config.rules import side_by_side
from wtrace.config.sources import path_problem
from wtrace.config.tables import JUDGE, RACE
from wtrace.data import data

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wtrace.config.schema import Key

MOST_WORKERS = 8
COMMENTS_FROM = 34  # column
LONGEST_LINE = 110
SET_BY_HAND = ("check_every", "max_epochs", "max_parallel")  # what nearly everybody changes
EXAMPLE_BRANCHES = ("try-first-idea", "try-second-idea")

# Options by which training scripts usually take what wtrace has to tell them, the most telling first.
USUAL_OPTIONS = {
    "{output}": "output output-dir out-dir out save-dir checkpoint-dir work-dir",
    "{check_every}": "check-every eval-every val-every",
    "{max_epochs}": "max-epochs epochs num-epochs n-epochs num-train-epochs",
}

# What stands in a comment, where the default would not show the form.
EXAMPLES: dict[str, object] = {
    "base": "main",
    "cost_per_hour": 3.06,
    "wait_for_gpu_memory": "8 GiB",
    "memory_floor": "4 GiB",
    "files": ["evaluate.py"],
}

HEADER = """\
# A race of git branches to a goal: each worker trains one branch, and the first that meets every
# criterion wins. Check this file with `wtrace run --dry-run`, start the race with `wtrace run`.
"""

SUCCESS = """
# Every criterion must hold at one and the same check. The examples are to be edited.
# A criterion is EXPRESSION OPERATOR NUMBER, on the plain metrics that a check reports, or on the columns
# of its samples: mean median std min max count fraction p_greater cohens_d ci_low ci_high.
# At each check a training appends one line like this to the file that $WTRACE_METRICS names
# (in Python, `from wtrace import Reporter` does it):
#   {"event": "check", "epoch": 5, "metrics": {"val_accuracy": 0.93}}
[success]
{criterion}
# val_loss = { is = "val_loss <= 0.2", for_checks = 2 }   # only if it holds at two checks in a row
# clips = "fraction(score > 0.5) >= 0.7"                  # on samples: {"samples": {"score": [0.8, 0.3]}}
"""

METRICS = r"""
# A training that prints or logs its metrics already needs no change: say where they are. Without this table
# they are the lines that it appends to $WTRACE_METRICS. `wtrace run --dry-run` says what is read.
"""

METRICS_EXAMPLE = r"""# [metrics]
# from = "stdout"     # or csv, tensorboard, hf (trainer_state.json), with a path = "{output}/…" if it is unusual
# pattern = 'epoch (?P<epoch>\d+).* val_accuracy (?P<val_accuracy>\S+)'
# first_epoch = 0     # where it counts from 0
"""

CONFIRM = """
# A claim is judged again, on data that no worker has seen, before it is the verdict.
# [confirm]
# command = ["python", "evaluate.py", "--checkpoint", "{checkpoint}", "--split", "test"]
# attempts = 3
# timeout = 600
"""

DEFAULTS = """
# What holds for every worker that does not say otherwise: how its training starts, and any other key of a worker.
# There is no shell; wtrace fills in {output} {worker} {race} {check_every} {max_epochs} {worktree} {metrics}.
"""

WORKERS = """
# One table per worker: its branch, and what is its own: another command, max_epochs, retries, cwd,
# priority = 10 (who starts first), control = true (runs for comparison, never wins), env = { NAME = "value" }.
"""


def config_template(
    *,
    name: str,
    base: str | None,
    branches: Sequence[str],
    script: str | None = None,
    options: Sequence[str] = (),
    framework: str | None = None,
    metrics: Guess | Suggestion | None = None,
    most_workers: int = MOST_WORKERS,
) -> str:
    """A config that parses, whatever the facts: a repo's name, its base, its branches, a script and its options.

    Branches that no config can name are left out; those beyond `most_workers` stand in comments.
    """
    base = base if base is not None and not branch_problem(base) else None
    racing = side_by_side([each for each in branches if not branch_problem(each)], base)
    seen = metrics if isinstance(metrics, Suggestion) else None
    parts = [HEADER, _race(safe_name(name, "race"), base, seen), _success(metrics), _metrics(metrics)]
    parts += [_judge(), CONFIRM, DEFAULTS, _script_comment(script, framework)]
    parts += [f"[defaults]\ncommand = {kinds.toml_value(_command(script, options))}\n", WORKERS]
    if not racing:
        parts.append("# No other branch was found: these two are created from the base by `wtrace setup`.\n")
        racing = side_by_side(EXAMPLE_BRANCHES, base)
    parts += _workers(racing, most_workers)
    return "".join(parts)


def safe_name(text: str, otherwise: str) -> str:
    """The text as the name of a race or a worker: what is not allowed becomes `-`."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:LONGEST_NAME]
    return otherwise if not name or worker_name_problem(name) else name


def _race(name: str, base: str | None, seen: Suggestion | None) -> str:
    given: dict[str, object] = {"name": name}
    if base is not None:
        given["base"] = base
    if seen is not None:
        given |= {"check_every": seen.check_every, "max_epochs": seen.max_epochs}
    lines = [_line(key, given.get(key.name), given=key.name in given) for key in RACE.keys]
    return "\n".join(["", "[race]", *lines, ""])


def _success(metrics: Guess | Suggestion | None) -> str:
    metric, criterion = (
        ("val_accuracy", "val_accuracy >= 0.9") if metrics is None else (metrics.metric, metrics.criterion)
    )
    return SUCCESS.replace("{criterion}", f"{kinds.toml_key(metric)} = {kinds.toml_value(criterion)}")


def _metrics(metrics: Guess | Suggestion | None) -> str:
    """The source that the script or a log seems to have; else one in comments."""
    if metrics is None:
        return METRICS + METRICS_EXAMPLE
    lines = [f"# {kinds.toml_string(metrics.why)[1:-1]}: check it.", "[metrics]"]
    for key, value in metrics.table.items():
        comment = "  # the number that its first epoch has there" if key == "first_epoch" else ""
        lines.append(f"{f'{key} = {kinds.written(value)}':{COMMENTS_FROM if comment else 0}}{comment}")
    return METRICS + "\n".join(lines) + "\n"


def _judge() -> str:
    lines = [_line(key, None, given=False) for key in JUDGE.keys]
    return "\n".join(["", "[judge]", *lines, ""])


def _line(key: Key, value: object, *, given: bool) -> str:
    if not given:
        value = EXAMPLES[key.name] if key.name in EXAMPLES else key.kind.plain(key.default)
    setting = f"{key.name} = {kinds.toml_value(value)}"
    if not given and key.name not in SET_BY_HAND:
        setting = f"# {setting}"
    line = f"{setting:{COMMENTS_FROM}}  # {key.doc}"
    return line if len(line) <= LONGEST_LINE else f"# {key.doc}\n{setting}"


def _script_comment(script: str | None, framework: str | None) -> str:
    if script is None:
        return "# No training script was found: put yours in the place of train.py.\n"
    kind = f" ({kinds.toml_string(framework)[1:-1]})" if framework else ""
    return f"# The training script that was found: {kinds.toml_string(script)}{kind}.\n"


def _command(script: str | None, options: Sequence[str]) -> list[str]:
    path = script or "train.py"
    command = ["python", literal(f"./{path}" if path.startswith("-") else path)]
    spelled = {option.lstrip("-").replace("_", "-"): option for option in reversed(options)}
    for placeholder, usual in USUAL_OPTIONS.items():
        known = next((spelled[each] for each in usual.split() if each in spelled), None)
        if known is not None:
            command += [known, placeholder]
    return command


def _workers(branches: Sequence[str], most: int) -> list[str]:
    tables: list[str] = []
    taken: set[str] = set()
    for branch in branches[:most]:
        name = _worker_name(branch, taken)
        taken.add(name.casefold())
        tables.append(f"\n[workers.{kinds.toml_key(name)}]\nbranch = {kinds.toml_string(branch)}\n")
    if len(branches) > most:
        rest = ", ".join(kinds.toml_string(branch) for branch in branches[most:])
        tables.append(f"\n# More branches, each of which can be a worker of its own: {rest}\n")
    return tables


def _worker_name(branch: str, taken: Iterable[str]) -> str:
    plain = safe_name(branch.rsplit("/", 1)[-1], "worker")
    numbered = (f"{plain[: LONGEST_NAME - 4]}-{n}" for n in range(2, 10_000))
    return next(name for name in (plain, *numbered) if name.casefold() not in taken)


@data
class Suggestion:
    """What a log suggests. `criterion` is met by the best value that stands in it."""

    log: str
    table: Mapping[str, object]  # `[metrics]`
    metric: str
    criterion: str
    check_every: int
    max_epochs: int

    @property
    def why(self) -> str:
        """Where the table comes from, for a comment above it."""
        return f"As {self.log} is read; `wtrace try` shows it"

    @property
    def told(self) -> str:
        """The source in a few words."""
        return f"{self.table['from']}, as {self.log} shows"


ARGUMENT = (
    r"\(\s*(?:{name}\s*=\s*)?[\"']([^\"'{{}}\n]{{1,200}})[\"']"  # the first one, where it is a plain text
)


@data
class Guess:
    """A `[metrics]` table, and the sign in the script that it was guessed from. No `path`: where the source usually lies.

    `metric` is what a validation accuracy is usually called there.
    """

    sign: str
    source: Literal["csv", "tensorboard", "hf"]
    path: str | None = None
    first_epoch: int = 1
    metric: str = "val_accuracy"

    @property
    def table(self) -> dict[str, object]:
        """The keys of `[metrics]`."""
        path = {} if self.path is None else {"path": self.path}
        return {"from": self.source, **path, "first_epoch": self.first_epoch}

    @property
    def criterion(self) -> str:
        """An example of a criterion."""
        return f"{self.metric} >= 0.9"

    @property
    def why(self) -> str:
        """Where the table comes from, for a comment above it."""
        return f"Guessed, since the script uses {self.sign}"

    @property
    def told(self) -> str:
        """The source in a few words."""
        return f"{self.source} ({self.sign})"


def reports_itself(text: str) -> bool:
    """Whether a script reports to wtrace by itself."""
    return re.search(r"^[ \t]*(?:import|from)[ \t]+wtrace\b|WTRACE_METRICS", text, re.MULTILINE) is not None


def guess_metrics(text: str, framework: str | None) -> Guess | None:
    """What the script says of its metrics; None where it reports to wtrace itself, or nothing can be told."""
    if reports_itself(text):
        return None
    if framework == "transformers" and _calls(text, "Trainer|Seq2SeqTrainer|TrainingArguments"):
        folder = _argument(text, "TrainingArguments|Seq2SeqTrainingArguments", "output_dir")
        return Guess("Trainer", "hf", _below(folder, "trainer_state.json"), metric="eval_accuracy")
    if _calls(text, "CSVLogger"):
        found = _argument(text, "CSVLogger", "save_dir|filename")
        path = found if framework == "keras" else _below(found, "metrics.csv")
        counts_from = 0 if framework in {"keras", "lightning"} else 1
        return Guess("CSVLogger", "csv", _legal(path), counts_from)
    return _event_files(text, framework)


def _event_files(text: str, framework: str | None) -> Guess | None:
    if framework == "keras" and _calls(text, "TensorBoard"):
        folder = _argument(text, "TensorBoard", "log_dir") or "logs"
        path = _below(f"{folder}/validation", "events.out.tfevents.*")
        return Guess("TensorBoard", "tensorboard", path, 0, metric="epoch_accuracy")
    if _calls(text, "SummaryWriter"):
        empty = re.search(r"\bSummaryWriter\(\s*\)", text) is not None
        where = "runs" if empty else _argument(text, "SummaryWriter", "log_dir")
        return Guess("SummaryWriter", "tensorboard", _below(where, "events.out.tfevents.*"))
    return None


def _calls(text: str, names: str) -> bool:
    return re.search(rf"^[^#\n]*\b(?:{names})\(", text, re.MULTILINE) is not None


def _argument(text: str, names: str, keyword: str) -> str | None:
    """The first argument of the first such call, or the one of that name at its beginning; None: no plain text."""
    found = re.search(rf"\b(?:{names})" + ARGUMENT.format(name=f"(?:{keyword})"), text)
    return found[1] if found else None


def _below(folder: str | None, files: str) -> str | None:
    return None if folder is None else _legal(f"{folder.removeprefix('./').rstrip('/')}/**/{files}")


def _legal(path: str | None) -> str | None:
    return None if path is None or path_problem(path) else path
