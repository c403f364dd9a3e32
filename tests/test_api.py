"""lossdoc from Python: logs in every form, one's own model and data, and reports that show themselves."""

from __future__ import annotations

import copy
import doctest
import functools
import io
import math
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rich.console
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import lossdoc
from lossdoc import api, handed, testing
from lossdoc.curve import Curve, Runs, Series
from lossdoc.errors import UserCodeError
from lossdoc.subject import Trials
from lossdoc.synthetic import healthy, overfit
from tests.conftest import PROJECT

FALL = [2.3 * 0.95**n + 0.1 + 0.005 * (n * 7919 % 13 / 13) for n in range(120)]
RISE = [0.9 * 0.97**n + 0.3 + (0.004 * (n - 50) if n > 50 else 0) + 0.004 * (n * 7919 % 13 / 13) for n in range(120)]
KEPT = Curve(Series.of(FALL, name="train"), Series.of(RISE, name="val"))


class Frame:
    """What pandas and polars have in common."""

    def __init__(self, index: Any = None, **columns: Any) -> None:
        self.held, self.columns = {name: np.asarray(each) for name, each in columns.items()}, list(columns)
        if index is not None:
            self.index = index

    def __getitem__(self, name: str) -> Any:
        return self.held[name]


def sparse(values: list[float], every: int) -> list[float]:
    return [value if n % every == every - 1 else math.nan for n, value in enumerate(values)]


def interleaved() -> Frame:
    """Return what Lightning's CSV is in pandas: a row holds either side, nan stands for the other."""
    train = [value if n % 4 != 3 else math.nan for n, value in enumerate(FALL)]
    return Frame(
        step=np.arange(120), train_loss=train, val_loss=[value if n % 4 == 3 else math.nan for n, value in enumerate(RISE)]
    )


