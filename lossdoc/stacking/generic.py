"""Any module in a stack: torch.func.vmap over its gradients, recorded as a graph where many steps will repeat it."""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from lossdoc.errors import UserCodeError
from lossdoc.masks import forget_calls
from lossdoc.measuring import Objective, right
from lossdoc.randomness import mixed, seeded
from lossdoc.regularization import Switched
from lossdoc.stack import Joined, Measured, UnstackableError, models_of, must_be_stackable
from lossdoc.stacking.dropouts import Masks
from lossdoc.stacking.feed import of_point
from lossdoc.stacking.recurrent import plain_recurrent
from lossdoc.stacking.updates import Updates
from lossdoc.subject import Batch, Subject
from lossdoc.train import gradients, start

OWN = "model."  # what the names of a model's parameters begin with inside an objective
RECORDED = 20  # steps of one batch's shape before it is asked whether recording pays
SAVED = 0.25  # the share of a step that a recorded graph saves: 0.2 to 0.35 was measured, nothing on large convolutions
ALIKE = 1e-3  # relative difference of two losses that rounding explains: float32 alone gives up to 1e-4

Named = dict[str, Tensor]


class GenericStack:
    """Points of one architecture, whatever it is made of, as long as vmap can follow it.

    Raises:
        UnstackableError: when it cannot, or when a point in the stack would not learn what it learns alone.
    """

    def __init__(self, subjects: Sequence[Subject], seeds: Sequence[int], sample: Joined, steps: int = 0) -> None:
        first = subjects[0]
        must_be_stackable(subjects)
        models = models_of(subjects, seeds)
        key = mixed(seeds[0], 0)
        alone = _Alone.of(first, models[0], of_point(sample, 0), key)
        self.random = alone.random
        self.task = first.task
        self.params, self.buffers = _stacked(models, alone.learned)
        self.penalties = first.recipe.penalties
        strengths = [[each.coefficient for each in subject.recipe.penalties] for subject in subjects]
        self.coefficients = torch.tensor(strengths).to(next(iter(self.params.values())))
        self.masks = Masks(plain_recurrent(models[0]), OWN)
        self.buffers |= self.masks.rates(models)
        self.objective = Objective(models[0], first.loss, ()).train()
        recipes = [subject.recipe for subject in subjects]
        names = [name.removeprefix(OWN) for name in self.params]
        self.updates = Updates(recipes, names, list(self.params.values()))
        self.steps = steps
        self.inside = False  # whether gradients are taken inside of vmap
        self.times: dict[Any, list[float]] = {}
        self.graphs: dict[Any, Callable[..., Any]] = {}
        self.rebuilding = 0.0  # seconds that the last recording took
        _, measured, _ = self._gradients(sample, [key] * len(models))
        self._agree(float(measured.loss[0]), alone.loss)
        _followed(lambda: self.evaluate(sample))

    def step(self, batch: Joined, factors: Tensor, keys: Sequence[int]) -> Measured:
        """Take one step; `factors` (K,) multiply the learning rates, `keys` are what seeds each point's random numbers."""
        found, measured, buffers = self._gradients(batch, keys)
        self.buffers.update(buffers)
        self.updates.step(list(self.params.values()), found, factors)
        return measured

    def evaluate(self, batch: Joined) -> Measured:
        """Measure a batch in evaluation mode."""
        self.objective.eval()
        own = None if batch.shared else 0
        measure = vmap(self._losses, in_dims=(0, 0, 0, None, own), randomness="different")
        try:
            with torch.no_grad():
                total, (loss, accuracy, _) = measure(
                    self.params, self.buffers, self.coefficients, {}, (batch.inputs, batch.targets)
                )
        finally:
            self.objective.train()
        return Measured(loss, total, accuracy)

    def keep(self, places: Sequence[int]) -> None:
        """Go on with the points at these places only, in this order."""
        kept = list(places)
        self.params = {name: tensor[kept] for name, tensor in self.params.items()}
        self.buffers = {name: tensor[kept] for name, tensor in self.buffers.items()}
        self.coefficients = self.coefficients[kept]
        self.updates.keep(kept)
        self.graphs.clear()  # a graph holds for one number of points
        self.times.clear()

    def parameters(self, place: int) -> dict[str, Tensor]:
        """Return copies of the parameters and buffers of one point, by their names in the model."""
        both = {**self.params, **self.buffers}
        rates = {f"{OWN}{name}.rate" for name in self.masks.dropouts}
        return {name.removeprefix(OWN): tensor[place].clone() for name, tensor in both.items() if name not in rates}

    def _gradients(self, batch: Joined, keys: Sequence[int]) -> tuple[list[Tensor], Measured, Named]:
        """Return the gradients in the order of the parameters, what was measured, and the new buffers."""
        kind = _kind(batch)
        self.masks.note(kind, lambda: self._forward(of_point(batch, 0)))
        numbers = self.masks.numbers(kind, keys, next(iter(self.params.values())))
        given = (self.params, self.buffers, self.coefficients, numbers, (batch.inputs, batch.targets))
        derive = self.graphs.get(kind) or self._derivative(0 if numbers else None, None if batch.shared else 0)
        began = time.perf_counter()
        with seeded(keys[0]), torch.set_grad_enabled(kind not in self.graphs):
            found, measured, buffers = derive(*given)
        if kind not in self.graphs:
            self._consider(kind, derive, given, time.perf_counter() - began)
        return found, Measured(*measured), buffers

    def _derivative(self, numbers: int | None, data: int | None) -> Callable[..., Any]:
        """Return what gives the gradients; `numbers` and `data` are the dimension of the points in them, None for none.

        The points' losses do not mix, so the gradients of their sum are those of each. Where vmap cannot take its gradient
        from outside, as of torch's own recurrent networks, it is taken inside, which is slower.
        """
        dims = (0, 0, 0, numbers, data)

        def outside(params: Named, *others: Any) -> Any:
            leaves = {name: tensor.detach().requires_grad_() for name, tensor in params.items()}
            total, (loss, accuracy, buffers) = vmap(self._losses, in_dims=dims, randomness="different")(leaves, *others)
            found = torch.autograd.grad(total.sum(), list(leaves.values()))
            return list(found), (loss, total.detach(), accuracy), buffers

        def inside(params: Named, *others: Any) -> Any:
            derive = vmap(grad_and_value(self._losses, has_aux=True), in_dims=dims, randomness="different")
            found, (total, (loss, accuracy, buffers)) = derive(params, *others)
            return list(found.values()), (loss, total, accuracy), buffers

        def either(*given: Any) -> Any:
            if not self.inside:
                try:
                    return outside(*given)
                except (RuntimeError, NotImplementedError, UserCodeError):
                    self.inside = True
            return _followed(lambda: inside(*given))

        return either

    def _consider(self, kind: Any, derive: Callable[..., Any], given: tuple[Any, ...], seconds: float) -> None:
        """Record the gradients as a graph once the steps to come pay for it."""
        times = self.times.setdefault(kind, [])
        times.append(seconds)
        taken = sum(len(each) for each in self.times.values())
        if len(times) == RECORDED and SAVED * statistics.median(times) * (self.steps - taken) > recording_costs():
            began = time.perf_counter()
            graph = _followed(lambda: make_fx(derive)(*given))
            graph.graph.eliminate_dead_code()
            graph.recompile()
            self.graphs[kind] = graph
            self.rebuilding = time.perf_counter() - began

    def _losses(
        self, params: Named, buffers: Named, coefficients: Tensor, numbers: Named, data: tuple[Any, Any]
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Named]]:
        """Return the loss with penalties of one point; beside it the loss without, the accuracy, and the new buffers."""
        self.masks.restart()
        weighed = zip(self.penalties, coefficients.unbind(), strict=True)
        self.objective.penalties = [Switched(penalty, cast("float", strength)) for penalty, strength in weighed]
        changed = {name: tensor.clone() for name, tensor in buffers.items()}
        total, loss, outputs = functional_call(self.objective, {**params, **changed, **numbers}, (Batch(*data),))
        share = right(outputs, data[1], self.task)
        accuracy = torch.full_like(loss, math.nan) if share is None else share
        return total, (loss.detach(), accuracy, {name: tensor.detach() for name, tensor in changed.items()})

    def _forward(self, batch: Batch) -> None:
        """Run the first point's model on a batch and leave no trace."""
        self.objective.penalties = ()
        tensors = {name: tensor[0].clone() for name, tensor in {**self.params, **self.buffers}.items()}
        with torch.no_grad():
            functional_call(self.objective, tensors, (batch,))

    def _agree(self, stacked: float, alone: float) -> None:
        """Make sure that a point loses in the stack what it loses alone, where no chance is in play.

        Raises:
            UnstackableError: when it does not.
        """
        alike = abs(stacked - alone) <= ALIKE * abs(alone) or (math.isnan(stacked) and math.isnan(alone))
        if not self.random and not alike:
            raise UnstackableError(
                f"the first loss in the stack, {stacked:.6g}, is not that of the model alone, {alone:.6g}"
            )


