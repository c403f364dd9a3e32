"""What came of learning a few samples by heart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lossdoc.curve import Curve

Ended = Literal["reached", "stalled", "diverged", "out of steps"]
Measure = Literal["accuracy", "unexplained variance"]


@dataclass(frozen=True)
class Attempt:
    """One try at learning a few samples by heart.

    `curve` holds the loss over all these samples together, in training mode, before the first step and after each pass;
    where a number left the range, its last value is NaN or infinite. `score` is what was reached at the end (`Memorization`
    says of what), `evaluated` the same in evaluation mode. `steps` counts the steps taken.
    """

    lr: float
    curve: Curve
    ended: Ended
    steps: int
    score: float
    evaluated: float


@dataclass(frozen=True)
class Memorization:
    """What came of learning a few samples by heart: one attempt at the configured learning rate, then at other rates.

    `measure` says what an attempt's score is: the share of right answers, or the share of the targets' variance that is left
    over; None where the task knows of neither. `goal` is the score to reach: at least that accuracy, at most that share;
    NaN where there is no measure. `best_accuracy` and `best_loss` are the best that any model can do where samples with
    identical inputs have different targets; `contradictory` counts the samples that no model can get right.
    """

    attempts: tuple[Attempt, ...]
    samples: int
    batch_size: int
    measure: Measure | None
    goal: float
    best_accuracy: float = 1.0
    best_loss: float = 0.0
    contradictory: int = 0

    @property
    def reached(self) -> Attempt | None:
        """The attempt that reached the goal, None where none did."""
        return next((attempt for attempt in self.attempts if attempt.ended == "reached"), None)

    @property
    def curve(self) -> Curve:
        """The curve to show: that of the attempt that succeeded, else of the one at the configured rate."""
        return (self.reached or self.attempts[0]).curve
