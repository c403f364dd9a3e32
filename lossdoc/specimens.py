"""Made-up subjects, healthy ones and each of the others with one known illness; tiny, the same at every call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lossdoc.parts.losses import Bce, CrossEntropy, Mse
from lossdoc.parts.optimizers import Sgd
from lossdoc.subject import Batch, Hyper, OwnStep, Penalty, Recipe, Slots, Split, Subject, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

Change = Callable[["Tensor"], Any]
FEATURES, CLASSES, SAMPLES, BATCH = 8, 4, 320, 32


@dataclass(frozen=True)
class OwnLoss:
    """A loss as a user might bring it along: a function, and what the user says of it."""

    call: Callable[[Any, Any], Any]
    word: str = "mine:loss"
    takes: Any = "logits"
    reduction: Any = "mean"

    def __call__(self, outputs: Any, targets: Any) -> Any:
        """Return the function's value."""
        return self.call(outputs, targets)


@dataclass(frozen=True)
class OwnPenalty:
    """A penalty as a user might bring it along."""

    call: Callable[[Any], Any]
    word: str = "mine:penalty"
    own: bool = True
    coefficient: float = 1.0

    def value(self, model: nn.Module) -> Any:
        """Return the function's value."""
        return self.call(model)

    def parameters(self, model: nn.Module) -> dict[str, Any]:
        """Return all parameters."""
        return dict(model.named_parameters())


def blobs(split: Split = "train", samples: int = SAMPLES, classes: int = CLASSES) -> tuple[Tensor, Tensor]:
    """Return standardized inputs (N, 8) around one center for each class, and the labels (N,), in random order."""
    import torch

    centers = torch.randn(classes, FEATURES, generator=torch.Generator().manual_seed(1))
    luck = torch.Generator().manual_seed(2 if split == "train" else 3)
    labels = torch.randint(classes, (samples,), generator=luck)
    inputs = centers[labels] + torch.randn(samples, FEATURES, generator=luck)
    return (inputs - inputs.mean(0)) / inputs.std(0), labels


def numbers(split: Split = "train") -> tuple[Tensor, Tensor]:
    """Return inputs (N, 8) and targets (N, 1) of mean 0 and variance 1."""
    import torch

    inputs, _ = blobs(split)
    noise = torch.randn(len(inputs), 1, generator=torch.Generator().manual_seed(4))
    targets = inputs[:, :1] * inputs[:, 1:2] + 0.3 * noise
    return inputs, (targets - targets.mean()) / targets.std()


def yes_no(split: Split = "train") -> tuple[Tensor, Tensor]:
    """Return inputs (N, 8) and targets (N,) of 0.0 and 1.0."""
    inputs, labels = blobs(split)
    return inputs, (labels % 2).float()


Source = Callable[[Split], "tuple[Tensor, Tensor]"]


def fed(source: Source, *, shuffle: bool = True) -> Callable[[Split, int], Iterable[Batch]]:
    """Return batches of 32 of what `source` makes for a split, in a new order in each epoch of the training split."""

    def batches(split: Split, epoch: int) -> Iterable[Batch]:
        import torch

        inputs, targets = source(split)
        order = torch.arange(len(inputs))
        if shuffle and split == "train":
            order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(100 + epoch))
        for at in torch.split(order, BATCH):
            yield Batch(inputs[at], targets[at])

    return batches


def mlp(outputs: int = CLASSES, hidden: int = 16, depth: int = 1, activation: str = "ReLU") -> Callable[[int], nn.Module]:
    """Return the maker of a net with torch's own initialization."""

    def build(seed: int) -> nn.Module:
        import torch
        from torch import nn

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layers: list[nn.Module] = []
            for width in [FEATURES] + [hidden] * (depth - 1):
                layers += [nn.Linear(width, hidden), getattr(nn, activation)()]
            return nn.Sequential(*layers, nn.Linear(hidden, outputs))

    return build


def changed(build: Callable[[int], nn.Module], change: Callable[[Any], Any]) -> Callable[[int], nn.Module]:
    """Return a maker whose models are put through `change`, which works in place or returns another model."""

    def rebuilt(seed: int) -> nn.Module:
        import torch

        model = build(seed)
        with torch.no_grad():
            other = change(model)
        return model if other is None else other

    return rebuilt


def followed_by(build: Callable[[int], nn.Module], activation: str, **arguments: Any) -> Callable[[int], nn.Module]:
    """Return a maker whose models end in one more module of torch.nn."""

    def extend(model: Any) -> Any:
        from torch import nn

        return nn.Sequential(*model, getattr(nn, activation)(**arguments))

    return changed(build, extend)


def scaled(build: Callable[[int], nn.Module], factor: float, *, last_only: bool = False) -> Callable[[int], nn.Module]:
    """Return a maker whose weights are all (or the last layer's) multiplied by `factor`."""

    def scale(model: Any) -> None:
        for parameter in list(model.parameters())[-2 if last_only else 0 :]:
            parameter.mul_(factor)

    return changed(build, scale)