@pytest.mark.parametrize(
    ("log", "named", "verdict"),
    [
        (FALL, {}, "healthy"),
        (np.array(FALL), {}, "healthy"),
        (torch.tensor(FALL), {}, "healthy"),
        ([torch.tensor(each) for each in FALL], {}, "healthy"),
        (tuple(FALL), {"val": RISE}, "overfitting"),
        (None, {"train": FALL, "val": RISE}, "overfitting"),
        (None, {"train": FALL, "val": RISE[9::10]}, "overfitting"),
        ({"train": FALL, "val": RISE}, {}, "overfitting"),
        ({"loss": FALL, "val_loss": RISE}, {}, "overfitting"),
        ({"a": FALL, "b": RISE}, {"train": "a", "val": "b"}, "overfitting"),
        ({"loss": list(map(str, FALL)), "val_loss": [*map(str, RISE)]}, {}, "overfitting"),
        ([{"step": n, "loss": value} for n, value in enumerate(FALL)], {}, "healthy"),
        (Frame(epoch=range(120), loss=FALL, val_loss=RISE), {}, "overfitting"),
        (Frame(index=SimpleNamespace(name=None), loss=FALL), {}, "healthy"),
        (Frame(train_loss=FALL, val_loss=sparse(RISE, 5)), {}, "overfitting"),
        (interleaved(), {}, "overfitting"),
        (Frame(train_loss=[*FALL, *[math.nan] * 9], val_loss=[*RISE, *[math.nan] * 9]), {}, "non-finite"),
        ([*FALL, math.nan], {}, "non-finite"),
        ({"loss": [*FALL, None]}, {}, "healthy"),
        (FALL[:5], {}, "inconclusive"),
        (healthy(), {}, "healthy"),
        (Runs((overfit(0), overfit(1), overfit(2))), {}, "overfitting"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_logs_in_every_form(log: Any, named: dict[str, Any], verdict: str) -> None:
    assert lossdoc.diagnose(log, **named).primary == verdict


def test_a_file_is_read_as_the_command_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = "".join(f"{seed},{n},{value}\n" for seed in (1, 2, 3) for n, value in enumerate(FALL))
    path.write_text("run,step,loss\n" + rows)
    report = lossdoc.diagnose(path, classes=10)
    assert (report.run, report.primary, [each.run for each in report.runs]) == ("*", "healthy", ["1", "2", "3"])
    alone = lossdoc.diagnose(str(path), run="2")
    assert (alone.run, alone.runs, alone.primary) == ("2", (), "healthy")


def test_arguments_are_named_not_options() -> None:
    with pytest.raises(lossdoc.UserError, match=r"name one with train= \(and val=\)"):
        lossdoc.diagnose({"epoch": range(9), "wer": FALL[:9]})
    report = lossdoc.diagnose({"loss_a": FALL, "loss_b": FALL})
    assert "train= takes another" in report.notes[0]
    assert "--" not in str(report)


def test_none_says_that_nothing_was_logged() -> None:
    losses = [2.3 * 0.9**step for step in range(30)]
    gappy = [None if step in (3, 7) else loss for step, loss in enumerate(losses)]
    sparse = [loss if step % 10 == 9 else None for step, loss in enumerate(losses)]
    report = lossdoc.diagnose(train=gappy, val=sparse)
    curve = report.matter
    assert isinstance(curve, Curve)
    assert curve.val is not None
    assert (len(curve.train), curve.val.step.tolist()) == (28, [10.0, 20.0, 30.0])
    assert not curve.diverged
    with pytest.raises(lossdoc.UserError, match="a list with 'a' in it"):
        lossdoc.diagnose(train=[1.0, None, "a"])


def test_fewer_validation_losses_are_evenly_spaced() -> None:
    report = lossdoc.diagnose(train=FALL, val=RISE[:12], step=range(10, 1210, 10))
    assert isinstance(report.matter, Curve)
    assert report.matter.val is not None
    assert report.matter.val.step.tolist() == [100.0 * n for n in range(1, 13)]
    assert report.notes == ("12 validation losses: taken as evenly spaced",)


@pytest.mark.parametrize(
    ("log", "named", "message"),
    [
        (None, {}, "there is nothing to diagnose"),
        ("", {}, "what was given is empty"),
        ({}, {}, "the log is empty"),
        (3, {}, "not a list of numbers"),
        ("no-such-file.csv", {}, "no-such-file.csv"),
        ([], {}, "at least one number"),
        ([[1.0], [2.0]], {}, "shaped (2, 1)"),
        (FALL, {"val": [*FALL, 1.0]}, "121 validation losses beside 120"),
        (FALL, {"step": [1, 2]}, "120 losses and 2 steps"),
        ({"loss": FALL, "val_loss": RISE[:7]}, {}, "not of one length"),
        ({"loss": FALL}, {"train": "los"}, "did you mean 'loss'"),
        ({"a": FALL}, {}, "no loss column"),
        (FALL, {"clases": 10}, "did you mean 'classes'"),
        (FALL, {"select": ["overfiting"]}, "did you mean 'overfitting'"),
        (FALL, {"select": "overfiting"}, "did you mean 'overfitting'"),
        ({"loss": FALL, "run": ["a"] * 120}, {"run": "b"}, "no run 'b'"),
    ],
)
def test_what_is_no_log_is_told(log: Any, named: dict[str, Any], message: str) -> None:
    with pytest.raises(lossdoc.UserError) as bad:
        lossdoc.diagnose(log, **named)
    assert message in str(bad.value)


def arrays(seed: int = 0) -> tuple[Tensor, Tensor]:
    x = torch.randn(600, 8, generator=torch.Generator().manual_seed(seed))
    return x, x[:, :3].argmax(1)


def net(*more: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3), *more)


def test_a_line_of_code_is_warned_of_once(recwarn: pytest.WarningsRecorder) -> None:
    warnings.simplefilter("always")
    x = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    report = lossdoc.check(nn.Linear(8, 1), (x, x[:, 0]), nn.MSELoss())
    assert "shape-broadcast" in {finding.name for finding in report.findings}
    places = [(each.filename, each.lineno) for each in recwarn]
    assert places
    assert len(places) == len(set(places))


class Hugging(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
        logits = self.net(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def twice(outputs: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs.softmax(1), targets)


def forgetful(model: nn.Module, batch: Any, optimizer: torch.optim.Optimizer) -> Tensor:
    inputs, targets = batch
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(inputs), targets)
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
    return loss


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=1e-2)


ENTROPY = nn.CrossEntropyLoss()
WEIGHTED = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]))
STEP = ("no-update", "not-in-optimizer", "double-softmax", "head-width", "initial-loss")


