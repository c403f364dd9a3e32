"""Loss functions: how far the outputs are from the targets, as one number."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from lossdoc.errors import UserError
from lossdoc.word import Meant, Own, Positive, Share, Word, table

if TYPE_CHECKING:
    from torch import Tensor

    from lossdoc.subject import Takes

Weights = Annotated[
    tuple[Positive, ...], Field(min_length=2, strict=False), Meant("a list of numbers above 0 (one a class)")
]
TINY = 1e-12  # keeps the logarithm of a probability of 0 in range: the loss is at most 27.6


class LossWord(Word):
    """A loss function."""

    kind: ClassVar[str] = "a loss"


class OwnLoss(LossWord, Own):
    """The user's own loss: a function f(outputs, targets), or a class whose objects are called like that."""

    word: ClassVar[str] = "call"


class ModelLoss(LossWord):
    """The loss that the model itself returns: as `.loss` or `["loss"]` of what it puts out, as its first item, or alone.

    The model gets everything that a batch holds, by name, the targets too.
    """

    word: ClassVar[str] = "model"


class BuiltinLoss(LossWord):
    """A loss of lossdoc's own; calling it with outputs (B, ...) and targets (B, ...) gives a scalar."""

    goal: ClassVar[Literal["classes", "yes-no", "numbers"]] = "classes"
    reduction: Literal["mean", "sum"] = "mean"

    @property
    def takes(self) -> "Takes":
        """What the model is to put out."""
        raise NotImplementedError

    def each(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        """Return the losses before they are reduced."""
        raise NotImplementedError

    def __call__(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        """Return the loss as a scalar."""
        losses = self.each(outputs, targets)
        return losses.sum() if self.reduction == "sum" else losses.mean()


class CrossEntropy(BuiltinLoss):
    """−log of the right class's probability. It applies the softmax itself: feed logits, or say `inputs: probabilities`.

    Outputs are (B, n) or (B, T, n), targets class numbers (B,) or (B, T). `weight` holds a number for each class.
    """

    word: ClassVar[str] = "cross_entropy"
    inputs: Literal["logits", "probabilities"] = "logits"
    label_smoothing: Share = 0.0
    weight: Weights | None = None

    @property
    def takes(self) -> "Takes":
        """What `inputs` says."""
        return self.inputs

    def each(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        """Return (B,), or (B·T,) for sequences."""
        import torch.nn.functional as F  # noqa: N812 - its usual name

        if self.inputs == "probabilities":
            outputs = outputs.clamp_min(TINY).log()  # the softmax inside leaves the logarithms of probabilities alone
        outputs, targets = listed(outputs, targets)
        return F.cross_entropy(
            outputs, targets, self._weights(outputs), label_smoothing=self.label_smoothing, reduction="none"
        )

    def __call__(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        """Return the loss as a scalar; with weights the mean is the weighted one."""
        loss = super().__call__(outputs, targets)
        weights = self._weights(outputs)
        return loss if weights is None or self.reduction == "sum" else loss / weights[targets.reshape(-1).long()].mean()

    def _weights(self, outputs: "Tensor") -> "Tensor | None":
        """Return the weight of each class (n,).

        Raises:
            UserError: when there is not one for each output.
        """
        if self.weight is None:
            return None
        if len(self.weight) != outputs.shape[-1]:
            message = f"'weight' has {len(self.weight)} numbers, the model {outputs.shape[-1]} outputs; one each is meant"
            raise UserError.of(message, kind="shape")
        return outputs.new_tensor(self.weight)


class Nll(BuiltinLoss):
    """−(log-probability of the right class); feed the outputs of `log_softmax`."""

    word: ClassVar[str] = "nll"

    @property
    def takes(self) -> "Takes":
        """Log-probabilities."""
        return "log-probabilities"

    def each(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        """Return (B,), or (B·T,) for sequences."""
        import torch.nn.functional as F  # noqa: N812 - its usual name

        return F.nll_loss(*listed(outputs, targets), reduction="none")


class MulticlassHinge(BuiltinLoss):
    """The sum over the wrong classes of max(0, s_wrong − s_right + margin): n − 1 at equal scores and margin 1.

    torch's multi_margin_loss divides this by n (Weston and Watkins 1999).
    """

    word: ClassVar[str] = "multiclass_hinge"
    margin: Positive = 1.0

    @property
    def takes(self) -> "Takes":
        """Scores."""
        return "scores"

    def each(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        """Return (B,)."""
        outputs, targets = listed(outputs, targets)
        right = outputs.gather(1, targets[:, None])  # (B, 1)
        return (outputs - right + self.margin).clamp_min(0).sum(dim=1) - self.margin  # the right class itself adds margin


class Bce(BuiltinLoss):
    """Binary cross-entropy over one or several yes-or-no outputs; feed logits, or say `inputs: probabilities`."""

    word: ClassVar[str] = "bce"
    goal: ClassVar[Literal["classes", "yes-no", "numbers"]] = "yes-no"
    inputs: Literal["logits", "probabilities"] = "logits"

    @property
    def takes(self) -> "Takes":
        """What `inputs` says."""
        return self.inputs

    def each(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        """Return a loss per output."""
        import torch.nn.functional as F  # noqa: N812 - its usual name

        outputs, targets = matched(outputs, targets)
        if self.inputs == "logits":
            return F.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
        return -(targets * outputs.clamp_min(TINY).log() + (1 - targets) * (1 - outputs).clamp_min(TINY).log())


class _Difference(BuiltinLoss):
    """A function of output − target."""

    goal: ClassVar[Literal["classes", "yes-no", "numbers"]] = "numbers"

    @property
    def takes(self) -> "Takes":
        """Plain values."""
        return "values"


class Mse(_Difference):
    """The squared difference."""

    word: ClassVar[str] = "mse"

    def each(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        """Return a loss per output."""
        outputs, targets = matched(outputs, targets)
        return (outputs - targets) ** 2


class L1Loss(_Difference):
    """The absolute difference."""

    word: ClassVar[str] = "l1"

    def each(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        """Return a loss per output."""
        outputs, targets = matched(outputs, targets)
        return (outputs - targets).abs()


class Huber(_Difference):
    """Half the squared difference up to delta, beyond it delta·(|difference| − delta/2) (Huber 1964)."""

    word: ClassVar[str] = "huber"
    shorthand: ClassVar[str | None] = "delta"
    delta: Positive = 1.0

    def each(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        """Return a loss per output."""
        import torch.nn.functional as F  # noqa: N812 - its usual name

        return F.huber_loss(*matched(outputs, targets), delta=self.delta, reduction="none")


def listed(outputs: "Tensor", targets: "Tensor") -> "tuple[Tensor, Tensor]":
    """Return outputs as (N, n) and class numbers as (N,), int64, whatever stands for N.

    Raises:
        UserError: when there is not one class number for each row of outputs.
    """
    if outputs.dim() < 2 or outputs.shape[:-1].numel() != targets.numel() or targets.is_floating_point():
        got = f"the model puts out {_shape(outputs)}, the targets are {_shape(targets)} of {targets.dtype}"
        raise UserError.of(f"{got}; outputs (batch, classes) and one class number each are meant", kind="shape")
    return outputs.reshape(-1, outputs.shape[-1]), targets.reshape(-1).long()


def matched(outputs: "Tensor", targets: "Tensor") -> "tuple[Tensor, Tensor]":
    """Return both in one shape and type: (B, 1) beside (B,) would broadcast to (B, B) without a word.

    Raises:
        UserError: when the shapes differ in more than a last dimension of 1.
    """
    if outputs.dim() == targets.dim() + 1 and outputs.shape[-1] == 1:
        outputs = outputs.squeeze(-1)
    elif targets.dim() == outputs.dim() + 1 and targets.shape[-1] == 1:
        targets = targets.squeeze(-1)
    if outputs.shape != targets.shape:
        message = f"the model puts out {_shape(outputs)}, but the targets are {_shape(targets)}; the same shape is meant"
        raise UserError.of(message, kind="shape")
    return outputs, targets.to(outputs.dtype)


def _shape(tensor: "Tensor") -> str:
    return "x".join(map(str, tensor.shape)) or "a single number"


LOSSES = table(CrossEntropy, Bce, MulticlassHinge, Nll, Mse, L1Loss, Huber, ModelLoss, OwnLoss)
