"""LS702: an epsilon that is too small to do anything in the precision that is computed in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lossdoc import specimens
from lossdoc.checks import _differences
from lossdoc.checks._signal import ADAPTIVE
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.parts.optimizers import Adam
from lossdoc.rule import rule
from lossdoc.specimens import OwnLoss
from lossdoc.subject import Batch, Subject

if TYPE_CHECKING:
    from torch import Tensor, nn

SAFE = 1e-10  # an epsilon from which on nothing is measured: a bound above it would take gradients of 10^4
ADDING = frozenset(
    {"add", "__add__", "__radd__", "sub", "__sub__", "__rsub__", "rsub", "clamp", "clamp_min", "clamp_max", "clip"}
)


@rule(
    code="LS702",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.with_recipe(specimens.healthy(), optimizer=Adam(lr=1e-3, eps=1e-16)),
        lambda: specimens.with_recipe(specimens.healthy(), optimizer=Adam(lr=1e-3, eps=1e-30)),
        lambda: specimens.healthy(build=specimens.with_batchnorm(specimens.mlp(), eps=1e-18)),
        lambda: specimens.binary(loss=OwnLoss(specimens.entropy_beside_one, takes="logits")),
    ),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.with_recipe(specimens.healthy(), optimizer=Adam(lr=1e-3)),
        lambda: specimens.with_recipe(specimens.healthy(), optimizer=Adam(lr=1e-3, eps=1e-7)),
        lambda: specimens.healthy(build=specimens.with_batchnorm(specimens.mlp(), eps=1e-12)),
    ),
)
def epsilon(subject: Subject) -> Answer:
    """The small number that is to guard a division or a logarithm is too small for the precision: it guards nothing.

    Looks like:
        A loss that falls well and then jumps; steps of full size in parameters whose gradient is 0 but for rounding; NaN
        late in training.

    Causes:
        - an epsilon copied from code in double precision, such as 1e-16
        - an epsilon next to 1: 1 − 1e-8 is 1 in float32
        - half precision, in which 1e-8 is 0

    Confirm with:
        - print `torch.tensor(1 + eps) == 1`, and the root of the optimizer's second moments beside its epsilon

    Try:
        - the usual epsilon: 1e-8 for Adam, 1e-5 for normalization
        - in half precision 1e-4, or keep the optimizer's state in float32
        - clamp probabilities at 1e-6 and 1 − 1e-6, or use the loss that takes logits

    False alarms:
        An optimizer's epsilon below the usual that still outweighs rounding errors is passed, as 1e-15 is where gradients
        are small.

    Decided by:
        With u the precision (1.2e-7 in float32) and G the largest root mean square of a parameter's gradient, the rounding
        errors of a gradient are of size u·G. A divisor √v of that size is not changed in a single bit by an epsilon below
        u²·G/2: then even a gradient that is nothing but rounding error takes steps of the size of the learning rate. An
        epsilon that is 0 in the parameters' own precision is an error, too, and so is one of a normalization below (u·c)²,
        c the root mean square of what it gets: a channel that is constant but for rounding would come out with
        variance 1. A number in the model's or the loss's own sums that the precision turns into 1 or 0 is a
        warning.

    Sources:
        - Kingma and Ba (2015), Adam, algorithm 1
        - IEEE 754: half a unit in the last place is what an addition may lose
    """
    from lossdoc import fetching, probe

    plain = probe.bare(subject)
    model, batch = plain.build(subject.seed), fetching.take(subject, samples=1)[0]
    tested = [
        *_of_optimizer(plain, model, batch),
        *_of_normalization(model, batch),
        *_beside_one(subject, model, batch),
    ]
    if not tested:
        raise NotApplicable("neither the optimizer nor a normalization has an epsilon")
    fired = [each for each in tested if isinstance(each, Evidence)]
    return fired[0] if fired else tested[0]


def _of_optimizer(subject: Subject, model: nn.Module, batch: Batch) -> Iterator[Evidence | Passed]:
    """Judge the epsilon of an optimizer that divides by the root of second moments."""
    import torch

    from lossdoc import probe

    word, eps = subject.recipe.optimizer.word.rpartition(":")[2].lower(), subject.recipe.hyper.get("eps")
    if word not in ADAPTIVE or eps is None:
        return
    dtype = next((each.dtype for each in model.parameters() if each.is_floating_point()), torch.float32)
    facts = {"measured": eps, "expected": 1e-8, "tolerance": 0.0}
    if float(torch.tensor(eps, dtype=dtype)) == 0:
        yield Evidence(f"the optimizer's eps of {eps:g} is 0 in {dtype}", facts=facts, confidence=0.98)
        return
    if eps >= SAFE or dtype not in (torch.float32, torch.float64):
        yield Passed(f"the optimizer's eps is {eps:g}", facts)
        return
    probe.must_have_loss(subject, model, batch)
    sizes = [float(each.double().square().mean().sqrt()) for each in probe.gradient(subject, model, batch).values()]
    largest = max((each for each in sizes if math.isfinite(each)), default=0.0)
    rounding = torch.finfo(dtype).eps * largest
    facts |= {"tolerance": torch.finfo(dtype).eps * rounding / 2, "gradient": largest}
    if eps >= facts["tolerance"]:
        yield Passed(f"the optimizer's eps of {eps:g} outweighs rounding errors of {rounding:.1g}", facts)
        return
    yield Evidence(
        f"the optimizer's eps of {eps:g} changes no bit beside the rounding errors of the gradients, {rounding:.1g} in "
        f"{str(dtype).removeprefix('torch.')}: even these take steps of full size",
        facts=facts,
        confidence=0.95,
    )


def _of_normalization(model: nn.Module, batch: Batch) -> Iterator[Evidence]:
    """Judge the epsilons of normalizing modules."""
    import torch

    from lossdoc import tracing

    small = {
        name: float(module.eps)
        for name, module in model.named_modules()
        if isinstance(getattr(module, "eps", None), float) and float(module.eps) < SAFE
    }
    calls = tracing.followed(model, batch).calls if small else []
    for call in calls:
        if call.name in tracing.NORMS and call.place in small:
            size = float(call.given.detach().double().square().mean().sqrt())
            bound = (torch.finfo(torch.float32).eps * size) ** 2
            if small[call.place] < bound:
                yield Evidence(
                    f"{call.place} divides by the root of a variance plus {small[call.place]:g}; rounding errors alone make "
                    f"that of a constant {bound:.1g}",
                    facts={"measured": small[call.place], "expected": 1e-5, "tolerance": bound},
                    confidence=0.9,
                )


def _beside_one(subject: Subject, model: nn.Module, batch: Batch) -> Iterator[Evidence]:
    """Look for numbers in the sums of model and loss that their precision turns into 1 or 0."""
    from lossdoc import probe, tracing

    probe.must_have_loss(subject, model, batch)
    trace = tracing.followed_to_loss(model, subject.loss, (), _differences.few(batch))
    for call in trace.calls:
        lost = [each for each in call.numbers if call.name in ADDING and _rounded(each, call.output)]
        if lost:
            kind = str(call.output.dtype).removeprefix("torch.")
            where = f"in {call.place}" if call.place else "in the loss or the model"
            yield Evidence(
                f"{lost[0]!r} is {_rounded(lost[0], call.output)} in {kind}: what it is to keep away in `{call.name}` "
                f"({where}) is not kept away",
                facts={"measured": lost[0], "expected": 1e-6, "tolerance": 0.0},
                severity=Severity.WARNING,
                confidence=0.9,
            )


def _rounded(number: float, like: Tensor) -> str:
    """Return "1" or "0" for a number that becomes it in a tensor's precision and was not before; else an empty text."""
    import torch

    rounded: Any = float(torch.tensor(number, dtype=like.dtype))
    return f"{rounded:g}" if rounded != number and rounded in (0.0, 1.0, -1.0) else ""
