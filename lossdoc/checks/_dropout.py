"""Does a dropout drop what it says?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lossdoc.findings import Evidence, Passed
from lossdoc.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor, nn

UNITS = 40_000
SURE = 5.0  # binomial standard deviations: one false alarm in 10^6


def dropouts(subject: Subject) -> Mapping[str, nn.Module]:
    """Return the modules of a fresh model that drop units and scale the rest, by name, with a rate above 0.

    Known are torch's own, and what calls itself a dropout and has a rate `p`; the alpha dropouts keep mean and variance by
    another formula and are left out.
    """
    from torch import nn

    from lossdoc import probe

    model = probe.untouched(subject).build(subject.seed)
    found = {}
    for name, module in model.named_modules():
        called = "dropout" in type(module).__name__.lower() and not isinstance(
            module, (nn.AlphaDropout, nn.FeatureAlphaDropout)
        )
        rate = getattr(module, "p", None)
        if called and isinstance(rate, float) and 0 < rate < 1:
            found[name] = module
    return found


def judge(modules: Mapping[str, nn.Module]) -> Evidence | Passed:
    """Send ones through each dropout and count what is left."""
    answers = [_one(name, module) for name, module in modules.items()]
    return next((answer for answer in answers if isinstance(answer, Evidence)), answers[0])


def _one(name: str, module: nn.Module) -> Evidence | Passed:
    import torch

    from lossdoc import probe

    rate = float(module.p)  # type: ignore[arg-type]
    ones = _ones(module)
    with torch.no_grad():
        with probe.watched(module, training=True):
            dropped = module(ones)
        with probe.watched(module, training=False):
            kept = module(ones)
    share = float((dropped == 0).double().mean())
    tolerance = SURE * math.sqrt(rate * (1 - rate) / UNITS)
    scale = float(dropped[dropped != 0].mean()) if share < 1 else math.nan
    facts = {"measured": share, "expected": rate, "tolerance": tolerance, "scale": scale, "due_scale": 1 / (1 - rate)}
    if abs(share - rate) > tolerance:
        return Evidence(
            f"dropout `{name}` is to drop {100 * rate:.0f} % and drops {100 * share:.1f} %", facts=facts, confidence=0.98
        )
    if not math.isclose(scale, 1 / (1 - rate), rel_tol=1e-3):
        return Evidence(
            f"dropout `{name}` scales what it leaves by {scale:.3g}; for the sum to stay as it is, 1/(1 − p) = "
            f"{1 / (1 - rate):.3g} is due",
            facts={"measured": scale, "expected": 1 / (1 - rate), "tolerance": 1e-3 / (1 - rate)},
        )
    if not torch.equal(kept, ones):
        return Evidence(
            f"dropout `{name}` is still on in evaluation mode",
            facts={"measured": float((kept != ones).double().mean()), "expected": 0.0, "tolerance": 0.0},
            confidence=0.98,
        )
    return Passed(f"dropout drops {100 * share:.1f} %, scales the rest by {scale:.3g}, and is off in evaluation", facts)


def _ones(module: nn.Module) -> Tensor:
    """Return ones in a shape in which the module drops each apart: whole channels, for those that drop channels."""
    import torch
    from torch import nn

    kinds: dict[type[nn.Module], int] = {nn.Dropout1d: 1, nn.Dropout2d: 2, nn.Dropout3d: 3}
    dims = kinds.get(type(module), 0)
    return torch.ones(1, UNITS, *([1] * dims))
