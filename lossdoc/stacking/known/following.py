"""What a model's own forward calls, as torch.fx follows it: only where nothing else can matter than what it shows."""

from __future__ import annotations

import io
import pickle
import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from lossdoc.errors import UserCodeError, user_code
from lossdoc.randomness import undisturbed
from lossdoc.stack import UnstackableError
from lossdoc.stacking.known.functions import Seen
from lossdoc.stacking.known.layer import must

SAMPLES = (2, 3)  # how many samples a forward is watched with: what depends on their number shows between the two


def followed(model: nn.Module, others: Sequence[nn.Module]) -> fx.Graph:
    """Return the graph of a forward that keeps nothing in mind, draws no number, and is the same in evaluation."""
    _must_be_twins({id(each): each for each in others}.values())
    found, before = [], _memory(model)
    try:
        with undisturbed(), _unheard():
            drawn = _chance()
            for training in (False, True):
                with user_code("the model's forward"):
                    graph = _Tracer().trace(model.train(training))
                graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
                found.append(graph)
            must(_chance() == drawn, "its forward draws random numbers by itself")
    except UserCodeError as bad:
        raise UnstackableError(f"its forward cannot be followed: {bad.cause}") from bad
    finally:
        model.train()
    must(_memory(model) == before, "its forward keeps something in mind")
    must(str(found[0]) == str(found[1]), "its forward is another one in evaluation")
    return found[1]


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep back what a forward prints and warns of: it is called with what stands for tensors."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


class _Tracer(fx.Tracer):
    """Follows a forward down to torch's own modules and those of lossdoc's words."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002 - torch's names
        return type(m) is not nn.Sequential and type(m).__module__.startswith(("torch.", "lossdoc."))


def _memory(model: nn.Module) -> Any:
    """Return what tells whether a module's attributes were set anew, or its tensors written to."""
    set_to = [(name, key, id(value)) for name, module in model.named_modules() for key, value in vars(module).items()]
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return set_to, [(name, id(each), each._version) for name, each in tensors]  # noqa: SLF001 - no other name


def _chance() -> bytes:
    """Return the state of all random numbers that code draws from."""
    states = torch.get_rng_state().numpy(), random.getstate(), np.random.get_state()  # noqa: NPY002 - what others' code uses
    return pickle.dumps(states)


def _must_be_twins(models: Any) -> None:
    """Refuse models whose own attributes differ: only one of them is followed."""
    first, *others = ([_plain(module) for module in model.modules()] for model in models)
    must(all(each == first for each in others), "the points' models differ in more than their numbers")


def _plain(module: nn.Module) -> Any:
    """Return a module's type, and what it holds that is no tensor and no module."""
    if type(module).__module__.startswith(("torch.", "lossdoc.")):
        return type(module)  # its layer compares what matters
    simple = {key: value for key, value in vars(module).items() if not key.startswith("_")}
    return type(module), {key: pickle.dumps(value) if isinstance(value, Tensor) else value for key, value in simple.items()}


Runs = list[dict[fx.Node, tuple[torch.Size, torch.dtype]]]
"""What each node put out, for one number of samples and for another: shape and type of a tensor, or of a tuple's first."""


def watched(model: nn.Module, graph: fx.Graph, inputs: Tensor) -> Runs:
    """Return what a graph puts out on its way.

    Raises:
        UnstackableError: when it cannot be run.
    """
    runs = []
    for many in SAMPLES:
        watcher = _Watcher(fx.GraphModule(model.eval(), graph))
        try:
            with torch.no_grad(), undisturbed(), user_code("the model's forward"):
                watcher.run(inputs[torch.arange(many) % len(inputs)])
        except UserCodeError as bad:
            raise UnstackableError(f"its forward cannot be followed: {bad.cause}") from bad
        finally:
            model.train()
        runs.append(watcher.made)
    return runs


class _Watcher(fx.Interpreter):
    """Runs a graph and keeps the shape and type of each tensor."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.made: dict[fx.Node, tuple[torch.Size, torch.dtype]] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        shown = result[0] if isinstance(result, tuple) and result and isinstance(result[0], Tensor) else result
        if isinstance(shown, Tensor) and n.op != "output":
            self.made[n] = (shown.shape, shown.dtype)
        return result


def seen(node: fx.Node, runs: Runs) -> Seen:
    """Return what a node was seen to take first, and to put out.

    Raises:
        UnstackableError: when a sample's shape depends on how many there are.
    """
    source = next((each for each in node.all_input_nodes if each in runs[0]), node)
    shapes = []
    for each in (source, node):
        (few, kind), (more, _) = (run[each] for run in runs)
        must((few[:1], more[:1]) == ((SAMPLES[0],), (SAMPLES[1],)) and few[1:] == more[1:], "its forward mixes samples")
        shapes.append((tuple(few[1:]), kind))
    return Seen(shapes[0][0], shapes[1][0], shapes[0][1], shapes[1][1])
