"""Lists edited in the text of a model.yaml: only the items that differ change, comments and layout stay."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoc.errors import UserError
from lossdoc.spec import loads
from lossdoc.spec.edits import edited

TEXT = """\
# the head comment
data: {source: digits, preprocess: [{scale: {divide_by: 16}}]}   # pixels
model:
  layers:
    # the body
    - flatten        # 64 long
    - linear: {out: 32}   # wide enough
    - relu           # rectified
    # the head
    - linear: {out: classes}
    - softmax        # a mistake
optimizer: {sgd: {lr: 0.1}}
"""
BLOCK = """\
data:
  source: digits
  preprocess:
  - scale:
      divide_by: 16
model:
  layers:
  - linear:
      out: 32
      init:
        normal: 1.0
  - relu
  - linear: classes
"""
LAYERS = ["flatten", {"linear": {"out": 32}}, "relu", {"linear": {"out": "classes"}}, "softmax"]


@pytest.mark.parametrize(
    ("new", "gone", "come"),
    [
        (LAYERS[:-1], ["    - softmax        # a mistake"], []),
        (
            [*LAYERS[:2], "leaky_relu", *LAYERS[3:]],
            ["    - relu           # rectified"],
            ["    - leaky_relu           # rectified"],
        ),
        ([*LAYERS[:2], "batchnorm", *LAYERS[2:]], [], ["    - batchnorm"]),
        (["flatten", *LAYERS], [], ["    - flatten"]),
        ([*LAYERS, {"dropout": 0.5}], [], ["    - dropout: 0.5"]),
        (
            [LAYERS[0], {"linear": {"out": 64}}, *LAYERS[2:]],
            ["    - linear: {out: 32}   # wide enough"],
            ["    - linear: {out: 64}   # wide enough"],
        ),
        (
            [LAYERS[0], LAYERS[3]],
            [line for line in TEXT.splitlines() if line[4:9] in ("- rel", "- sof") or "wide" in line],
            [],
        ),
    ],
)
def test_only_the_items_that_differ_change(new: list[Any], gone: list[str], come: list[str]) -> None:
    changed = edited(TEXT, {"model.layers": new})
    before, after = TEXT.splitlines(), changed.splitlines()
    assert sorted(line for line in before if line not in after or before.count(line) > after.count(line)) == sorted(gone)
    assert sorted(line for line in after if line not in before or after.count(line) > before.count(line)) == sorted(come)


def test_several_paths_at_once() -> None:
    values = {
        "model.layers": LAYERS[:-1],
        "data.preprocess": [{"scale": {"divide_by": 16}}, "standardize"],
        "optimizer.lr": 0.01,
    }
    changed = edited(TEXT, values)
    assert "preprocess: [{scale: {divide_by: 16}}, standardize]}   # pixels" in changed
    assert "sgd: {lr: 0.01}" in changed
    assert "softmax" not in changed


def test_nested_blocks_and_a_list_that_stands_for_its_block() -> None:
    changed = edited(BLOCK, {"model.layers": [{"linear": {"out": 32}}, "relu", {"linear": "classes"}], "model.init": "he"})
    assert "  - linear: {out: 32}\n  - relu\n" in changed
    short = "data: digits\nmodel: [flatten, {linear: classes}, softmax]\n"
    assert edited(short, {"model.layers": ["flatten", {"linear": "classes"}]}) == short.replace(", softmax", "")


def test_a_shared_list_is_refused() -> None:
    text = "data: digits\nmodel:\n  layers: [flatten, residual: &body [{linear: 64}], residual: *body, {linear: classes}]\n"
    new = ["flatten", {"residual": [{"linear": 64}, "relu"]}, {"residual": [{"linear": 64}]}, {"linear": "classes"}]
    with pytest.raises(UserError, match="one by one"):
        edited(text, {"model.layers": new})


ITEMS = st.sampled_from(
    ["relu", "tanh", {"linear": 8}, {"linear": {"out": 8, "bias": False}}, {"dropout": 0.5}, "layernorm"]
)


@settings(max_examples=60, deadline=None)
@given(old=st.lists(ITEMS, min_size=1, max_size=6), new=st.lists(ITEMS, min_size=1, max_size=6), flow=st.booleans())
def test_any_list_becomes_any_other(old: list[Any], new: list[Any], flow: bool) -> None:
    def text(layers: list[Any]) -> str:
        parts = [str(layer).replace("'", "").replace("False", "false") for layer in layers]
        written = "[" + ", ".join(parts) + "]" if flow else "".join(f"\n    - {part}" for part in parts)
        return f"data: digits\nmodel:\n  layers: {written}\nloss: cross_entropy   # the usual one\n"

    end = {"linear": "classes"}
    changed = edited(text([*old, end]), {"model.layers": [*new, end]})
    assert loads(changed).resolved() == loads(text([*new, end])).resolved()
    assert changed.endswith("loss: cross_entropy   # the usual one\n")
