"""What `init` writes, `show` prints and `validate --build` runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from lossdoc.build import subject, trial
from lossdoc.spec import TEMPLATES, load, loads, schema, template
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
