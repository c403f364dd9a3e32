"""Autograd against finite differences, in float64."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lossdoc.checks._events import MENDED, Record, watching
from lossdoc.errors import NotApplicable, UserCodeError, UserError
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.subject import Batch, Subject

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lossdoc.measuring import Objective
    from lossdoc.train import State

TENSORS, SAMPLES = 12, 8
LARGEST, SECONDS = 5_000_000, 1.5  # numbers in the model, and time for all differences: more would be felt
LENGTH = 1e-5  # of a step: rounding adds 2e-16/1e-5 = 2e-11 of the loss, the third derivative 1e-10 of itself
SHORT = LENGTH / 64  # rounding adds 1.3e-9 of the loss; a bend between the two lengths shows
AGREE = 1e-3  # of the slope, and a hundredth of what they prove: differences of two lengths that do not agree lie on a bend
NOISE = 1e-7  # of the loss: a slope below that is not told from rounding
OFF = 1e-2  # of a parameter's size: moves it off places where a ReLU bends, such as a bias of 0 behind an empty image


@dataclass(frozen=True)
class Slope:
    """What autograd and differences of two lengths say of one parameter, along one direction."""

    name: str
    autograd: float
    long: float
    short: float

    def wrong(self, apart: float, loss: float) -> bool:
        """Tell whether they are apart, and the differences themselves agree."""
        size, far = max(abs(self.autograd), abs(self.long)), abs(self.autograd - self.long)
        agree = abs(self.long - self.short) < min(AGREE * size + NOISE * loss, far / 100)
        return agree and far > apart * size + 10 * NOISE * loss


@dataclass(frozen=True)
class Function:
    """The loss of one batch as a function of the weights, in float64; from the same random numbers at every call."""

    objective: Objective
    state: State
    batch: Batch

    def value(self, changed: Mapping[str, Tensor]) -> float:
        """Return the loss with some parameters changed."""
        import torch
        from torch.func import functional_call

        from lossdoc import randomness

        buffers = {name: each.clone() for name, each in self.state.buffers.items()}
        with randomness.seeded(0), torch.no_grad():
            total, _, _ = functional_call(self.objective, {**self.state.params, **buffers, **changed}, (self.batch,))
        return float(total)

    def difference(self, name: str, step: Tensor) -> float:
        """Return the slope along a step in one parameter."""
        up, down = (self.value({name: self.state.params[name] + sign * step}) for sign in (1, -1))
        return (up - down) / (2 * float(step.norm()))

    def gradients(self, record: Record, *, mended: bool = False) -> tuple[dict[str, Tensor], float]:
        """Return autograd's gradients by name, and the loss, of the live module: what is recomputed needs it there."""
        import torch

        from lossdoc import randomness

        held = dict(self.objective.named_parameters())
        with torch.no_grad():
            for name, each in (*held.items(), *self.objective.named_buffers()):
                each.copy_(self.state.params[name] if name in self.state.params else self.state.buffers[name])
        learned = {name: held[name] for name in self.state.params}
        with randomness.seeded(0), watching(record, mended=mended):
            total, _, _ = self.objective(self.batch)
        if not total.requires_grad:
            return {}, float(total)
        found = torch.autograd.grad(total, list(learned.values()), allow_unused=True)
        grads = {name: grad for name, grad in zip(learned, found, strict=True) if grad is not None}
        return grads, float(total.detach())


def judge(subject: Subject, apart: float) -> Answer:
    """Compare both along a direction in some parameters.

    Raises:
        NotApplicable: where the model is too large, cannot be computed in float64, or is not smooth there.
    """
    from lossdoc import fetching, probe

    plain = probe.bare(subject)
    model = plain.build(subject.seed)
    if sum(each.numel() for each in model.parameters()) > LARGEST:
        raise NotApplicable(f"finite differences of more than {LARGEST:,} weights would take too long")
    batch = few(fetching.take(subject, samples=1)[0])
    probe.must_have_loss(subject, model, batch)
    try:
        with _in_double():
            return _judged(plain, model, batch, apart)
    except (UserCodeError, UserError, RuntimeError, TypeError) as bad:
        raise NotApplicable(f"the model cannot be computed in float64: {str(bad).splitlines()[0]}") from bad


