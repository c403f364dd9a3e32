"""Callbacks on real trainers: runs that are sick on purpose are named while they train."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.conftest import PROJECT
from tests.subjects import digits

STEPS = 800
SICK: dict[
    str, tuple[float, bool, bool, set[str]]
] = {  # learning rate, softmax twice (by Adam), sorted and unshuffled, what is named
    "healthy": (0.1, False, False, set()),
    "rate x100": (10.0, False, False, {"lr-too-high", "non-finite", "rising"}),
    "softmax twice": (0.003, True, False, {"double-softmax"}),
    "unshuffled": (0.03, False, True, {"periodic"}),
}
EACH = pytest.mark.parametrize(("lr", "twice", "ordered", "meant"), SICK.values(), ids=SICK.keys())


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Let the frameworks warn of what they like: they are not under test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def net(*, twice: bool) -> nn.Module:
    torch.manual_seed(0)
    end = [nn.Softmax(dim=1)] if twice else []
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10), *end)


def data(*, ordered: bool) -> tuple[Tensor, Tensor]:
    x, y, _, _ = digits()
    order = torch.argsort(y, stable=True) if ordered else torch.arange(len(y))
    return x[order], y[order]


def loader(*, ordered: bool) -> DataLoader[Any]:
    x, y = data(ordered=ordered)
    torch.manual_seed(0)
    return DataLoader(TensorDataset(x, y), batch_size=32, shuffle=not ordered)


@EACH
def test_lightning(lr: float, twice: bool, ordered: bool, meant: set[str], tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning.pytorch", reason="lightning is not installed (extra lossdoc[lightning])")
    from lossdoc.callbacks.lightning import LossdocCallback

    class Module(lightning.LightningModule):  # type: ignore[name-defined]  # imported above
        def __init__(self) -> None:
            super().__init__()
            self.net = net(twice=twice)

        def training_step(self, batch: Any) -> Tensor:
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def validation_step(self, batch: Any) -> None:
            self.log("val_loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return (torch.optim.Adam if twice else torch.optim.SGD)(self.parameters(), lr=lr)

    callback = LossdocCallback(classes=10, stop="warning" if meant else "never")
    trainer = lightning.Trainer(
        max_steps=STEPS, callbacks=[callback], logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", default_root_dir=tmp_path,
    )  # fmt: skip
    _, _, xv, yv = digits()
    trainer.fit(Module(), loader(ordered=ordered), DataLoader(TensorDataset(xv, yv), batch_size=360))
    judge(callback, meant)
    context = callback.monitor.curve().context
    assert (context.steps_per_epoch, context.n_train, context.n_val, context.batch_size) == (45, 1437, 360, 32)
    if not meant:
        assert len(callback.monitor.curve().val or ()) == STEPS // 45


@EACH
def test_transformers(lr: float, twice: bool, ordered: bool, meant: set[str], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed (extra lossdoc[transformers])")
    from lossdoc.callbacks.transformers import LossdocCallback

    callback = LossdocCallback(classes=10, stop="warning" if meant else "never")
    optim = "adamw_torch" if twice else "sgd"
    trainer(transformers, Hugging(twice=twice), callback, tmp_path, lr=lr, ordered=ordered, optim=optim).train()
    judge(callback, meant)
    context = callback.monitor.curve().context
    assert (context.steps_per_epoch, context.n_train, context.batch_size) == (45, 1437, 32)


class Hugging(nn.Module):
    """A model that makes its own loss, as Hugging Face's do; from step `breaks` on it is NaN."""

    def __init__(self, *, twice: bool, breaks: int | None = None) -> None:
        super().__init__()
        self.net, self.breaks, self.calls = net(twice=twice), breaks, 0

    def forward(self, pixels: Tensor, labels: Tensor) -> dict[str, Tensor]:
        self.calls += 1
        loss = nn.functional.cross_entropy(self.net(pixels), labels)
        return {"loss": loss * torch.nan if self.breaks is not None and self.calls > self.breaks else loss}


