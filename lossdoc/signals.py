"""How the signal fares on its way through fresh networks and back: shared by the checks of initialization and gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn

from lossdoc import fetching, probe, tracing
from lossdoc.errors import NotApplicable, UserCodeError, UserError
from lossdoc.samples import take
from lossdoc.subject import Batch, Subject, kept

SAMPLES = 256  # a root mean square of so many numbers is off by 1/√(2·256) = 4 %
SEEDS = 20  # 4 of them prove that a fault strikes more than one network in twenty, at 95 %
NARROW = 10  # units, all of which are off for the same half of all directions in one network of a thousand, or more
NARROW_SEEDS = 60  # 7 of them prove it: what strikes one network in five is then missed in one subject of 30
LITTLE = 2**22  # numbers made: some hundredths of a second of work
NUMBERS = 2**23  # made over all seeds: some tenths of a second of work
RELATIVE_SLOPES: dict[str, Callable[[Tensor], Tensor]] = {  # from the outputs, 1 where the function is steepest
    "sigmoid": lambda y: 4 * y * (1 - y),
    "tanh": lambda y: 1 - y.square(),
    "softsign": lambda y: (1 - y.abs()).square(),
    "hardtanh": lambda y: ((y > y.min()) & (y < y.max())).to(y.dtype),
    "hardsigmoid": lambda y: ((y > 0) & (y < 1)).to(y.dtype),
}
FLAT = 1 / math.cosh(2.5) ** 2  # the slope, relative to the steepest, of tanh at 2.5 and of the sigmoid at 5: 2.7 %


@dataclass(frozen=True)
class Layer:
    """A layer with weights: its place, and the root mean square of what differs from sample to sample in its outputs.

    `spread` is the root mean square of its weights relative to that of a healthy start (variance 2/fan-in before a rectifier
    and its like, else 1/fan-in), NaN where a normalization behind it makes that indifferent. `back` is by which factor a
    random gradient at what the last layer gets has changed its norm when it arrives here; NaN where there is no way from
    there to here, or where the numbers left their range.
    """

    place: str
    size: float
    spread: float
    back: float


@dataclass(frozen=True)
class Activation:
    """An activation at work.

    `feeds`: a layer with weights takes its outputs. `dead` is the share of units that are 0 for every sample, NaN for others
    than rectifiers; `flat` the share of values where the function is all but flat, NaN for those that never are. `kept` is
    the size of the differences between samples behind it, relative to those before it.
    """

    name: str
    place: str
    units: int
    feeds: bool
    dead: float
    flat: float
    kept: float


@dataclass(frozen=True)
class Network:
    """A fresh network at work: the size of what its first and its last layer get, its layers and activations, in order.

    `past` is the norm of the gradient that a random one at the last position of a sequence makes at the first, relative to
    that at the last, the largest over torch's recurrent networks; NaN where there is none. `idle_biases` are the layers
    whose bias the normalization right behind them takes away again.
    """

    inputs: float
    reaching: float
    layers: tuple[Layer, ...]
    activations: tuple[Activation, ...]
    past: float = math.nan
    idle_biases: tuple[str, ...] = ()

    @property
    def forward(self) -> float:
        """The size of the signal that reaches the last layer relative to what the first gets."""
        return self.reaching / self.inputs

    @property
    def through(self) -> float:
        """The size of the signal at the last layer relative to what the first gets."""
        return self.layers[-1].size / self.inputs

    @property
    def back(self) -> float:
        """The factor by which a gradient has changed between what the last layer gets and the first layer it can reach."""
        return next((each.back for each in self.layers[:-1] if not math.isnan(each.back)), math.nan)

    @property
    def most_back(self) -> float:
        """The largest factor by which a gradient has changed on its way back to any layer; along a sequence, too."""
        grown = [each.back for each in self.layers[:-1] if not math.isnan(each.back)]
        return max((*grown, *([] if math.isnan(self.past) else [self.past])), default=math.nan)

    @property
    def finite(self) -> bool:
        """Whether all numbers on the way there and back were."""
        return all(math.isfinite(each.size) for each in self.layers)


@dataclass(frozen=True)
class Signals:
    """Fresh networks of several seeds, and two healthy fits of the same architecture.

    `linear` has no activations and weights of variance 1/fan-in: what pooling, normalization and shortcuts do to a signal is
    in it, too. `refilled` has its own activations, and the weights that they call for: He's before a rectifier, else
    Xavier's. `samples` is how many were used.
    """

    networks: tuple[Network, ...]
    linear: Network
    refilled: Network
    samples: int

    def typical(self, measure: Callable[[Network], float]) -> float:
        """Return the median over the networks that have such a number, NaN where none has."""
        values = [value for value in map(measure, self.networks) if not math.isnan(value)]
        return median(values) if values else math.nan


def signals(subject: Subject) -> Signals:
    """Measure fresh networks on the first samples; kept with the subject, for several checks ask.

    Raises:
        NotApplicable: when no layer with weights is seen at work, or what it gets is the same for every sample.
    """
    return kept(subject, "signals", lambda: _measured(subject))


def _measured(subject: Subject) -> Signals:
    plain = probe.bare(subject)
    model = plain.build(subject.seed)
    batch, each = _affordable(model, fetching.take(subject, samples=SAMPLES))
    weights = sum(parameter.numel() for parameter in model.parameters())
    first = _network(model, batch)
    if not first.layers:
        raise NotApplicable("no layer with weights is seen at work")
    if not (first.inputs > 0 and math.isfinite(first.inputs)):
        raise NotApplicable("what the first layer gets is constant or not finite")
    narrow = any(unit.units <= NARROW for unit in first.activations if not math.isnan(unit.dead))
    seeds = min(
        NARROW_SEEDS if narrow else SEEDS,
        max(1 if weights > NUMBERS else 3, int(NUMBERS / (each * batch.size + 6 * weights))),
    )
    networks = (first, *(_network(plain.build(subject.seed + seed), batch) for seed in range(1, seeds)))
    linear = _network(_refilled(plain.build(subject.seed), batch, variance=1.0), batch, linear=True)
    refilled = _network(_refilled(plain.build(subject.seed), batch), batch)
    return Signals(networks, linear, refilled, batch.size)


def made_by_a_sample(subject: Subject) -> float:
    """Return how many numbers the layers and functions of the model make of one sample on its way."""
    return _first_look(subject).made


def some(subject: Subject, batch: Batch, samples: int = 8) -> Batch:
    """Return the first samples of a batch, for what they show as well as all.

    It is the whole batch where that is little work, or where the model takes no parts of one.
    """
    look = _first_look(subject)
    return _part(batch, samples) if look.parts and look.made * batch.size > LITTLE else batch


def strangers(subject: Subject) -> tuple[str, ...]:
    """Return learnable tensors that are at work and not among the model's parameters; none where it has none at all.

    Each is named by the function that uses it and its shape.
    """
    return _first_look(subject).strangers


@dataclass(frozen=True)
class _Look:
    """What a forward of two samples shows: numbers made of each, whether parts of a batch will do, and `strangers`."""

    made: float
    parts: bool
    strangers: tuple[str, ...]


def _first_look(subject: Subject) -> _Look:
    def looked() -> _Look:
        model, batch = probe.bare(subject).build(subject.seed), fetching.take(subject, samples=1)[0]
        try:
            few = _part(batch, 2)
            calls, parts = tracing.followed(model, few).calls, True
        except (UserCodeError, UserError, TypeError, IndexError):
            few, calls, parts = batch, tracing.followed(model, batch).calls, False
        made = max(1.0, sum(call.output.numel() for call in calls) / few.size)
        return _Look(made, parts, _strangers(calls, {id(each) for each in model.parameters()}))

    return kept(subject, "first look", looked)


def _affordable(model: nn.Module, batches: list[Batch]) -> tuple[Batch, float]:
    """Return as many samples as there is memory for, and how many numbers each of them makes on its way.

    It is the first batch as it is where several cannot be joined, or the model takes no others.
    """
    try:
        batch = _part(fetching.joined(batches), SAMPLES)
        made = sum(call.output.numel() for call in tracing.followed(model, _part(batch, 2)).calls) / min(2, batch.size)
    except (NotApplicable, UserCodeError):
        calls = tracing.followed(model, batches[0]).calls
        return batches[0], sum(call.output.numel() for call in calls) / batches[0].size
    return _part(batch, int(min(SAMPLES, max(8, NUMBERS / 4 / max(made, 1))))), made


def _part(batch: Batch, samples: int) -> Batch:
    chosen = slice(0, samples)
    return Batch(take(batch.inputs, chosen), batch.targets[chosen])


def _network(model: nn.Module, batch: Batch, *, linear: bool = False) -> Network:
    """Send a batch through a network that nobody keeps, and a random gradient back; `linear`: as if without activations."""
    change = None
    if linear:
        activations = frozenset(tracing.followed(model, _part(batch, 2)).hidden_activations())
        change = lambda at, given: given if at in activations else None  # noqa: E731 - as short as it is
    trace = tracing.followed(model, batch, change)
    calls = [call for call in trace.calls if call.weight is not None]
    if not calls:
        return Network(math.nan, math.nan, (), ())
    last = {id(call.weight): call for call in calls}  # of a weight that is used again and again, as along a sequence
    backs, spreads = _backs(calls), _spreads(trace)
    own = {id(weight): name for name, weight in model.named_parameters()}  # for weights that the model holds itself
    layers = tuple(
        Layer(spoken(call.place or own.get(at, "").removesuffix("weight")), differing(call.output), spreads[at], backs[at])
        for at, call in last.items()
    )
    hidden = frozenset(trace.hidden_activations())
    seen = tuple(
        _activation(trace, at, feeds=at in hidden)
        for at, call in enumerate(trace.calls)
        if call.name in tracing.ACTIVATIONS and call.output is not call.given
    )
    return Network(
        differing(calls[0].given),
        differing(calls[-1].given),
        layers,
        seen,
        math.nan if linear else _past(model, trace),
        _idle_biases(trace),
    )


def _strangers(calls: Sequence[tracing.Call], known: Collection[int]) -> tuple[str, ...]:
    """Return the parameters that pass a gradient on and are not known, as the function that uses them and their shape."""
    found: dict[int, str] = {}
    for call in calls if known else ():
        weights = [each for each in call.inputs if isinstance(each, nn.Parameter) and each.requires_grad]
        if call.output.requires_grad:
            found |= {id(each): f"{call.name} {tuple(each.shape)}" for each in weights if id(each) not in known}
    return tuple(found.values())


def spoken(place: str) -> str:
    """Return what a module is called in a sentence: torch calls the model itself "", and the first part of a sequence 0."""
    return f"layer {place}" if place.isdigit() else place or "the model"


def differing(values: Tensor) -> float:
    """Return the root mean square of what differs from sample to sample, the first dimension."""
    values = values.detach().double()
    return math.sqrt(float((values - values.mean(0)).square().mean()))


def _spreads(trace: tracing.Trace) -> dict[int, float]:
    """Return by each weight's id its size relative to that of a healthy start; see `Layer.spread`."""
    rectified = _rectified(trace)
    normalized = {trace.behind(at) for at, call in enumerate(trace.calls) if call.name in tracing.NORMS}
    found = {}
    for at, call in enumerate(trace.calls):
        if call.weight is not None:
            usual = math.sqrt((2.0 if at in rectified else 1.0) / _fan_in(call, call.weight))
            size = math.sqrt(float(call.weight.detach().double().square().mean()))
            found[id(call.weight)] = math.nan if at in normalized else size / usual
    return found


