"""LS504: parameters that are to learn and get no gradient."""

from __future__ import annotations

from lossdoc import specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.specimens import OwnLoss
from lossdoc.subject import Subject


@rule(
    code="LS504",
    severity=Severity.ERROR,
    fires_on=(
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
def no_gradient(subject: Subject, *, steps: int = 4) -> Evidence | None:
    """Parameters that are to be learned get no gradient, or one that is always 0.

    Looks like:
        A flat loss where that holds for all of them; else a model that learns less than it could.

    Causes:
        - the graph is cut: `.detach()`, `.data`, `.item()`, numpy, or an argmax on the way to the loss
        - a part of the model that the outputs do not depend on
        - units that are off for every sample
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
    from lossdoc import probe, train

    plain = probe.bare(subject)
    batches = probe.take(subject, samples=steps * (subject.batch_size or 1))
    objective = train.Objective(plain.build(subject.seed), plain.loss, plain.recipe.penalties).train()
    probe.must_have_loss(subject, objective.model, batches[0])
    state = train.start(objective, plain.recipe.optimizer)
    without = dict.fromkeys(state.params)
    if not list(objective.model.parameters()):
        return Evidence(
            "the model has no parameters: layers kept in a plain Python list?",
            facts={"measured": 0.0, "expected": 1.0, "tolerance": 0.0, "parameters": 0.0},
            confidence=0.97,
            causes=("layers kept in a plain Python list or dict, where the model cannot find them",),
            remedies=("keep them in an nn.ModuleList or nn.ModuleDict, or as attributes of their own",),
        )
    if not without:
        raise NotApplicable("the model has no parameters to learn")
    for step in range(steps):
        with train.seeded(subject.seed, step):
            grads, state, _ = train.gradients(objective, state, batches[step % len(batches)])
        without = {name: None for name in without if name not in grads or bool((grads[name] == 0).all())}
        if not without:
            return None
        state = train.update(plain.recipe.optimizer, state, grads, plain.recipe.hyper)
    names = [name.removeprefix("model.") for name in without]
    minor = all(state.params[name].ndim < 2 for name in without)
    everything = len(without) == len(state.params)
    return Evidence(
        f"{'none' if everything else len(names)} of the {len(state.params)} parameters {'gets' if everything else 'get no'}"
        f"{' a' if everything else ''} gradient in {steps} steps"
        + ("" if everything else f": {', '.join(names[:5])}" + (", ..." if len(names) > 5 else "")),
        facts={"measured": float(len(names)), "expected": 0.0, "tolerance": 0.0, "parameters": float(len(state.params))},
        severity=Severity.NOTE if minor and not everything else None,
        confidence=0.97,
    )
