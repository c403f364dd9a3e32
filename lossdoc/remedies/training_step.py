"""The user's own training step with what it forgets done for it, or where that cannot be the usual step in its place."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from lossdoc.findings import Finding
from lossdoc.remedies._symptoms import SLOW, STUCK
from lossdoc.remedy import Change, Patient, Remedy
from lossdoc.subject import OwnStep, Subject

Call = Callable[..., Any]

SUSPECT = 0.6  # the prior of a step where something does not learn: it was written by hand, and every check of it has passed


@dataclass(frozen=True)
class _Mend:
    summary: str
    line: str
    around: Callable[[Call], Call] | None = None


def _cleared(call: Call) -> Call:
    @functools.wraps(call)
    def step(model: Any, batch: Any, optimizer: Any, **others: Any) -> Any:
        optimizer.zero_grad()
        return call(model, batch, optimizer, **others)

    return step


def _applied(call: Call) -> Call:
    @functools.wraps(call)
    def step(model: Any, batch: Any, optimizer: Any, **others: Any) -> Any:
        optimizer.zero_grad()
        loss = call(model, batch, optimizer, **others)
        optimizer.step()
        return loss

    return step


def _turned(call: Call) -> Call:
    @functools.wraps(call)
    def step(model: Any, batch: Any, optimizer: Any, **others: Any) -> Any:
        def turn(optimizer: Any, _args: Any, _kwargs: Any) -> None:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter.grad.neg_()

        hook = optimizer.register_step_pre_hook(turn)
        try:
            return call(model, batch, optimizer, **others)
        finally:
            hook.remove()

    return step


def _complete(call: Call) -> Call:
    @functools.wraps(call)
    def step(model: Any, batch: Any, optimizer: Any, **others: Any) -> Any:
        known = {id(each) for group in optimizer.param_groups for each in group["params"]}
        missing = [each for each in model.parameters() if id(each) not in known]
        optimizer.param_groups[0]["params"].extend(missing)
        return call(model, batch, optimizer, **others)

    return step


MENDS = {
    "accumulating-gradients": _Mend("clear the gradients before each step", "optimizer.zero_grad()", _cleared),
    "no-update": _Mend("apply the gradients", "optimizer.step()  # after loss.backward()", _applied),
    "wrong-sign": _Mend("go down the gradient, not up", "loss.backward()  # not (-loss).backward()", _turned),
    "not-in-optimizer": _Mend("give the optimizer all the parameters", "optim.Adam(model.parameters())", _complete),
    "detached-loss": _Mend("keep the loss in the graph", "loss.backward()  # no .detach(), .item() or .data before it"),
    "wrong-mode": _Mend("train in training mode", "model.train()  # and model.eval() for validation"),
    "misplaced-scheduler": _Mend("step the schedule where it belongs", "scheduler.step()  # once an epoch, after it"),
    "wrong-gradient": _Mend("apply the gradient of the loss", "loss.backward()  # then unscale, then clip, then step"),
    "bad-labels": _Mend("take the labels that belong to the inputs", "loss_fn(model(inputs), targets)"),
}


def changes(patient: Patient, finding: Finding) -> Iterator[Change]:
    """Yield the step with what the finding misses put around it; where that cannot be, the usual step in its place.

    What does not learn may have a step that does something else with the gradient, such as clip it to next to nothing.
    """
    own = patient.subject.recipe.step
    if own is None or (finding.name == "bad-labels" and own.word not in finding.evidence.summary):
        return
    cause = finding.name if finding.name in MENDS else "wrong-gradient"
    mend, prior = MENDS[cause], None if finding.name in MENDS else SUSPECT
    around = mend.around
    apply = _usual if around is None else functools.partial(_mended, around=around)
    summary = mend.summary if around is not None else f"{mend.summary}: the usual step in place of {own.word}"
    told = f"{mend.line}  # in {own.word}"
    yield Change(summary, causes=(cause,), apply=apply, line=told, prior=prior)


def _usual(subject: Subject) -> Subject:
    return replace(subject, recipe=replace(subject.recipe, step=None))


def _mended(subject: Subject, around: Callable[[Call], Call]) -> Subject:
    recipe = subject.recipe
    step = None if recipe.step is None else OwnStep(recipe.step.word, around(recipe.step.call))
    return replace(subject, recipe=replace(recipe, step=step))


TRAINING_STEP = Remedy(tuple(MENDS), changes, (*dict.fromkeys((*STUCK, *SLOW)), "lr-too-low", "too-few-epochs"), prior=1.0)
