"""A callback for Keras 3, on the torch backend or any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Unpack

import keras

from lossdoc.callbacks._telling import Stop, Telling, number
from lossdoc.logged import Known
from lossdoc.showing import Report


class LossdocCallback(keras.callbacks.Callback):
    """Names what is wrong with a run while it trains: `model.fit(..., callbacks=[LossdocCallback(classes=10)])`.

    Keras tells a batch the mean loss of its epoch so far; the callback takes the means apart, so that the curve is that of
    the batches. `stop` is the least severity of a verdict that ends the training; `known` is what Keras cannot tell, such as
    `classes`.
    """

    def __init__(
        self, *, stop: Stop = "never", on_change: Callable[[Report], object] | None = None, **known: Unpack[Known]
    ) -> None:
        super().__init__()
        self.telling = Telling(stop=stop, on_change=on_change, **known)
        self.monitor = self.telling.monitor
        self.taken = 0
        self.seen, self.mean = 0, 0.0

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras calls it so
        """Take note of how long the run and an epoch are."""
        epochs, steps = ((self.params or {}).get(name) for name in ("epochs", "steps"))
        self.monitor.tell(planned=epochs * steps if epochs and steps else None, steps_per_epoch=steps)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras calls it so
        """Begin a new mean."""
        self.seen, self.mean = 0, 0.0

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Log the loss of a batch, or the mean of those that Keras executes as one."""
        mean = number((logs or {}).get("loss"))
        many = batch + 1 - self.seen
        if mean is None or many < 1:
            return
        loss = (mean * (batch + 1) - self.mean * self.seen) / many
        self.taken += many
        self.seen, self.mean = batch + 1, mean
        rate = number(getattr(getattr(self.model, "optimizer", None), "learning_rate", None))
        self.monitor.log(self.taken, train=loss, lr=rate)
        if self.telling.stopped:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras calls it so
        """Log the validation loss."""
        self.monitor.log(self.taken, val=number((logs or {}).get("val_loss")))

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras calls it so
        """Say what the whole run shows."""
        self.telling.end()
