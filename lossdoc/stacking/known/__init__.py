"""Points whose layers, loss and optimizer are all known, trained by forward and backward written out for many at once.

Activations are (K, ..., B): with the batch last, the first matrix of all points is one product where they share their
inputs, the windows of a convolution are copied in long runs, and a pool takes the batch as channels. No graph is recorded
and no memory asked for at each step.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor, nn

from lossdoc.calling import model_code
from lossdoc.errors import UserCodeError, UserError, user_code
from lossdoc.masks import key_dropouts
from lossdoc.measuring import Objective
from lossdoc.parts.optimizers import BUILTIN
from lossdoc.randomness import mixed, seeded
from lossdoc.stack import Joined, Measured, Stack, UnstackableError, models_of, must_be_stackable
from lossdoc.stacking.feed import of_point
from lossdoc.stacking.known.graphs import Graph
from lossdoc.stacking.known.kinds import layers
from lossdoc.stacking.known.layer import Mode, must
from lossdoc.stacking.known.losses import Accuracy, measure
from lossdoc.stacking.known.penalties import penalties
from lossdoc.stacking.known.store import Store
from lossdoc.stacking.memory import activations
from lossdoc.stacking.updates import Updates
from lossdoc.subject import Batch, Subject
from lossdoc.train import gradients, start

EVALUATED = 128  # samples that go through a net at a time: convolutions slow down beyond, small matrices below ...
LARGE = 1 << 27  # ... unless they take as many bytes: then as many as in training, whose memory is there already
UNUSED = 1 << 40  # a step that no training gets to
NOISE = 0.1  # gradients that cancel out, as of a bias before batch normalization, are all rounding: compare with all of them
OWN = "model."  # what the names of a model's parameters begin with inside an objective
NOTHING = nn.Module()  # there is no module to blame: its layers are written out here


class KnownStack:
    """K points in training as one; satisfies `lossdoc.stack.Stack`."""

    rebuilding = 0.0

    def __init__(self, subjects: Sequence[Subject], seeds: Sequence[int], sample: Joined) -> None:
        recipes = [subject.recipe for subject in subjects]
        models = models_of(subjects, seeds)
        self.accuracy = Accuracy(subjects[0].task)
        self.measure = measure([subject.loss for subject in subjects])
        self.store = Store(models, lambda name: _likeness(subjects, name))
        self.net, self.layers = layers(models, self.store, of_point(sample, 0))
        self.penalties = penalties([recipe.penalties for recipe in recipes], self.store)
        self.updates = Updates(recipes, self.store.names, [block.value for block in self.store.blocks])
        self.evaluated = EVALUATED

    def step(self, batch: Joined, factors: Tensor, keys: Sequence[int]) -> Measured:
        """Take one step."""
        with torch.inference_mode():  # a little faster than no_grad
            measured = self.derive(batch, keys)
            blocks = self.store.blocks
            self.updates.step([block.value for block in blocks], [block.gradient for block in blocks], factors)
        return measured

    def derive(self, batch: Joined, keys: Sequence[int]) -> Measured:
        """Write the gradients of a batch's losses with penalties into the store."""
        measured, slope = self._forward(batch, Mode(training=True, keys=keys))
        self.net.backward(slope, wanted=False)
        for penalty in self.penalties:
            penalty.add(self.store)
        return measured

    def evaluate(self, batch: Joined) -> Measured:
        """Measure a batch in evaluation mode."""
        with torch.inference_mode():
            measured, _ = self._forward(batch, Mode(training=False))
        return measured

    def keep(self, places: Sequence[int]) -> None:
        """Go on with the points at these places only, in this order."""
        chosen = list(places)
        self.store.keep(chosen)
        self.updates.keep(chosen)
        self.measure.keep(chosen)
        for penalty in self.penalties:
            penalty.keep(chosen)
        for layer in self.layers:
            layer.keep(chosen)

    def parameters(self, place: int) -> dict[str, Tensor]:
        """Return copies of the parameters and buffers of one point, by their names in the model."""
        return self.store.of(place)

    def _forward(self, batch: Joined, mode: Mode) -> tuple[Measured, Tensor]:
        """Return what is measured, and the gradient of the outputs."""
        inputs, targets = (_batch_last(part, shared=batch.shared) for part in (batch.inputs, batch.targets))
        with model_code("the model's forward", NOTHING, Batch(batch.inputs, batch.targets)):
            outputs = self.net.forward(inputs, mode) if mode.training else self._evaluated(inputs, mode)
        share = self.accuracy(outputs, targets)
        with user_code(f"loss {self.measure.loss.word}"):
            loss, slope = self.measure(outputs, targets)
        total = loss
        for penalty in self.penalties:
            total = total + penalty.values(self.store)
        return Measured(loss, total, torch.full_like(loss, math.nan) if share is None else share), slope

    def _evaluated(self, inputs: Tensor, mode: Mode) -> Tensor:
        """Return the outputs for what may be a whole split, some samples at a time: that spares memory and caches."""
        if inputs.shape[-1] <= self.evaluated or any(layer.mixes for layer in self.layers):
            return self.net.forward(inputs, mode)
        return torch.cat([self.net.forward(part, mode).clone() for part in torch.split(inputs, self.evaluated, -1)], -1)


