"""The recurrent networks, position by position. In memory the positions come first: (T, K, features, B)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lossdoc.stacking.known.layer import Layer, Mode, Room, Site, must
from lossdoc.stacking.known.linear import Affine, columns
from lossdoc.stacking.known.store import parted

aten = torch.ops.aten
OWN_NAMES = ("out", "given.weight", "given.bias", "kept.weight", "kept.bias")
TORCH_NAMES = ("hidden_size", "weight_ih_l0", "bias_ih_l0", "weight_hh_l0", "bias_hh_l0")


def _must_be_simple(site: Site) -> None:
    """Refuse those of torch's networks that are more than one layer in one direction."""
    plain = site.same("num_layers") == 1 and not site.same("bidirectional") and not site.same("proj_size")
    must(plain and site.same("batch_first") and site.same("bias"), "a recurrent network is not of the simplest kind")


class _Recurrent(Layer):
    """What both networks share: the matrix for what comes in, and memory by name."""

    learns = True

    def __init__(self, site: Site) -> None:
        names = OWN_NAMES
        if isinstance(site.module, nn.RNNBase):
            _must_be_simple(site)
            names = TORCH_NAMES
        self.size: int = site.same(names[0])
        weight, self.given_bias, self.kept, self.kept_bias = (site.needed(name) for name in names[1:])
        self.given = Affine(weight, self.given_bias)
        self.rooms: dict[str, Room] = {}

    def memory(self, name: str, like: Tensor, *shape: int) -> Tensor:
        """Return memory of a name; its first use finds zeros."""
        return self.rooms.setdefault(name, Room())(like, *shape)

    def enter(self, x: Tensor) -> Tensor:
        """Return the inputs (K or 1, T, in, B) times their matrix, (T, K, gates, B)."""
        self.given.x = columns(x)
        entered = self.memory("entered", x, x.shape[1], *self.given.weight.rows.shape[:2], x.shape[3])
        for at, into in enumerate(entered.unbind()):
            self.given.product(x[:, at], into)
        return entered

    def leave(self, dentered: Tensor, *, wanted: bool) -> Tensor | None:
        """Write the gradients of the matrix for what comes in, given (K, gates, T, B); return that of the inputs."""
        dx = self.given.backward(dentered.flatten(2), wanted=wanted)
        return None if dx is None else parted(dx, 2, dentered.shape[2:]).transpose(1, 2)


class GruStep(NamedTuple):
    """Views of the memory of one position; made once, since making them anew would take a tenth of all the time.

    `shares` are reset and renewal. `slopes` has four parts: for the reset, the renewal, the new state by what was kept, and
    the new state.
    """

    entered_shares: Tensor
    entered_new: Tensor
    kept: Tensor
    kept_shares: Tensor
    kept_new: Tensor
    shares: Tensor
    reset: Tensor
    renew: Tensor
    new: Tensor
    before: Tensor
    turned_before: Tensor
    after: Tensor
    slopes_kept: Tensor
    slopes_shares: Tensor
    dreset: Tensor
    drenew: Tensor
    dkept: Tensor
    dnew: Tensor