def set_all(build: Callable[[int], nn.Module], value: float) -> Callable[[int], nn.Module]:
    """Return a maker whose weights all have the same value."""

    def fill(model: Any) -> None:
        for parameter in model.parameters():
            parameter.fill_(value)

    return changed(build, fill)


def healthy(**fields: Any) -> Subject:
    """Return a sound classifier of four classes; `fields` are those of Subject that differ."""
    recipe = Recipe(Sgd(lr=0.1))
    whole: dict[str, Any] = {
        "name": "specimen",
        "build": mlp(),
        "batches": fed(blobs),
        "sizes": {"train": SAMPLES, "validation": SAMPLES},
        "loss": CrossEntropy(),
        "recipe": recipe,
        "task": "classification",
        "classes": CLASSES,
        "batch_size": BATCH,
        "shuffled": True,
    }
    return Subject(**{**whole, **fields})


def regression(**fields: Any) -> Subject:
    """Return a sound regression on standardized targets."""
    given: dict[str, Any] = {"loss": Mse(), "build": mlp(1), "batches": fed(numbers), "task": "regression", "classes": None}
    return healthy(**{**given, **fields})


def binary(**fields: Any) -> Subject:
    """Return a sound binary classifier with one logit."""
    given: dict[str, Any] = {
        "loss": Bce(),
        "build": squeezed(mlp(1)),
        "batches": fed(yes_no),
        "task": "binary",
        "classes": 2,
    }
    return healthy(**{**given, **fields})


