"""LS103: inputs that never change."""

from __future__ import annotations

from lossdoc import specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject


@rule(
    code="LS103",
    severity=Severity.NOTE,
    fires_on=(
        lambda: specimens.with_inputs(lambda inputs: 0 * inputs),
        lambda: specimens.with_inputs(specimens.first_constant),
    ),
    quiet_on=(specimens.healthy, specimens.regression),
)
def constant_feature(subject: Subject, *, least: int = 100) -> Evidence | None:
    """Some features have the same value in every sample.

    Looks like:
        Nothing, mostly: weights that never matter. Where all features are constant, a model that learns the labels'
        frequencies and no more.

    Causes:
        - border pixels, a column that was never filled in, a unit that is always the same
        - a mistake in the preprocessing, where all features are constant

    Confirm with:
        - print the standard deviation of each feature

    Try:
        - leave the feature out
        - correct the preprocessing

    False alarms:
        Border pixels are constant in most image data, and do no harm.

    Decided by:
        The largest and the smallest value over the first 1,000 samples, 100 at the least, are the same. It is an error where
        that holds for every feature.

    Sources:
        - Zheng and Casari (2018), Feature Engineering for Machine Learning
    """
    from lossdoc import fetching

    inputs = fetching.real_inputs(fetching.take(subject)).flatten(1)
    if len(inputs) < least:
        raise NotApplicable(f"{len(inputs)} samples are too few to tell")
    same = inputs.amax(0) == inputs.amin(0)
    count = int(same.sum())
    if not count:
        return None
    everything = count == len(same)
    return Evidence(
        f"{'all' if everything else count} of {len(same)} features have the same value in all of {len(inputs):,} samples",
        facts={"measured": float(count), "expected": 0.0, "tolerance": 0.0, "features": float(len(same))},
        severity=Severity.ERROR if everything else None,
        confidence=0.95,
    )