def make(subjects: Sequence[Subject], seeds: Sequence[int], sample: Joined, steps: int = 0) -> Stack:  # noqa: ARG001 - see StackMaker
    """Make the stack of some points; satisfies `lossdoc.stack.StackMaker`.

    Raises:
        UnstackableError: when a layer, the loss, a penalty or the optimizer is not known here.
    """
    must_be_stackable(subjects)
    for recipe in (subject.recipe for subject in subjects):
        must(type(recipe.optimizer) in BUILTIN.values(), f"the optimizer {recipe.optimizer.word} is not lossdoc's")
    must(all(isinstance(part, Tensor) for part in (sample.inputs, sample.targets)), "a batch is more than two tensors")
    stack = KnownStack(subjects, seeds, sample)
    try:
        stack.evaluate(sample)
        stack.evaluated = _evaluated_at_once(subjects, seeds[0], of_point(sample, 0))
    except (UserError, UserCodeError) as bad:  # trained alone, a point tells the user what does not fit
        raise UnstackableError(f"a batch does not go through: {bad}") from bad
    if isinstance(stack.net, Graph):
        _must_agree(stack, subjects[0], seeds[0], sample)
    return stack


def _must_agree(stack: KnownStack, subject: Subject, seed: int, sample: Joined) -> None:
    """Make sure that the first point derives in the stack what it derives alone; nothing of it is kept.

    Raises:
        UnstackableError: when it does not: its forward does something that the graph of it does not show.
    """
    key = mixed(seed, UNUSED)
    objective = Objective(key_dropouts(subject.build(seed)), subject.loss, subject.recipe.penalties).train()
    with seeded(seed, UNUSED):
        alone, _, (_, loss, _) = gradients(objective, start(objective, subject.recipe.optimizer), of_point(sample, 0))
    buffers = {name: buffer.clone() for name, buffer in stack.store.buffers.items()}
    with torch.inference_mode():
        measured = stack.derive(sample, [key] * len(stack.store.blocks[0].value))
        for name, buffer in buffers.items():
            stack.store.buffers[name].copy_(buffer)
    found = {f"{OWN}{name}": slot.gradient[0].reshape(slot.shape) for name, slot in stack.store.slots.items()}
    same = found.keys() == alone.keys() and _close(measured.loss[0], loss, loss.abs())
    length = torch.stack([gradient.norm() for gradient in alone.values()]).norm() if alone else loss
    must(
        same and all(_close(found[name], each, each.norm() + NOISE * length) for name, each in alone.items()),
        "its forward does something that a graph of it does not show",
    )


def _close(found: Tensor, meant: Tensor, scale: Tensor) -> bool:
    tolerance = 1e-8 if meant.dtype is torch.float64 else 1e-3
    return bool((found - meant).norm() <= tolerance * scale)


def _evaluated_at_once(subjects: Sequence[Subject], seed: int, batch: Batch) -> int:
    """Return how many samples of an evaluation go through the nets at a time."""
    with seeded(seed):
        objective = Objective(subjects[0].build(seed), subjects[0].loss, ())
        taken = len(subjects) * activations(objective, batch) / batch.size
    return EVALUATED if EVALUATED * taken <= LARGE else min(EVALUATED, batch.size)


def _likeness(subjects: Sequence[Subject], name: str) -> Hashable:
    """Return what the parameters that share their hyperparameters in every point have in common."""
    return tuple(tuple(sorted(subject.recipe.hyper_of(name).items())) for subject in subjects)


def _batch_last(part: Tensor, *, shared: bool) -> Tensor:
    """Return (B, ...) as (1, ..., B), or (K, B, ...) as (K, ..., B)."""
    if not shared:
        return part.movedim(1, -1)
    moved = part.t() if part.ndim < 3 else part.movedim(0, -1)  # the same, in a third of the time
    return moved.unsqueeze(0)