@pytest.mark.parametrize(
    ("model", "loss", "given", "verdict"),
    [
        (net, ENTROPY, {}, "healthy"),
        (net, "cross_entropy", {"optimizer": {"sgd": {"lr": 0.1}}}, "healthy"),
        (net, nn.functional.cross_entropy, {"optimizer": torch.optim.AdamW}, "healthy"),
        (net, WEIGHTED, {"optimizer": functools.partial(torch.optim.SGD, lr=0.1)}, "healthy"),
        (net, nn.CrossEntropyLoss, {"optimizer": adam, "regularization": {"l2": 1e-3}}, "healthy"),
        (net, ENTROPY, {"regularization": lambda model: sum(each.abs().sum() for each in model.parameters())}, "healthy"),
        (lambda: net(nn.Softmax(dim=1)), ENTROPY, {}, "double-softmax"),
        (lambda: net(nn.Softmax(dim=1)), WEIGHTED, {}, "double-softmax"),
        (net, twice, {}, "double-softmax"),
        (net, ENTROPY, {"step": forgetful}, "no-update"),
        (lambda: nn.Linear(8, 2), ENTROPY, {}, "head-width"),
        (net, lambda outputs, targets: 7 * ENTROPY(outputs, targets), {"expected_loss": math.log(3)}, "initial-loss"),
    ],
)
def test_a_model_of_ones_own(model: Callable[[], nn.Module], loss: Any, given: dict[str, Any], verdict: str) -> None:
    made = model()
    for each in (model, made):  # a function that makes it, and an instance
        assert lossdoc.check(each, arrays(), loss, select=STEP, **given).primary == verdict


def loader(*, shuffle: bool = True) -> DataLoader[Any]:
    return DataLoader(TensorDataset(*arrays()), batch_size=50, shuffle=shuffle)


@pytest.mark.parametrize(
    ("data", "given"),
    [
        (arrays(), {}),
        (loader(), {}),
        (loader(), {"val": loader()}),
        ((loader(), loader()), {}),
        ({"train": loader(), "validation": loader()}, {}),
        (TensorDataset(*arrays()), {"classes": 3}),
        (list(zip(*arrays(), strict=True)), {"batch_size": 20}),
        ({"x": arrays()[0], "y": arrays()[1]}, {}),
        ({"pixels": arrays()[0], "kind": arrays()[1]}, {"batch": {"x": "pixels", "y": "kind"}}),
    ],
)
def test_data_of_ones_own(data: Any, given: dict[str, Any]) -> None:
    described = handed.describe(net(), data, ENTROPY, **given)
    assert described.data.batch_size == given.get("batch_size", 50 if "DataLoader" in str(data) else 32)
    assert lossdoc.check(net(), data, ENTROPY, select=["initial-loss"], **given).passed == ("LS301",)


COLUMN = torch.randn(64, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.MSELoss, nn.functional.mse_loss, nn.L1Loss(), nn.HuberLoss()])
def test_a_loss_of_torchs_broadcasts_as_torch_does(loss: Any) -> None:
    model, numbers = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1)), COLUMN @ torch.arange(5.0)
    assert lossdoc.check(model, (COLUMN, numbers), loss, select=["shape-broadcast"]).primary == "shape-broadcast"
    assert lossdoc.check(model, (COLUMN, numbers[:, None]), loss, select=["shape-broadcast"]).primary == "healthy"


def test_a_loss_of_torchs_refuses_what_torch_refuses() -> None:
    labels = (COLUMN[:, 0] > 0).long()
    for data in ((COLUMN, labels[:, None]), {"train": (COLUMN, labels[:, None].numpy())}):
        assert lossdoc.check(nn.Linear(5, 2), data, "cross_entropy", select=["initial-loss"]).primary == "healthy"
        with pytest.raises(UserCodeError, match="multi-target"):
            lossdoc.check(nn.Linear(5, 2), data, nn.CrossEntropyLoss())
    with pytest.raises(UserCodeError, match="size"):
        lossdoc.check(nn.Linear(5, 1), (COLUMN, labels.float()), nn.BCEWithLogitsLoss())


