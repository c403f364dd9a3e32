"""How the size of the signal changes on its way through a network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from lossdoc.errors import NotApplicable
from lossdoc.subject import Subject


@dataclass(frozen=True)
class Signal:
    """The root mean square of what differs from sample to sample: of the inputs, and of what each layer puts out."""

    inputs: float
    layers: Mapping[str, float]

    @property
    def whole(self) -> float:
        """The last layer's size relative to that of the inputs."""
        return list(self.layers.values())[-1] / self.inputs

    @property
    def each(self) -> float:
        """The factor of one layer, as the geometric mean."""
        return self.whole ** (1 / len(self.layers)) if self.whole > 0 else 0.0


def signal(subject: Subject) -> Signal:
    """Measure a fresh network on its first samples, layers with weights only.

    Raises:
        NotApplicable: when there is no such layer, or the inputs are no measurements or all the same.
    """
    import torch
    from torch import nn

    from lossdoc import probe

    batches = probe.take(subject, samples=256)
    probe.real_inputs(batches)
    batch = probe.joined(batches)
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    model = probe.bare(subject).build(subject.seed)
    seen = probe.layer_outputs(subject, model, batch, lambda module: isinstance(module, kinds))

    def size(values: torch.Tensor) -> float:
        return math.sqrt(float((values.double() - values.double().mean(0)).square().mean()))

    sizes = {name: size(values) for name, values in seen.items() if len(values) == batch.size}
    if not sizes:
        raise NotApplicable("no linear or convolutional layer is seen at work")
    inputs = size(batch.inputs)
    if not (inputs > 0 and math.isfinite(inputs) and all(math.isfinite(each) for each in sizes.values())):
        raise NotApplicable("the signal is constant or not finite")
    return Signal(inputs, sizes)
