"""The comparison `departure`."""

from __future__ import annotations

from functools import partial

import numpy as np

from lossdoc.curve import Pair, Series
from lossdoc.errors import NotApplicable
from lossdoc.features.parting import Parting, parting
from lossdoc.findings import Evidence, Passed, Severity
from lossdoc.rule import rule
from lossdoc.synthetic import parted


@rule(
    code="LC201",
    severity=Severity.NOTE,
    fires_on=(parted, partial(parted, by=-0.4)),
    quiet_on=(partial(parted, by=0.0), partial(parted, by=0.0, seed=1)),
)
def departure(pair: Pair, *, share: float = 0.05, p: float = 0.01) -> Evidence | Passed:
    """The run departs from the known-good one, and does not come back.

    Looks like:
        Two curves that lie on each other for a while, and then apart to the end.

    Causes:
        - a change of code, data or settings between the two runs takes effect at that step
        - a learning-rate schedule of another length, or a warm-up of another length
        - another order of the data, where one part of it differs from the rest

    Confirm with:
        - compare what both runs read, and their learning rates, at the step of departure
        - run the good code again with another seed, and compare the two good runs

    Try:
        - bisect the changes between the two runs on a run that ends a little after the departure

    False alarms:
        One good run does not tell how far its seeds lie apart: differences below `share` of what it learned are taken for
        that, larger ones of unstable networks are not. Compare two good runs first.

    Decided by:
        The steps that both runs have are cut into at most twenty blocks, in each of which a line is fitted to either curve.
        A block differs where the lines' middles are farther apart than the noise around both allows (Student's t at `p`,
        shared out among the blocks, errors widened by the correlation of neighbors). The departure begins with the first
        block from which on all differ, in one direction; it counts where the last block differs by more than `share` of
        what the good run learned: half of the spread from which on `run-to-run-variance` calls a network unstable.

    Sources:
        - Welch, The generalization of Student's problem, Biometrika 34, 1947
        - Bouthillier et al., Accounting for variance in machine learning benchmarks, 2021: why a share is left to seeds
    """
    if pair.run.context.axis != pair.good.context.axis:
        raise NotApplicable(f"the run counts {pair.run.context.axis}s, {pair.name} {pair.good.context.axis}s: --axis helps")
    sides = [("training", pair.run.train, pair.good.train)]
    if pair.run.val is not None and pair.good.val is not None:
        sides.append(("validation", pair.run.val, pair.good.val))
    seen: list[tuple[str, Parting]] = []
    why: list[str] = []
    for side, mine, good in sides:
        try:
            seen.append((side, _compared(mine, good, share=share, p=p / len(sides))))
        except NotApplicable as bad:
            why.append(str(bad))
    if not seen:
        raise NotApplicable(why[0])
    parted_at = [(found.start[found.lasting], side, found) for side, found in seen if found.lasting is not None]
    if not parted_at:
        side, found = seen[0]
        return Passed(f"the {side} loss stays with that of {pair.name}: it ends {found.difference[-1]:+.3g} from it")
    return _evidence(pair, *min(parted_at, key=lambda each: each[0]))


def _compared(mine: Series, good: Series, *, share: float, p: float) -> Parting:
    if not len(mine.finite) or not len(good.finite):
        raise NotApplicable("a run without a finite loss cannot be compared")
    return parting(mine.finite, good.finite, share=share, p=p)


def _evidence(pair: Pair, step: float, side: str, found: Parting) -> Evidence:
    by, noise = float(found.difference[-1]), float(found.noise[-1])
    times = abs(by) / noise if noise > 0 else np.inf
    where = "above" if by > 0 else "below"
    unit = pair.run.context.axis or "step"
    summary = (
        f"the {side} loss is {where} that of {pair.name} from {unit} {step:.15g} on: by {abs(by):.3g} at the end of what "
        f"both have, {times:,.{int(times < 10)}f} standard deviations of the noise of single values"
    )
    facts = {"step": float(step), "difference": by, "noise": noise, "noise_deviations": times, "tolerated": found.level}
    return Evidence(summary, facts, (float(step), float(found.end[-1])), 0.95)
