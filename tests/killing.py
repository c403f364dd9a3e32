"""Sweeps that are killed: `python -m tests.killing FOLDER SEARCH HALVING KILLS` prints how each one ended, as JSON.

A sweep runs in a child made by fork, so that nothing has to be imported again, and is killed after a random while; then it
is resumed, and killed again every other time; the last child is let go to its end.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import optuna.samplers  # noqa: F401 - once, not in every child
import torch
from torch import nn

import lossdoc.storage  # noqa: F401 - as above
from lossdoc import sweeping
from lossdoc.errors import UserError
from lossdoc.parts.optimizers import Sgd
from lossdoc.ranking import RATE
from lossdoc.runner import Budget
from lossdoc.search import Range, Space
from tests.subjects import Pairs, subject
from tests.test_sweep import variant


def linear(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Linear(4, 1)


def plan(search: str, halving: int) -> sweeping.Plan:
    """Return a sweep of a tiny model that takes a few hundredths of a second for each point."""
    luck = torch.Generator().manual_seed(0)
    x = torch.randn(64, 4, generator=luck)
    y = (x[:, :1] > 0).float()
    pairs: Pairs = {"train": (x, y), "validation": (x, y)}
    tiny = subject(pairs, linear, Sgd(lr=1e-2), batch_size=16)
    space = Space({RATE: Range(1e-4, 1e3)}, {RATE: 1e-2})
    seeds = (0, 1) if halving else (0,)
    return sweeping.Plan(
        partial(variant, tiny), space, Budget(epochs=halving or 3), search, 10, seeds=seeds, halving=halving, name="killed"
    )


def forked(work: Callable[[], object], seconds: float | None) -> bool:
    """Do some work in a child, kill it after a while, and tell whether it had come to its end before."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return status == 0


def begin_or_resume(made: sweeping.Plan, root: Path) -> None:
    """Do what a user does after a crash: resume, or begin where nothing had begun."""
    try:
        sweeping.sweep(replace(made, resume=Path("last")), root=root)
    except UserError as bad:
        if "no sweep to resume" not in str(bad):
            raise
        sweeping.sweep(made, root=root)


def main(folder: str, search: str, halving: str, kills: str) -> None:
    """Kill sweeps at as many moments as asked, resume them, and print what the studies hold."""
    torch.set_num_threads(1)
    sweeping._draw = lambda *_: None  # drawing is not what is killed here
    made, luck = plan(search, int(halving)), random.Random(f"{search}{halving}")  # noqa: S311 - no secret
    for name in ("first", "whole"):  # what is done for the first time takes longer, and kills would come behind the end
        began = time.monotonic()
        assert forked(partial(sweeping.sweep, made, root=Path(folder) / name), None)
    whole = time.monotonic() - began
    ended = []
    for number in range(int(kills)):
        root = Path(folder) / str(number)
        go_on = partial(begin_or_resume, made, root)
        killed = sum(not forked(go_on, luck.uniform(0, whole)) for _ in range(1 + number % 2))
        assert forked(go_on, None)
        ended.append({"root": str(root), "killed": killed})
    print(json.dumps(ended))  # noqa: T201 - what the test reads


if __name__ == "__main__":
    main(*sys.argv[1:])