def test_an_unshuffled_loader_and_a_model_with_its_own_loss() -> None:
    data = [{"x": x, "labels": y} for x, y in zip(*arrays(), strict=True)]
    rows: Any = DataLoader(data, batch_size=50)  # type: ignore[arg-type]  # a list is a dataset
    report = lossdoc.check(Hugging(), rows, "model", select=["unshuffled-data", "initial-loss", "no-gradient"], classes=3)
    assert [each.name for each in report.findings] == ["unshuffled-data"] or "LS302" not in report.skipped
    assert "no-gradient" not in [each.name for each in report.findings]


def test_what_was_handed_over_is_left_as_it_was() -> None:
    model, random = net(), torch.get_rng_state()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    before = copy.deepcopy(model.state_dict())
    model.eval()
    random = torch.get_rng_state()
    report = lossdoc.overfit(model, loader(), ENTROPY, optimizer=optimizer, samples=16)
    assert report.primary == "healthy"
    assert lossdoc.check(model, loader(), ENTROPY, optimizer=optimizer, select=["no-update"]).primary == "healthy"
    assert torch.equal(torch.get_rng_state(), random)
    assert not model.training
    assert not optimizer.state
    assert all(each.grad is None for each in model.parameters())
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())


def sound() -> tuple[nn.Module, list[Any]]:
    model = net()
    return model, list(model.parameters())


@pytest.mark.parametrize(
    ("over", "found"),
    [
        (lambda model: list(model.parameters())[:2], "not-in-optimizer"),
        (lambda _: nn.Linear(8, 3).parameters(), "no-update"),
    ],
)
def test_an_optimizer_over_other_parameters(over: Callable[[nn.Module], Iterator[Any]], found: str) -> None:
    model = net()
    optimizer = torch.optim.SGD(over(model), lr=0.1)
    assert lossdoc.check(model, arrays(), ENTROPY, optimizer=optimizer, select=STEP).primary == found


def test_reinitialized_copies_differ_from_seed_to_seed() -> None:
    model = net()
    kept, fresh = (handed._builder(model, reinitialize=wanted) for wanted in (False, True))
    same, other = kept(), fresh()
    assert torch.equal(same[0].weight, model[0].weight)  # type: ignore[index]  # a Sequential
    assert not torch.equal(other[0].weight, model[0].weight)  # type: ignore[index]
    bare = nn.Module()
    bare.weight = nn.Parameter(torch.zeros(3))
    with pytest.raises(lossdoc.UserError, match="'weight' cannot be reinitialized"):
        handed._builder(bare, reinitialize=True)()


def test_a_sweep_writes_nothing_and_recommends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given: dict[str, Any] = {"points": 4, "epochs": 2, "parameters": {"optimizer.lr": (1e-4, 1e-1)}}
    report = lossdoc.sweep(net(), arrays(), ENTROPY, optimizer=torch.optim.SGD, **given)
    assert isinstance(report.matter, Trials)
    assert len({trial.point.params["optimizer.lr"] for trial in report.matter.trials}) == 4
    assert not list(tmp_path.iterdir())
    assert "optimizer.lr" in report._repr_html_()
    assert any(line.startswith("confirmed from 3 new seeds") for line in report.advice)
    choices = lossdoc.sweep(
        net(), arrays(), ENTROPY, search="grid", epochs=1, parameters={"optimizer.lr": [0.1, 0.01, 0.001]}
    )
    assert isinstance(choices.matter, Trials)
    assert sorted(trial.point.params["optimizer.lr"] for trial in choices.matter.trials) == [0.001, 0.01, 0.1]


