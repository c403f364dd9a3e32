"""LS511: a schedule that is stepped at the wrong place."""

from __future__ import annotations

import math
from typing import Any

from lossdoc import specimens
from lossdoc.checks import _steps
from lossdoc.checks._events import Event, Record, recorded
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.parts.schedules import Cosine
from lossdoc.rule import rule
from lossdoc.subject import OwnStep, Subject


def _scheduled(step: Any) -> Subject:
    return specimens.with_recipe(specimens.with_step(step), schedule=Cosine())


@rule(
    code="LS511",
    severity=Severity.ERROR,
    fires_on=(
        lambda: _scheduled(specimens.hasty_schedule_step),
        lambda: _scheduled(specimens.late_schedule_step),
        lambda: _scheduled(specimens.early_schedule_step),
    ),
    quiet_on=(
        specimens.healthy,
        lambda: _scheduled(specimens.scheduled_step),
        lambda: specimens.with_step(specimens.plain_step),
    ),
)
def misplaced_scheduler(subject: Subject, *, used_up: float = 0.01, early: float = 0.1) -> Evidence | None:
    """The learning rate's schedule is stepped before the optimizer, too often, or too seldom.

    Looks like:
        A loss that stops falling long before the run is over, since the rate is used up; or a rate that hardly ever changes.

    Causes:
        - `scheduler.step()` in the loop over batches, where the schedule counts epochs, or the other way round
        - `scheduler.step()` before `optimizer.step()`: the first value is never used

    Confirm with:
        - print `scheduler.get_last_lr()` once an epoch

    Try:
        - once a batch for a schedule that counts steps, behind `optimizer.step()`
        - once an epoch for one that counts epochs

    False alarms:
        A schedule that is meant to end long before the run does.

    Decided by:
        Some steps of the user's own are taken and listened to. The schedule on offer counts steps: it is to be stepped once
        for each step of the optimizer, not twice and not only where an epoch begins, and behind it. A scheduler that the
        step makes itself and steps for each batch is stepped on, without training, to the run's end: it is named where it
        leaves less than 1 % of the rate before a tenth of the run is over, and never goes up again.

    Sources:
        - torch's documentation of torch.optim: how to adjust the learning rate
    """
    own = subject.recipe.step
    if own is None:
        raise NotApplicable("training is by lossdoc's own step, which steps the schedule itself")
    course = _steps.course(subject)
    steps = [each for each in course.each if any(event.kind == "optimizer" for event in each)]
    if not steps:
        raise NotApplicable("the optimizer takes no step")
    found = [event.what for each in course.each for event in each if event.kind == "scheduler"]
    if not found:
        return _seldom(subject, own)
    count = len(found) / len({id(each) for each in found}) / course.steps
    facts = {"measured": count, "expected": 1.0, "tolerance": 0.5}
    if _offered(subject, own) and count > 1.5:
        return Evidence(
            f"the schedule counts steps, and {own.word} steps it {count:.3g} times in each: it ends after "
            f"1/{count:.3g} of the run",
            facts=facts,
            confidence=0.97,
        )
    if not _offered(subject, own):
        too_early = _used_up(subject, found[-1], used_up, early)
        if too_early is not None:
            return too_early
    if all(_before(each) for each in steps if any(event.kind == "scheduler" for event in each)):
        return Evidence(
            f"{own.word} steps the schedule before the optimizer: its first value is never used",
            facts={"measured": 1.0, "expected": 0.0, "tolerance": 0.0},
            severity=Severity.WARNING,
            confidence=0.97,
            remedies=("`scheduler.step()` behind `optimizer.step()`",),
        )
    return None


def _offered(subject: Subject, own: OwnStep) -> bool:
    """Tell whether the step asks for the configured schedule, and this is one that changes the rate."""
    from lossdoc.calling import asked_for

    schedule = subject.recipe.schedule
    total = _steps.planned(subject)
    return "scheduler" in asked_for(own.call) and len({schedule(step, total) for step in (0, total // 2, total - 1)}) > 1


def _before(events: list[Event]) -> bool:
    kinds = [event.kind for event in events]
    return "optimizer" in kinds and kinds.index("scheduler") < kinds.index("optimizer")


def _seldom(subject: Subject, own: OwnStep) -> Evidence | None:
    """Look whether a step that left the schedule on offer alone steps it where an epoch begins."""
    from lossdoc import fetching, probe, randomness, train

    if not _offered(subject, own):
        return None
    batch = fetching.take(subject, samples=1)[0]
    record = Record()
    training = train.OwnTraining(probe.bare(subject), own, subject.seed)
    training.total = _steps.planned(subject)
    with randomness.seeded(subject.seed, 0), recorded(record, training.model), probe.unwarned():
        for epoch in (0, 1):
            training.step(batch, 1.0, epoch)
    by_epoch = bool(record.of("scheduler"))
    per = _steps.planned(subject) / max(1, subject.recipe.epochs)
    told = f"only where an epoch begins, every {per:.4g} steps" if by_epoch else "never"
    return Evidence(
        f"the schedule counts steps, and {own.word}, which asks for it, steps it {told}: the rate hardly changes",
        facts={"measured": 1 / per if by_epoch else 0.0, "expected": 1.0, "tolerance": 0.5},
        confidence=0.95 if by_epoch else 0.85,
        remedies=("`scheduler.step()` behind every `optimizer.step()`",),
    )


def _used_up(subject: Subject, scheduler: Any, used_up: float, early: float) -> Evidence | None:
    """Step a scheduler of the user's own to the end of the run, without training, and look at what it leaves of the rate."""
    from torch.optim.lr_scheduler import ReduceLROnPlateau

    from lossdoc import probe

    total = _steps.planned(subject)
    if isinstance(scheduler, ReduceLROnPlateau):
        return None  # it asks for a loss
    rates = []
    with probe.unwarned():
        for _ in range(min(total, _steps.HORIZON)):
            rates.append(max(float(group["lr"]) for group in scheduler.optimizer.param_groups))
            try:
                scheduler.step()
            except ValueError:  # OneCycleLR refuses to go on behind its end
                break
    first = max(rates[: max(1, math.ceil(early * total))])
    over = next((step for step, rate in enumerate(rates) if rate < used_up * first), None)
    if over is None or over > early * total or max(rates[over:]) > 10 * used_up * first:
        return None
    return Evidence(
        f"the schedule is stepped once a batch, and leaves {rates[over] / first:.1g} of the rate after {over} of {total} "
        "steps",
        facts={"measured": float(over), "expected": early * total, "tolerance": 0.0, "steps": float(total)},
        confidence=0.9,
        causes=("`scheduler.step()` in the loop over batches, where the schedule counts epochs",),
    )
