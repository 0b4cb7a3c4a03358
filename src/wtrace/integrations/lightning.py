"""For Lightning: `Trainer(callbacks=[LightningReporter()])`. Does nothing outside of a race."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wtrace import Reporter
from wtrace.integrations.schedule import SAVES_LATE, is_planned, output_folder

if TYPE_CHECKING:
    from lightning.pytorch import Callback
else:  # Lightning goes by two names, and the callbacks of one are strangers to the other
    _NAME = (
        "pytorch_lightning"
        if "pytorch_lightning" in sys.modules and "lightning" not in sys.modules
        else "lightning.pytorch"
    )
    Callback = importlib.import_module(_NAME).Callback


class LightningReporter(Callback):
    """Reports every epoch with all that was logged in it, and a check where the race plans one.

    An epoch in which the validation did not run is no check. Lightning counts epochs from 0, the race from 1.
    """

    def __init__(self, *, save_checkpoints: bool = False) -> None:
        """`save_checkpoints`: save one at each check, in `checkpoints/` of the output folder, for `[confirm]`."""
        super().__init__()
        self._reporter = Reporter()
        self._save_checkpoints = save_checkpoints
        self._validated = False
        self._before_validation: set[str] = set()
        self._of_validation: set[str] = set()

    def samples(self, trainer: Any, module: Any) -> Mapping[str, Any] | None:  # noqa: ARG002 (for subclasses)
        """The samples of the check that is about to be reported, as columns. To be overridden; None: there are none."""
        return None

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Lightning's hook."""
        if trainer.is_global_zero:
            self._reporter.start(max_epochs=_epochs(trainer), info=SAVES_LATE)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Lightning's hook."""
        self._before_validation = set(trainer.callback_metrics)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Lightning's hook."""
        self._of_validation |= set(trainer.callback_metrics) - self._before_validation
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Lightning's hook. By now the validation of this epoch has run."""
        epoch = trainer.current_epoch + 1
        metrics = dict(trainer.callback_metrics)  # on every rank: computing them may need all
        if not self._validated:  # what is there of a validation is an earlier one's
            metrics = {name: value for name, value in metrics.items() if name not in self._of_validation}
        evaluated = self._validated or not self._of_validation
        self._validated = False
        if evaluated and is_planned(epoch, _epochs(trainer)):
            self._check(trainer, pl_module, epoch, metrics)
        elif trainer.is_global_zero:
            self._reporter.epoch(epoch, metrics)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Lightning's hook."""
        if trainer.is_global_zero:
            self._reporter.end(
                "max_epochs" if trainer.current_epoch == trainer.max_epochs else "stopped early"
            )

    def _check(self, trainer: Any, module: Any, epoch: int, metrics: dict[str, Any]) -> None:
        checkpoint, output = None, output_folder()
        if self._save_checkpoints and output is not None:
            checkpoint = f"{output}/checkpoints/epoch_{epoch:03d}.ckpt"
            trainer.save_checkpoint(checkpoint)  # on every rank, as Lightning wants it
        samples = self.samples(trainer, module)
        if trainer.is_global_zero:
            self._reporter.check(epoch, metrics, samples=samples, checkpoint=checkpoint)


def _epochs(trainer: Any) -> int | None:
    epochs = trainer.max_epochs
    return epochs if epochs is not None and epochs > 0 else None
