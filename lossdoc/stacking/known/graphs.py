"""A model's own forward as a graph of known layers: what torch.fx follows without a question left open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, fx, nn

from lossdoc.stack import UnstackableError
from lossdoc.stacking.known.chains import Chain
from lossdoc.stacking.known.following import Runs, followed, seen, watched
from lossdoc.stacking.known.functions import MODULES, SUMS, VIEWS, Select, unknown
from lossdoc.stacking.known.layer import Layer, Mode, Site, must
from lossdoc.subject import Batch

LAST = (("getitem", (-1,)), ("getitem", (0,)), ("squeeze", (0,)))  # (1, B, out) as (B, out)


@dataclass
class Part:
    """Layers one after another between two places in the graph; with two sources, their sum is what they are given."""

    sources: list[int]
    end: int
    layers: list[Layer]
    chain: Layer
    needed: bool = False  # whether there is something that learns before it


class Graph(Layer):
    """Layers as a forward calls them. Values are numbered; 0 is the input."""

    learns = True

    def __init__(self, parts: Sequence[Part], answer: int) -> None:
        self.parts, self.answer = parts, answer
        learned: set[int] = set()  # the values that depend on something that learns
        for part in parts:
            part.chain = Chain(part.layers)
            part.needed = any(source in learned for source in part.sources)
            if part.needed or part.chain.learns:
                learned.add(part.end)
        self.learned = learned

    def forward(self, x: Tensor, mode: Mode) -> Tensor:
        """Return the answer."""
        values = {0: x}
        for part in self.parts:
            first, *others = (values[source] for source in part.sources)
            values[part.end] = part.chain.forward(first + others[0] if others else first, mode)
        return values[self.answer]

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:  # noqa: ARG002 - nothing learns before a whole model
        """Write the gradients of all parameters; where a value goes several ways, its gradient is the sum of theirs."""
        slopes = {self.answer: dy}
        for part in reversed(self.parts):
            if part.end not in self.learned or part.end not in slopes:
                continue
            dx = part.chain.backward(slopes.pop(part.end), wanted=part.needed)
            for place, source in enumerate(part.sources if dx is not None else ()):
                if source in self.learned and dx is not None:
                    own = dx.clone() if place else dx  # a layer may write over its own
                    slopes[source] = slopes[source] + own if source in slopes else own
        return None


def graph(site: Site, sample: Batch) -> Graph:
    """Return the graph of whole models, which differ in their numbers only; the sample shows the shapes.

    Raises:
        UnstackableError: when the forward cannot be followed, or does what no layer stands for.
    """
    model = site.module
    must(isinstance(sample.inputs, Tensor), "a batch is more than two tensors")
    for module in model.modules():
        must(not (module._forward_hooks or module._forward_pre_hooks), "something is hooked into the model")  # noqa: SLF001
    found = followed(model, site.modules)
    must(all(node.op != "get_attr" for node in found.nodes), "its forward uses a tensor of its own")
    return _Reader(site, found, watched(model, found, sample.inputs)).graph()


class _Reader:
    """Turns the nodes of a graph into layers."""

    def __init__(self, site: Site, found: fx.Graph, runs: Runs) -> None:
        self.site, self.runs = site, runs
        self.nodes = list(found.nodes)
        self.values: dict[fx.Node, int] = {}
        self.ends: dict[fx.Node, int] = {}  # last states of recurrent networks, by the value of all their states
        self.pairs: dict[fx.Node, int] = {}  # an LSTM's last states and cells, likewise
        self.parts: list[Part] = []
        self.called: dict[str, Layer] = {}  # modules that learn or count, by name
        self.users: dict[int, int] = {}

    def graph(self) -> Graph:
        """Return the graph."""
        inputs = [node for node in self.nodes if node.op == "placeholder"]
        answer = self.nodes[-1].args[0]
        must(len(inputs) == 1 and isinstance(answer, fx.Node), "its forward takes or gives more than one tensor")
        self.values[inputs[0]] = 0
        calls = list(self._calls())
        for sources, _, _ in calls:
            for source in sources:
                self.users[source] = self.users.get(source, 0) + 1
        for sources, end, layer in calls:
            self._add(sources, end, layer)
        return Graph(self.parts, self.values[answer])

    def _add(self, sources: list[int], end: int, layer: Layer | None) -> None:
        """Put a layer behind the part whose end nobody else uses, or begin a part."""
        before = next((part for part in self.parts if [part.end] == sources), None)
        if before is not None and layer is not None and self.users[sources[0]] == 1:
            before.layers.append(layer)
            before.end = end
        else:
            self.parts.append(Part(sources, end, [] if layer is None else [layer], Chain([])))

    def _calls(self) -> Iterator[tuple[list[int], int, Layer | None]]:
        """Yield each call by its values: those that go in, the one that comes out, and the layer (None for a sum)."""
        for node in self.nodes:
            if node.op in ("placeholder", "output") or node not in self.runs[0] or self._of_recurrent(node):
                continue
            end = self._end(node)
            sources = self._sources(node) if end is None else [end]
            layer: Layer | None = Select(-1)
            if end is None:
                layer = self._module(node) if node.op == "call_module" else self._function(node, sources)
            self.values[node] = len(self.values)
            yield sources, self.values[node], layer

    def _end(self, node: fx.Node) -> int | None:
        """Return the value of all states where a node takes the last one, as vectors; None where it does something else."""
        source = node.args[0] if node.args else None
        if not isinstance(source, fx.Node) or source not in self.ends:
            return None
        must((_name(node), node.args[1:]) in LAST, "the last state of a recurrent network is not taken as it is")
        return self.ends[source]

    def _of_recurrent(self, node: fx.Node) -> bool:
        """Take a part of what a recurrent network gives: all states, the last ones, or an LSTM's last states and cells."""
        source, name = (node.args[0] if node.args else None), _name(node)
        if not isinstance(source, fx.Node) or name != "getitem":
            return False
        kind, at = type(self._called(source)), node.args[1]
        if source in self.pairs and at == 0:
            self.ends[node] = self.pairs[source]
        elif kind in (nn.GRU, nn.LSTM) and at == 0:
            self.values[node] = self.values[source]
        elif kind in (nn.GRU, nn.LSTM) and at == 1:
            (self.ends if kind is nn.GRU else self.pairs)[node] = self.values[source]
        else:
            return False
        return True

    def _called(self, node: fx.Node) -> nn.Module | None:
        return self.site.module.get_submodule(node.target) if node.op == "call_module" else None

    def _sources(self, node: fx.Node) -> list[int]:
        given = [each for each in node.args if isinstance(each, fx.Node) and each in self.values]
        must(bool(given) and given[0] is node.args[0], "a function's first argument is not what came before")
        overwrites = _name(node).endswith("_") or _name(node).startswith("i") or node.kwargs.get("inplace")
        if overwrites or getattr(self._called(node), "inplace", False):
            must(len(given[0].users) == 1, "a value that is used again is written over")
        return [self.values[each] for each in given]

    def _module(self, node: fx.Node) -> Layer:
        name = str(node.target)
        must(len(node.args) == 1 and not node.kwargs, "a module is given more than one tensor")
        module = self.site.module.get_submodule(name)
        made = self.called.get(name)
        if made is None:
            modules = [each.get_submodule(name) for each in self.site.modules]
            made = self.site.make(Site(name, modules, self.site.store, self.site.make))
        elif made.learns:
            raise UnstackableError("a layer is called twice")
        if made.learns or hasattr(module, "place"):  # a keyed dropout counts its calls
            self.called[name] = made
        return made

    def _function(self, node: fx.Node, sources: list[int]) -> Layer | None:
        name, rest = _name(node), node.args[1:]
        look = seen(node, self.runs)
        if name in SUMS and len(sources) == 2:
            shapes = {seen(each, self.runs).made for each in node.args if isinstance(each, fx.Node)}
            must(len(shapes) == 1 and not node.kwargs, "a sum of tensors of different shapes")
            return None
        if len(sources) > 1 or (name not in MODULES and name not in VIEWS):
            raise unknown(name)
        try:
            if name in VIEWS:
                return VIEWS[name](look, *rest, **node.kwargs)
            module = MODULES[name](*rest, **node.kwargs)
        except TypeError as bad:
            raise unknown(name) from bad
        return self.site.make(Site("", [module] * len(self.site.modules), self.site.store, self.site.make))


def _name(node: fx.Node) -> str:
    """Return the name of the function or method that a node calls."""
    return node.target if isinstance(node.target, str) else node.target.__name__