@dataclass(frozen=True)
class _Alone:
    """The first step of a point without a stack: its loss, what it learns by, and whether chance beyond dropout plays in."""

    loss: float
    learned: frozenset[str]
    random: bool

    @classmethod
    def of(cls, subject: Subject, model: nn.Module, batch: Batch, key: int) -> _Alone:
        """Take the gradients three times: with the same random numbers twice, then with others.

        Raises:
            UnstackableError: when the same random numbers do not give the same loss: then the code keeps something in mind.
        """
        objective = Objective(model, subject.loss, subject.recipe.penalties).train()
        state = start(objective, subject.recipe.optimizer)
        losses = []
        for skipped in (0, 0, 1):
            forget_calls(model)
            with seeded(key):
                torch.default_generator.manual_seed(key)
                torch.rand(skipped)
                grads, _, (_, loss, _) = gradients(objective, state, batch)
            losses.append(float(loss))
        first, second, other = losses
        if first != second and not (math.isnan(first) and math.isnan(second)):
            raise UnstackableError("the same seed does not give the same loss twice")
        return cls(first, frozenset(grads), first != other and not math.isnan(other))


def _kind(batch: Joined) -> Any:
    """Return what batches have in common that one graph serves: shapes, types, and whether all points share them."""

    def kind(part: Any) -> Any:
        if isinstance(part, Mapping):
            return tuple((name, kind(each)) for name, each in part.items())
        return (tuple(part.shape), part.dtype)

    return batch.shared, kind(batch.inputs), kind(batch.targets)


