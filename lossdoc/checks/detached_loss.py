"""LS507: a loss that is cut off from the weights."""

from __future__ import annotations

from lossdoc import specimens
from lossdoc.checks import _steps
from lossdoc.checks._events import MENDED, Record, watching
from lossdoc.errors import NotApplicable, UserCodeError
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.specimens import OwnLoss
from lossdoc.subject import Subject


@rule(
    code="LS507",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.with_step(specimens.detached_step),
        lambda: specimens.with_step(specimens.headless_graph_step),
        lambda: specimens.with_step(specimens.argmax_step),
        lambda: specimens.healthy(loss=OwnLoss(specimens.cut_off_entropy)),
        lambda: specimens.healthy(build=specimens.with_cut(specimens.mlp(depth=2))),
    ),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.with_step(specimens.plain_step),
        lambda: specimens.with_step(specimens.idle_step),
        lambda: specimens.with_step(specimens.headless_step),
        lambda: specimens.healthy(build=specimens.with_idle_part(specimens.mlp())),
    ),
    mutes=("no-gradient", "no-update", "not-in-optimizer"),
)
def detached_loss(subject: Subject) -> Evidence | None:
    """The graph is cut between some parameters and the loss: no gradient can reach them.

    Looks like:
        A loss that stays where it was; or one that falls a little and then no more, where only a part is cut off.

    Causes:
        - `.detach()`, `.data` or `torch.no_grad()` on the way from the weights to the loss
        - an argmax, a rounding, `.item()` or numpy on the way: what comes out of them has no gradient
        - the loss is put into a new tensor: `torch.tensor(loss, requires_grad=True)`

    Confirm with:
        - print `loss.grad_fn` before `backward()`, and each parameter's gradient after it

    Try:
        - keep to differentiable operations between parameters and loss
        - train on the loss and log the metric: cross-entropy in place of the share of mistakes
        - set `requires_grad = False` on what is to stay as it is

    False alarms:
        A part that is cut off on purpose, such as the teacher of another network; say so with `requires_grad = False`.

    Decided by:
        Model and loss: parameters to which no path leads from the loss in four steps. Torch is listened to while the loss is
        computed: it is this fault where the parameters have a gradient once `detach`, `data` and `no_grad` are made to do
        nothing, or where nothing at all has a gradient and an argmax or the like was called. A training step of the user's
        own: torch refuses its backward pass, or leaves parameters without a gradient that have one, computed apart.

    Sources:
        - torch's documentation: autograd mechanics, locally disabling gradient computation
    """
    found = _in_model(subject)
    return found or (None if subject.recipe.step is None else _in_step(subject))


def _in_model(subject: Subject) -> Evidence | None:
    flow = _steps.flow(subject)
    cause = flow.record.told()
    if not flow.missing or not cause:
        return None
    back = set(flow.missing) & _mended(subject) if set(flow.record.cuts) & set(MENDED) else set()
    everything = len(flow.missing) == len(flow.names)
    if not back and not everything:
        return None
    proven = "; with that made to do nothing they have one" if back else ""
    return _evidence(
        f"no gradient reaches {_counted(back or set(flow.missing), len(flow.names))}: the graph is cut by "
        f"{flow.record.told(partly=bool(back))}{proven}",
        len(back or flow.missing),
        len(flow.names),
        0.98 if back else 0.9,
    )


def _mended(subject: Subject) -> set[str]:
    """Return the names of the parameters that have a gradient where nothing cuts the graph."""
    from lossdoc import fetching, probe

    plain = probe.bare(subject)
    model, batch = plain.build(subject.seed), fetching.take(subject, samples=1)[0]
    try:
        with watching(Record(), mended=True):
            return set(probe.gradient(plain, model, batch))
    except (UserCodeError, RuntimeError):  # code may rely on what was taken from it
        return set()


def _in_step(subject: Subject) -> Evidence | None:
    course = _steps.course(subject)
    step = subject.recipe.step
    word = step.word if step else ""
    if course.cut:
        cause = course.record.told()
        return _evidence(
            f"the loss of {word} has no gradient, and torch refuses `backward()`"
            + (f": {cause} on the way" if cause else ""),
            len(course.before),
            len(course.before),
            0.98,
        )
    if not course.record.of("backward"):
        raise NotApplicable(f"{word} was not seen to call `backward()`")
    moved = course.record.reached | course.changed | course.frozen
    lost = set(course.before) - moved
    lost = lost & _steps.with_slope(subject) if lost else lost
    if not lost:
        return None
    cause = course.record.told(partly=bool(course.record.reached))
    return _evidence(
        f"the backward pass of {word} does not reach {_counted(lost, len(course.before))}, which have a gradient computed "
        f"apart" + (f": {cause} on the way" if cause else ""),
        len(lost),
        len(course.before),
        0.95 if cause else 0.7,
        None if cause else Severity.WARNING,
    )


def _counted(names: set[str], whole: int) -> str:
    return f"any of the {whole} parameters" if len(names) == whole else f"{_steps.listed(names)}"


def _evidence(summary: str, lost: int, whole: int, confidence: float, severity: Severity | None = None) -> Evidence:
    facts = {"measured": float(lost), "expected": 0.0, "tolerance": 0.0, "parameters": float(whole)}
    return Evidence(summary, facts=facts, confidence=confidence, severity=severity)
