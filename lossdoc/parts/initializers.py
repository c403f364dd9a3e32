"""Weight initialization: too large a spread saturates units, too small makes everything 0."""

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from lossdoc.word import NonNegative, Number, Own, Positive, Word, table

if TYPE_CHECKING:
    from torch import Tensor

Distribution = Literal["uniform", "normal"]


class Initializer(Word):
    """How weights (tensors of two and more dimensions) and biases begin."""

    kind: ClassVar[str] = "an initializer"
    bias: Number = 0.0

    def fill(self, weight: "Tensor") -> None:
        """Overwrite a weight in place, drawing from torch's global generator."""
        raise NotImplementedError


class OwnInitializer(Initializer, Own):
    """The user's own f(weight), which fills the weight in place as those of torch.nn.init do, or returns another."""

    word: ClassVar[str] = "call"


class Default(Initializer):
    """What torch does by itself: uniform with variance 1 / (3·fan_in), biases as well."""

    word: ClassVar[str] = "default"


class Xavier(Initializer):
    """Variance gain² / fan: torch takes the mean of fan-in and fan-out, the notes fan-in alone (Glorot and Bengio 2010)."""

    word: ClassVar[str] = "xavier"
    distribution: Distribution = "uniform"
    mode: Literal["fan_avg", "fan_in", "fan_out"] = "fan_avg"
    gain: Positive = 1.0

    def fill(self, weight: "Tensor") -> None:
        """Draw with standard deviation gain / sqrt(fan)."""
        _draw(weight, self.gain / math.sqrt(_fan(weight, self.mode)), self.distribution)


class He(Initializer):
    """Variance 2 / fan: ReLU throws half away; `slope` is that of a leaky ReLU behind it (He et al. 2015)."""

    word: ClassVar[str] = "he"
    distribution: Distribution = "normal"
    mode: Literal["fan_in", "fan_out"] = "fan_in"
    slope: NonNegative = 0.0

    def fill(self, weight: "Tensor") -> None:
        """Draw with standard deviation sqrt(2 / (1 + slope²) / fan)."""
        _draw(weight, math.sqrt(2 / (1 + self.slope**2) / _fan(weight, self.mode)), self.distribution)


class Lecun(Initializer):
    """Variance 1 / fan_in (LeCun et al. 1998); what `selu` wants."""

    word: ClassVar[str] = "lecun"
    distribution: Distribution = "normal"

    def fill(self, weight: "Tensor") -> None:
        """Draw with standard deviation 1 / sqrt(fan_in)."""
        _draw(weight, 1 / math.sqrt(_fan(weight, "fan_in")), self.distribution)


class Normal(Initializer):
    """The same normal distribution for every layer, whatever its size."""

    word: ClassVar[str] = "normal"
    shorthand: ClassVar[str | None] = "std"
    std: NonNegative = 0.01
    mean: Number = 0.0

    def fill(self, weight: "Tensor") -> None:
        """Draw from N(mean, std²)."""
        from torch import nn

        nn.init.normal_(weight, self.mean, self.std)


class Uniform(Initializer):
    """The same uniform distribution for every layer, whatever its size."""

    word: ClassVar[str] = "uniform"
    low: Number = -0.05
    high: Number = 0.05

    def fill(self, weight: "Tensor") -> None:
        """Draw from U(low, high)."""
        from torch import nn

        nn.init.uniform_(weight, min(self.low, self.high), max(self.low, self.high))


class Constant(Initializer):
    """Every weight the same: the units of a layer then stay equal for good."""

    word: ClassVar[str] = "constant"
    shorthand: ClassVar[str | None] = "value"
    value: Number

    def fill(self, weight: "Tensor") -> None:
        """Set every weight to the value."""
        from torch import nn

        nn.init.constant_(weight, self.value)


class Zeros(Initializer):
    """Every weight 0: the units of a layer then stay equal for good."""

    word: ClassVar[str] = "zeros"

    def fill(self, weight: "Tensor") -> None:
        """Set every weight to 0."""
        from torch import nn

        nn.init.zeros_(weight)


class Orthogonal(Initializer):
    """A random orthogonal matrix times gain (Saxe et al. 2013)."""

    word: ClassVar[str] = "orthogonal"
    gain: Positive = 1.0

    def fill(self, weight: "Tensor") -> None:
        """Draw an orthogonal matrix."""
        from torch import nn

        nn.init.orthogonal_(weight, self.gain)


def _fan(weight: "Tensor", mode: str) -> float:
    """Return the number of inputs or outputs of a unit, or the mean of both; a kernel's positions each count."""
    field = weight[0][0].numel()
    fan_in, fan_out = weight.shape[1] * field, weight.shape[0] * field
    return {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]


def _draw(weight: "Tensor", std: float, distribution: Distribution) -> None:
    from torch import nn

    if distribution == "normal":
        nn.init.normal_(weight, 0.0, std)
    else:  # U(−a, a) has variance a² / 3
        nn.init.uniform_(weight, -math.sqrt(3) * std, math.sqrt(3) * std)


INITIALIZERS = table(Default, Xavier, He, Lecun, Normal, Uniform, Constant, Zeros, Orthogonal, OwnInitializer)