@pytest.mark.parametrize(
    ("model", "data", "loss", "given", "message"),
    [
        (3, arrays(), ENTROPY, {}, "model is an int"),
        (net(), arrays(), 3, {}, "loss is an int"),
        (net(), arrays(), "cross_entropie", {}, "did you mean 'cross_entropy'"),
        (net(), None, ENTROPY, {}, "data is None"),
        (net(), arrays()[0], ENTROPY, {}, "one array shaped (600, 8), without targets"),
        (net(), arrays(), ENTROPY, {"optimizer": 3}, "optimizer is an int"),
        (net(), arrays(), ENTROPY, {"optimiser": "adam"}, "did you mean 'optimizer'"),
        (net, arrays(), ENTROPY, {"optimizer": torch.optim.SGD(net().parameters())}, "belongs to one model"),
        (net, arrays(), ENTROPY, {"reinitialize": True}, "nothing to reinitialize"),
        (net(), arrays(), ENTROPY, {"select": ["no-updat"]}, "did you mean 'no-update'"),
    ],
)
def test_what_cannot_be_meant_is_told(model: Any, data: Any, loss: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(lossdoc.UserError) as bad:
        lossdoc.check(model, data, loss, **given)
    assert message in str(bad.value)
    assert ":1:" not in str(bad.value), "there is no file that could have a line"


def test_what_the_models_code_raises_is_the_cause() -> None:
    with pytest.raises(lossdoc.UserCodeError) as bad:
        lossdoc.check(nn.Linear(7, 3), arrays(), ENTROPY)
    assert isinstance(bad.value.__cause__, lossdoc.UserCodeError | RuntimeError)
    assert "given 32x8" in str(bad.value)


def test_a_report_shows_itself() -> None:
    hostile = '<script>alert("x")</script>\u202e' + "y" * 300
    report = lossdoc.diagnose(KEPT, title=hostile)
    assert "✗" in str(report).splitlines()[0]
    assert "overfitting" in str(report)
    assert repr(report).endswith(": overfitting, 1 finding>")
    html = report._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "\u202e" not in str(report) + html
    picture = ET.fromstring(re.search("<svg.*</svg>", html)[0])  # type: ignore[index]  # noqa: S314 - our own text
    assert picture.get("aria-label", "").startswith("the loss of <script>")
    assert {"loss", "training", "validation", "step"} <= set(map(str.strip, picture.itertext()))
    out = io.StringIO()
    rich.console.Console(file=out, width=70, force_terminal=True, color_system="standard").print(report)
    assert "\x1b[1;31m" in out.getvalue()
    assert max(map(len, str(lossdoc.diagnose(KEPT)).splitlines())) <= 100


@pytest.mark.parametrize("module", [api, testing], ids=lambda module: str(module.__name__))
def test_the_examples_run(module: Any) -> None:
    torch.manual_seed(0)
    assert doctest.testmod(module).failed == 0


def test_the_readmes_examples_run() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)
    assert {"lossdoc.check", "monitor.log"} <= set(re.findall(r"lossdoc\.check|monitor\.log", "".join(blocks)))
    for block in blocks:
        torch.manual_seed(0)
        exec(compile(block, "README.md", "exec"), {})  # noqa: S102 - our own


def test_importing_lossdoc_is_cheap_and_offers_all() -> None:
    code = "import sys, lossdoc; print([n for n in ('numpy', 'torch', 'rich', 'pydantic') if n in sys.modules]); "
    code += "lossdoc.diagnose([1.0] * 9); print('torch' in sys.modules, set(lossdoc.__all__) <= set(dir(lossdoc)), "
    code += "callable(lossdoc.overfit), callable(lossdoc.sweep), hasattr(lossdoc, 'nothing'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert done.stdout.split("\n")[:2] == ["[]", "False True True True False"]
    assert all(getattr(lossdoc, name) for name in lossdoc.__all__)


class CutOff(nn.Module):
    """A network whose body gets no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(self.body(inputs).relu().detach())
        return scores


def test_an_optimizer_of_torch_hides_nothing() -> None:
    model, inputs = CutOff(), torch.randn(300, 8)
    data = inputs, inputs[:, :3].argmax(1)
    assert lossdoc.check(model, data, nn.CrossEntropyLoss()).primary == "detached-loss"
    given = torch.optim.Adam(model.parameters(), 1e-3)
    assert lossdoc.check(model, data, nn.CrossEntropyLoss(), optimizer=given).primary == "detached-loss"
