"""Schedules: lossdoc's own, the user's functions, torch's classes, and a warm-up before any of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lossdoc.build.own import OwnCode
from lossdoc.errors import UserError, kind_of, user_code
from lossdoc.parts.schedules import OwnSchedule, Schedule, ScheduleWord, Warmup
from lossdoc.spec.document import Path

Factor = Callable[[int, int], float]


def schedule(own: OwnCode, word: ScheduleWord, rate: float, path: Path = ("schedule",)) -> Factor:
    """Return the factor on the learning rate `rate` by the step and the number of steps.

    Raises:
        UserError: when the user's own code is not there, or cannot be called so.
        UserCodeError: when it raises.
    """
    if isinstance(word, Warmup):
        return word.before(schedule(own, word.then, rate, (*path, word.word, "then")))
    if isinstance(word, OwnSchedule):
        found = own.find(word.call, path)
        torchs = isinstance(found, type) and issubclass(found, LRScheduler)
        return _torchs(own, word, rate, path) if torchs else _function(own, word, path)
    assert isinstance(word, Schedule)  # noqa: S101 - the only other kind there is
    return word


def _function(own: OwnCode, word: OwnSchedule, path: Path) -> Factor:
    call = own.function(word.call, word.args, path, takes=2)

    def factor(step: int, total: int) -> float:
        with user_code(word.call):
            found: Any = call(step, total)
        if isinstance(found, torch.Tensor) and found.numel() == 1:
            found = found.item()
        if not isinstance(found, int | float):
            got = "None (a forgotten return?)" if found is None else kind_of(found)
            message = f"'{word.call}' returns {got}; a number, the factor on the learning rate, is meant"
            raise UserError(own.spec.document.problem((*path, "call"), message, "schedule"))
        return float(found)

    return factor


def _torchs(own: OwnCode, word: OwnSchedule, rate: float, path: Path) -> Factor:
    """Step one of torch's schedulers beside an optimizer of nothing, once for each step of the training."""
    kind = own.callee(word.call, word.args, path)
    if issubclass(kind, ReduceLROnPlateau):
        message = "ReduceLROnPlateau waits for a loss, which a schedule does not see; use it in your own training 'step'"
        raise UserError(own.spec.document.problem((*path, "call"), message, "schedule"))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.9)  # some cycle the momentum
    with user_code(word.call):
        scheduler = kind(optimizer, **word.args)
    rates = [float(optimizer.param_groups[0]["lr"])]

    def factor(step: int, _total: int) -> float:
        while len(rates) <= step:
            optimizer.step()
            with user_code(word.call):
                scheduler.step()
            rates.append(float(optimizer.param_groups[0]["lr"]))
        return rates[step] / rate

    return factor
