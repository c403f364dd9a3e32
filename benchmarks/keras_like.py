"""What Keras does and lossdoc has no word for, as a user's own code: copied beside each model.yaml that the importer writes.

Channels come first here, as torch wants them; where Keras' order shows (Reshape, padding "same"), it is Keras' that counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

CLIP = 1e-7  # keras.backend.epsilon()


# Activations -----------------------------------------------------------------------------------------------------------
class Exponential(nn.Module):
    """exp x."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs."""
        return inputs.exp()


class HardSigmoid(nn.Module):
    """0.2·x + 0.5 within 0 and 1, as Keras 2 has it."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs."""
        return (0.2 * inputs + 0.5).clamp(0, 1)


class ThresholdedReLU(nn.Module):
    """x where it is above theta, else 0."""

    def __init__(self, theta: float = 1.0) -> None:
        super().__init__()
        self.theta = theta

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs."""
        return inputs * (inputs > self.theta)


class GaussianNoise(nn.Module):
    """Adds noise in training."""

    def __init__(self, stddev: float) -> None:
        super().__init__()
        self.stddev = stddev

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs."""
        return inputs + self.stddev * torch.randn_like(inputs) if self.training else inputs


# Shapes ----------------------------------------------------------------------------------------------------------------
class Swap(nn.Module):
    """(B, T, F) -> (B, F, T) and back: Keras' sequences have their features last, torch's convolutions first."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs."""
        return inputs.transpose(1, 2)


