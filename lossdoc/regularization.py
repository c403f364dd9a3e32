"""A subject with its regularization and dropout at 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from lossdoc.subject import Penalty, Recipe, Subject

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


@dataclass(frozen=True)
class Switched:
    """A penalty with another coefficient; 0 leaves its code in place and takes its effect away."""

    penalty: Penalty
    coefficient: float

    @property
    def word(self) -> str:
        """The penalty's own name."""
        return self.penalty.word

    @property
    def own(self) -> bool:
        """Whether the penalty is the user's own function."""
        return self.penalty.own

    def value(self, model: nn.Module) -> Tensor:
        """Return the penalty's value without its coefficient."""
        return self.penalty.value(model)

    def parameters(self, model: nn.Module) -> Mapping[str, Tensor]:
        """Return the parameters that the penalty weighs down."""
        return self.penalty.parameters(model)


def set_dropout(model: nn.Module, rate: float) -> nn.Module:
    """Set the rate of every dropout in a model, also of those inside attention and recurrent layers; return the model."""
    for module in model.modules():
        if isinstance(module, DROPOUTS):
            module.p = rate
        elif isinstance(module, (nn.MultiheadAttention, nn.RNNBase)):
            module.dropout = rate
    return model


def unregularized(subject: Subject) -> Subject:
    """Return the subject with regularization and dropout at 0, their code left in place."""
    recipe = subject.recipe
    off: Recipe = replace(
        recipe,
        penalties=tuple(Switched(penalty, 0.0) for penalty in recipe.penalties),
        changed={**recipe.changed, **({"weight_decay": 0.0} if "weight_decay" in recipe.hyper else {})},
    )
    build, loss = (subject.build, subject.loss) if subject.plain is None else (subject.plain.build, subject.plain.loss)
    return replace(subject, build=lambda seed: set_dropout(build(seed), 0.0), loss=loss, recipe=off, plain=None)
