"""LS212: a loss that does not prefer better answers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lossdoc import specimens
from lossdoc.checks import _answers
from lossdoc.curve import Floats
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.rule import rule
from lossdoc.specimens import OwnLoss
from lossdoc.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor

DRAWS = 25  # made-up answers; the rank correlation of 25 pairs without any relation is 0 ± 0.2
LEVELS = 7  # different targets that are tried, from the lowest to the highest
GRID = 41  # outputs that are tried for each of them
FINER = 4  # times that the grid is laid again, around the best outputs, before they are called the same


@rule(
    code="LS212",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.healthy(loss=OwnLoss(specimens.blind_entropy, takes="unknown")),
        lambda: specimens.regression(loss=OwnLoss(specimens.entropy_of_numbers, takes="unknown")),
        lambda: specimens.with_step(specimens.step_of(specimens.entropy_of_numbers), specimens.regression()),
        lambda: specimens.binary(loss=OwnLoss(lambda out, y: out.square().mean() + 0.0 * y.sum(), takes="unknown")),
    ),
    quiet_on=(
        lambda: specimens.healthy(loss=OwnLoss(specimens.entropy, takes="unknown")),
        lambda: specimens.healthy(loss=OwnLoss(specimens.halved_entropy, takes="unknown")),
        lambda: specimens.with_step(specimens.plain_step),
        lambda: specimens.binary(loss=OwnLoss(specimens.entropy_of_logits, takes="unknown")),
        lambda: specimens.regression(loss=OwnLoss(specimens.squares, takes="unknown")),
        lambda: specimens.regression(loss=OwnLoss(specimens.squares_of_exponentials, takes="unknown")),
        lambda: specimens.regression(loss=OwnLoss(specimens.minus_correlation, takes="unknown")),
        lambda: specimens.regression(loss=OwnLoss(specimens.pinball, takes="unknown")),
    ),
    mutes=("initial-loss", "unbounded-loss"),
)
def metric_mismatch(subject: Subject, *, least: float = 0.5) -> Answer:
    """The loss does not fall when the answers get better.

    Looks like:
        A loss that falls while the accuracy, or the error in the targets' own unit, stays where it was.

    Causes:
        - a cross-entropy for numbers that are no probabilities
        - a mean or a softmax along the wrong axis
        - targets that the loss does not look at

    Confirm with:
        - give the loss the right answers, then answers that are half wrong: the first must cost less

    Try:
        - squared error for numbers, cross-entropy for classes
        - reduce over the classes first, then over the samples

    False alarms:
        A loss that pursues another aim than the targets on purpose, such as a reward. Losses that look at the batch as a
        whole, such as a correlation, are not judged by what they say of single answers.

    Decided by:
        The user's own loss, or step, is asked about made-up answers. For classes: 25 sets of answers, of which from none to
        all are right. The rank correlation of their loss with their accuracy must be below −0.5; a sound loss gives −1, one
        without any relation 0 ± 0.2. For numbers, one to a sample: which output costs least is looked up for seven targets
        from the lowest to the highest on a grid of 41 outputs, which is laid closer around the best ones where they are the
        same. A sound loss has another best output for each target, whatever function of the output it takes: it fires where
        there are fewer than three different ones, or where their rank correlation with the targets is below 0.5 in size.

    Sources:
        - Huang et al. (2019), Addressing the Loss-Metric Mismatch
        - Gneiting (2011), Making and Evaluating Point Forecasts: a loss has the answer that it asks for
    """
    from lossdoc import probe

    if not _answers.is_own(subject):
        raise NotApplicable("lossdoc's own losses prefer right answers")
    asked = _answers.probed(subject, samples=64)
    outputs, targets = asked.outputs, asked.batch.targets
    rows = probe.class_rows(subject, outputs, targets)
    if rows is not None and rows.shape[1] > 1 and outputs.shape[:-1] == targets.shape:
        return _of_classes(asked, rows.shape[1], least)
    if outputs.numel() == len(outputs) and targets.numel() == len(targets) and set(targets.flatten().tolist()) == {0, 1}:
        return _of_classes(asked, 2, least)
    return _of_numbers(asked, least)


def _of_classes(asked: _answers.Probe, classes: int, least: float) -> Answer:
    """Hold the loss of answers of which a share is right against that share."""
    import torch

    labels = asked.batch.targets.long()
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise NotApplicable("some labels have no output")
    luck = torch.Generator().manual_seed(0)
    losses, accuracies = [], []
    for draw in range(DRAWS):
        right = torch.rand(labels.shape, generator=luck) < draw / (DRAWS - 1)
        others = (labels + torch.randint(1, classes, labels.shape, generator=luck)) % classes
        answers = _as_put_out(asked.outputs, torch.where(right, labels, others))
        losses.append(asked.told(answers, asked.batch.targets))
        accuracies.append(float(right.double().mean()))
    if not np.isfinite(losses).all():
        raise NotApplicable(f"{asked.word} is not finite for made-up answers")
    if asked.told(answers, (asked.batch.targets + 1) % classes) == losses[-1]:
        return _blind(asked, losses[-1])
    together = rank_correlation(np.array(accuracies), np.array(losses))
    facts = {"measured": together, "expected": -1.0, "tolerance": 1 - least, "worst": losses[0], "best": losses[-1]}
    if together > least:
        raise NotApplicable("the loss rewards mistakes, of which wrong-sign tells")
    if together < -least:
        return Passed(f"{asked.word} falls with the share of right answers (rank correlation {together:.2f})", facts)
    return Evidence(
        f"{asked.word} is {losses[0]:.4g} when every answer is wrong and {losses[-1]:.4g} when every answer is right: it "
        f"does not fall with the share of right answers (rank correlation {together:.2f})",
        facts=facts,
        confidence=0.97,
    )


def _blind(asked: _answers.Probe, loss: float) -> Evidence:
    return Evidence(
        f"{asked.word} is {loss:.4g} for the same answers, whatever the targets are: it does not look at them",
        facts={"measured": 0.0, "expected": 1.0, "tolerance": 0.0, "loss": loss},
        confidence=0.97,
        causes=("targets that the loss does not look at",),
    )


def _as_put_out(outputs: Tensor, answers: Tensor) -> Tensor:
    """Return outputs that are sure of the answers, in the form of the model's own: probabilities, their logs, or logits."""
    import torch

    if outputs.numel() == answers.numel():
        logits = (8.0 * answers.to(outputs.dtype) - 4.0).reshape(outputs.shape)
        return logits.sigmoid() if bool(((outputs >= 0) & (outputs <= 1)).all()) else logits
    sure = torch.nn.functional.one_hot(answers, outputs.shape[-1]).to(outputs.dtype) * 4.0
    if bool((outputs >= 0).all()) and bool(((outputs.sum(-1) - 1).abs() < 1e-3).all()):
        return sure.softmax(-1)
    if bool(((outputs.exp().sum(-1) - 1).abs() < 1e-3).all()):
        return sure.log_softmax(-1)
    return sure


