"""Penalties on the size of the weights, with a coefficient for each point."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lossdoc.parts.regularizers import L1, L2
from lossdoc.stack import UnstackableError
from lossdoc.stacking.known.layer import must
from lossdoc.stacking.known.store import Block, Store
from lossdoc.subject import Penalty


class Norms:
    """One penalty, L1 or L2, of K points."""

    def __init__(self, penalties: Sequence[Penalty], store: Store) -> None:
        first = penalties[0]
        if not isinstance(first, L1 | L2):
            raise UnstackableError(f"the regularization {first.word} is not written out for many points")
        scope = {(type(each), each.include_bias) for each in penalties if isinstance(each, L1 | L2)}
        must(
            len(scope) == 1 and all(isinstance(each, L1 | L2) for each in penalties), "the points differ in their penalties"
        )
        self.squares = isinstance(first, L2)
        self.include_bias = first.include_bias
        like = store.blocks[0].value
        self.coefficients = torch.tensor([each.coefficient for each in penalties], dtype=torch.float64).to(like)

    def values(self, store: Store) -> Tensor:
        """Return what it adds to the loss of each point, (K,)."""
        order = 2 if self.squares else 1
        norms = [torch.linalg.vector_norm(block.value, order, 1) for block in self._weighed(store)]
        sums = torch.stack([norm.square() / 2 if self.squares else norm for norm in norms]) if norms else 0
        return self.coefficients * (sums.sum(0) if isinstance(sums, Tensor) else 0)

    def add(self, store: Store) -> None:
        """Add its gradient to those of the weights."""
        column = self.coefficients.unsqueeze(1)
        for block in self._weighed(store):
            block.gradient.addcmul_(block.value if self.squares else block.value.sign(), column)

    def keep(self, places: list[int]) -> None:
        """Go on with the points at these places."""
        self.coefficients = self.coefficients[places]

    def _weighed(self, store: Store) -> list[Block]:
        return [block for block in store.blocks if self.include_bias or block.matrix]


def penalties(given: Sequence[Sequence[Penalty]], store: Store) -> list[Norms]:
    """Return the penalties of the points, which must be of the same kinds in the same order, without those switched off."""
    must(len({len(each) for each in given}) == 1, "the points differ in their penalties")
    return [Norms(each, store) for each in zip(*given, strict=True) if any(one.coefficient for one in each)]