def _backs(calls: list[tracing.Call]) -> dict[int, float]:
    """Return by each weight's id what becomes of a random gradient at what the last layer gets; all its calls count."""
    found: dict[int, list[float]] = {id(call.weight): [] for call in calls}
    start = calls[-1].given
    reached = [call for call in calls if call.weight is not calls[-1].weight and call.output.requires_grad]
    if not reached or not start.requires_grad:
        return dict.fromkeys(found, math.nan)
    given = torch.randn(start.shape, generator=torch.Generator().manual_seed(0)).to(start)
    slopes = torch.autograd.grad(start, [call.output for call in reached], given, retain_graph=True, allow_unused=True)
    for call, slope in zip(reached, slopes, strict=True):
        if slope is not None:
            found[id(call.weight)].append(float(slope.double().square().sum() / given.double().square().sum()))
    return {weight: math.sqrt(sum(squares)) if squares else math.nan for weight, squares in found.items()}


def _past(model: nn.Module, trace: tracing.Trace) -> float:
    """Return by how much a gradient at the last position has grown when it arrives at the first; see `Network.past`."""
    found = []
    for call in trace.calls:
        if call.name in tracing.RECURRENT and call.given.requires_grad and call.given.ndim == 3:
            along = 1 if getattr(model.get_submodule(call.place), "batch_first", False) else 0
            last = call.output.select(along, -1)
            given = torch.randn(last.shape, generator=torch.Generator().manual_seed(0)).to(last)
            (slope,) = torch.autograd.grad(last, call.given, given, retain_graph=True)
            sizes = slope.double().movedim(along, 0).flatten(1).norm(dim=1)
            found.append(float(sizes[0] / sizes[-1]))
    return max(found, default=math.nan)


