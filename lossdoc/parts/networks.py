"""The torch modules behind the words of `sequences`: plain operations only, so that vmap trains many of them at once."""

import math
from typing import cast

import torch
from torch import Tensor, nn


class Exponential(nn.Module):
    """exp x of every number."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the exponentials."""
        return torch.exp(inputs)


def gru_cell(given: Tensor, kept: Tensor, state: Tensor) -> Tensor:
    """Return a GRU's next state, (B, out), from what its inputs and its state give to the gates, each (B, 3·out)."""
    reset, renew, new = given.chunk(3, -1)
    kept_reset, kept_renew, kept_new = kept.chunk(3, -1)
    new = torch.tanh(new + torch.sigmoid(reset + kept_reset) * kept_new)
    share = torch.sigmoid(renew + kept_renew)
    return (1 - share) * new + share * state


def lstm_cell(given: Tensor, kept: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Return an LSTM's next state and cell, (B, out) each, from what goes to the gates, each (B, 4·out), and the cell."""
    enter, forget, new, leave = (given + kept).chunk(4, -1)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
    return torch.sigmoid(leave) * torch.tanh(cell), cell


class Recurrent(nn.Module):
    """What both recurrent networks share: (B, T, in) -> (B, T, out), the gates stacked in one matrix as in torch's own."""

    def __init__(self, size: int, out: int, gates: int) -> None:
        super().__init__()
        self.out = out
        self.given = nn.Linear(size, gates * out)
        self.kept = nn.Linear(out, gates * out)
        for each in self.parameters():  # as torch's recurrent networks begin
            nn.init.uniform_(each, -1 / math.sqrt(out), 1 / math.sqrt(out))


class GruNetwork(Recurrent):
    """nn.GRU of one layer."""

    def __init__(self, size: int, out: int) -> None:
        super().__init__(size, out, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the state after each position."""
        state = inputs.new_zeros(inputs.shape[0], self.out)
        states = []
        for given in self.given(inputs).unbind(1):
            state = gru_cell(given, self.kept(state), state)
            states.append(state)
        return torch.stack(states, 1)


class LstmNetwork(Recurrent):
    """nn.LSTM of one layer."""

    def __init__(self, size: int, out: int) -> None:
        super().__init__(size, out, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the hidden state after each position."""
        hidden = cell = inputs.new_zeros(inputs.shape[0], self.out)
        states = []
        for given in self.given(inputs).unbind(1):
            hidden, cell = lstm_cell(given, self.kept(hidden), cell)
            states.append(hidden)
        return torch.stack(states, 1)


class Attention(nn.Module):
    """Multi-head self-attention, (B, T, d) -> (B, T, d)."""

    def __init__(self, size: int, heads: int, *, causal: bool, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.three = nn.Linear(size, 3 * size)  # queries, keys, values
        self.join = nn.Linear(size, size)
        self.drop = nn.Dropout(dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return for each position the mean of the values that it attends to."""
        batch, length, size = inputs.shape
        parts = self.three(inputs).reshape(batch, length, 3, self.heads, size // self.heads).permute(2, 0, 3, 1, 4)
        queries, keys, values = parts.unbind(0)  # each (B, heads, T, d / heads)
        scores = queries @ keys.transpose(-2, -1) / math.sqrt(size // self.heads)
        if self.causal:
            later = torch.ones(length, length, dtype=torch.bool, device=inputs.device).triu(1)
            scores = scores.masked_fill(later, -math.inf)
        seen = self.drop(scores.softmax(-1)) @ values
        joined: Tensor = self.join(seen.transpose(1, 2).reshape(batch, length, size))
        return joined


class TransformerBlock(nn.Module):
    """Attention and a network for each position, each normalized before and added to what came in."""

    def __init__(self, size: int, heads: int, hidden: int, *, causal: bool, dropout: float) -> None:
        super().__init__()
        self.before = nn.LayerNorm(size)
        self.attention = Attention(size, heads, causal=causal, dropout=dropout)
        self.between = nn.LayerNorm(size)
        self.wide = nn.Linear(size, hidden)
        self.bend = nn.GELU()
        self.narrow = nn.Linear(hidden, size)
        self.drop = nn.Dropout(dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (B, T, d)."""
        inputs = inputs + self.drop(self.attention(self.before(inputs)))
        inner: Tensor = self.narrow(self.bend(self.wide(self.between(inputs))))
        return inputs + cast("Tensor", self.drop(inner))


class PositionVectors(nn.Module):
    """A learned vector for each position, added."""

    def __init__(self, length: int, size: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(length, size) * 0.02)  # as GPT-2 begins

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (B, T, d)."""
        return inputs + self.vectors


class TakePosition(nn.Module):
    """One vector of a sequence: (B, T, d) -> (B, d)."""

    def __init__(self, which: str) -> None:
        super().__init__()
        self.which = which

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the last position, or the mean or maximum over all."""
        if self.which == "last":
            return inputs[:, -1]
        return inputs.mean(1) if self.which == "mean" else inputs.amax(1)


class Shortcut(nn.Module):
    """f(x) + x; where the shapes differ, x goes through a matrix, or a convolution of size 1, of its own."""

    def __init__(self, body: nn.Module, match: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.match = match

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the sum."""
        added: Tensor = self.body(inputs) + self.match(inputs)
        return added
