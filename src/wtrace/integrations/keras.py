"""For Keras 3: `model.fit(…, callbacks=[KerasReporter()])`. Does nothing outside of a race."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from wtrace import Reporter
from wtrace.integrations.schedule import SAVES_LATE, is_planned

_VALIDATION = "val_"


class KerasReporter(keras.callbacks.Callback):
    """Reports every epoch with its logs, and a check where the race plans one.

    An epoch in which the validation did not run (`validation_freq`) is no check. Keras counts epochs from 0, the race
    from 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self._reporter = Reporter()
        self._validates = False

    def samples(self) -> Mapping[str, Any] | None:
        """The samples of the check that is about to be reported, as columns. To be overridden; None: there are none."""
        return None

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Keras's hook."""
        self._reporter.start(max_epochs=self._epochs, info=SAVES_LATE)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keras's hook."""
        metrics = dict(logs or {})
        validated = any(name.startswith(_VALIDATION) for name in metrics)
        self._validates = self._validates or validated
        if is_planned(epoch + 1, self._epochs) and (validated or not self._validates):
            self._reporter.check(epoch + 1, metrics, samples=self.samples())
        else:
            self._reporter.epoch(epoch + 1, metrics)

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """Keras's hook."""
        self._reporter.end("stopped early" if self.model.stop_training else "max_epochs")

    @property
    def _epochs(self) -> int | None:
        epochs: int | None = (self.params or {}).get("epochs")
        return epochs
