"""One pure training step, (state, batch) -> (state, losses); beside it the user's own step, or a live optimizer's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lossdoc.calling import asked_for, model_code, optimizer_code
from lossdoc.errors import UserError, kind_of, user_code
from lossdoc.masks import key_dropouts
from lossdoc.measuring import Losses, Objective, accuracy
from lossdoc.subject import Batch, LiveOptimizer, Optimizer, OwnStep, Recipe, Slots, Subject

if TYPE_CHECKING:
    from torch.amp import GradScaler
    from torch.optim import Optimizer as TorchOptimizer
    from torch.optim.lr_scheduler import LambdaLR


class Backward(nn.Module):
    """An objective with its gradients, as one module to be called functionally.

    A model that checkpoints its activations is run again in the backward pass, and must see the same parameters there.
    """

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, batch: Batch, wanted: Sequence[Tensor]) -> tuple[Sequence[Tensor | None], tuple[Tensor, Tensor, Any]]:
        """Return the gradients of the loss with penalties, None where it is without influence; and what `Objective` does."""
        told: tuple[Tensor, Tensor, Any] = self.objective(batch)
        if not (told[0].requires_grad and wanted):
            return [None] * len(wanted), told
        with user_code("the backward pass"):
            return torch.autograd.grad(told[0], list(wanted), allow_unused=True), told


@dataclass(frozen=True)
class State:
    """A model in training: parameters, buffers (with the frozen parameters) and the optimizer's slots, all by name."""

    params: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]
    slots: Mapping[str, Slots]
    taken: int = 0


def start(objective: Objective, optimizer: Optimizer) -> State:
    """Return the state before the first step; it shares no memory with the objective's own tensors."""
    named = {name: tensor.detach().clone() for name, tensor in objective.named_parameters()}
    learned = {name for name, tensor in objective.named_parameters() if tensor.requires_grad}
    params = {name: tensor for name, tensor in named.items() if name in learned}
    buffers = {name: tensor.detach().clone() for name, tensor in objective.named_buffers()}
    buffers |= {name: tensor for name, tensor in named.items() if name not in learned}
    return State(params, buffers, {name: optimizer.slots(tensor) for name, tensor in params.items()})


def gradients(
    objective: Objective, state: State, batch: Batch
) -> tuple[dict[str, Tensor], State, tuple[Tensor, Tensor, Any]]:
    """Return the gradients by name (none for a parameter without influence), the state with new buffers, the losses."""
    params = {name: tensor.detach().requires_grad_() for name, tensor in state.params.items()}
    buffers = {name: tensor.clone() for name, tensor in state.buffers.items()}
    values = {f"objective.{name}": tensor for name, tensor in (params | buffers).items()}
    found, (total, data_loss, outputs) = functional_call(Backward(objective), values, (batch, list(params.values())))
    grads = {name: grad for name, grad in zip(params, found, strict=True) if grad is not None}
    return grads, replace(state, buffers=buffers), (total.detach(), data_loss.detach(), outputs)


def clip_by_norm(grads: Mapping[str, Tensor], limit: float) -> dict[str, Tensor]:
    """Scale all gradients down together so that their joint Euclidean norm is at most `limit`."""
    norm = torch.sqrt(torch.stack([grad.square().sum() for grad in grads.values()]).sum())
    factor = torch.clamp(limit / (norm + 1e-6), max=1.0)  # torch.nn.utils.clip_grad_norm_ has the same 1e-6
    return {name: grad * factor for name, grad in grads.items()}