class Gru(_Recurrent):
    """GruNetwork, and what nn.GRU gives for each position."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.entered: Tensor | None = None
        self.steps: list[GruStep] = []

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Return the state after each position, (K, T, out, B)."""
        entered = self.enter(x)
        if entered is not self.entered:
            self._lay_out(entered)
        bias = self.kept_bias.value.unsqueeze(2)
        for step in self.steps:
            torch.baddbmm(bias, self.kept.value, step.before, out=step.kept)
            torch.add(step.entered_shares, step.kept_shares, out=step.shares).sigmoid_()
            torch.addcmul(step.entered_new, step.reset, step.kept_new, out=step.new).tanh_()
            torch.lerp(step.new, step.before, step.renew, out=step.after)
        return self.states[1:].transpose(0, 1)

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:
        """Return the gradient of the inputs."""
        dstate, before, inner = (self.memory(name, dy, *self.states.shape[1:]) for name in ("dstate", "before", "inner"))
        dstate.zero_()
        gradient = self.kept.gradient.zero_()
        for step, dafter in zip(reversed(self.steps), reversed(dy.unbind(1)), strict=True):
            dstate += dafter
            torch.mul(dstate, step.renew, out=before)
            torch.sub(dstate, before, out=step.dnew)
            aten.tanh_backward.grad_input(step.dnew, step.new, grad_input=step.dnew)
            torch.mul(step.dnew, step.kept_new, out=step.dreset)
            torch.mul(torch.sub(step.before, step.new, out=inner), dstate, out=step.drenew)
            aten.sigmoid_backward.grad_input(step.slopes_shares, step.shares, grad_input=step.slopes_shares)
            torch.mul(step.dnew, step.reset, out=step.dkept)
            if step is not self.steps[0]:  # before the first position the state is 0
                gradient.baddbmm_(step.slopes_kept, step.turned_before)
                dstate, before = before.baddbmm_(self.kept.turned, step.slopes_kept), dstate
        return self._leave(wanted=wanted)

    def _leave(self, *, wanted: bool) -> Tensor | None:
        """Write the gradients that come of all positions together; return that of the inputs."""
        length, many, size, batch = self.new.shape
        dentered = self.memory("dentered", self.new, many, 3 * size, length, batch)
        dentered[:, : 2 * size] = self.slopes[:, :, : 2 * size].movedim(0, 2)
        dentered[:, 2 * size :] = self.slopes[:, :, 3 * size :].movedim(0, 2)
        dx = self.leave(dentered, wanted=wanted)
        self.kept_bias.gradient[:, : 2 * size] = self.given_bias.gradient[:, : 2 * size]
        torch.sum(self.slopes[:, :, 2 * size : 3 * size], (0, 3), out=self.kept_bias.gradient[:, 2 * size :])
        return dx

    def _lay_out(self, entered: Tensor) -> None:
        """Take the memory for batches of one shape, and views of it."""
        self.entered, size = entered, self.size
        length, many, _, batch = entered.shape
        parts = {"kept": 3, "shares": 2, "new": 1, "slopes": 4}
        kept, shares, self.new, self.slopes = (
            self.memory(name, entered, length, many, part * size, batch) for name, part in parts.items()
        )
        self.states = self.memory("states", entered, length + 1, many, size, batch)  # the first is 0
        self.steps = [GruStep._make(self._views(at, entered, kept, shares)) for at in range(length)]

    def _views(self, at: int, entered: Tensor, kept: Tensor, shares: Tensor) -> list[Tensor]:
        """Return the views of one position."""
        size, slopes, before = self.size, self.slopes[at], self.states[at]
        own = [*torch.split(entered[at], [2 * size, size], 1), kept[at], *torch.split(kept[at], [2 * size, size], 1)]
        own += [shares[at], *shares[at].chunk(2, 1), self.new[at], before, before.transpose(1, 2), self.states[at + 1]]
        return [*own, slopes[:, : 3 * size], slopes[:, : 2 * size], *slopes.chunk(4, 1)]


class Lstm(_Recurrent):
    """LstmNetwork, and what nn.LSTM gives for each position."""

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Return the hidden state after each position, (K, T, out, B)."""
        gates, size = self.enter(x), self.size
        length, many, _, batch = gates.shape
        hidden, cells = (self.memory(name, gates, length + 1, many, size, batch) for name in ("hidden", "cells"))
        shown = self.memory("shown", gates, length, many, size, batch)  # tanh of the cells
        bias = self.kept_bias.value.unsqueeze(2)
        for at in range(length):
            gates[at].baddbmm_(self.kept.value, hidden[at]).add_(bias)
            enter, forget, new, leave = gates[at].chunk(4, 1)
            gates[at, :, : 2 * size].sigmoid_()
            torch.mul(forget, cells[at], out=cells[at + 1]).addcmul_(enter, new.tanh_())
            torch.mul(leave.sigmoid_(), torch.tanh(cells[at + 1], out=shown[at]), out=hidden[at + 1])
        self.run = (gates, hidden, cells, shown)
        return hidden[1:].transpose(0, 1)

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:
        """Return the gradient of the inputs."""
        gates, hidden, cells, shown = self.run
        dgates = self.memory("dgates", gates, *gates.shape)
        dhidden, dcell, inner = (self.memory(name, gates, *shown.shape[1:]) for name in ("dhidden", "dcell", "inner"))
        dhidden.zero_()
        dcell.zero_()
        gradient = self.kept.gradient.zero_()
        for at in reversed(range(gates.shape[0])):
            dhidden += dy[:, at]
            enter, forget, new, leave = gates[at].chunk(4, 1)
            denter, dforget, dnew, dleave = dgates[at].chunk(4, 1)
            torch.mul(dhidden, shown[at], out=dleave)
            dcell += aten.tanh_backward.grad_input(torch.mul(dhidden, leave, out=inner), shown[at], grad_input=inner)
            torch.mul(dcell, new, out=denter)
            torch.mul(dcell, cells[at], out=dforget)
            torch.mul(dcell, enter, out=dnew)
            dcell *= forget
            for part, value in ((dgates[at, :, : 2 * self.size], gates[at, :, : 2 * self.size]), (dleave, leave)):
                aten.sigmoid_backward.grad_input(part, value, grad_input=part)
            aten.tanh_backward.grad_input(dnew, new, grad_input=dnew)
            gradient.baddbmm_(dgates[at], hidden[at].transpose(1, 2))
            torch.bmm(self.kept.turned, dgates[at], out=dhidden)
        dx = self.leave(dgates.movedim(0, 2).contiguous(), wanted=wanted)
        self.kept_bias.gradient.copy_(self.given_bias.gradient)
        return dx
