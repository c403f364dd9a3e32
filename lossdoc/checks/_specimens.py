"""Made-up experiments for the checks of learning: tiny networks, three seeds, trained when first asked for."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from lossdoc import specimens
from lossdoc.parts.optimizers import Adam, Momentum, Sgd
from lossdoc.parts.regularizers import L2
from lossdoc.specimens import CLASSES
from lossdoc.subject import Split, Subject

if TYPE_CHECKING:
    from torch import Tensor

    from lossdoc.experiments import Experiments

SEEDS = (0, 1, 2)


def of(subject: Subject, steps: int = 60) -> Experiments:
    """Return experiments on a subject whose whole training is so long."""
    from lossdoc.experiments import Experiments

    return Experiments(replace(subject, recipe=replace(subject.recipe, max_steps=steps)), SEEDS, steps)


@cache
def sound() -> Experiments:
    """Return a classifier that learns."""
    return of(specimens.healthy())


@cache
def line() -> Experiments:
    """Return a regression that learns, slowly: half of the variance in its time."""
    return of(specimens.with_recipe(specimens.regression(), optimizer=Adam(lr=0.01)), 100)


@cache
def apart() -> Experiments:
    """Return a classifier whose inputs were shuffled apart from its labels."""

    def rolled(split: Split) -> tuple[Tensor, Tensor]:
        inputs, labels = specimens.blobs(split)
        return inputs.roll(1, 0), labels

    wide = specimens.healthy(batches=specimens.fed(rolled), build=specimens.mlp(hidden=64))
    return of(specimens.with_recipe(wide, optimizer=Adam(lr=0.01)), 100)


@cache
def blind() -> Experiments:
    """Return a classifier that multiplies its inputs by 0."""

    def deafen(model: Any) -> Any:
        from torch import nn

        class Deaf(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.body = model

            def forward(self, inputs: Tensor) -> Tensor:
                outputs: Tensor = self.body(inputs * 0)
                return outputs

        return Deaf()

    return of(specimens.healthy(build=specimens.changed(specimens.mlp(), deafen)), 20)


@cache
def overfit() -> Experiments:
    """Return a regression on 48 noisy samples that are learned by heart, by far more units than they need."""

    def few(split: Split) -> tuple[Tensor, Tensor]:
        import torch

        inputs, _ = specimens.blobs(split)
        noise = torch.randn(len(inputs), 1, generator=torch.Generator().manual_seed(5))
        targets = inputs[:, :1] + noise
        targets = (targets - targets.mean()) / targets.std()
        return (inputs[:48], targets[:48]) if split == "train" else (inputs, targets)

    large = specimens.regression(
        batches=specimens.fed(few),
        sizes={"train": 48, "validation": specimens.SAMPLES},
        build=specimens.mlp(1, hidden=4, activation="Tanh"),
    )
    return of(specimens.with_recipe(large, optimizer=Adam(lr=0.05)), 200)


@cache
def killed() -> Experiments:
    """Return a classifier whose units are all dead from the start."""
    return of(specimens.healthy(build=specimens.shifted(specimens.mlp(), -100.0)))


@cache
def thrown() -> Experiments:
    """Return a classifier at a rate that kills its units in the first steps."""
    return of(specimens.with_recipe(specimens.healthy(), optimizer=Sgd(lr=30.0)))


@cache
def smothered() -> Experiments:
    """Return a classifier whose penalty is all that counts."""
    return of(specimens.with_penalty(L2(3.0)))


@cache
def decayed() -> Experiments:
    """Return a classifier with a penalty as it should be."""
    return of(specimens.with_penalty(L2(1e-3)))


@cache
def dropped() -> Experiments:
    """Return a classifier that drops 49 units in 50."""

    def drop(model: Any) -> Any:
        from torch import nn

        return nn.Sequential(*model[:-1], nn.Dropout(0.98), model[-1])

    return of(specimens.healthy(build=specimens.changed(specimens.mlp(), drop)))


@cache
def slow() -> Experiments:
    """Return a classifier at a hundredth of the rate it needs, and less."""
    return of(specimens.with_recipe(specimens.healthy(), optimizer=Adam(lr=1e-5)), 100)


@cache
def cut_short() -> Experiments:
    """Return a classifier at the right rate that is stopped after three steps."""
    return of(specimens.healthy(), 3)


@cache
def narrow() -> Experiments:
    """Return a classifier with one hidden unit that is to tell the inside of a circle from the outside."""

    def ring(split: Split) -> tuple[Tensor, Tensor]:
        inputs, _ = specimens.blobs(split)
        inputs[:, 2:] = 0
        radius = inputs.norm(dim=1)
        return inputs, (radius > radius.median()).long()

    one = specimens.binary(batches=specimens.fed(ring), build=specimens.mlp(1, hidden=1, activation="Tanh"))
    return of(specimens.with_recipe(one, optimizer=Adam(lr=0.1)), 200)


@cache
def whole_batch() -> Experiments:
    """Return a classifier that takes one step an epoch, for three epochs."""
    whole = specimens.healthy(batches=specimens.fed(specimens.blobs, batch=specimens.SAMPLES), batch_size=specimens.SAMPLES)
    return of(whole, 3)


@cache
def one_by_one() -> Experiments:
    """Return a classifier that takes a step for each sample, at a rate for batches."""
    ones, many = specimens.fed(specimens.blobs, batch=1), specimens.fed(specimens.blobs)
    single = specimens.healthy(batches=lambda split, epoch: (ones if split == "train" else many)(split, epoch), batch_size=1)
    return of(specimens.with_recipe(single, optimizer=Momentum(lr=0.1)), 150)


@cache
def fickle() -> Experiments:
    """Return a classifier that some seeds leave without any living unit."""

    def build(seed: int) -> Any:
        return specimens.shifted(specimens.mlp(CLASSES), -100.0 if seed % 2 else 0.0)(seed)

    return of(specimens.healthy(build=build))