def squeezed(build: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    """Return a maker whose models put out (B,) in place of (B, 1)."""

    def squeeze(model: Any) -> Any:
        from torch import nn

        return nn.Sequential(*model, nn.Flatten(0))

    return changed(build, squeeze)


def with_recipe(subject: Subject, **fields: Any) -> Subject:
    """Return the subject with fields of its recipe replaced."""
    return replace(subject, recipe=replace(subject.recipe, **fields))


def with_penalty(*penalties: Penalty) -> Subject:
    """Return the sound classifier with penalties."""
    return with_recipe(healthy(), penalties=penalties)


def with_step(call: Callable[..., Any], subject: Subject | None = None) -> Subject:
    """Return the sound classifier trained by a step of its own."""
    return with_recipe(subject or healthy(), step=OwnStep("mine:step", call))


def with_inputs(change: Change, source: Source = blobs, **fields: Any) -> Subject:
    """Return the sound classifier with its inputs put through `change`."""

    def given(split: Split) -> tuple[Tensor, Any]:
        inputs, targets = source(split)
        return change(inputs.clone()), targets

    return healthy(batches=fed(given), **fields)


def with_targets(change: Change, source: Source = blobs, task: Task = "classification", **fields: Any) -> Subject:
    """Return the sound classifier with its targets put through `change`."""

    def given(split: Split) -> tuple[Tensor, Any]:
        inputs, targets = source(split)
        return inputs, change(targets.clone())

    return healthy(batches=fed(given), task=task, **fields)


def sorted_by_class(split: Split) -> tuple[Tensor, Tensor]:
    """Return the blobs one class after another."""
    inputs, labels = blobs(split)
    order = labels.argsort(stable=True)
    return inputs[order], labels[order]


def plain_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Train one step, as it should be."""
    from torch.nn.functional import cross_entropy

    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = cross_entropy(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def idle_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Train one step and forget to apply the gradient."""
    from torch.nn.functional import cross_entropy

    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = cross_entropy(model(inputs), targets)
    loss.backward()
    return loss.item()


def uphill_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Train one step and apply the gradient with the wrong sign."""
    from torch.nn.functional import cross_entropy

    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = cross_entropy(model(inputs), targets)
    (-loss).backward()
    optimizer.step()
    return loss.item()


def hoarding_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Train one step and never clear the gradients."""
    from torch.nn.functional import cross_entropy

    inputs, targets = batch
    loss: Any = cross_entropy(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def headless_step(model: Any, batch: Any, _optimizer: Any) -> Any:
    """Train one step with an optimizer that knows of the last layer alone."""
    from torch import optim
    from torch.nn.functional import cross_entropy

    inputs, targets = batch
    own = optim.SGD(model[-1].parameters(), lr=0.1)
    own.zero_grad()
    loss: Any = cross_entropy(model(inputs), targets)
    loss.backward()
    own.step()
    return loss.item()


def summed_entropy(outputs: Any, targets: Any) -> Any:
    """Return a cross-entropy that is summed over the samples."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(outputs, targets, reduction="sum")


def halved_entropy(outputs: Any, targets: Any) -> Any:
    """Return half of the cross-entropy."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(outputs, targets) / 2


def flipped_entropy(outputs: Any, targets: Any) -> Any:
    """Return the cross-entropy with the wrong sign."""
    from torch.nn.functional import cross_entropy

    return -cross_entropy(outputs, targets)


def entropy(outputs: Any, targets: Any) -> Any:
    """Return the cross-entropy, as it should be."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(outputs, targets)


def knowing(_seed: int) -> nn.Module:
    """Make a network that has learned the blobs' centers before any training."""
    import torch
    from torch import nn

    inputs, labels = blobs("train")
    centers = torch.stack([inputs[labels == label].mean(0) for label in range(CLASSES)])
    layer = nn.Linear(FEATURES, CLASSES)
    with torch.no_grad():
        layer.weight.copy_(2.0 * centers)
        layer.bias.copy_(-centers.square().sum(1))
    return nn.Sequential(layer)


def ridge(model: Any) -> Any:
    """Return a penalty on large weights."""
    return 1e-3 * sum(each.square().sum() for each in model.parameters())


def rewarding(model: Any) -> Any:
    """Return a penalty with the wrong sign."""
    return -ridge(model)


def detached(model: Any) -> Any:
    """Return a penalty that is cut off from the weights."""
    return ridge(model).detach()


def nothing(_model: Any) -> float:
    """Return a penalty that looks at no weights."""
    return 0.1


class Growing(Sgd):
    """Gradient descent whose weight decay has the wrong sign."""

    def update(self, parameter: Tensor, gradient: Tensor, slots: Slots, hyper: Hyper, taken: int) -> tuple[Tensor, Slots]:
        """Return the parameter after one step, larger than it should be."""
        return super().update(parameter, gradient - 2 * hyper["weight_decay"] * parameter, slots, hyper, taken)


def unscaled_dropout(build: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    """Return a maker whose models end in a dropout that does not scale what it leaves."""

    def extend(model: Any) -> Any:
        import torch
        from torch import nn

        class PlainDropout(nn.Module):
            p = 0.5

            def forward(self, inputs: Tensor) -> Tensor:
                return inputs * (torch.rand_like(inputs) > self.p) if self.training else inputs

        return nn.Sequential(*model[:-1], PlainDropout(), model[-1])

    return changed(build, extend)


class Uphill(Sgd):
    """Gradient descent that climbs."""

    def update(self, parameter: Tensor, gradient: Tensor, slots: Slots, hyper: Hyper, taken: int) -> tuple[Tensor, Slots]:
        """Return the parameter after one step in the wrong direction."""
        return super().update(parameter, -gradient, slots, hyper, taken)


def preceded_by(build: Callable[[int], nn.Module], layer: str, *arguments: Any) -> Callable[[int], nn.Module]:
    """Return a maker whose models begin with one more module of torch.nn."""

    def extend(model: Any) -> Any:
        from torch import nn

        return nn.Sequential(getattr(nn, layer)(*arguments), *model)

    return changed(build, extend)


def with_nan(values: Tensor) -> Tensor:
    """Return the values with a NaN among them."""
    values[7] = float("nan")
    return values


def first_constant(inputs: Tensor) -> Tensor:
    """Return inputs whose first feature is always 1."""
    inputs[:, 0] = 1.0
    return inputs


def every(step: int, values: Tensor) -> Tensor:
    """Return 1 at every step-th place and 0 at the others, as many as there are values."""
    import torch

    return (torch.arange(len(values)) % step == 0).to(values.dtype)


def partly_leaked(split: Split) -> tuple[Tensor, Tensor]:
    """Return blobs of which 16 validation samples are in the training data as well."""
    inputs, labels = blobs(split)
    if split == "validation":
        inputs[:16], labels[:16] = blobs("train")[0][:16], blobs("train")[1][:16]
    return inputs, labels


def shifted(build: Callable[[int], nn.Module], bias: float, units: int | None = None) -> Callable[[int], nn.Module]:
    """Return a maker whose first layer's first `units` biases (all of them by default) are `bias`."""

    def shift(model: Any) -> None:
        model[0].bias[:units] = bias

    return changed(build, shift)


def cut_off_entropy(outputs: Any, targets: Any) -> Any:
    """Return a cross-entropy that the gradient cannot pass."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(outputs.detach(), targets)


def with_cut(build: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    """Return a maker whose models cut the gradient off before their last layer."""

    def cut(model: Any) -> Any:
        from torch import nn

        class Detach(nn.Module):
            def forward(self, inputs: Tensor) -> Tensor:
                return inputs.detach()

        return nn.Sequential(*model[:-1], Detach(), model[-1])

    return changed(build, cut)


def frozen(build: Callable[[int], nn.Module], count: int) -> Callable[[int], nn.Module]:
    """Return a maker whose first `count` parameters are not to learn."""

    def freeze(model: Any) -> None:
        for parameter in list(model.parameters())[:count]:
            parameter.requires_grad = False

    return changed(build, freeze)


def tidy_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Train one step and clear the gradients at its end."""
    loss = plain_step(model, batch, optimizer)
    optimizer.zero_grad(set_to_none=False)
    return loss


def log_of_zero(outputs: Any, targets: Any) -> Any:
    """Return a loss that takes the logarithm of 0."""
    return -(0 * outputs[:, 0] * targets).log().mean()


def root_at_zero(outputs: Any, targets: Any) -> Any:
    """Return a finite loss whose gradient is not."""
    return (0 * outputs[:, 0] * targets).sqrt().mean()


def with_batchnorm(build: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    """Return a maker whose models normalize the batch behind their first layer."""

    def insert(model: Any) -> Any:
        from torch import nn

        return nn.Sequential(model[0], nn.BatchNorm1d(model[0].out_features), *model[1:])

    return changed(build, insert)
