"""What `init` writes, `show` prints and `validate --build` runs."""

from __future__ import annotations

import copy
import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoc.build import subject, trial
from lossdoc.errors import UserCodeError, UserError
from lossdoc.pages import page
from lossdoc.spec import TEMPLATES, Spec, load, loads, schema, template, words
from tests.conftest import PROJECT, Run


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_legal_and_ready_to_run(name: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(template(name, path.name))
    spec = load(path)
    assert spec.warnings == ()
    assert "gradient norm" in trial(spec)
    assert path.read_text().startswith("# yaml-language-server: $schema=")


def test_the_table_of_a_trial() -> None:
    text = "data: iris\nmodel:\n  layers:\n    - residual: [linear: 4, relu]\n    - linear: classes\n"
    lines = trial(loads(text)).splitlines()
    assert [line.split()[:4] for line in lines[1:3]] == [["4", "residual", "32x4", "20"], ["5", "linear", "32x3", "15"]]
    assert lines[3].startswith("32 samples: loss ")
    assert lines[3].endswith(", 35 parameters")


def test_show_prints_what_reads_back_the_same(lossdoc: Run) -> None:
    path = PROJECT / "configs" / "digits-cnn.yaml"
    done = lossdoc("show", path, "--set", "optimizer.lr=0.5")
    assert done.returncode == 0
    assert yaml.safe_load(done.stdout)["overfit"]["samples"] == 64  # a default
    assert loads(done.stdout).resolved() == load(path, ["optimizer.lr=0.5"]).resolved()


def test_show_prints_the_fitted_numbers(lossdoc: Run) -> None:
    path = PROJECT / "configs" / "wine.yaml"
    done = lossdoc("show", path, "--fitted")
    assert done.returncode == 0
    ((step,),) = (each.values() for each in yaml.safe_load(done.stdout)["preprocess"])
    raw = subject(load(path, ["data.preprocess=[]"]))
    train = np.concatenate([each.inputs for each in raw.batches("train", 0)])
    np.testing.assert_allclose(step["subtract"], train.mean(0), rtol=1e-5)
    np.testing.assert_allclose(step["divide_by"], train.std(0), rtol=1e-5)


@pytest.mark.parametrize("word", words.names())
def test_every_word_has_a_page(word: str) -> None:
    text = page(word)
    assert re.search(rf"^{word} \(an? ", text, re.MULTILINE)
    assert all(len(line) <= 78 for line in text.splitlines())


def test_every_block_has_a_page() -> None:
    assert set(words.blocks()) == {*Spec.model_fields} - {"version", "name", "seed", "python_path"}
    assert "f(model, batch, optimizer) -> loss" in page("step")
    assert "One of the words cross_entropy, bce" in page("loss")


def test_the_pages_of_words_that_differ_from_the_notes_show_both() -> None:
    assert "As in torch, eps stands outside the root; the notes write lr / √(G + eps)" in page("rmsprop")
    assert "The notes' form, v ← momentum·v + lr·g(w − momentum·v)" in page("nesterov")
    assert "A file with `call:` is code" in page("call")
    with pytest.raises(UserError, match="nothing is called 'rmspropp'; did you mean 'rmsprop'"):
        page("rmspropp")


def test_schema_init_and_build_on_the_command_line(lossdoc: Run, tmp_path: Path) -> None:
    assert json.loads(lossdoc("schema").stdout) == json.loads(json.dumps(schema()))
    assert lossdoc("init", "--template", "rnn").returncode == 0
    assert lossdoc("init", "--template", "cnn").returncode == 2
    assert "gru" in (tmp_path / "model.yaml").read_text()
    done = lossdoc("validate", "--build")
    assert done.returncode == 0
    assert "gru" in done.stdout
    assert done.stdout.endswith("model.yaml is valid; `lossdoc sanity model.yaml` examines it\n")
    assert lossdoc("init", "x.yaml", "--template", "gan").returncode == 2


def test_a_layer_in_a_residual_block_begins_as_it_says_else_as_the_model() -> None:
    inner = "[{linear: {out: 4, init: {constant: 2}}}, {linear: 4}]"
    made = subject(
        loads(f"data: iris\nmodel: {{init: {{constant: 1}}, layers: [{{residual: {inner}}}, {{linear: classes}}]}}\n")
    )
    weights = {
        name: sorted(set(each.detach().flatten().tolist()))
        for name, each in made.build(0).named_parameters()
        if each.dim() > 1
    }
    assert list(weights.values()) == [[2.0], [1.0], [1.0]]


PIECES: list[Any] = [
    0, 1, 3, 0.5, 100, True, None, "relu", "softmax", "classes", "he", "zeros", "standardize", "mse", "bce", "nll", "lstm",
    "flatten", "iris", {"synthetic": "sine"}, "gd", {"linear": 5}, {"conv": 3}, {"embedding": {"entries": 5, "out": 4}},
    {"residual": ["relu", {"linear": 4}]}, {"globalpool": "max"}, {"take": "mean"}, {"maxpool": 3}, {"attention": 2},
    {"groupnorm": 2}, {"maxout": {"out": 3}}, {"softmax": {"axis": 0}}, {"clip": {"low": 0}}, {"one_hot": [0]},
    {"statistics": {"mean": [1, 2, 3]}}, {"call": "torch.nn:ReLU"}, {"call": "torch.nn:Linear", "args": {"in_features": 4}},
    {"warmup": {"steps": 3, "then": "one_cycle"}}, {"cross_entropy": {"weight": [1, 2, 3]}}, {"huber": 2}, [], {},
]  # fmt: skip
WHOLE = {name: loads(template(name, str(PROJECT / "LICENSE"))).resolved() for name in TEMPLATES}


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything in it."""
    yield path
    for key, each in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from places(each, (*path, key))


@given(data=st.data())
@settings(max_examples=40, deadline=None)
@pytest.mark.timeout(120)  # nothing here takes long: it would hang
def test_no_changed_template_gives_anything_but_a_table_or_faults_when_it_is_built(data: Any) -> None:
    whole = copy.deepcopy(WHOLE[data.draw(st.sampled_from(sorted(WHOLE)))])
    *way, last = data.draw(st.sampled_from([path for path in places(whole) if path and path[0] not in ("sweep", "overfit")]))
    at: Any = functools.reduce(lambda inner, key: inner[key], way, whole)
    piece = copy.deepcopy(data.draw(st.sampled_from(PIECES)))
    if isinstance(at, list) and data.draw(st.booleans()):
        at.insert(last, piece)
    else:
        at[last] = piece
    try:
        assert "gradient norm" in trial(loads(yaml.safe_dump(whole)))
    except UserError as bad:
        assert bad.problems  # noqa: PT017 - either outcome is right
    except UserCodeError as bad:
        assert "torch.nn:" in bad.what  # noqa: PT017 - as above