def trainer(
    transformers: Any, model: nn.Module, callback: Any, folder: Path, *, lr: float, ordered: bool, **said: Any
) -> Any:
    x, y = data(ordered=ordered)
    rows = [{"pixels": pixels, "labels": label} for pixels, label in zip(x, y, strict=True)]

    class Trainer(transformers.Trainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(rows) if ordered else super()._get_train_sampler(*_)

    args = transformers.TrainingArguments(
        output_dir=str(folder), max_steps=STEPS, per_device_train_batch_size=32, learning_rate=lr,
        lr_scheduler_type="constant", logging_steps=1, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True,
        remove_unused_columns=False, seed=0, **{"optim": "sgd", "max_grad_norm": 1e9, **said},
    )  # fmt: skip
    return Trainer(model=model, args=args, train_dataset=rows, callbacks=[callback])


@pytest.mark.parametrize(
    ("said", "warning"),
    [
        ({"max_grad_norm": 1.0}, "logging_nan_inf_filter hides"),
        ({"logging_nan_inf_filter": False}, None),
    ],
    ids=["hidden", "shown"],
)
def test_transformers_may_hide_nan(
    said: dict[str, Any], warning: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed (extra lossdoc[transformers])")
    from lossdoc.callbacks.transformers import LossdocCallback

    callback = LossdocCallback(stop="error")
    with caplog.at_level(logging.WARNING, "lossdoc"):
        trainer(transformers, Hugging(twice=False, breaks=60), callback, tmp_path, lr=0.1, ordered=False, **said).train()
    told = [record.getMessage() for record in caplog.records if "logging_nan_inf_filter" in record.getMessage()]
    assert [warning in each for each in told if warning] == ([True] if warning else [])
    assert len(told) == (warning is not None)
    assert callback.monitor.verdict == "non-finite"


def test_transformers_may_show_no_nan_at_all(caplog: pytest.LogCaptureFixture) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed (extra lossdoc[transformers])")
    from lossdoc.callbacks.transformers import LossdocCallback

    callback, state = LossdocCallback(), transformers.TrainerState()
    arguments = transformers.TrainingArguments(use_cpu=True, report_to=[])
    for state.global_step in (1, 2):
        callback.on_log(arguments, state, transformers.TrainerControl(), {"loss": 2.0})
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "logging_nan_inf_filter is on and no grad_norm is logged"
    ]
    assert callback.monitor.curve().train.value.tolist() == [2.0, 2.0]


KERAS = """
import os, sys, json
os.environ["KERAS_BACKEND"] = "torch"
import keras, torch
sys.path.insert(0, {project!r})
from tests.test_callbacks import SICK, STEPS, data
from lossdoc.callbacks.keras import LossdocCallback
lr, twice, ordered, meant = SICK[{name!r}]
torch.set_num_threads(1)
keras.utils.set_random_seed(0)
x, y = data(ordered=ordered)
x, y = x[:1408], y[:1408] if ordered else y[:1408]
end = [keras.layers.Softmax()] if twice else []
model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(10), *end])
optimizer = keras.optimizers.Adam if twice else keras.optimizers.SGD
model.compile(optimizer(lr), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
callback = LossdocCallback(classes=10, stop="warning" if meant else "never")
losses = []
class Each(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        losses.append(logs["loss"])
model.fit(x.numpy(), y.numpy(), batch_size=32, epochs=20, shuffle=not ordered, verbose=0, callbacks=[callback, Each()],
          validation_split=0.1 if not ordered else 0.0)
curve = callback.monitor.curve()
print(json.dumps({{"told": callback.telling.told, "verdict": callback.monitor.report().primary, "length": curve.length,
    "epoch": curve.context.steps_per_epoch, "val": len(curve.val or ()), "stopped": callback.telling.stopped,
    "means": losses, "values": curve.train.value.tolist()}}))
"""


@pytest.mark.parametrize("name", SICK)
def test_keras_on_torch(name: str) -> None:
    if find_spec("keras") is None:  # importing it here would look for its usual backend
        pytest.skip("keras is not installed (extra lossdoc[keras])")
    done = subprocess.run(
        [sys.executable, "-c", KERAS.format(project=str(PROJECT), name=name)],
        capture_output=True, text=True, check=False, env={**os.environ, "KERAS_BACKEND": "torch"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    _, _, ordered, meant = SICK[name]
    assert set(found["told"]) - {"healthy"} <= meant
    assert found["stopped"] == bool(meant) == (found["length"] < 800)
    assert found["epoch"] == (44 if ordered else 40)
    if not meant:
        assert found["verdict"] == "healthy"
        assert (found["length"], found["val"]) == (800, 20)
        for epoch in range(20):  # the means that Keras tells are those of the values that were taken out of them
            values, means = (found[key][40 * epoch : 40 * epoch + 40] for key in ("values", "means"))
            assert means[-1] == pytest.approx(sum(values) / 40, rel=1e-4)


def judge(callback: Any, meant: set[str]) -> None:
    """Hold that what is wrong was named while training, and that nothing else was."""
    told = set(callback.telling.told) - {"healthy"}
    assert told <= meant
    assert callback.telling.stopped == bool(meant)
    assert (callback.monitor.points < STEPS) == bool(meant)
    if not meant:
        assert callback.monitor.report().primary == "healthy"


def test_importing_lossdoc_imports_no_framework() -> None:
    code = "import sys, lossdoc, lossdoc.callbacks, lossdoc.monitor\nlossdoc.Monitor().log(1, train=2.0)\n"
    check = "print([each for each in ('lightning', 'transformers', 'keras', 'torch') if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + check], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert done.stdout == "[]\n"
