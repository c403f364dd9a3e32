"""A callback for PyTorch Lightning."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Unpack

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from lossdoc.callbacks._telling import Stop, Telling, number, size
from lossdoc.logged import Known
from lossdoc.showing import Report


class LossdocCallback(Callback):
    """Names what is wrong with a run while it trains: `Trainer(callbacks=[LossdocCallback(classes=10)])`.

    The training loss is what `training_step` returns, at each optimizer step; the validation loss the metric `val`, by
    default "val_loss". `stop` is the least severity of a verdict that ends the training; `known` is what Lightning cannot
    tell, such as `classes`. `monitor.report()` says all of it. Where there are several processes the first one watches.
    """

    def __init__(
        self,
        *,
        val: str = "val_loss",
        stop: Stop = "never",
        on_change: Callable[[Report], object] | None = None,
        **known: Unpack[Known],
    ) -> None:
        self.val = val
        self.telling = Telling(stop=stop, on_change=on_change, **known)
        self.monitor = self.telling.monitor

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 - Lightning calls it so
        """Take note of how long the run and an epoch are."""
        batches = trainer.num_training_batches
        many, batch = size(trainer.train_dataloader)
        held = trainer.val_dataloaders
        validation, _ = size(held[0] if isinstance(held, list) and held else held)
        epoch = batches / trainer.accumulate_grad_batches if math.isfinite(batches) and batches else None
        total = trainer.estimated_stepping_batches
        planned = total if math.isfinite(total) else None
        self.monitor.tell(planned=planned, steps_per_epoch=epoch, n_train=many, n_val=validation, batch_size=batch)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002 - Lightning calls it so
        outputs: Any,
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Log the loss of a step; of several batches accumulated to one step it is that of the last."""
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if loss is None or not trainer.is_global_zero:
            return
        rates = [group["lr"] for optimizer in trainer.optimizers[:1] for group in optimizer.param_groups[:1]]
        self.monitor.log(trainer.global_step, train=number(loss), lr=number(rates[0]) if rates else None)
        if self.telling.stopped:
            trainer.should_stop = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 - as above
        """Log the validation loss."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        self.monitor.log(trainer.global_step, val=number(trainer.callback_metrics.get(self.val)))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 - as above
        """Say what the whole run shows."""
        if trainer.is_global_zero:
            self.telling.end()
