"""Device and precision: the model and its batches are where the file says, in the type that it says."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lossdoc.build import subject
from lossdoc.build.placing import Placing, placing
from lossdoc.errors import UserError
from lossdoc.measuring import Objective, evaluate
from lossdoc.spec import loads
from lossdoc.subject import Subject
from lossdoc.train import LiveTraining, PureTraining, begin, gradients, start, update

TEXT = """
data: {source: iris, batch_size: 50}
model: {layers: [{linear: 8}, batchnorm, relu, {linear: classes}]}
loss: {cross_entropy: {weight: [1, 2, 1], label_smoothing: 0.1}}
optimizer: {adam: 0.01}
regularization: {l2: 0.01, l1: 0.01}
"""


def made(**train: str) -> Subject:
    return subject(loads(TEXT + f"train: {train}\n".replace("'", "")))


def first(of: Subject) -> Any:
    return next(iter(of.batches("train", 0)))


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_absent_is_told_in_one_sentence(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match=rf"train.device: there is no {device} here, .*; there is: cpu \(or auto\)"):
        made(device=device)
    assert next(made(device="auto").build(0).parameters()).device.type == "cpu"


def test_mps_has_no_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(UserError, match=r"train\.precision: mps has no float64"):
        made(device="mps", precision="float64")


def test_model_batches_loss_and_optimizer_meet_on_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device 'meta' holds no numbers, and refuses to be mixed with the CPU just as a GPU does."""
    monkeypatch.setattr("lossdoc.build.subjects.placing", lambda spec: Placing(spec, "meta"))
    of = made()
    batch, objective = first(of), Objective(of.build(0), of.loss, of.recipe.penalties)
    state = start(objective, of.recipe.optimizer)
    grads, state, (total, _, outputs) = gradients(objective, state, batch)
    moved = update(of.recipe.optimizer, state, grads, of.recipe.hyper)
    tensors = [batch.inputs, batch.targets, total, outputs, *grads.values(), *moved.params.values(), *moved.buffers.values()]
    assert {each.device.type for each in tensors} == {"meta"}


@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_a_gpu_that_is_there_is_taken(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert placing(loads(TEXT + f"train: {{device: {device}}}\n")).device == "cuda:0"


def test_float64_reaches_weights_data_and_loss() -> None:
    of, narrow = made(precision="float64"), made()
    batch, model = first(of), of.build(0)
    assert {each.dtype for each in (*model.parameters(), batch.inputs)} == {torch.float64}
    assert batch.targets.dtype == torch.int64
    exact, rounded = (begin(each, 0).step(first(each), 1.0, 0).total for each in (of, narrow))
    assert exact == pytest.approx(rounded, rel=1e-5)
    assert exact != rounded


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    """Note the type of what every linear layer puts out."""
    types: list[torch.dtype] = []
    forward: Callable[[nn.Linear, torch.Tensor], torch.Tensor] = nn.Linear.forward

    def noting(self: nn.Linear, given: torch.Tensor) -> torch.Tensor:
        result = forward(self, given)
        types.append(result.dtype)
        return result

    monkeypatch.setattr(nn.Linear, "forward", noting)
    return types


@pytest.mark.parametrize(("precision", "kind"), [("bfloat16", PureTraining), ("float16", LiveTraining)])
def test_autocast_computes_narrowly_and_keeps_weights_and_outputs_wide(
    precision: str, kind: type, seen: list[torch.dtype]
) -> None:
    of = made(precision=precision)
    training = begin(of, 0)
    assert isinstance(training, kind)
    before = copy.deepcopy(training.model().state_dict())
    losses = [training.step(first(of), 1.0, 0).loss for _ in range(30)]
    assert set(seen) == {getattr(torch, precision)}
    assert {each.dtype for each in training.model().parameters()} == {torch.float32}
    assert copy.deepcopy(training.model())(first(of).inputs).dtype == torch.float32
    assert losses[-1] < 0.8 * losses[0]
    assert any(not torch.equal(each, before[name]) for name, each in training.model().state_dict().items())
    assert not torch.is_autocast_enabled("cpu")


def test_autocast_ends_where_a_forward_raises() -> None:
    model = made(precision="bfloat16").build(0)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        model(torch.zeros(3, 99))
    assert not torch.is_autocast_enabled("cpu")


def test_float16_scales_the_loss_up_and_the_gradients_down_again(tmp_path: Path) -> None:
    """A loss of some 1e-8 has gradients that float16 rounds to 0, but for the scaler; these are then as in float32."""
    tiny = TEXT.replace("adam: 0.01", "sgd: 1e7").replace("regularization: {l2: 0.01, l1: 0.01}", "")
    weak = tiny.replace("loss: {cross_entropy: {weight: [1, 2, 1], label_smoothing: 0.1}}", "loss: {call: 'own:weak'}")
    code = "import torch\ndef weak(outputs, targets): return 1e-8 * torch.nn.functional.cross_entropy(outputs, targets)\n"
    (tmp_path / "own.py").write_text(code)
    moves = []
    for precision in ("float16", "float32"):
        of = subject(loads(weak + f"train: {{precision: {precision}}}\n", str(tmp_path / "model.yaml")))
        training = begin(of, 0)
        before = training.model().get_parameter("linear_0.weight").detach().clone()
        training.step(first(of), 1.0, 0)
        moves.append(training.model().get_parameter("linear_0.weight").detach() - before)
    assert float(moves[0].abs().max()) > 0
    torch.testing.assert_close(moves[0], moves[1], rtol=0.05, atol=float(moves[1].abs().max()) / 50)


def test_validation_is_measured_in_the_same_precision(seen: list[torch.dtype]) -> None:
    of = made(precision="bfloat16")
    assert evaluate(of, of.build(0)).loss > 0
    assert set(seen) == {torch.bfloat16}
