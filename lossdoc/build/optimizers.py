"""The user's own optimizer: made for each fresh model, its hyperparameters found in its parameter groups."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from torch import Tensor, nn
from torch.optim import Optimizer as TorchOptimizer

from lossdoc.build.own import OwnCode
from lossdoc.calling import optimizer_code
from lossdoc.errors import NotApplicable, UserError, kind_of
from lossdoc.parts.optimizers import Optimizer as Builtin
from lossdoc.parts.optimizers import OptimizerWord, OwnOptimizer
from lossdoc.spec import Spec
from lossdoc.subject import Hyper, Optimizer, Slots

PATH = ("optimizer",)


@dataclass(frozen=True)
class OwnLive:
    """An optimizer that is only called; satisfies `lossdoc.subject.LiveOptimizer`.

    `hyper` are the numbers of its first parameter group. A changed `lr` changes the rates of all groups in proportion,
    anything else is set in every group that has it.
    """

    word: str
    make: Callable[[nn.Module], TorchOptimizer]
    hyper: Mapping[str, float]

    def attach(self, model: nn.Module, hyper: Mapping[str, float]) -> TorchOptimizer:
        """Make it for a model."""
        made = self.make(model)
        for group in made.param_groups:
            group["lr"] *= hyper["lr"] / self.hyper["lr"]
            for name, value in hyper.items():
                if name != "lr" and name in group and value != self.hyper[name]:
                    group[name] = value
        return made

    def slots(self, _parameter: Tensor) -> Slots:
        """Return nothing: its memory is its own."""
        return {}

    def update(self, *_arguments: Any) -> NoReturn:
        """Refuse: what it does to a single tensor is not known."""
        raise NotApplicable(f"the optimizer {self.word} works on a whole model only")

    def torch(self, _parameters: Iterable[Any], _hyper: Hyper) -> NoReturn:
        """Refuse: it is made for a model."""
        raise NotApplicable(f"the optimizer {self.word} works on a whole model only")


def optimizer(spec: Spec, build: Callable[[int], nn.Module]) -> Optimizer:
    """Return the optimizer of a spec; the user's own is made once for a model to see its hyperparameters.

    Raises:
        UserError: when the user's code makes no optimizer with a learning rate above 0.
        UserCodeError: when it raises.
    """
    word: OptimizerWord = spec.optimizer
    if isinstance(word, Builtin):
        return word
    assert isinstance(word, OwnOptimizer)  # noqa: S101 - the only other kind there is
    found = OwnCode(spec).callee(word.call, word.args, PATH)

    def make(model: nn.Module) -> TorchOptimizer:
        given: Any = model.parameters() if inspect.isclass(found) else model
        with optimizer_code(word.call):
            made = found(given, **word.args)
        if not hasattr(made, "param_groups") or not hasattr(made, "step"):
            _fail(spec, f"'{word.call}' returns {kind_of(made)}; an optimizer like torch's own is meant")
        return made  # type: ignore[no-any-return]  # the user's own

    first = make(build(spec.seed)).param_groups[0]
    hyper = {
        name: float(value) for name, value in first.items() if isinstance(value, int | float) and not isinstance(value, bool)
    }
    if not hyper.get("lr", 0) > 0:
        _fail(spec, f"'{word.call}' has no learning rate 'lr' above 0 in its parameter groups")
    return OwnLive(word.call, make, hyper)


def _fail(spec: Spec, message: str) -> NoReturn:
    raise UserError(spec.document.problem((*PATH, "call"), message, "optimizer"))
