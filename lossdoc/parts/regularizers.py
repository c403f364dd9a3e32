"""Terms added to the loss that keep the weights small: L1 drives them to exactly 0, L2 makes all of them small."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from lossdoc.word import Block, Meant, NonNegative, Reference

if TYPE_CHECKING:
    from torch import Tensor, nn


class Regularization(Block):
    """`l1: c` adds c·sum |w| to the loss, `l2: c` adds c/2·sum w², `call` what the user's f(model) returns.

    Weights are the parameters of two and more dimensions; `include_bias: true` takes every parameter. `disable` says how
    regularization inside the model's or the loss's own code is set to 0: values by their path in this file, as in
    `disable: {model.args.drop_path: 0}`. Dropout, label smoothing and weight decay are found without it.
    """

    l1: NonNegative = 0.0
    l2: NonNegative = 0.0
    include_bias: bool = False
    call: Reference | None = None
    args: Annotated[dict[str, Any], Meant("a mapping of arguments by name")] = Field(default_factory=dict)
    disable: Annotated[dict[str, Any], Meant("a mapping of values by their path")] = Field(default_factory=dict)


@dataclass(frozen=True)
class _Norm:
    """A penalty on the size of the weights; satisfies `lossdoc.subject.Penalty`."""

    coefficient: float
    include_bias: bool = False
    own: ClassVar[bool] = False

    def parameters(self, model: "nn.Module") -> "Mapping[str, Tensor]":
        """Return what the term weighs down, by name."""
        return {name: each for name, each in model.named_parameters() if self.include_bias or each.dim() > 1}


@dataclass(frozen=True)
class L1(_Norm):
    """sum |w|."""

    word: ClassVar[str] = "l1"

    def value(self, model: "nn.Module") -> "Tensor":
        """Return sum |w| as a scalar."""
        import torch

        return sum((each.abs().sum() for each in self.parameters(model).values()), torch.zeros(()))


@dataclass(frozen=True)
class L2(_Norm):
    """sum w² / 2."""

    word: ClassVar[str] = "l2"

    def value(self, model: "nn.Module") -> "Tensor":
        """Return half of sum w² as a scalar."""
        import torch

        return sum((each.square().sum() for each in self.parameters(model).values()), torch.zeros(())) / 2


def norms(given: Regularization) -> tuple[L1 | L2, ...]:
    """Return the terms that the file names, those set to 0 as well: their code stays in place."""
    terms: dict[str, type[L1 | L2]] = {"l1": L1, "l2": L2}
    return tuple(
        make(getattr(given, name), given.include_bias) for name, make in terms.items() if name in given.model_fields_set
    )
