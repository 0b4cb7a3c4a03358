"""Where a training script logs its metrics, guessed from its text: what `wtrace init` suggests as `[metrics]`."""

from __future__ import annotations

import re
from typing import Literal

from wtrace.config.sources import path_problem
from wtrace.data import data

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
