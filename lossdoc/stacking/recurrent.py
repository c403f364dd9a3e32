"""torch's recurrent networks in plain operations: vmap has no rule for torch's own kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lossdoc.parts.networks import gru_cell, lstm_cell

Cell = Callable[[Tensor, Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]


class PlainRecurrent(nn.Module):
    """nn.RNN, nn.GRU or nn.LSTM by its own arithmetic, with its very parameters; every layer's dropout must be 0."""

    def __init__(self, module: nn.RNNBase) -> None:
        super().__init__()
        for name, parameter in module.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        self.mode: str = module.mode
        self.batch_first = module.batch_first
        self.layers = module.num_layers
        self.directions = 2 if module.bidirectional else 1
        self.hidden = module.hidden_size

    def forward(self, inputs: Tensor, begin: Any = None) -> tuple[Tensor, Any]:
        """Return every position's state, and the last ones, as torch's own does for tensors (B, T, in) or (T, B, in)."""
        sequence = inputs.transpose(0, 1) if self.batch_first else inputs  # (T, B, in)
        parts = 2 if self.mode == "LSTM" else 1
        given = begin if parts == 2 or begin is None else (begin,)
        ends: list[list[Tensor]] = [[] for _ in range(parts)]
        for layer in range(self.layers):
            ways = []
            for way in range(self.directions):
                place = layer * self.directions + way
                state = self._zeros(sequence, parts) if given is None else tuple(each[place] for each in given)
                states, last = self._run(
                    sequence.flip(0) if way else sequence, state, f"l{layer}{'_reverse' if way else ''}"
                )
                ways.append(states.flip(0) if way else states)
                for into, each in zip(ends, last, strict=True):
                    into.append(each)
            sequence = torch.cat(ways, -1)
        stacked = tuple(torch.stack(each) for each in ends)
        return (sequence.transpose(0, 1) if self.batch_first else sequence), stacked if parts == 2 else stacked[0]

    def _zeros(self, sequence: Tensor, parts: int) -> tuple[Tensor, ...]:
        return (sequence.new_zeros(sequence.shape[1], self.hidden),) * parts

    def _run(self, sequence: Tensor, state: tuple[Tensor, ...], ending: str) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the states of one layer in one direction, (T, B, hidden), and the last one."""
        weights = dict(self.named_parameters(recurse=False))
        from_inputs = nn.functional.linear(sequence, weights[f"weight_ih_{ending}"], weights.get(f"bias_ih_{ending}"))
        kept, bias = weights[f"weight_hh_{ending}"], weights.get(f"bias_hh_{ending}")
        cell = CELLS[self.mode]
        states = []
        for given in from_inputs.unbind(0):
            state = cell(given, nn.functional.linear(state[0], kept, bias), state)
            states.append(state[0])
        return torch.stack(states), state


CELLS: dict[str, Cell] = {
    "GRU": lambda given, kept, state: (gru_cell(given, kept, state[0]),),
    "LSTM": lambda given, kept, state: lstm_cell(given, kept, state[1]),
    "RNN_TANH": lambda given, kept, _: (torch.tanh(given + kept),),
    "RNN_RELU": lambda given, kept, _: (torch.relu(given + kept),),
}


def plain_recurrent(model: nn.Module) -> nn.Module:
    """Put plain operations in the place of torch's recurrent networks that have no dropout and no projection; return it."""
    for name, module in list(model.named_modules()):
        if type(module) in (nn.RNN, nn.GRU, nn.LSTM) and name and not module.dropout and not module.proj_size:
            owner, _, last = name.rpartition(".")
            setattr(model.get_submodule(owner), last, PlainRecurrent(module))
    return model
