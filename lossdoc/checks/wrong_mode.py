"""LS510: training in evaluation mode, evaluating in training mode, and statistics that are never gathered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossdoc import specimens
from lossdoc.checks import _steps
from lossdoc.checks._events import Record, recorded
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.subject import Batch, Subject

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.overrides import TorchFunctionMode


@rule(
    code="LS510",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.with_step(
            specimens.evaluating_step, specimens.healthy(build=specimens.with_dropout(specimens.mlp()))
        ),
        lambda: specimens.healthy(build=specimens.with_lasting_dropout(specimens.mlp())),
        lambda: specimens.healthy(build=specimens.with_momentum(specimens.with_batchnorm(specimens.mlp()), 0.0)),
        lambda: specimens.healthy(build=specimens.with_momentum(specimens.with_batchnorm(specimens.mlp()), 0.99)),
        lambda: specimens.with_step(specimens.evaluating_step),
    ),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.with_step(specimens.plain_step),
        lambda: specimens.healthy(build=specimens.with_batchnorm(specimens.mlp())),
        lambda: specimens.healthy(build=specimens.with_dropout(specimens.mlp())),
    ),
)
def wrong_mode(subject: Subject, *, fewest: float = 1.5, rounding: float = 1e-5) -> Evidence | None:
    """Dropout or batch normalization is in the wrong mode, or gathers no statistics to evaluate with.

    Looks like:
        A training loss as smooth as without dropout, and overfitting in spite of it; a validation loss that differs each
        time it is computed; validation far worse than training from the first epoch on.

    Causes:
        - `model.eval()` for a validation, and no `model.train()` behind it
        - `F.dropout(x)` without `training=self.training`, or `dropout_p` given to attention in evaluation, too
        - a momentum of batch normalization as Keras counts it: its 0.99 is 0.01 in torch
        - a momentum of 0: the running statistics stay at mean 0 and variance 1

    Confirm with:
        - print `model.training` in the training step
        - evaluate the same batch twice

    Try:
        - `model.train()` at the start of each epoch, `model.eval()` before each validation
        - `nn.Dropout` as a module, which knows its mode; `dropout_p=self.p if self.training else 0.0`
        - leave batch normalization's momentum at 0.1

    False alarms:
        Dropout that stays on to measure uncertainty. A pretrained batch normalization that is kept in evaluation mode on
        purpose is passed.

    Decided by:
        The step of the user's own: the model is in evaluation mode wherever it is called with gradients on; an error where
        its answers differ between the modes, else a warning. Evaluation: a dropout is called as in training, and two
        evaluations of one batch differ by more than rounding. Batch normalization: a momentum m averages over (2 − m)/m
        batches; fewer than 1.5 are named where an epoch has more, and a momentum of 0 where the statistics are still
        those of the start. In evaluation mode during training it is named where it has only these, too.

    Sources:
        - torch's documentation: nn.Module.eval, BatchNorm1d (momentum), scaled_dot_product_attention (dropout_p)
    """
    from lossdoc import fetching, probe

    batch = fetching.take(subject, samples=1)[0]
    whole = probe.untouched(subject)
    return (
        _step_in_evaluation(subject, whole, batch)
        or _dropping_in_evaluation(whole, batch, rounding)
        or _without_statistics(whole, batch, fewest)
    )


def _step_in_evaluation(subject: Subject, whole: Subject, batch: Batch) -> Evidence | None:
    if subject.recipe.step is None:
        return None
    called = _steps.course(subject).record.forwards
    seen = called.get("") or set().union(*called.values())
    if seen != {False}:
        return None
    model = whole.build(subject.seed)
    matters = bool((_outputs(whole, model, batch, training=True) != _outputs(whole, model, batch, training=False)).any())
    told = "its dropout or batch normalization is off" if matters else "nothing in this model minds yet"
    return Evidence(
        f"the step {subject.recipe.step.word} trains in evaluation mode: {told}",
        facts={"measured": 1.0, "expected": 0.0, "tolerance": 0.0},
        severity=None if matters else Severity.WARNING,
        confidence=0.97,
        causes=("`model.eval()` in the step, or left on behind a validation",),
    )


def _outputs(subject: Subject, model: nn.Module, batch: Batch, *, training: bool) -> Tensor:
    from lossdoc import probe

    return probe.outputs_of(subject, model, batch, training=training)


def _dropping_in_evaluation(whole: Subject, batch: Batch, rounding: float) -> Evidence | None:
    import torch

    from lossdoc import probe, randomness
    from lossdoc.calling import call_model

    model = whole.build(whole.seed)
    seen: dict[str, float] = {}
    probe.outputs_of(whole, model, batch, training=False)  # refuses what is no tensor
    with probe.watched(model, training=False), torch.no_grad():
        with _listening(seen):
            first = probe.scores_in(whole, call_model(model, batch))
        if not seen:
            return None
        with randomness.seeded(1):
            second = probe.scores_in(whole, call_model(model, batch))
    if first is None or second is None:
        return None
    apart = float((first - second).abs().max())
    if not apart > rounding * float(first.abs().max()):
        return None
    told = ", ".join(f"`{name}` with a rate of {rate:.3g}" for name, rate in seen.items())
    return Evidence(
        f"dropout is on in evaluation mode: {told}; two evaluations of one batch differ by {apart:.3g}",
        facts={"measured": apart, "expected": 0.0, "tolerance": rounding},
        confidence=0.95,
        remedies=("give it `training=self.training`, or use a module: `nn.Dropout`",),
    )


RATES = {"dropout": 0.5, "alpha_dropout": 0.5, "feature_alpha_dropout": 0.5} | {f"dropout{n}d": 0.5 for n in (1, 2, 3)}


def _listening(seen: dict[str, float]) -> TorchFunctionMode:
    """Return the context that notes each dropout function that is called as in training, with its rate."""
    from torch.overrides import TorchFunctionMode

    class Hearing(TorchFunctionMode):
        def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            named = kwargs or {}
            name = str(getattr(func, "__name__", ""))
            if name in RATES:
                rate = named.get("p", args[1] if len(args) > 1 else RATES[name])
                on = named.get("training", named.get("train", args[2] if len(args) > 2 else True))
            elif name == "scaled_dot_product_attention":
                rate, on = named.get("dropout_p", args[4] if len(args) > 4 else 0.0), True
            else:
                rate, on = 0.0, False
            if on and rate > 0:
                seen[name] = float(rate)
            return func(*args, **named)

    return Hearing()


def _without_statistics(whole: Subject, batch: Batch, fewest: float) -> Evidence | None:
    """Look at every batch normalization that evaluates with what it gathered."""
    from torch.nn.modules.batchnorm import _BatchNorm

    from lossdoc import probe

    model = whole.build(whole.seed)
    kinds = {name: each for name, each in model.named_modules() if isinstance(each, _BatchNorm)}
    kinds = {name: each for name, each in kinds.items() if each.running_mean is not None and each.running_var is not None}
    if not kinds:
        return None
    record = Record()
    with recorded(record, lambda: model), probe.watched(model, training=True):
        _forward(model, batch)
    batches = (whole.sizes.get("train") or 0) / (whole.batch_size or 1)
    for name, each in kinds.items():
        fresh = bool((each.running_mean == 0).all() and (each.running_var == 1).all())  # type: ignore[union-attr]
        found = _judged(name, each.momentum, batches, fewest) if each.momentum or fresh else None
        if found is None and fresh and _own(record.forwards.get(name)) == {False}:
            found = _frozen(name)
        if found is not None:
            return found
    return None


def _own(modes: set[bool] | None) -> set[bool]:
    return modes or set()


def _forward(model: nn.Module, batch: Batch) -> None:
    """Call the model on copies of its buffers, with gradients on."""
    import torch

    from lossdoc.calling import call_model

    kept = {name: each.clone() for name, each in model.named_buffers()}
    call_model(model, batch)
    with torch.no_grad():
        for name, each in model.named_buffers():
            each.copy_(kept[name])


def _judged(name: str, momentum: float | None, batches: float, fewest: float) -> Evidence | None:
    """Judge a momentum; None is torch's word for the plain average, which is sound."""
    if momentum is None or (momentum > 0 and (2 - momentum) / momentum >= fewest):
        return None
    if momentum != 0 and batches <= fewest:
        return None  # one batch is all there is
    over = (2 - momentum) / momentum if momentum else 0.0
    kept = f"it evaluates with the statistics of {over:.2g} batches"
    told = kept if momentum else "its statistics stay at mean 0 and variance 1"
    return Evidence(
        f"batch normalization `{name}` has a momentum of {momentum:g}: {told}",
        facts={"measured": over, "expected": 19.0, "tolerance": 19.0 - fewest, "momentum": momentum},
        severity=Severity.WARNING if 0 < momentum <= 1 else None,
        confidence=0.9,
        remedies=("`momentum=0.1`: torch's is the weight of the new batch, 1 minus what Keras calls so",),
    )


def _frozen(name: str) -> Evidence:
    return Evidence(
        f"batch normalization `{name}` is in evaluation mode while the model trains: it never gathers statistics, and has "
        f"only those of the start, mean 0 and variance 1",
        facts={"measured": 0.0, "expected": 1.0, "tolerance": 0.0},
        severity=Severity.WARNING,
        confidence=0.9,
        causes=("a `train()` of one's own that leaves it in evaluation mode, or an `eval()` in the forward pass",),
    )
