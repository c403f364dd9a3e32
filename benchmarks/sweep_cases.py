"""What benchmarks/sweep.py trains: four networks that gain from being trained as one, and one that is too large to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A network, how often and how long it is trained, and by how much lossdoc is to be faster than the loop."""

    layers: str
    images: int  # 1 where the samples are images, 0 where they are vectors
    batch: int
    points: int
    steps: int
    parameters: int
    flops: int  # of one sample, forward: multiplications and additions
    layered: float
    own: float


CASES = {
    "mlp128": Case("[{linear: 128}, relu, {linear: 64}, relu, {linear: classes}]", 0, 32, 64, 500, 17226, 34048, 15, 9),
    "mlp32": Case("[{linear: 32}, relu, {linear: classes}]", 0, 16, 64, 500, 2410, 4736, 60, 20),
    "cnn": Case(
        "[{conv: {out: 16, padding: 1}}, relu, {maxpool: 2}, {conv: {out: 32, padding: 1}}, relu, {maxpool: 2}, flatten,"
        " {linear: classes}]",
        1, 32, 32, 500, 6090, 168448, 6, 3.5,
    ),
    "gru": Case(
        "[{gru: 32}, {take: last}, {linear: classes}]", 0, 32, 32, 500, 4362, 62080, 10, 6,
    ),
    "wide": Case("", 1, 32, 8, 40, 465_000, 59_000_000, 0.95, 0.95),
}  # fmt: skip


def rates(count: int) -> list[float]:
    """Return the learning rates, 1e-4 to 1e-2, evenly over their logarithms."""
    return [10 ** (-4 + 2 * (index / max(1, count - 1))) for index in range(count)]
