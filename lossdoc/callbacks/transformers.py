"""A callback for Hugging Face's Trainer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Unpack

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from lossdoc.callbacks._telling import LOGGER, Stop, Telling, number, size
from lossdoc.logged import Known
from lossdoc.showing import Report

HIDDEN = (
    "step %d: the gradient is no number any more, but logging_nan_inf_filter hides that from the logged loss; "
    "TrainingArguments(logging_nan_inf_filter=False) shows it"
)
BLIND = (
    "logging_nan_inf_filter is on and no grad_norm is logged: nothing would show a NaN; "
    "TrainingArguments(logging_nan_inf_filter=False) does"
)


class LossdocCallback(TrainerCallback):
    """Names what is wrong with a run while it trains: `Trainer(..., callbacks=[LossdocCallback(classes=10)])`.

    It sees what the Trainer logs, so that `logging_steps` decides how fine the curve is. The Trainer's
    `logging_nan_inf_filter`, which is on by default, replaces a loss that is NaN by the mean of those before: where the
    norm of the gradient gives it away the callback warns and takes the loss for NaN. `stop` is the least severity of a
    verdict that ends the training; `known` is what the Trainer cannot tell, such as `classes`.
    """

    def __init__(
        self, *, stop: Stop = "never", on_change: Callable[[Report], object] | None = None, **known: Unpack[Known]
    ) -> None:
        self.telling = Telling(stop=stop, on_change=on_change, **known)
        self.monitor = self.telling.monitor
        self.warned = False

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002 - its call
        **kwargs: Any,
    ) -> None:
        """Take note of how long the run and an epoch are."""
        loader: Any = kwargs.get("train_dataloader")
        many, _ = size(loader)
        batch = args.train_batch_size * args.gradient_accumulation_steps
        epoch = len(loader) / args.gradient_accumulation_steps if hasattr(loader, "__len__") else None
        self.monitor.tell(planned=state.max_steps, steps_per_epoch=epoch, n_train=many, batch_size=batch)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,  # noqa: ARG002 - its call
    ) -> None:
        """Log what the Trainer logs: the mean training loss since the last time, or the validation loss."""
        if not logs or not state.is_world_process_zero:
            return
        loss, norm = number(logs.get("loss")), number(logs.get("grad_norm"))
        if args.logging_nan_inf_filter and loss is not None:
            loss = self._shown(state.global_step, loss, norm)
        others = {"lr": number(logs.get("learning_rate")), "grad_norm": norm}
        self.monitor.log(state.global_step, train=loss, val=number(logs.get("eval_loss")), **others)
        if self.telling.stopped:
            control.should_training_stop = True

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Say what the whole run shows."""
        self.telling.end()

    def _shown(self, step: int, loss: float, norm: float | None) -> float:
        """Return the loss as it was before it was filtered, and warn once where that cannot be seen, or it was NaN."""
        hidden = norm is not None and not math.isfinite(norm)
        if (norm is None or (hidden and math.isfinite(loss))) and not self.warned:
            LOGGER.warning(BLIND if norm is None else HIDDEN % step)
            self.warned = True
        return math.nan if hidden else loss