class Reshape(nn.Module):
    """Each sample in another shape; three dimensions are Keras' height, width, channels."""

    def __init__(self, shape: list[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs."""
        if inputs.dim() == 4:
            inputs = inputs.permute(0, 2, 3, 1)
        outputs = inputs.reshape(inputs.shape[0], *self.shape)
        return outputs.permute(0, 3, 1, 2) if len(self.shape) == 3 else outputs


class RepeatVector(nn.Module):
    """(B, F) -> (B, times, F)."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs."""
        return inputs[:, None].expand(-1, self.times, -1)


class ZeroPadding(nn.Module):
    """Zeros around an image, or before and behind a signal; `sides` are before and behind each axis, the last axis first."""

    def __init__(self, sides: list[int]) -> None:
        super().__init__()
        self.sides = tuple(sides)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs."""
        return F.pad(inputs, self.sides)


# Weights ---------------------------------------------------------------------------------------------------------------
def begin(weight: Tensor, init: str = "glorot_uniform", **numbers: float) -> None:
    """Fill a weight (out, in, ...) as one of Keras' initializers does."""
    field = weight[0][0].numel()
    fan_in, fan_out = weight.shape[1] * field, weight.shape[0] * field
    spread = {"glorot": 2 / (fan_in + fan_out), "he": 2 / fan_in, "lecun": 1 / fan_in}
    family, _, shape = init.partition("_")
    with torch.no_grad():
        if family in spread:
            std = math.sqrt(spread[family])
            weight.normal_(0, std) if shape == "normal" else weight.uniform_(-math.sqrt(3) * std, math.sqrt(3) * std)
        elif init == "normal":
            weight.normal_(numbers.get("mean", 0.0), numbers.get("std", 0.05))
        elif init == "uniform":
            weight.uniform_(numbers.get("low", -0.05), numbers.get("high", 0.05))
        elif init == "orthogonal":
            nn.init.orthogonal_(weight)
        elif init == "identity":
            nn.init.eye_(weight)
        else:
            nn.init.constant_(weight, {"zeros": 0.0, "ones": 1.0}.get(init, numbers.get("value", 0.0)))


class Conv(nn.Module):
    """A convolution over one or two axes with what lossdoc's own lacks: strides with padding "same", oblong kernels."""

    def __init__(
        self,
        *,
        sizes: list[int],
        kernel: list[int],
        stride: list[int],
        pad: list[int],
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        init: Mapping[str, Any] | None = None,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        kind = nn.Conv1d if len(kernel) == 1 else nn.Conv2d
        self.pad = tuple(pad)
        self.conv = kind(*sizes, tuple(kernel), tuple(stride), dilation=dilation, groups=groups, bias=bias)
        begin(self.conv.weight, **(init or {}))
        if bias:
            nn.init.constant_(self.conv.bias, (init or {}).get("bias", 0.0))
        self.requires_grad_(not frozen)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs."""
        return self.conv(F.pad(inputs, self.pad))


class Pool(nn.Module):
    """A pool with padding "same" or oblong windows; padded places never count."""

    def __init__(self, kind: str, window: list[int], stride: list[int], pad: list[int]) -> None:
        super().__init__()
        self.kind, self.window, self.stride, self.pad = kind, tuple(window), tuple(stride), tuple(pad)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs."""
        one = len(self.window) == 1
        if self.kind == "max":
            pool = F.max_pool1d if one else F.max_pool2d
            return pool(F.pad(inputs, self.pad, value=-math.inf), self.window, self.stride)
        pool = F.avg_pool1d if one else F.avg_pool2d
        seen = pool(F.pad(torch.ones_like(inputs), self.pad), self.window, self.stride)
        return pool(F.pad(inputs, self.pad), self.window, self.stride) / seen


class UpSampling(nn.Module):
    """Each pixel several times."""

    def __init__(self, times: int = 2) -> None:
        super().__init__()
        self.times = times

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs."""
        return F.interpolate(inputs, scale_factor=self.times)


class Dense(nn.Module):
    """w·x + b along the last axis of an image in Keras' order, which is the first here; `last`: of anything else."""

    def __init__(
        self,
        *,
        sizes: list[int],
        bias: bool = True,
        init: Mapping[str, Any] | None = None,
        last: bool = False,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(*sizes, bias=bias)
        begin(self.linear.weight, **(init or {}))
        if bias:
            nn.init.constant_(self.linear.bias, (init or {}).get("bias", 0.0))
        self.axis = -1 if last else 1
        self.requires_grad_(not frozen)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs."""
        return self.linear(inputs.movedim(self.axis, -1)).movedim(-1, self.axis)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu, "linear": lambda x: x, "elu": F.elu, "selu": F.selu,
    "softmax": lambda x: x.softmax(-1), "softplus": F.softplus, "softsign": F.softsign, "exponential": torch.exp,
    "hard_sigmoid": lambda x: (0.2 * x + 0.5).clamp(0, 1), "swish": F.silu, "gelu": F.gelu, "mish": F.mish, "relu6": F.relu6,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
}  # fmt: skip


class Recurrent(nn.Module):
    """SimpleRNN, GRU and LSTM with any activations, one way or both; (B, T, in) -> (B, T, out), or (B, out)."""

    def __init__(
        self,
        *,
        kind: str,
        sizes: list[int],
        activation: str = "tanh",
        gate: str = "sigmoid",
        every: bool = False,
        both: bool = False,
        drop: float = 0.0,
        init: Mapping[str, Any] | None = None,
        kept: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.kind, self.out, self.every, self.drop = kind, sizes[1], every, drop
        self.act, self.gate = ACTIVATIONS[activation], ACTIVATIONS[gate]
        gates = {"simplernn": 1, "gru": 3, "lstm": 4}[kind]
        self.given = nn.ModuleList(nn.Linear(sizes[0], gates * sizes[1]) for _ in range(1 + both))
        self.kept = nn.ModuleList(nn.Linear(sizes[1], gates * sizes[1], bias=False) for _ in range(1 + both))
        for given, back in zip(self.given, self.kept, strict=True):
            begin(given.weight, **(init or {}))
            begin(back.weight, **(kept or {"init": "orthogonal"}))
            nn.init.zeros_(given.bias)
            if kind == "lstm":
                given.bias.data[sizes[1] : 2 * sizes[1]] = 1.0  # Keras' unit_forget_bias

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs."""
        ways = [self._way(inputs if way == 0 else inputs.flip(1), way) for way in range(len(self.given))]
        if not self.every:
            return torch.cat([states[:, -1] for states in ways], -1)
        return torch.cat([states if way == 0 else states.flip(1) for way, states in enumerate(ways)], -1)

    def _way(self, inputs: Tensor, way: int) -> Tensor:
        state = cell = inputs.new_zeros(inputs.shape[0], self.out)
        states = []
        mask = F.dropout(torch.ones_like(state), self.drop, self.training)  # the same at every step, as Keras has it
        for given in self.given[way](inputs).unbind(1):
            state, cell = self._step(given, self.kept[way](state * mask), state, cell)
            states.append(state)
        return torch.stack(states, 1)

    def _step(self, given: Tensor, kept: Tensor, state: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        if self.kind == "simplernn":
            return self.act(given + kept), cell
        if self.kind == "gru":
            reset, renew, new = given.chunk(3, -1)
            kept_reset, kept_renew, kept_new = kept.chunk(3, -1)
            share = self.gate(renew + kept_renew)
            return share * state + (1 - share) * self.act(new + self.gate(reset + kept_reset) * kept_new), cell
        enter, forget, new, leave = (given + kept).chunk(4, -1)
        cell = self.gate(forget) * cell + self.gate(enter) * self.act(new)
        return self.gate(leave) * self.act(cell), cell


# Losses ----------------------------------------------------------------------------------------------------------------
class BCELoss(nn.Module):
    """Keras' binary cross-entropy of probabilities, clipped where torch's own refuses what lies outside 0 and 1."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the outputs."""
        outputs, targets = _pair(outputs, targets)  # one column beside several outputs broadcasts
        outputs = outputs.clamp(CLIP, 1 - CLIP)
        return -(targets * outputs.log() + (1 - targets) * (1 - outputs).log()).mean()


def categorical_crossentropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Keras' cross-entropy of probabilities and one-hot targets (B, n); one column beside several outputs broadcasts."""
    outputs = outputs / outputs.sum(-1, keepdim=True)
    targets = targets.reshape(targets.shape[0], -1).to(outputs.dtype)
    return -(targets * outputs.clamp(CLIP, 1 - CLIP).log()).sum(-1).mean()


def sparse_categorical_crossentropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """-mean of log of the right class's probability, for class numbers that the outputs may be too few for.

    As TensorFlow has it: what lies outside 0 and 1 is clipped, and only then divided by the sum. The class numbers may be
    told as one-hot targets, too.
    """
    targets = targets.argmax(-1) if targets.dim() > 1 else targets
    return sparse_from_logits(outputs.clamp(CLIP, 1 - CLIP).log(), targets)


def sparse_from_logits(outputs: Tensor, targets: Tensor) -> Tensor:
    """-mean of the right class's log-softmax, for class numbers that the outputs may be too few for."""
    return -outputs.log_softmax(-1).gather(-1, targets.long().reshape(-1, 1).clamp(0, outputs.shape[-1] - 1)).mean()


def _pair(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    return outputs.reshape(len(outputs), -1), targets.reshape(len(targets), -1).to(outputs.dtype)


def mean_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """One column beside several broadcasts."""
    outputs, targets = _pair(outputs, targets)
    return (outputs - targets).square().mean()


def mean_absolute_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """One column beside several broadcasts."""
    outputs, targets = _pair(outputs, targets)
    return (outputs - targets).abs().mean()


def root_mean_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    return mean_squared_error(outputs, targets).sqrt()


def mean_absolute_percentage_error(outputs: Tensor, targets: Tensor) -> Tensor:
    outputs, targets = _pair(outputs, targets)
    return 100 * ((targets - outputs) / targets.abs().clamp_min(CLIP)).abs().mean()


def mean_squared_logarithmic_error(outputs: Tensor, targets: Tensor) -> Tensor:
    outputs, targets = _pair(outputs, targets)
    return (outputs.clamp_min(CLIP).log1p() - targets.clamp_min(CLIP).log1p()).square().mean()


def _signs(targets: Tensor) -> Tensor:
    """Return 0 and 1 as -1 and 1, as Keras does."""
    return torch.where(((targets == 0) | (targets == 1)).all(), 2 * targets - 1, targets)


def hinge(outputs: Tensor, targets: Tensor) -> Tensor:
    outputs, targets = _pair(outputs, targets)
    return (1 - _signs(targets) * outputs).clamp_min(0).mean()


def squared_hinge(outputs: Tensor, targets: Tensor) -> Tensor:
    outputs, targets = _pair(outputs, targets)
    return (1 - _signs(targets) * outputs).clamp_min(0).square().mean()


def categorical_hinge(outputs: Tensor, targets: Tensor) -> Tensor:
    outputs, targets = _pair(outputs, targets)
    return (((1 - targets) * outputs).amax(-1) - (targets * outputs).sum(-1) + 1).clamp_min(0).mean()


def kullback_leibler_divergence(outputs: Tensor, targets: Tensor) -> Tensor:
    outputs, targets = _pair(outputs, targets)
    outputs, targets = outputs.clamp(CLIP, 1), targets.clamp(CLIP, 1)
    return (targets * (targets / outputs).log()).sum(-1).mean()


def poisson(outputs: Tensor, targets: Tensor) -> Tensor:
    outputs, targets = _pair(outputs, targets)
    return (outputs - targets * (outputs + CLIP).log()).mean()


def cosine_similarity(outputs: Tensor, targets: Tensor) -> Tensor:
    return -F.cosine_similarity(*_pair(outputs, targets), dim=-1).mean()


def logcosh(outputs: Tensor, targets: Tensor) -> Tensor:
    outputs, targets = _pair(outputs, targets)
    apart = outputs - targets
    return (apart + F.softplus(-2 * apart) - math.log(2)).mean()


# Losses with a mistake -------------------------------------------------------------------------------------------------
def broadcast_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """(N, 1) beside (N,): every output is compared with every target."""
    return (outputs.reshape(-1, 1) - targets.reshape(-1)).square().mean()


def log_of_outputs(outputs: Tensor, targets: Tensor) -> Tensor:
    """A cross-entropy where numbers are to be predicted."""
    return -(targets.reshape(-1) * outputs.reshape(-1).clamp(CLIP, 1).log()).sum()


def summed_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean over the classes and the sum over the batch, where it is the other way round."""
    shares = F.one_hot(targets.long(), outputs.shape[-1]) * outputs.clamp(CLIP, 1).log()
    return -shares.mean(1).sum()


def cross_entropy_over_batch(outputs: Tensor, targets: Tensor) -> Tensor:
    """The sum over the batch and then the mean over the classes: the axis is the wrong one."""
    shares = F.one_hot(targets.long(), outputs.shape[-1]) * outputs.clamp(CLIP, 1).log()
    return -shares.sum(0).mean()


# Training --------------------------------------------------------------------------------------------------------------
def penalty(model: nn.Module, l1: Mapping[str, float] | None = None, l2: Mapping[str, float] | None = None) -> Tensor:
    """Return Keras' regularization, c·sum |w| and c·sum w², of the layers whose names begin so."""
    total = next(model.parameters()).new_zeros(())
    for name, each in model.named_parameters():
        if each.dim() > 1:
            total = total + _of(l1, name) * each.abs().sum() + _of(l2, name) * each.square().sum()
    return total


def _of(values: Mapping[str, float] | None, name: str) -> float:
    return next((value for prefix, value in (values or {}).items() if f"{name}.".startswith(f"{prefix}.")), 0.0)


def train_step(
    model: nn.Module,
    batch: Any,
    optimizer: torch.optim.Optimizer,
    loss_fn: Callable[..., Tensor],
    *,
    sign: int = 1,
    clip: float | None = None,
    l1: Mapping[str, float] | None = None,
    l2: Mapping[str, float] | None = None,
) -> Tensor:
    """Take one step; `sign` -1 applies the update the wrong way round, `clip` bounds every element of the gradient."""
    inputs, targets = batch
    optimizer.zero_grad()
    loss = loss_fn(model(inputs), targets) + penalty(model, l1, l2)
    loss.backward()
    for each in model.parameters():
        if each.grad is not None:
            each.grad.mul_(sign)
    if clip is not None:
        nn.utils.clip_grad_value_(model.parameters(), clip)
    optimizer.step()
    return loss


def inverse_time(step: int, _total: int, decay: float = 0.0) -> float:
    """Return Keras' `decay`: 1 / (1 + decay·step)."""
    return 1 / (1 + decay * step)


def exponential_decay(step: int, _total: int, *, steps: float, rate: float, stairs: bool = False) -> float:
    """Return the factor of Keras' ExponentialDecay: rate^(step / steps), in whole steps of it with `stairs`."""
    past = step / steps
    return float(rate ** (math.floor(past) if stairs else past))


def flattened(inputs: NDArray[Any]) -> NDArray[Any]:
    """Return every sample as one long vector."""
    return inputs.reshape(len(inputs), -1)


class MinMax:
    """(x - min) / (max - min), per column or over all, brought to [low, high]; `again` divides by the range once more.

    Without `shift` it is x / (max - min), without `least` x / max.
    """

    def __init__(
        self,
        per: str = "column",
        *,
        again: int = 0,
        low: float = 0.0,
        high: float = 1.0,
        shift: bool = True,
        least: bool = True,
    ) -> None:
        self.axis = 0 if per == "column" else None
        self.again, self.low, self.high, self.shift, self.least = again, low, high, shift, least

    def fit(self, inputs: NDArray[Any]) -> None:
        """Take the least and the largest of the training inputs."""
        least = inputs.min(axis=self.axis)
        wide = inputs.max(axis=self.axis) - (least if self.least else 0.0)
        self.min_ = least if self.shift else 0.0 * least
        self.range_ = np.where(wide != 0, wide, 1.0)

    def transform(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Return the inputs scaled."""
        scaled = (inputs - self.min_) / self.range_
        return (self.low + (self.high - self.low) * scaled) / self.range_**self.again
