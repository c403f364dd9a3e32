"""Taking training steps on a copy and looking at what they did to the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lossdoc.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Track:
    """The weights before and after some training steps, by name, and which of them changed."""

    before: Mapping[str, Tensor]
    after: Mapping[str, Tensor]
    steps: int

    @property
    def changed(self) -> set[str]:
        """The names of the parameters in which any number changed."""
        return {name for name, tensor in self.before.items() if not bool((tensor == self.after[name]).all())}


def track(subject: Subject, steps: int, *, at_least: int = 1) -> Track:
    """Train a copy of a fresh model, regularization and dropout at 0, until a weight changes or `steps` are taken."""
    from lossdoc import probe, train

    batches = probe.take(subject, samples=steps * (subject.batch_size or 1))
    training = probe.training_of(subject, subject.seed)
    for batch in batches:
        probe.must_have_loss(subject, training.model(), batch)
    before = probe.parameters_of(training.model())
    taken = 0
    now = Track(before, before, 0)
    with train.seeded(subject.seed, 0):
        for taken in range(1, steps + 1):
            training.step(batches[(taken - 1) % len(batches)], 1.0, 0)
            now = Track(before, probe.parameters_of(training.model()), taken)
            if now.changed and taken >= at_least:
                break
    return now


def has_gradient(subject: Subject) -> bool:
    """Tell whether the loss of the first batch depends on any weight at all."""
    from lossdoc import probe

    plain = probe.bare(subject)
    slopes = probe.gradient(plain, plain.build(subject.seed), probe.take(subject, samples=1)[0])
    return any(bool((slope != 0).any()) for slope in slopes.values())
