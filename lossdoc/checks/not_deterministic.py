"""LS512: the same seed, and not the same loss."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lossdoc import specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Passed, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject

LOSSES = "the losses of a first step"


@rule(
    code="LS512",
    severity=Severity.WARNING,
    fires_on=(
        lambda: specimens.with_step(specimens.unseeded_step),
        lambda: specimens.healthy(build=specimens.unseeded),
    ),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.with_step(specimens.plain_step),
        lambda: specimens.with_step(specimens.jointly_shuffled_step),
        lambda: specimens.healthy(build=specimens.with_dropout(specimens.mlp())),
        lambda: specimens.healthy(
            build=specimens.scaled(specimens.mlp(), 1e30)
        ),  # the loss is no number, and always the same
    ),
)
def not_deterministic(subject: Subject, *, rounding: float = 1e-5) -> Evidence | Passed:
    """The same seed gives other weights, other data or another loss.

    Looks like:
        Runs that cannot be repeated; a change that helps in one run and not in the next.

    Causes:
        - random numbers from numpy or Python's `random`, which torch's seed does not reach
        - a generator made without a seed, the time of day, the order of a set or of files in a folder
        - operations that add in no fixed order, on a GPU

    Confirm with:
        - train twice from one seed and compare the first losses

    Try:
        - draw from torch, or seed numpy and `random` with the seed that the model gets
        - `torch.use_deterministic_algorithms(True)`

    False alarms:
        None known: what is compared is one and the same, twice.

    Decided by:
        Twice each, from the same seed: the weights of a fresh model, the first batch, and the loss of the first training
        step with dropout on. Weights and data must be the same to the last digit, the loss within 1e-5. Where it is not,
        it is asked again with numpy and `random` seeded, too.

    Sources:
        - torch's documentation: reproducibility
    """
    for part, made in _parts(subject):
        first, second = made(), made()
        apart = _apart(first, second)
        measured = part == LOSSES and isinstance(first[0], float) and math.isfinite(first[0])
        if apart <= (rounding * abs(first[0]) if measured else 0.0):
            continue
        with _seeded_everywhere():
            first = made()
        with _seeded_everywhere():
            tamed = _apart(first, made()) == 0
        by = "; with numpy and `random` seeded it is the same" if tamed else ""
        return Evidence(
            f"from the same seed, {part} are {apart:.3g} apart from one time to the next{by}",
            facts={"measured": apart, "expected": 0.0, "tolerance": rounding},
            confidence=0.95,
            causes=("random numbers from numpy or Python's `random`, which no seed reaches",) if tamed else (),
        )
    return Passed(
        "the same seed gives the same weights, data and loss", {"measured": 0.0, "expected": 0.0, "tolerance": 0.0}
    )


def _parts(subject: Subject) -> Iterator[tuple[str, Callable[[], list[Any]]]]:
    """Yield what is to be the same each time: the weights, the data and the loss."""
    import torch

    from lossdoc import fetching, probe, randomness, signals, train

    def weights() -> list[Any]:
        with randomness.seeded(subject.seed):
            return [each.detach().clone() for each in subject.build(subject.seed).state_dict().values()]

    def data() -> list[Any]:
        with randomness.seeded(subject.seed, 0):
            parts = next(iter(subject.batches("train", 0))).inputs
        given = parts.values() if isinstance(parts, Mapping) else [parts]
        return [each for each in given if isinstance(each, torch.Tensor)]

    def loss() -> list[Any]:
        found = fetching.take(subject, samples=1)[0]
        if subject.recipe.step is None:
            found = signals.some(subject, found)
        training = train.begin(probe.untouched(subject), subject.seed)
        probe.must_have_loss(subject, training.model(), found)
        with randomness.seeded(subject.seed, 0):
            return [probe.guarded(training).step(found, 1.0, 0).loss]

    yield "the weights of a fresh model", weights
    yield "the inputs of the first batches", data
    yield LOSSES, loss


def _apart(first: list[Any], second: list[Any]) -> float:
    """Return the largest difference; NaN counts as equal to NaN.

    Raises:
        NotApplicable: where there is nothing to compare.
    """
    import torch

    if not first:
        raise NotApplicable("neither weights nor inputs are tensors")
    far = 0.0
    for one, other in zip(map(torch.as_tensor, first), map(torch.as_tensor, second), strict=True):
        if one.shape != other.shape:
            return float("inf")
        same = (one == other) | (one != one) & (other != other)  # noqa: PLR0124 - that is how NaN is told
        if not bool(same.all()):
            far = max(far, float((one.double() - other.double()).abs().nan_to_num(float("inf")).max()))
    return far


@contextmanager
def _seeded_everywhere() -> Iterator[None]:
    """Seed numpy's global generator and Python's for the block, and leave them as they were afterwards."""
    import numpy as np

    mine, theirs = random.getstate(), np.random.get_state()  # noqa: NPY002 - the generator that users' code draws from
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(mine)
        np.random.set_state(theirs)  # noqa: NPY002