def _stacked(models: Sequence[nn.Module], learned: frozenset[str]) -> tuple[Named, Named]:
    """Return what is learned and everything else, stacked, by the names that they have inside an objective."""
    params = [dict(model.named_parameters()) for model in models]
    others = [dict(model.named_buffers()) for model in models]
    for each in (params, others):
        if len({tuple((name, tensor.shape) for name, tensor in one.items()) for one in each}) > 1:
            raise UnstackableError("the points' models differ in their shapes")
    if not learned:
        raise UnstackableError("no parameter has an influence on the loss")
    stacked = {
        f"{OWN}{name}": torch.stack([one[name].detach() for one in each]) for each in (params, others) for name in each[0]
    }
    return (
        {name: tensor for name, tensor in stacked.items() if name in learned},
        {name: tensor for name, tensor in stacked.items() if name not in learned},
    )


def _followed(call: Callable[[], Any]) -> Any:
    """Return what a call under vmap returns.

    Raises:
        UnstackableError: when vmap cannot follow the code, with the first sentence of its reason.
    """
    try:
        return call()
    except (RuntimeError, NotImplementedError, TypeError, ValueError, UserCodeError) as bad:
        cause = bad.__cause__ or bad
        reason = str(cause).strip().splitlines() or [type(cause).__name__]
        raise UnstackableError(f"vmap cannot follow the model: {reason[0][:150]}") from bad


def recording_costs() -> float:
    """Return the seconds that recording a graph takes; the first one loads a good part of torch."""
    return 0.7 if "torch._dynamo" in sys.modules else 2.5


def make(subjects: Sequence[Subject], seeds: Sequence[int], sample: Joined, steps: int = 0) -> GenericStack:
    """Make a stack of subjects, each with its seed, for so many steps (0: not known)."""
    return GenericStack(subjects, seeds, sample, steps)
