"""Assertions on a model, for its own tests: each fails with what was found, why, and what to try."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Unpack

from lossdoc.api import Given, check, overfit
from lossdoc.findings import Severity
from lossdoc.showing import Report

FIRST = ("initial-loss", "large-logits")  # of outputs that are too large the second tells
GRADIENTS = ("no-gradient", "vanishing-gradients", "exploding-gradients", "non-finite", "frozen-parameters")


def assert_healthy(model: Any, data: Any, loss: Any, **given: Unpack[Given]) -> None:
    """Assert that no check before any training finds an error in model, data, loss and training step; see `lossdoc.check`.

    Raises:
        AssertionError: when one does, or when nothing could be judged.
        UserError: when something cannot be trained, or does not fit together.
        UserCodeError: when the code that was handed over raises.

    >>> from torch import nn, randn
    >>> x = randn(600, 8)
    >>> assert_healthy(nn.Linear(8, 3), (x, x[:, :3].argmax(1)), nn.CrossEntropyLoss())
    """
    __tracebackhide__ = True
    _must_pass(check(model, data, loss, **given), "model", Severity.ERROR)


def assert_initial_loss(model: Any, data: Any, loss: Any, *, expected: float | None = None, **given: Unpack[Given]) -> None:
    """Assert that the first loss is what it must be, log n for n classes, or `expected`; see `lossdoc.check`.

    Raises:
        AssertionError: when it is not, or when nobody knows what it should be.
        UserError: when something cannot be trained, or does not fit together.
        UserCodeError: when the code that was handed over raises.

    >>> from torch import nn, randn
    >>> x = randn(600, 8)
    >>> assert_initial_loss(nn.Linear(8, 3), (x, x[:, :3].argmax(1)), nn.CrossEntropyLoss())
    """
    __tracebackhide__ = True
    _must_pass(check(model, data, loss, expected_loss=expected, select=FIRST, **given), "initial loss")


def assert_gradients_flow(model: Any, data: Any, loss: Any, **given: Unpack[Given]) -> None:
    """Assert that the first step gives every parameter a gradient that is a number; see `lossdoc.check`.

    Parameters that are frozen as they were trained before need none; those that are random do.

    Raises:
        AssertionError: when one gets none, or one that is no number.
        UserError: when something cannot be trained, or does not fit together.
        UserCodeError: when the code that was handed over raises.

    >>> from torch import nn, randn
    >>> x = randn(600, 8)
    >>> assert_gradients_flow(nn.Linear(8, 3), (x, x[:, :3].argmax(1)), nn.CrossEntropyLoss())
    """
    __tracebackhide__ = True
    from lossdoc.rule import checks

    there: Collection[str] = [name for name in GRADIENTS if name in checks.names()]
    _must_pass(check(model, data, loss, select=there, **given), "gradients")


def assert_overfits(
    model: Any, data: Any, loss: Any, *, samples: int = 64, steps: int | None = None, **given: Unpack[Given]
) -> None:
    """Assert that the model learns a few samples by heart; see `lossdoc.overfit`.

    Raises:
        AssertionError: when it does not, or when there is no telling.
        UserError: when something cannot be trained, or does not fit together.
        UserCodeError: when the code that was handed over raises.

    >>> from torch import nn, randn
    >>> x = randn(600, 8)
    >>> net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
    >>> assert_overfits(net, (x, x[:, :3].argmax(1)), nn.CrossEntropyLoss(), optimizer={"adam": {"lr": 1e-2}})
    """
    __tracebackhide__ = True
    _must_pass(overfit(model, data, loss, samples=samples, steps=steps, **given), "overfit")


def _must_pass(report: Report, what: str, worst: Severity = Severity.WARNING) -> None:
    """Fail with the report where a finding is as severe as that, or where nothing could be judged."""
    __tracebackhide__ = True
    failing = [finding.name for finding in report.findings if finding.severity.reaches(worst)]
    if failing:
        raise AssertionError(f"{what}: {', '.join(failing)}\n{report}")
    if not report.passed:
        why = "; ".join(dict.fromkeys(report.skipped.values())) or report.inconclusive or "no rule judges it"
        raise AssertionError(f"{what}: there is no telling: {why}")
