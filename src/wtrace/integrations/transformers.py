"""For the Trainer of Hugging Face: `Trainer(…, callbacks=[TransformersReporter()])`. Does nothing outside of a race."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from transformers import TrainerCallback

from wtrace import Reporter
from wtrace.integrations.schedule import SAVES_LATE, is_planned

_EVALUATION = "eval_"
_NEARLY = 1e-6  # epochs


class TransformersReporter(TrainerCallback):
    """Reports what the Trainer logs, and a check for each evaluation at the end of an epoch that the race plans.

    Set `eval_strategy="epoch"`. An evaluation amid an epoch is reported, but is no check.
    """

    def __init__(self) -> None:
        super().__init__()
        self._reporter = Reporter()
        self._at_end = False  # of an epoch: `state.epoch` need not be a whole number then
        self._logged: dict[str, Any] = {}  # of the training, last

    def samples(self, state: Any) -> Mapping[str, Any] | None:  # noqa: ARG002 (for subclasses)
        """The samples of the check that is about to be reported, as columns. To be overridden; None: there are none."""
        return None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """The Trainer's hook."""
        if state.is_world_process_zero:
            self._reporter.start(max_epochs=_epochs(args), info=SAVES_LATE)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """The Trainer's hook; the evaluation at the end of the epoch follows it."""
        self._at_end = True

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """The Trainer's hook."""
        self._at_end = False

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ARG002
        """The Trainer's hook. What an evaluation logs follows in `on_evaluate`."""
        if not state.is_world_process_zero or not logs or any(name.startswith(_EVALUATION) for name in logs):
            return
        self._logged = {name: value for name, value in logs.items() if name != "epoch"}
        self._reporter.epoch(math.ceil(state.epoch or 0), self._logged)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:  # noqa: ARG002
        """The Trainer's hook."""
        if not state.is_world_process_zero or state.epoch is None:
            return
        told = {name: value for name, value in (metrics or {}).items() if name != "epoch"}
        epoch = math.ceil(state.epoch - _NEARLY)
        at_end = self._at_end or epoch - state.epoch < _NEARLY
        if at_end and is_planned(epoch, _epochs(args)):
            self._reporter.check(epoch, {**self._logged, **told}, samples=self.samples(state))
        else:
            self._reporter.epoch(epoch, told)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """The Trainer's hook."""
        if state.is_world_process_zero:
            done = state.epoch is not None and state.epoch >= args.num_train_epochs
            self._reporter.end("max_epochs" if done else "stopped early")


def _epochs(args: Any) -> int:
    return math.ceil(float(args.num_train_epochs))