def _idle_biases(trace: tracing.Trace) -> tuple[str, ...]:
    """Return the layers with a bias of which a normalization over each channel takes the mean right behind them."""
    before = [trace.behind(at) for at, call in enumerate(trace.calls) if call.name in ("batch_norm", "instance_norm")]
    layers = [trace.calls[at] for at in before if at is not None and trace.calls[at].weight is not None]
    return tuple(
        spoken(call.place)
        for call in layers
        if any(isinstance(each, nn.Parameter) and each.ndim == 1 for each in call.inputs)
    )


def _activation(trace: tracing.Trace, at: int, *, feeds: bool) -> Activation:
    call = trace.calls[at]
    outputs, axis = call.output.detach(), _units(trace, at)
    name = call.name.rstrip("_")
    largest = outputs.movedim(axis, 0).flatten(1).amax(1)
    before = differing(call.given)
    return Activation(
        name=name,
        place=spoken(call.place),
        units=len(largest),
        feeds=feeds,
        dead=float((largest <= 0).double().mean()) if call.name in tracing.RECTIFIERS else math.nan,
        flat=float((RELATIVE_SLOPES[name](outputs) < FLAT).double().mean()) if name in RELATIVE_SLOPES else math.nan,
        kept=differing(outputs) / before if before > 0 else math.nan,
    )


