"""Verdicts on a run that still goes on: when one of them is news."""

from __future__ import annotations

from dataclasses import dataclass

LASTING = 1.5
"""A verdict is told when it has held at every reading while the log grew by half. Readings of a growing log are repeated
tests on nearly the same data: means over n and k·n points are correlated by 1/√k, so only readings whose lengths differ by a
factor are new evidence (Armitage, McPherson and Rowe, 1969)."""
WAITING = 4.0
"""So many times the log must grow before it is told that something has not happened yet (`NOT_YET`): by all that is known at
length t, a lull lasts to k·t with probability 1/k (Gott, 1993). Of the 26 single healthy runs in the project's open set,
read at every 3 % of growth, an error is told of 7 at once, of 3 at 1.5 and 4. Of the 64 runs that end with an error one is
told of 55, of half of them before 31 % of their length."""
NOT_YET = frozenset({"not-learning", "slow-learning", "slow-start", "underfitting"})
AT_ONCE = "non-finite"  # no more points can change what has been logged


@dataclass
class Verdicts:
    """The verdict that was told last, the one that may follow it, and the length of the log at the last reading."""

    told: str | None = None
    coming: str | None = None
    since: int = 0
    readings: int = 0
    points: int = 0
    shorter: bool = False

    def hear(self, verdict: str, points: int) -> bool:
        """Take in the verdict on so many points; tell whether it is new and has lasted.

        A log that has become shorter was read while it was being written anew; one that stays so is another run.
        """
        if points < self.points and not self.shorter:
            self.shorter = True
            return False
        if points < self.points:
            vars(self).update(vars(Verdicts()))
        self.points, self.shorter = points, False
        if verdict != self.coming:
            self.coming, self.since, self.readings = verdict, points, 0
        self.readings += 1
        lasted = self.readings > 1 and points >= (WAITING if verdict in NOT_YET else LASTING) * self.since
        if verdict in {self.told, "inconclusive"} or not (lasted or verdict == AT_ONCE):
            return False
        self.told = verdict
        return True