def _of_numbers(asked: _answers.Probe, least: float) -> Answer:
    """Look up which output costs least for each of several targets."""
    import torch

    outputs, targets = asked.outputs, asked.batch.targets
    if outputs.numel() != len(outputs) or targets.numel() != len(outputs) or not targets.is_floating_point():
        raise NotApplicable("there is not one number to be foretold for each sample")
    places = torch.linspace(0.02, 0.98, LEVELS, dtype=torch.float64)
    levels = torch.unique(torch.quantile(targets.double().flatten(), places))
    if len(levels) < 5 or len(set(targets.flatten().tolist())) < LEVELS:
        raise NotApplicable("the targets have too few different values")
    _must_judge_singly(asked)
    low, high = (float(bound) for bound in (levels[0], levels[-1]))
    reach = max(abs(low), abs(high), float(outputs.double().abs().max()))
    grid = np.linspace(-3 * reach, 3 * reach, GRID) + (low + high) / 200  # beside 0, where logarithms and roots end
    for _ in range(FINER):
        best = [_cheapest(asked, float(level), grid) for level in levels]
        if len(set(best)) >= 3:
            break
        step = grid[1] - grid[0]
        grid = np.linspace(min(best) - step, max(best) + step, GRID)
    together = rank_correlation(levels.numpy(), np.array(best))
    different = len(set(best))
    facts = {"measured": float(different), "expected": float(len(levels)), "tolerance": len(levels) - 3.0, "rank": together}
    if different >= 3 and abs(together) >= least:
        return Passed(f"{asked.word} has another best output for each target", facts)
    return Evidence(
        f"{asked.word} costs least at {_numbers(best)} for targets from {low:.3g} to {high:.3g}: a model that answers so "
        f"knows little of the targets (best outputs for {len(levels)} targets: {different})",
        facts=facts,
        confidence=0.95,
        causes=("a cross-entropy, or another loss of probabilities, for numbers that are none",),
        remedies=("use a loss for numbers: `mse`, `huber`, `l1`",),
    )


def _must_judge_singly(asked: _answers.Probe) -> None:
    """Refuse a loss that looks at the batch as a whole, such as a correlation.

    Raises:
        NotApplicable: where the loss of two samples is neither the mean nor the sum of what it says of each, twice over.
    """
    import torch

    goal = asked.batch.targets.reshape(asked.outputs.shape).to(asked.outputs.dtype)
    made = (asked.outputs + goal) / 2

    def twice(at: int) -> float:
        return asked.told(torch.stack([made[at]] * 2), torch.stack([asked.batch.targets[at]] * 2))

    both = asked.told(made[:2], asked.batch.targets[:2])
    mean = (twice(0) + twice(1)) / 2
    if not math.isfinite(both) or abs(both - mean) > 1e-3 * max(abs(both), abs(mean), 1e-9):
        raise NotApplicable("the loss looks at a batch as a whole")


def _cheapest(asked: _answers.Probe, level: float, grid: Floats) -> float:
    """Return the output on the grid that costs least when every target is the same."""
    import torch

    targets = torch.full_like(asked.batch.targets[:2], level)
    losses = np.array([asked.told(torch.full_like(asked.outputs[:2], float(each)), targets) for each in grid])
    if not np.isfinite(losses).any():
        raise NotApplicable(f"{asked.word} is not finite for made-up answers")
    return float(grid[np.nanargmin(np.where(np.isfinite(losses), losses, np.nan))])


def rank_correlation(one: Floats, other: Floats) -> float:
    """Return Spearman's rank correlation (1904), ties with their mean rank; 0 where one of the two is constant."""
    ranks = [_ranks(each) for each in (one, other)]
    deviations = [float(each.std()) for each in ranks]
    if not all(deviations):
        return 0.0
    return float(((ranks[0] - ranks[0].mean()) * (ranks[1] - ranks[1].mean())).mean() / (deviations[0] * deviations[1]))


def _ranks(values: Floats) -> Floats:
    _, place, times = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(times) - (times - 1) / 2.0)[place])


def _numbers(values: list[float]) -> str:
    """Return the different values, the first few of them."""
    shown = [f"{each:.3g}" for each in sorted(set(values))]
    return ", ".join(shown[:3]) + (", …" if len(shown) > 3 else "")
