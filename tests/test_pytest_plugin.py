"""The assertions for models' own tests, as functions and as a plugin."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lossdoc.testing import assert_gradients_flow, assert_healthy, assert_initial_loss, assert_overfits
from tests.conftest import PROJECT

ENTROPY = nn.CrossEntropyLoss()
FAST = {"adam": {"lr": 1e-2}}


def data() -> tuple[Tensor, Tensor]:
    x = torch.randn(600, 8, generator=torch.Generator().manual_seed(0))
    return x, x[:, :3].argmax(1)


def net(*more: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3), *more)


def scaled(outputs: Tensor, targets: Tensor) -> Tensor:
    return 2 * ENTROPY(outputs, targets)  # type: ignore[no-any-return]  # a module's type


class Scaled(nn.Module):
    """Outputs a hundred times too large."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor) -> Tensor:
        return 100 * self.net(x)  # type: ignore[no-any-return]  # a module's type


class Cut(nn.Module):
    """A graph that ends before the first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 32), nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x).detach())  # type: ignore[no-any-return]  # a module's type


def test_a_sound_model_passes() -> None:
    assert_initial_loss(net(), data(), ENTROPY)
    assert_initial_loss(net(), data(), scaled, expected=2.197)
    assert_gradients_flow(net(), data(), ENTROPY)
    assert_overfits(net(), data(), ENTROPY, optimizer=FAST)
    assert_healthy(net(), data(), ENTROPY)


@pytest.mark.parametrize(
    ("holds", "model", "told"),
    [
        (assert_initial_loss, Scaled, "large-logits"),
        (assert_gradients_flow, Cut, "no-gradient"),
        (assert_healthy, lambda: net(nn.Softmax(dim=1)), "double-softmax"),
        (assert_overfits, lambda: net(nn.Dropout(0.0), nn.Softmax(dim=1), nn.Threshold(2.0, 0.0)), "overfit-subset"),
    ],
    ids=["initial-loss", "gradients", "healthy", "overfits"],
)
def test_a_sick_one_fails_with_the_report(holds: Callable[..., None], model: Callable[[], nn.Module], told: str) -> None:
    with pytest.raises(AssertionError) as bad:
        holds(model, data(), ENTROPY)
    assert told in str(bad.value)
    assert "Try" in str(bad.value)


def test_what_nobody_can_tell_does_not_pass() -> None:
    with pytest.raises(AssertionError, match="there is no telling"):
        assert_initial_loss(net(), data(), lambda outputs, _: (outputs - 1).square().mean())


TEST = """
import torch
from torch import nn
x = torch.randn(600, 8)
data = x, x[:, :3].argmax(1)

def test_sound(assert_initial_loss, assert_gradients_flow, assert_overfits):
    assert callable(assert_gradients_flow) and callable(assert_overfits)
    assert_initial_loss(nn.Linear(8, 3), data, nn.CrossEntropyLoss())

def test_sick(assert_initial_loss):
    assert_initial_loss(nn.Linear(8, 3).apply(large), data, nn.CrossEntropyLoss())

def large(module):
    if isinstance(module, nn.Linear):
        module.weight.data.mul_(50)
"""


def test_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(TEST)
    done = pytest_in(tmp_path, "-q", "test_mine.py")
    assert "1 failed, 1 passed" in done.stdout
    assert "large-logits" in done.stdout
    assert "lossdoc/testing.py" not in done.stdout, "the traceback ends in the test"


def test_the_plugin_costs_other_tests_nothing(tmp_path: Path) -> None:
    names = "[each for each in ('torch', 'numpy', 'rich', 'lossdoc.api') if each in sys.modules]"
    (tmp_path / "test_other.py").write_text(f"import sys\n\ndef test_light():\n    assert {names} == []\n")
    assert "1 passed" in pytest_in(tmp_path, "-q", "test_other.py").stdout


def pytest_in(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with no plugin but lossdoc's."""
    code = f"import sys; sys.path.insert(0, {str(PROJECT)!r}); import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, "-p", "lossdoc.pytest_plugin", "-p", "no:cacheprovider", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={"PATH": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OMP_NUM_THREADS": "1"},
    )
