"""LS401: units that are all the same, and stay so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossdoc import specimens
from lossdoc.checks import _steps
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor


def _begin_at_zero(model: Any) -> None:
    model[0].weight.zero_()


@rule(
    code="LS401",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.healthy(build=specimens.set_all(specimens.mlp(depth=2), 0.1)),
        lambda: specimens.healthy(build=specimens.set_all(specimens.mlp(depth=3), 0.0)),
    ),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.healthy(build=specimens.mlp(depth=3)),
        lambda: specimens.healthy(build=specimens.scaled(specimens.mlp(depth=2), 0.0, last_only=True)),
        lambda: specimens.healthy(build=specimens.with_cut(specimens.changed(specimens.mlp(), _begin_at_zero))),
    ),
    mutes=("no-gradient", "vanishing-activations", "dead-relu", "exploding-activations"),
)
def symmetric_weights(subject: Subject, *, alike: float = 1e-6) -> Evidence | None:
    """All units of a layer have the same weights and get the same gradient: they will never differ.

    Looks like:
        A loss that falls a little and stays near that of the labels' frequencies: a layer of a hundred units does no more
        than a layer of one.

    Causes:
        - the weights are all initialized to 0, or to another constant

    Confirm with:
        - print a few rows of the layer's weights

    Try:
        - initialize the weights at random: Xavier before tanh, He before ReLU; only biases may begin at 0

    False alarms:
        A last layer, or the last layer of a residual branch, that begins at 0 on purpose is passed: its units, or those
        before it, get different gradients. So is a weight that no gradient reaches, such as a frozen filter, or positions
        that begin at 0 and are cut off from the loss: `no-gradient` tells of those that should learn.

    Decided by:
        In a weight with two or more rows all rows are the same, and so are the rows of its gradient over the first
        batch, within one part in 10^6 of their size. Both are needed: units with the same weights part at the first step
        when their gradients differ.

    Sources:
        - Goodfellow, Bengio and Courville (2016), Deep Learning, section 8.4: initialization must break symmetry
    """
    from lossdoc import fetching, probe

    model = probe.bare(subject).build(subject.seed)
    probe.must_have_loss(subject, model, fetching.take(subject, samples=1)[0])
    wide = {name: each for name, each in probe.parameters_of(model).items() if each.ndim > 1 and len(each) > 1}
    if not wide:
        raise NotApplicable("no layer has two units or more")
    slopes = _steps.slopes(subject)
    found = [name for name, each in wide.items() if _same_rows(each, alike) and _same_rows(slopes.get(name), alike)]
    if not found:
        return None
    units = sum(len(wide[name]) for name in found)
    return Evidence(
        f"all units of {', '.join(found[:4])} have the same weights and the same gradient: {units} units do the work of "
        f"{len(found)}",
        facts={"measured": float(units), "expected": 0.0, "tolerance": 0.0, "layers": float(len(found))},
        confidence=0.98,
    )


def _same_rows(rows: Tensor | None, alike: float) -> bool:
    """Tell whether all rows are the same; of a parameter that no gradient reaches nobody knows: it is frozen, or cut off."""
    if rows is None:
        return False
    flat = rows.double().flatten(1)
    return bool((flat - flat[:1]).abs().max() <= alike * flat.abs().max())
