"""LS504: parameters that are to learn and get no gradient."""

from __future__ import annotations

from lossdoc import specimens
from lossdoc.checks import _steps
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.specimens import OwnLoss
from lossdoc.subject import Subject


@rule(
    code="LS504",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.healthy(build=specimens.with_idle_part(specimens.mlp())),
        lambda: specimens.healthy(loss=OwnLoss(specimens.cut_off_entropy)),
        lambda: specimens.healthy(build=specimens.with_cut(specimens.mlp(depth=2))),
        lambda: specimens.healthy(build=specimens.hidden_in_a_list(specimens.mlp())),
    ),
    quiet_on=(
        specimens.healthy,
        specimens.regression,
        lambda: specimens.healthy(build=specimens.scaled(specimens.mlp(depth=2), 0.0, last_only=True)),
    ),
)
def no_gradient(subject: Subject) -> Evidence | None:
    """Parameters that are to be learned get no gradient, or one that is always 0.

    Looks like:
        A flat loss where that holds for all of them; else a model that learns less than it could.

    Causes:
        - a part of the model that the outputs do not depend on
        - units that are off for every sample
        - the graph is cut on the way to the loss: `detached-loss` then says where
        - layers kept in a plain Python list, so that the model has no parameters at all

    Confirm with:
        - print the norm of each parameter's gradient after `backward()`

    Try:
        - keep to differentiable operations between parameters and loss
        - remove the part that is not used, or set `requires_grad = False` on it

    False alarms:
        A part that is used for some samples only, such as an expert or the embedding of a rare word, may have to wait for
        them. A parameter of one dimension, such as a bias before batch normalization, is only a note.

    Decided by:
        Four training steps are taken with lossdoc's own gradient, so that a layer behind one that begins at 0 gets its
        chance; a parameter is named whose gradient is missing or exactly 0 at each of them.

    Sources:
        - torch's documentation: autograd mechanics
    """
    flow = _steps.flow(subject)
    if not flow.every:
        return Evidence(
            "the model has no parameters: layers kept in a plain Python list?",
            facts={"measured": 0.0, "expected": 1.0, "tolerance": 0.0, "parameters": 0.0},
            confidence=0.97,
            causes=("layers kept in a plain Python list or dict, where the model cannot find them",),
            remedies=("keep them in an nn.ModuleList or nn.ModuleDict, or as attributes of their own",),
        )
    if not flow.names:
        raise NotApplicable("the model has no parameters to learn")
    if not flow.zero:
        return None
    whole = len(flow.names)
    everything = len(flow.zero) == whole
    minor = set(flow.zero) <= flow.flat
    told = (
        f"none of the {whole} parameters gets a gradient"
        if everything
        else (f"{len(flow.zero)} of the {whole} parameters get no gradient")
    )
    return Evidence(
        f"{told} in {flow.steps} steps" + ("" if everything else f": {_steps.listed(flow.zero)}"),
        facts={"measured": float(len(flow.zero)), "expected": 0.0, "tolerance": 0.0, "parameters": float(whole)},
        severity=Severity.NOTE if minor and not everything else None,
        confidence=0.97,
    )