def _units(trace: tracing.Trace, at: int) -> int:
    """Return the dimension that the units are counted along: the channels of a convolution's outputs, else the last one."""
    if trace.calls[at].output.ndim > 2:
        before = trace.behind(at)
        if before is not None and trace.calls[before].name in tracing.NORMS:
            before = trace.behind(before)
        if before is not None and trace.calls[before].name.startswith("conv"):
            return 1
    return -1


def _refilled(model: nn.Module, batch: Batch, variance: float | None = None) -> nn.Module:
    """Give a network that nobody keeps a healthy start: weights of that variance over fan-in, or He's and LeCun's."""
    trace = tracing.followed(model, _part(batch, 2))
    rectified = _rectified(trace)
    luck = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for at, call in enumerate(trace.calls):
            weight = call.weight
            if isinstance(weight, nn.Parameter):
                each = variance or (2.0 if at in rectified else 1.0)
                weight.copy_(torch.randn(weight.shape, generator=luck) * math.sqrt(each / _fan_in(call, weight)))
                biases = (other for other in call.inputs if isinstance(other, nn.Parameter) and other.ndim == 1)
                for bias in biases:
                    bias.zero_()
    return model


def _rectified(trace: tracing.Trace) -> set[int]:
    """Return the layers with a rectifier or its like behind them, whose signal is halved by it."""
    found = set()
    for at, call in enumerate(trace.calls):
        if call.name in tracing.ACTIVATIONS - SQUASHING:
            before: int | None = at
            while before is not None and trace.calls[before].weight is None:
                before = trace.behind(before)
            found.add(before)
    return {at for at in found if at is not None}


SQUASHING = frozenset({"sigmoid", "tanh", "softmax", "exp", "softsign", "hardtanh", "hardsigmoid", "log_softmax", "selu"})


def _fan_in(call: tracing.Call, weight: Tensor) -> int:
    if call.name.startswith("conv_transpose"):
        return weight.numel() // weight.shape[1]
    if call.name in tracing.LAYERS:
        return weight.numel() // weight.shape[0]
    return weight.shape[-2]