@contextmanager
def _in_double() -> Iterator[None]:
    """Let tensors that are made in the block without a type be float64."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _judged(plain: Subject, model: nn.Module, batch: Batch, apart: float) -> Answer:
    from lossdoc import measuring, train

    objective = measuring.Objective(model.double(), plain.loss, plain.recipe.penalties).train()
    state = _moved(train.start(objective, plain.recipe.optimizer))
    function = Function(objective, state, Batch(_double(batch.inputs), _double(batch.targets)))
    record = Record()
    grads, total = function.gradients(record)
    loss = abs(total) or 1.0
    if not grads or not loss < float("inf"):
        raise NotApplicable("there is no gradient, or the loss is not finite")
    slopes = list(_slopes(function, grads))
    wrong = [each for each in slopes if each.wrong(apart, loss)]
    if not wrong:
        worst = max((abs(each.autograd - each.long) for each in slopes), default=0.0)
        return Passed(
            f"autograd and finite differences in {len(slopes)} parameters are at most {worst:.1g} apart",
            {"measured": worst, "expected": 0.0, "tolerance": apart},
        )
    meant = bool(set(record.cuts) & set(MENDED)) and _meant(function, {each.name for each in wrong}, loss, apart)
    return _evidence(wrong, len(slopes), apart, record, meant=meant)


def few(batch: Batch) -> Batch:
    """Return the first samples of a batch; the whole of it where its parts are not one for each sample."""
    import torch

    def fits(part: Any) -> bool:
        return isinstance(part, torch.Tensor) and part.ndim > 0 and len(part) == batch.size

    inputs = batch.inputs
    parts = list(inputs.values()) if isinstance(inputs, Mapping) else [inputs]
    if not all(fits(part) for part in (*parts, batch.targets)):
        return batch
    few = {name: part[:SAMPLES] for name, part in inputs.items()} if isinstance(inputs, Mapping) else inputs[:SAMPLES]
    return Batch(few, batch.targets[:SAMPLES])


def _double(part: Any) -> Any:
    import torch

    if isinstance(part, Mapping):
        return {name: _double(each) for name, each in part.items()}
    return part.double() if isinstance(part, torch.Tensor) and part.is_floating_point() else part


def _moved(state: State) -> State:
    """Return the state with every parameter moved a little, the same way each time."""
    from dataclasses import replace

    import torch

    luck = torch.Generator().manual_seed(0)

    def moved(each: Tensor) -> Tensor:
        size = OFF * (float(each.square().mean().sqrt()) + OFF)
        return each + size * torch.randn(each.shape, generator=luck).to(each.device)

    return replace(state, params={name: moved(each) for name, each in state.params.items()})


def _slopes(function: Function, grads: Mapping[str, Tensor]) -> Iterator[Slope]:
    """Yield the comparison for parameters spread over the model, as many as time allows.

    Raises:
        NotApplicable: where time does not even allow two.
    """
    import torch

    began = time.monotonic()
    function.value({})
    room = int(SECONDS / (4 * max(time.monotonic() - began, 1e-9)))
    if room < 2:
        raise NotApplicable("finite differences of this model would take too long")
    names = list(grads)
    count = min(TENSORS, room, len(names))
    luck = torch.Generator().manual_seed(1)
    for name in (names[round(at * (len(names) - 1) / max(count - 1, 1))] for at in range(count)):
        slope = grads[name]
        along = torch.randn(slope.shape, generator=luck).to(slope.device)
        along = along / along.norm()
        if bool(slope.any()) and bool(slope.isfinite().all()):
            along = along + slope / slope.norm()
            along = along / along.norm()
        long, short = (function.difference(name, length * along) for length in (LENGTH, SHORT))
        yield Slope(name.removeprefix("model."), float((slope * along).sum()), long, short)


def _meant(function: Function, names: set[str], loss: float, apart: float) -> bool:
    """Tell whether the gradient is right once nothing is detached: then it was cut off there on purpose or not."""
    try:
        whole, _ = function.gradients(Record(), mended=True)
    except (UserCodeError, RuntimeError):
        return False
    return not any(each.wrong(apart, loss) for each in _slopes(function, whole) if each.name in names)


def _evidence(wrong: list[Slope], looked: int, apart: float, record: Record, *, meant: bool) -> Evidence:
    worst = max(wrong, key=lambda each: abs(each.autograd - each.long) / max(abs(each.autograd), abs(each.long)))
    surrogate = all(abs(each.long) < AGREE * abs(each.autograd) for each in wrong)
    why = " for what is detached" if meant else ", where the loss does not change at all" if surrogate else ""
    return Evidence(
        f"in {len(wrong)} of {looked} parameters autograd's gradient is not the loss's{why}: in `{worst.name}` it is "
        f"{worst.autograd:.4g} along a line on which the loss's slope is {worst.long:.4g}",
        facts={"measured": worst.autograd, "expected": worst.long, "tolerance": apart * abs(worst.long)},
        severity=Severity.NOTE if meant or surrogate else None,
        confidence=0.95,
        causes=(f"{record.told(partly=True)} on purpose",) if meant else (),
    )
