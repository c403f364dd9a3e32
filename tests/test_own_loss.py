"""Modules that make their own loss, as Hugging Face's do, get the checks that need no more than that loss and the logits."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossdoc import build, spec
from lossdoc.rule import checks, examine

OWN = """
from types import SimpleNamespace

import torch
from torch import nn
from torch.nn.functional import cross_entropy


def data():
    inputs = torch.randn(256, 6, generator=torch.Generator().manual_seed(0))
    return [{"x": one, "labels": int(one[:4].argmax())} for one in inputs]


class Net(nn.Module):
    def __init__(self, loss="right", show=True):
        super().__init__()
        self.kind, self.show = loss, show
        self.body, self.head = nn.Linear(6, 16), nn.Linear(16, 4)

    def forward(self, x, labels=None):
        logits = self.head(torch.relu(self.body(x)))
        loss = {
            "right": lambda: cross_entropy(logits, labels),
            "negated": lambda: -cross_entropy(logits, labels),
            "softmax": lambda: cross_entropy(logits.softmax(-1), labels),
            "nan": lambda: cross_entropy(logits, labels) * float("nan"),
        }[self.kind]()
        return SimpleNamespace(loss=loss, logits=logits) if self.show else {"loss": loss}


def headless(model, lr=1e-2):
    return torch.optim.AdamW(model.body.parameters(), lr=lr)
"""


@pytest.mark.parametrize(
    ("args", "optimizer", "found"),
    [
        ("{}", "{adam: {lr: 1e-2}}", None),
        ("{show: false}", "{adam: {lr: 1e-2}}", None),
        ("{loss: negated}", "{adam: {lr: 1e-2}}", "wrong-sign"),
        ("{loss: softmax}", "{adam: {lr: 1e-2}}", "double-softmax"),
        ("{loss: nan}", "{adam: {lr: 1e-2}}", "non-finite"),
        ("{loss: nan, show: false}", "{adam: {lr: 1e-2}}", "non-finite"),
        ("{}", "{call: own:headless}", "not-in-optimizer"),
        ("{show: false}", "{call: own:headless}", "not-in-optimizer"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, args: str, optimizer: str, found: str | None) -> None:
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    (tmp_path / "model.yaml").write_text(
        "version: 1\npython_path: [.]\n"
        "data: {source: {call: own:data}, batch: {x: x, y: labels}, classes: 4, batch_size: 32}\n"
        f"model: {{call: own:Net, args: {args}}}\nloss: model\noptimizer: {optimizer}\n",
        encoding="utf-8",
    )
    subject = build.subject(spec.load(tmp_path / "model.yaml"))
    report = examine("sanity", subject, [rule for rule in checks.all() if rule.matter == "Subject"])
    errors = [finding.name for finding in report.findings if finding.severity.value == "error"]
    assert errors == ([] if found is None else [found])