def update(
    optimizer: Optimizer,
    state: State,
    grads: Mapping[str, Tensor],
    hyper: Mapping[str, float],
    others: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> State:
    """Return the state after the optimizer's step; a parameter without a gradient stays as it is, as in torch.optim.

    `others` holds the hyperparameters of the parameters that have their own, by name.
    """
    params, slots = dict(state.params), dict(state.slots)
    with torch.no_grad():
        for name, grad in grads.items():
            its = others.get(name, hyper)
            params[name], slots[name] = optimizer.update(params[name], grad, slots[name], its, state.taken)
    return replace(state, params=params, slots=slots, taken=state.taken + 1)


class Training(Protocol):
    """A model in training, by lossdoc's pure step or by the user's own."""

    def step(self, batch: Batch, factor: float, epoch: int) -> Losses:
        """Take one step, with the learning rate multiplied by `factor`."""

    def model(self) -> nn.Module:
        """Return the model as it is now; it is overwritten by later steps."""


class PureTraining:
    """Training by the pure step: the whole state is a value, the module is only the code that is run on it."""

    def __init__(self, subject: Subject, seed: int) -> None:
        recipe = subject.recipe
        self.recipe = recipe
        self.task = subject.task
        self.objective = Objective(key_dropouts(subject.build(seed)), subject.loss, recipe.penalties).train()
        self.state = start(self.objective, recipe.optimizer)
        named = self.state.params if recipe.groups else ()
        self.others = {name: recipe.hyper_of(name.removeprefix("model.")) for name in named}

    def step(self, batch: Batch, factor: float = 1.0, epoch: int = 0) -> Losses:  # noqa: ARG002 - asked by own steps only
        """Take one step, with the learning rate multiplied by `factor`."""
        grads, state, (total, data_loss, outputs) = gradients(self.objective, self.state, batch)
        if self.recipe.clip is not None and grads:
            grads = clip_by_norm(grads, self.recipe.clip)
        others = {name: _slowed(hyper, factor) for name, hyper in self.others.items()}
        self.state = update(self.recipe.optimizer, state, grads, _slowed(self.recipe.hyper, factor), others)
        return Losses(float(data_loss), float(total), accuracy(outputs, batch.targets, self.task))

    def model(self) -> nn.Module:
        """Return the model as it is now; it is overwritten by later steps."""
        with torch.no_grad():
            for name, tensor in (*self.objective.named_parameters(), *self.objective.named_buffers()):
                tensor.copy_(self.state.params[name] if name in self.state.params else self.state.buffers[name])
        return self.objective.model


class OwnTraining:
    """Training by the user's own step, on a live module with the optimizer's counterpart in torch.optim.

    A step that asks for the scheduler is the one that steps it: the learning rate is then left to it. `total` is the number
    of steps that the run is to take, 0 where that is not known; it is read anew at every step of the scheduler.
    """

    def __init__(self, subject: Subject, own: OwnStep, seed: int) -> None:
        self.subject = subject
        self.own = own
        self._model = subject.build(seed).train()
        if not list(self._model.parameters()):
            raise UserError.of("the model has no parameters: layers kept in a plain Python list?", kind="no-parameters")
        self.optimizer = live(subject.recipe, self._model)
        self.rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.asks = asked_for(own.call)
        self.scaler = scaler_of(subject.recipe, self._model)
        self.scheduler: LambdaLR | None = None
        self.total = 0
        self.taken = 0

    def step(self, batch: Batch, factor: float = 1.0, epoch: int = 0) -> Losses:
        """Take one step, with the learning rate multiplied by `factor`.

        Raises:
            UserError: when the step does not return a number.
            UserCodeError: when the step raises.
        """
        self._model.train()
        if "scheduler" in self.asks:
            self.scheduler = self.scheduler or self._live_schedule()
        else:
            added = self.optimizer.param_groups[len(self.rates) :]  # by the step itself
            self.rates += [float(group["lr"]) for group in added]
            slow(self.optimizer, self.rates, factor)
        offered = {
            "loss_fn": self.subject.loss,
            "step": self.taken,
            "epoch": epoch,
            "scheduler": self.scheduler,
            "scaler": self.scaler,
        }
        extra = {name: value for name, value in offered.items() if name in self.asks}
        with model_code(f"step {self.own.word}", self._model, batch):
            loss = self.own.call(self._model, batch, self.optimizer, **extra)
        self.taken += 1
        if not isinstance(loss, (int, float)) and not (isinstance(loss, Tensor) and loss.numel() == 1):
            got = "None (a forgotten return?)" if loss is None else kind_of(loss)
            raise UserError.of(f"step {self.own.word} returned {got}; it must return the loss", kind="own-step")
        value = float(loss.detach()) if isinstance(loss, Tensor) else float(loss)
        return Losses(value, value)

    def _live_schedule(self) -> LambdaLR:
        """Make the configured schedule one of torch's, which counts its own steps."""
        from torch.optim.lr_scheduler import LambdaLR

        return LambdaLR(self.optimizer, lambda step: self.subject.recipe.schedule(step, self.total))

    def model(self) -> nn.Module:
        """Return the model as it is now; it is changed by later steps."""
        return self._model


def scaler_of(recipe: Recipe, model: nn.Module) -> GradScaler:
    """Return what scales the loss up against gradients too small for float16; in any other precision it does nothing."""
    place = next((parameter.device.type for parameter in model.parameters()), "cpu")
    return torch.amp.GradScaler(place, enabled=recipe.scaled)


class LiveTraining:
    """Training by an optimizer that lossdoc only calls, on a live module; with a scaled loss where the recipe says so."""

    def __init__(self, subject: Subject, seed: int) -> None:
        self.recipe = subject.recipe
        self.task = subject.task
        self.objective = Objective(subject.build(seed), subject.loss, subject.recipe.penalties)
        self.optimizer = live(subject.recipe, self.objective.model)
        self.scaler = scaler_of(subject.recipe, self.objective.model)
        self.rates = [float(group["lr"]) for group in self.optimizer.param_groups]

    def step(self, batch: Batch, factor: float = 1.0, epoch: int = 0) -> Losses:  # noqa: ARG002 - asked by own steps only
        """Take one step, with the learning rate multiplied by `factor`; an optimizer may ask for the loss several times."""
        self.objective.train()
        slow(self.optimizer, self.rates, factor)
        measured: list[Losses] = []

        def closure() -> float:
            with torch.enable_grad():
                self.optimizer.zero_grad()
                total, data_loss, outputs = self.objective(batch)
                if total.requires_grad:
                    with user_code("the backward pass"):
                        self.scaler.scale(total).backward()
                    self.scaler.unscale_(self.optimizer)
                if self.recipe.clip is not None:
                    nn.utils.clip_grad_norm_(self.objective.parameters(), self.recipe.clip)
            right = accuracy(outputs, batch.targets, self.task)
            measured.append(Losses(float(data_loss.detach()), float(total.detach()), right))
            return float(total.detach())

        with optimizer_code(self.recipe.optimizer.word):
            if not self.scaler.is_enabled():
                self.optimizer.step(closure)
            else:  # it looks at the gradients before the step is taken, so that there is one look at the loss only
                closure()
                self.scaler.step(self.optimizer)
                self.scaler.update()
        return measured[0]

    def model(self) -> nn.Module:
        """Return the model as it is now; it is changed by later steps."""
        return self.objective.model


def live(recipe: Recipe, model: nn.Module) -> TorchOptimizer:
    """Make the optimizer of a live module, with a group for all parameters that share their hyperparameters."""
    optimizer = recipe.optimizer
    if isinstance(optimizer, LiveOptimizer):
        return optimizer.attach(model, recipe.hyper)
    if not recipe.groups:
        return optimizer.torch(model.parameters(), recipe.hyper)
    groups: dict[tuple[tuple[str, float], ...], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        its = recipe.hyper_of(name)
        groups.setdefault((("lr", its["lr"]), ("weight_decay", its["weight_decay"])), []).append(parameter)
    return optimizer.torch([{"params": several, **dict(its)} for its, several in groups.items()], recipe.hyper)


def slow(optimizer: TorchOptimizer, rates: Sequence[float], factor: float) -> None:
    """Set the rate of each group to its own times the factor."""
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate * factor


def _slowed(hyper: Mapping[str, float], factor: float) -> dict[str, float]:
    return {**hyper, "lr": hyper["lr"] * factor}


def begin(subject: Subject, seed: int) -> Training:
    """Begin to train a fresh model by the user's own step or own optimizer where there is one, else by the pure step."""
    recipe = subject.recipe
    if recipe.step is not None:
        return OwnTraining(subject, recipe.step, seed)
    on_live_module = isinstance(recipe.optimizer, LiveOptimizer) or recipe.scaled
    return LiveTraining(subject, seed) if on_live_module else PureTraining(subject, seed)
