"""Every log format: small samples with the curve that is in them, broken ones, and readers of other packages."""

from __future__ import annotations

import gzip
import json
import math
import random
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from lossdoc import columns, reader
from lossdoc.cli import app
from lossdoc.curve import Curve, Table
from lossdoc.errors import UserError
from lossdoc.members import Members
from lossdoc.reader import Reader, readers
from lossdoc.readers import _decimals, csv, tensorboard_csv
from lossdoc.readers._pattern import matching
from lossdoc.readers._records import Record, in_nats

LOGS = Path(__file__).parent / "logs"
NAN, INF = float("nan"), float("inf")
Points = dict[float, float]


def curves(path: Path, name: str | None = None) -> list[Curve]:
    """Return the curves of a log."""
    return [
        curve for table in reader.read(path, name) for curve in columns.curves(table, columns.choose(table), columns.UNKNOWN)
    ]


# file: the training loss by step, and the validation loss by step
SAMPLES: dict[str, tuple[Points, Points | None]] = {
    "boosting/catboost.txt": ({0: 0.58, 1: 0.5}, {0: 0.59, 1: 0.55}),
    "boosting/lightgbm.txt": ({100: 0.53721, 200: 0.5, 300: 0.475}, {100: 0.552055, 200: 0.54, 300: 0.56}),
    "boosting/xgboost_native.txt": ({0: 5.5, 1: 4.5}, {0: 5.75, 1: 5.25}),
    "boosting/xgboost_sklearn.txt": ({0: 0.64479, 1: 0.6}, {0: 0.65, 1: 0.62}),
    "caffe/solver.log": ({0: 7.38819, 20: 6.5}, {0: 6.91}),
    "csv/bom.csv": ({1: 0.5, 2: NAN, 3: 0.25}, None),
    "csv/catboost_learn_error.tsv": ({0: 0.68, 1: 0.66, 2: 0.65}, None),
    "csv/crcrlf.csv": ({0: 2.0, 1: 1.0}, {0: 2.1, 1: 1.4}),
    "csv/fastai_printed.txt": ({0: 1.25, 1: 0.875, 2: 0.625}, {0: 1.125, 1: 1.0, 2: 0.9375}),
    "csv/fastai_history.csv": ({0: 0.9, 1: 0.7, 2: 0.6}, {0: 0.8, 1: 0.75, 2: 0.7}),
    "csv/first_row_short.csv": ({0: 10.9, 100: 6.5}, {0: 11.0, 100: 6.6}),
    "csv/keras_appended.csv": ({0: 2.2, 1: 1.1}, {0: 2.3, 1: 1.5}),
    "csv/keras_logger.csv": ({0: 2.3, 1: 1.8, 2: 1.5}, {0: 2.2, 1: 1.9, 2: 1.7}),
    "csv/lightning.csv": ({49: 1.2, 99: 0.9}, {7: 1.5, 49: 1.1, 99: 1.0}),
    "csv/packed.csv.gz": ({1: 0.5, 2: 0.25}, {1: 0.75, 2: 0.5}),
    "csv/pandas_history.csv": ({0: 2.3, 1: 1.9}, {0: 2.4, 1: 2.0}),
    "csv/semicolon_comma_decimals.csv": ({1: 4.5418, 2: 3.25}, {1: 4.75, 2: 3.5}),
    "csv/timm_summary.csv": ({0: 6.9, 1: 6.2}, {0: 6.5, 1: 5.1}),
    "csv/ultralytics_v8.csv": ({1: 5.0, 2: 3.75}, {1: 3.75, 2: 2.5}),
    "csv/utf16.csv": ({1: 0.5, 2: 0.25}, None),
    "csv/yolov5_results.csv": ({0: 0.875, 1: 0.4375}, {0: 0.75, 1: 0.375}),
    "darknet/escapes.log": ({1: 4173.809082, 2: 3900.5, 3: NAN}, None),
    "drawn/skorch.txt": ({1: 0.75, 2: 0.5}, {1: 0.625, 2: 0.375}),
    "drawn/framed.txt": ({1: 1.75, 2: 1.25}, {1: 1.875, 2: 1.5}),
    "drawn/rich.txt": ({1: 1.75, 2: 1.25, 3: 1.0}, {1: 1.875, 3: 1.5}),
    "drawn/pandas.txt": ({1: 1.75, 2: 1.25}, {1: 1.875, 2: 1.5}),
    "drawn/matlab.txt": ({1: 2.875, 26: 2.0, 51: 1.75}, {1: 2.5, 51: 1.875}),
    "drawn/notebook.txt": ({2: 0.25, 4: 0.125}, {1: 0.375, 2: 0.3125, 3: 0.25, 4: 0.28125}),
    "json/bare_history.json": ({10: 0.75, 20: 0.5}, {10: 0.875, 20: 0.625}),
    "json/catboost_training_cut.json": ({0: 0.68, 1: 0.66}, {0: 0.69, 1: 0.67}),
    "json/keras_history.json": ({1: 2.5, 2: 1.5, 3: 1.0}, {1: 2.6, 2: 1.75, 3: 1.5}),
    "json/loss_curve.json": ({0: 10.5, 10: 8.25, 20: 6.0}, None),
    "json/trainer_state.json": ({500: 1.5, 1000: 1.25, 2000: 0.0}, {1000: 1.375, 2000: NAN}),
    "json/xgboost_evals_result.json": ({1: 0.5, 2: 0.25}, {1: 0.625, 2: 0.375}),
    "jsonl/detectron2_metrics.json": ({19: 2.0, 39: 1.5, 59: 1.25, 79: 1.0}, None),
    "jsonl/llama_factory.jsonl": ({10: 1.5, 20: 1.25}, {20: 1.375}),
    "jsonl/mmcv.log.json": ({50: 0.75, 100: 0.5, 150: 0.375}, None),
    "jsonl/mmengine_scalars.json": ({10: 1.5, 20: 1.25, 30: 1.0}, None),
    "jsonl/nested.jsonl": ({1: 1.5, 2: 1.0}, {1: 1.75, 2: 1.5}),
    "jsonl/events.jsonl": ({1: 1.5, 2: 1.0, 3: 0.75, 4: 0.5}, {2: 1.25, 4: 1.75}),
    "jsonl/splits.jsonl": ({1: 1.5, 2: 1.0}, {1: 1.75, 2: 1.25}),
    "jsonl/torchtune.jsonl": ({1: 1.5, 2: 1.25}, None),
    "jsonl/words_and_null.jsonl": ({1: 1.5, 3: INF, 4: -INF}, None),
    "keras-text/bars.txt": ({1: 33.6, 2: 28.5}, {1: 30.75, 2: 25.25}),
    "keras-text/checkpoints.txt": ({1: 0.0759, 2: 0.0694}, {1: 0.088, 2: 0.089}),
    "keras-text/keras3.txt": ({1: 1.75, 2: 1.25}, {1: 1.5, 2: 1.375}),
    "keras-text/verbose2.txt": ({1: 2.2725, 2: 2.0, 3: 0.0}, {1: 2.2294, 2: 1.75, 3: 11000.0}),
    "markdown/comma_decimals.md": ({1: 4.5418, 2: 3.25}, {1: 4.75, 2: 3.5}),
    "markdown/model_card.md": ({500: 0.5406, 1000: 0.4372}, {250: 0.875, 500: 0.75, 750: 0.625, 1000: 0.625}),
    "mlflow/train_loss": ({0: 2.5, 1: 1.5, 2: 1.25, 3: NAN}, None),
    "spacy/ner.txt": ({200: 847.68, 400: 650.5}, None),
    "tensorboard/cut.tfevents": ({0: 2.5, 10: 1.5, 20: NAN}, {0: 2.75}),
    "tensorboard/events.out.tfevents.1.host.1.0": ({0: 2.5, 10: 1.5, 20: NAN}, {0: 2.75, 20: 1.25}),
    "tensorboard/one_step.tfevents": ({1: 2.5, 2: 1.5, 3: 1.25}, None),
    "tensorboard/validation/events.out.tfevents.2.host.1.1.v2": ({0: 2.5, 1: 1.5}, None),
    "tensorboard-csv/no_wall_time.csv": ({10: 2.25, 20: 1.25}, None),
    "tensorboard-csv/run-.-tag-train_loss.csv": ({0: 2.25, 1: 1.25}, None),
    "tensorboard-csv/run-validation-tag-epoch_loss.csv": ({0: 2.5, 1: 1.5}, None),
    "text/dcgan_epochs.log": (
        {5: 2.25, 10: 2.0, 15: 1.75, 20: 1.5, 25: 1.25, 30: 1.0},
        {10: 2.5, 20: 2.0, 30: 1.75},
    ),
    "text/quickstart.txt": (
        {64: 2.303494, 6464: 2.25, 12864: 2.125, 12928: 2.0, 19328: 1.875, 25728: 1.75},
        {12864: 2.1509, 25728: 1.89},
    ),
    "text/after_iteration.txt": ({0: 0.6875, 100: 0.625, 200: 0.5}, None),
    "text/at_step.txt": ({0: 98.5, 200: 86.0, 400: 65.5}, None),
    "text/chinese.txt": ({1: 2.25, 2: 1.75, 3: 1.5}, {1: 2.5, 2: 2.0, 3: 1.75}),
    "text/flux.txt": ({1: 1.75, 2: 0.25, 3: 0.125}, {1: 1.875, 2: 1.25, 3: 1.0}),
    "text/imagenet_with_test.txt": (
        {0: 7.0, 10: 6.75, 20: 6.5, 30: 6.25, 40: 6.0, 50: 5.75, 60: 5.5, 70: 5.25, 80: 5.0},
        {20: 6.5, 50: 5.5, 80: 4.5},
    ),
    "text/lightning_bar.txt": (
        {4 * epoch + step: 3 - epoch / 2 - step / 16 for epoch in range(5) for step in (1, 2, 3, 4)},
        {5: 1.75, 9: 1.5, 13: 1.25, 17: 1.0},
    ),
    "text/litgpt.txt": ({1: 2.25, 2: 2.125, 3: 2.0, 4: 1.75}, {3: 2.5, 4: 2.25}),
    "text/marian.txt": ({1000: 147.5, 2000: 125.5, 3000: 117.25}, None),
    "text/parts.txt": ({1: 1.75, 2: 1.5, 3: 1.375}, None),
    "text/tacotron2.txt": ({0: 19.25, 1: 16.75, 2: 18.5}, {0: 10.125, 2: 9.5}),
    "text/tensors.txt": ({0: 2.25, 1: 1.75, 2: 1.5, 3: 1.25}, None),
    "text/time_cost.txt": ({0: 1.75, 1: 1.25}, {0: 2.0, 1: 1.5}),
    "text/timm.txt": ({0: 7.0, 500: 6.75, 1000: 6.5, 1500: 6.25, 2000: 6.0, 2500: 5.75}, None),
    "text/best_so_far.txt": ({1: 0.145, 2: 0.1173}, {1: 0.2099, 2: 0.1783}),
    "text/decimal_comma.txt": ({0: 0.5, 1: 0.25, 2: 0.125}, None),
    "text/cifar_tutorial.txt": ({2000: 2.187, 4000: 1.852, 6000: 1.5, 8000: 1.4}, None),
    "text/mlx.txt": ({10: 2.2, 20: 1.9}, {1: 2.456, 20: 2.0}),
    "text/mxnet.txt": ({0: 0.5, 1: 0.4}, {0: 0.6, 1: 0.55}),
    "text/tensorflow1.txt": ({100: 0.5, 200: 0.4}, {200: 0.3}),
    "text/word_language_model.txt": ({200: 7.63, 400: 6.63, 600: 5.63}, {400: 6.25}),
    "text/brackets.txt": ({100: 2.25, 200: 1.75, 300: 1.5, 400: 1.25}, None),
    "text/build_nanogpt.txt": ({0: 10.9553, 1: 10.65, 250: 5.9}, {0: 10.9511, 250: 5.95}),
    "text/deepspeed_chat_ppl.txt": ({0: 2.0, 1: 1.0}, None),
    "text/deepspeed_ppo.txt": ({10: -0.2194, 11: -0.25}, None),
    "text/detectron2_log.txt": ({19: 0.4109, 39: 0.3125}, None),
    "text/espnet.txt": ({1: 480.386, 2: 300.5}, {1: 479.955, 2: 310.25}),
    "text/fairseq_json.txt": ({25: 11.41197518, 50: 10.05063412, 75: 7.97119258}, {50: 8.49105296}),  # bits in nats
    "text/fairseq_simple.txt": ({1: 11.27334574, 101: 8.66433976, 201: 6.41161142}, {101: 6.36932944}),
    "text/hf_stdout.txt": ({0.4: 1.8998, 0.8: 1.5, 1.2: 1.25}, {1.0: 1.625}),
    "text/imagenet_example.txt": ({0: 6.9, 400: 2.094, 800: 1.5}, None),
    "text/llmc.txt": ({0: 11.0091, 1: 10.5, 250: 6.25}, {0: 11.0092, 250: 6.5}),
    "text/megatron.txt": ({6502: 3.876781, 6504: 3.75}, {6504: 3.5}),
    "text/mnist_example.txt": ({0: 2.300024, 640: 1.75, 1280: 0.625}, {640: 0.5}),
    "text/modded_nanogpt.txt": ({1: 15.9932, 2: 14.5, 126: 6.125}, {0: 16.0012, 125: 6.25}),
    "text/nanogpt.txt": ({0: 10.9876, 100: 6.2403}, {0: 10.9896, 100: 6.2424}),
    "text/opennmt.txt": ({50: 14.41, 100: 10.0}, None),
    "text/plain.txt": ({1: 2.5, 2: 1.5, 3: NAN}, {1: 2.6, 2: 1.75, 3: NAN}),
    "text/sklearn_mlp.txt": ({1: 2.36734712, 2: 1.75, 3: 1.25}, None),
    "text/torchtune.txt": ({1: 1.58, 2: 1.5}, None),
    "text/torchvision_detr.txt": ({0: 8.2773, 5: 5.5, 10: 5.25}, None),
    "text/tqdm_postfix.txt": ({274: 10.25, 275: 10.1601, 276: 10.0}, None),
    "text/two_lines_an_epoch.txt": ({1: 0.75, 2: 0.5}, {1: 0.5, 2: 0.25}),
    "text/utf16_powershell.txt": ({1: 0.75, 2: 0.5}, None),
    "csv/perplexity.csv": ({100: 3.0, 200: 2.0}, {100: 4.0, 200: 3.0}),
    "csv/hand_made_reversed.csv": ({1: 2.25, 2: 1.25}, {1: 2.5, 2: 1.5}),
    "csv/dvclive.tsv": ({0: 2.5, 1: 1.5}, None),
    "csv/savetxt.csv": ({0: 2.5, 1: 1.25}, None),
    "text/opennmt_validation.txt": ({50: 4.5, 100: 4.0, 150: 3.5, 200: 3.0}, {100: 4.0, 200: 3.0}),
    "text/bars_end_to_end.txt": ({1: 2.5, 2: 1.5, 3: 1.25}, None),
    "text/deepspeed_gpt.txt": ({80: 4.0, 160: 3.0, 240: 2.0}, None),
    "text/deepspeed_dpo.txt": ({1: 0.665, 2: 0.5, 3: 0.375}, None),
    "text/srun.txt": ({1: 2.5, 2: 1.5, 3: 1.25}, None),
    "text/rank0.txt": ({1: 2.5, 2: 1.5, 3: 1.25}, None),
    "text/pasted_as_comment.txt": ({0.5: 2.5, 1.0: 1.5, 1.5: 1.25}, None),
    "text/modded_nanogpt_without_training.txt": ({0: 16.0012, 125: 6.25, 250: 5.5}, None),
    "text/tutorial.txt": ({0: 10.938573, 1: 9.5, 2: 8.25}, None),
    "jsonl/wandb-history.jsonl": ({1: 2.5, 2: 1.5, 3: NAN}, {2: 1.75}),
    "json/bare_evaluations.json": ({100: 2.5, 200: NAN, 300: INF}, None),
    "wandb/relative_time.csv": ({1: 2.5, 2: 1.5, 3: 1.25}, {1: 2.75, 3: 2.0}),
    "boosting/xgboost_one_set.txt": ({0: 0.64, 1: 0.5}, None),
    "keras-text/cut_front.txt": ({147: 2.5, 148: 1.5}, {147: 2.75, 148: 1.75}),
    "wandb/one_run.csv": ({1: 1.0, 2: 0.5}, {1: 0.9, 2: 0.7}),
    "yolo-text/v5.txt": ({1: 0.1427, 2: 0.12}, None),
    "yolo-text/v8.txt": ({1: 5.0, 2: 3.75}, None),
}


def test_every_sample_is_in_the_table_and_every_reader_has_one() -> None:
    found = {str(path.relative_to(LOGS)) for path in LOGS.rglob("*") if path.is_file()}
    assert found == {*SAMPLES, "wandb/two_runs.csv"}
    assert {Path(name).parts[0] for name in SAMPLES} == set(readers.names())


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ('"a b" loss epoch loss\n2.5 - 2.5 \n', True),  # without what stands in quotes both lines have three cells
        ('loss "a b" time loss\n"3" nan 1 1\n00:12 2.5 2.5 "3"\n', False),
        ('1 1 loss val_loss\n2.5 "3" - 2.5 x\n', False),
        ("loss epoch loss time\n2.5 x 2.5 00:12\n", True),
    ],
)
def test_cells_in_quotes_between_blanks(text: str, table: bool) -> None:
    assert (csv.sniff(text.encode()) > 0) == table


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_the_curve_in_a_sample(name: str, packed: bool, tmp_path: Path) -> None:
    path = LOGS / name
    if packed and path.suffix != ".gz":
        path = tmp_path / Path(name).parent.name / f"{Path(name).name}.gz"
        path.parent.mkdir()
        path.write_bytes(gzip.compress((LOGS / name).read_bytes()))
    (curve,) = curves(path)
    train, val = SAMPLES[name]
    assert curve.train.step.tolist() == pytest.approx(list(train))
    assert curve.train.value.tolist() == pytest.approx(list(train.values()), rel=1e-6, nan_ok=True)
    if val is None:
        assert curve.val is None
    else:
        assert curve.val is not None
        assert curve.val.step.tolist() == pytest.approx(list(val))
        assert curve.val.value.tolist() == pytest.approx(list(val.values()), rel=1e-6, nan_ok=True)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_content_decides_under_any_name_and_a_reader_can_be_forced(name: str, tmp_path: Path) -> None:
    if Path(name).parts[0] in {"tensorboard-csv", "mlflow"} or "validation" in name:
        return  # these tell by their names what they hold
    path = tmp_path / "log.bin"
    path.write_bytes((LOGS / name).read_bytes())
    (found,) = curves(path)
    (forced,) = curves(LOGS / name, Path(name).parts[0])
    for one in (found, forced):
        assert one.train.value.tolist() == pytest.approx(list(SAMPLES[name][0].values()), rel=1e-6, nan_ok=True)


@pytest.mark.parametrize(
    ("records", "bits"),
    [
        ([{"loss": 10.0, "nll_loss": 9.0, "ppl": 512.0}, {"loss": 9.5, "nll_loss": 8.5, "ppl": 362.04}], True),
        ([{"valid_loss": 5.0, "valid_ppl": 32.0}, {"loss": 4.0, "ppl": 16.0}], True),
        ([{"loss": math.log(value), "ppl": value} for value in (100.0, 50.0, 3.0, 1.2)], False),
        ([{"loss": 5.0, "ppl": 32.0}], False),  # one may be chance
        ([{"loss": 5.0, "valid_ppl": 32.0}] * 3, False),  # of the other side
    ],
)
def test_losses_in_bits_are_turned_into_nats_where_the_perplexities_prove_it(records: list[Record], bits: bool) -> None:
    turned, notes = in_nats(records)
    assert bool(notes) == bits
    for before, after in zip(records, turned, strict=True):
        losses = [name for name in before if "loss" in name]
        assert [after[name] for name in losses] == [float(before[name]) * (math.log(2) if bits else 1) for name in losses]


def test_runs_side_by_side() -> None:
    found = curves(LOGS / "wandb/two_runs.csv")
    assert [(one.run, one.train.step.tolist(), one.train.value.tolist()) for one in found] == [
        ("lr 0.1 - v2", [0, 10], [2.5, 1.5]),
        ("base", [5, 15], [2.25, 1.75]),
    ]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("json/trainer_state.json", "1 logged loss is exactly 0, which is no success"),
        ("json/catboost_training_cut.json", "the document is cut off"),
        ("text/fairseq_json.txt", "the losses are in bits"),
        ("jsonl/torchtune.jsonl", "1 line is no JSON (first: line 3)"),
        ("jsonl/mmcv.log.json", "'iter' starts again in every epoch: it is counted on, 100 an epoch"),
        ("jsonl/detectron2_metrics.json", "1 value written when a run was stopped is left out"),
        ("boosting/xgboost_sklearn.txt", "validation_0 is taken for the training set"),
        ("markdown/model_card.md", "'Training Loss' repeats its last value"),
        ("spacy/ner.txt", "sums since the row above"),
        ("text/deepspeed_chat_ppl.txt", "the logarithm of the perplexity stands in"),
        ("csv/ultralytics_v8.csv", "sums of their parts"),
    ],
)
def test_what_is_told_of_a_log(name: str, says: str) -> None:
    (table,) = reader.read(LOGS / name)
    assert any(says in note for note in table.notes)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"train_loss": 0.5, "train_runtime": 12.0, "epoch": 3.0}', "last values only and no curve"),
        ('{"loss": "high"}', "last values only and no curve"),
        ("1602174651231 0.5 0\n", "MLflow's file of 'log', which is no loss"),
        ("step 3 of the recipe: 100 g butter\n", "no line of it holds a loss"),
        ("Epoch 1/2\n 1/80 [>....] - ETA: 3s - loss: 2.5\n", "no epoch in it came to its end"),
        ("[" * 100_000, "is no log|nested too deeply|no curve"),
        ('{"loss": ' * 100_000, "is no log|nested too deeply|no curve"),
    ],
)
def test_what_holds_no_curve(content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(content)
    with pytest.raises(UserError, match=says):
        reader.read(path)


def test_a_table_without_the_column_that_makes_it_tensorboards_is_refused() -> None:
    with pytest.raises(UserError, match="no column 'Value'"):
        tensorboard_csv.reader.read(b"Wall time\n1\n2\n", "run-.-tag-loss.csv")


def test_a_log_behind_much_other_text(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("import torch\nx = f(y)\n" * 10_000 + (LOGS / "text/modded_nanogpt.txt").read_text())
    (curve,) = curves(path)
    assert curve.train.value.tolist() == list(SAMPLES["text/modded_nanogpt.txt"][0].values())


def test_a_packed_log_without_its_end_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).random(3000)
    text = "step,loss\n" + "".join(f"{step},{float(value)!r}\n" for step, value in enumerate(noise))
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(text.encode())[:-5000])
    (curve,) = curves(path)
    assert 100 < len(curve.train) < 3000
    assert curve.train.value[:100].tolist() == noise[:100].tolist()
    path.write_bytes(gzip.compress(b"step,loss\n1,2\n") + gzip.compress(b"2,1\n"))
    assert curves(path)[0].train.value.tolist() == [2, 1]
    path.write_bytes(b"\x1f\x8bnonsense")
    with pytest.raises(UserError, match="is compressed, and broken"):
        reader.read(path)


def test_a_folder_of_many_formats_passes_over_what_is_no_log(tmp_path: Path) -> None:
    for name in ("json/trainer_state.json", "text/nanogpt.txt", "tensorboard/one_step.tfevents"):
        (tmp_path / Path(name).name).write_bytes((LOGS / name).read_bytes())
    (tmp_path / "README.md").write_text("# Notes\n\nThe loss of 2 runs.\n")
    (tmp_path / "train.py").write_text("loss = f(x)\nprint(loss)\n")
    (tmp_path / "weights.bin").write_bytes(bytes(range(256)))
    found = reader.read(tmp_path)
    assert [Path(table.source).name for table in found] == ["nanogpt.txt", "one_step.tfevents", "trainer_state.json"]


def test_a_folder_gives_a_report_for_each_log_and_a_line_for_each_bad_one(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_bytes((LOGS / "text/nanogpt.txt").read_bytes())
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "good.csv").write_text("step,loss\n" + "".join(f"{step},{3 / step}\n" for step in range(1, 6)))
    (tmp_path / "header.csv").write_text("step,loss\n")
    (tmp_path / "pointer.csv").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n")
    (tmp_path / "README.md").write_text("# Notes\n\nThe loss of 2 runs.\n")
    (tmp_path / "flowers.csv").write_text("petal,sepal\n1.5,2.5\n2.5,1.5\n")
    (tmp_path / "empty").mkdir()

    def run(place: Path) -> tuple[int, list[str], list[str]]:
        command = [sys.executable, "-m", "lossdoc", "diagnose", "-q", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()

    code, out, err = run(tmp_path)
    assert (code, out) == (2, ["? good.txt: inconclusive", "? more/good.csv: inconclusive"])
    assert [line.split(": error")[0] for line in err] == [str(tmp_path / "header.csv"), str(tmp_path / "pointer.csv")]
    code, out, err = run(tmp_path / "empty")
    assert (code, out, len(err)) == (2, [], 1)
    assert "the folder holds no log" in err[0]


SIDES = {1: 2.5, 2: 1.5}, {1: 2.75, 2: 1.75}


@pytest.mark.parametrize(
    "files",
    [
        {"run-.-tag-epoch_loss.csv": "Wall time,Step,Value\n9,1,2.5\n9,2,1.5\n",
         "run-.-tag-epoch_val_loss.csv": "Wall time,Step,Value\n9,1,2.75\n9,2,1.75\n"},
        {"run-train-tag-epoch_loss.csv": "Wall time,Step,Value\n9,1,2.5\n9,2,1.5\n",
         "run-validation-tag-epoch_loss.csv": "Wall time,Step,Value\n9,1,2.75\n9,2,1.75\n"},
        {"metrics/train_loss": "1602174651231 2.5 1\n1602174651232 1.5 2\n",
         "metrics/val_loss": "1602174651231 2.75 1\n1602174651232 1.75 2\n"},
        {"learn_error.tsv": "iter\tLogloss\n1\t2.5\n2\t1.5\n",
         "test_error.tsv": "iter\tAUC\tLogloss\n1\t0.5\t2.75\n2\t0.6\t1.75\n"},
    ],
    ids=lambda files: next(iter(files)),
)  # fmt: skip
def test_a_log_of_two_files_is_read_whole_from_either(files: dict[str, str], tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    for place in (*files, ""):
        (curve,) = curves(tmp_path / place)
        assert curve.val is not None
        assert dict(zip(curve.train.step, curve.train.value, strict=True)) == SIDES[0]
        assert dict(zip(curve.val.step, curve.val.value, strict=True)) == SIDES[1]


def test_event_files_of_both_sides_are_one_log(tmp_path: Path) -> None:
    data = (LOGS / "tensorboard/validation/events.out.tfevents.2.host.1.1.v2").read_bytes()
    for side in ("train", "validation"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "events.out.tfevents.1").write_bytes(data)
    (table,) = reader.read(tmp_path / "train" / "events.out.tfevents.1")
    roles = columns.choose(table)
    assert (roles.train, roles.val) == ("epoch_loss", "val_epoch_loss")
    assert len(reader.read(tmp_path)) == 1


def test_event_files_of_a_resumed_run_are_one_log(tmp_path: Path) -> None:
    data = (LOGS / "tensorboard/events.out.tfevents.1.host.1.0").read_bytes()
    names = ["events.out.tfevents.900.host.1.0", "events.out.tfevents.1000.host.2.0"]
    for name in names:
        (tmp_path / name).write_bytes(data)
    (tmp_path / "other.tfevents").write_bytes(data)
    for place in names:
        assert [path.name for path in readers.get("tensorboard").together(tmp_path / place)] == names
    assert len(reader.read(tmp_path)) == 2


def test_of_checkpoints_a_folder_gives_the_last_one_only(tmp_path: Path) -> None:
    for many in (2, 10, 9):
        records = [{"step": step, "loss": 3 / step} for step in range(1, many + 1)]
        (tmp_path / f"checkpoint-{many}").mkdir()
        (tmp_path / f"checkpoint-{many}" / "trainer_state.json").write_text(json.dumps({"log_history": records}))
    (table,) = reader.read(tmp_path)
    assert len(table.columns["loss"].values) == 10
    (first,) = reader.read(tmp_path / "checkpoint-2" / "trainer_state.json")
    assert len(first.columns["loss"].values) == 2
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": [*records, {"step": 11, "loss": 0.1}]}))
    (table,) = reader.read(tmp_path)
    assert table.source == str(tmp_path / "trainer_state.json")


CELLS = st.one_of(
    st.floats().map(repr),
    st.floats(width=32).map(repr),
    st.integers(-(10**25), 10**25).map(str),
    st.tuples(st.floats(-1e9, 1e9), st.integers(0, 25)).map(lambda pair: f"{pair[0]:.{pair[1]}f}"),
    st.decimals(-(10**6), 10**6, places=12).map(lambda each: f"{each:f}"),
    st.sampled_from(
        ["", "-0", ".5", "-.5", "5.", "+3", "1E+20", " 3 ", "0" * 30 + "1", "9007199254740993", "-inf", "1e400"]
    ),
)


@given(rows=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1), block=st.sampled_from([1, 100, 1 << 20]))
def test_decimals_are_what_float_makes_of_them(rows: list[tuple[str, ...]], block: int) -> None:
    text = "\n".join(",".join(row) for row in rows).encode()
    expected = [[float(cell) if cell else NAN for cell in row] for row in rows]
    with mock.patch.object(_decimals, "BLOCK", block):
        found = _decimals.decimals(text, 0, 3, ord(","), float)
    np.testing.assert_array_equal(np.array([column.values for column in found]).T, expected)
    assert [column.logged.tolist() for column in found] == [[bool(row[each]) for row in rows] for each in range(3)]


@pytest.mark.parametrize("cell", [".", "-", "1.2.3", "--5", "1..2", "a", "-.", "1-2", "5-", "/", "1:2", "1,2"])
def test_what_is_no_decimal_is_refused(cell: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it says no more: the table is then read cell by cell
        _decimals.decimals(f"{cell}\n7\n".encode(), 0, 1, ord(","), float)


def test_a_table_of_many_blocks_is_read_by_several_threads(tmp_path: Path) -> None:
    losses = np.random.default_rng(0).random(5000)
    path = tmp_path / "log.csv"
    path.write_text("step,loss\n" + "".join(f"{step},{loss!r}\n" for step, loss in enumerate(losses.tolist())))
    with mock.patch.object(_decimals, "BLOCK", 1000):
        (curve,) = curves(path)
    assert curve.train.step.tolist() == list(range(5000))
    assert curve.train.value.tolist() == losses.tolist()


def test_a_pattern_reads_lines_of_any_form(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("#1 >> 2,5;\n#2 >> 1.5, ok 0.75\nother\n#3 >> nan\n")
    table = matching(r"#(?P<step>\d+) >> (?P<loss>\S+)(?: ok (?P<val_loss>\S+))?").read(log.read_bytes(), "log")[0]
    assert {name: column.values.tolist() for name, column in table.columns.items()} == {
        "step": [1, 2, 3],
        "loss": pytest.approx([NAN, 1.5, NAN], nan_ok=True),
        "val_loss": pytest.approx([NAN, 0.75, NAN], nan_ok=True),
    }
    assert table.columns["loss"].logged.tolist() == [False, True, True]
    assert table.columns["loss"].unreadable == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--pattern", "(?P<loss>"], "is no regular expression"),
        (["--pattern", r"loss (\S+)"], "has no named group"),
        (["--pattern", r"cost (?P<loss>\S+)"], "no line of it is matched"),
        (["--pattern", "(?P<loss>1)", "--reader", "text"], "exclude each other"),
    ],
)
def test_patterns_that_cannot_be_used(options: list[str], says: str) -> None:
    sample = str(LOGS / "text/plain.txt")
    found = CliRunner().invoke(app, ["diagnose", sample, *options])
    assert found.exit_code == 2
    assert says in found.stderr


def mutations(data: bytes, seed: int, many: int) -> list[bytes]:
    """Return the data cut off all along it, and with bits flipped, parts taken out, doubled and overwritten."""
    rng = random.Random(seed)  # noqa: S311 - mutations are no secrets
    result = [data[:end] for end in range(0, len(data), max(1, 2 * len(data) // many))]
    while len(result) < many:
        made = bytearray(data)
        for _ in range(rng.randint(1, 6)):
            start = rng.randrange(len(made) or 1)
            end = min(len(made), start + rng.randint(1, 12))
            kind = rng.randrange(4)
            if kind == 0 and made:
                made[min(start, len(made) - 1)] ^= 1 << rng.randrange(8)
            elif kind == 1:
                del made[start:end]
            elif kind == 2:
                made[start:start] = made[start:end] * rng.randint(1, 3)
            else:
                made[start:end] = rng.randbytes(end - start)
        result.append(bytes(made))
    return result


def sound(table: Table) -> bool:
    """Tell whether a table is what the types promise."""
    shapes = {column.values.shape for column in table.columns.values()} | {
        column.logged.shape for column in table.columns.values()
    }
    return len(shapes) == 1 and all(column.values.dtype == np.float64 for column in table.columns.values())


@pytest.mark.parametrize("name", readers.names())
def test_no_mutation_of_a_log_breaks_its_reader(name: str) -> None:
    samples = sorted(path for path in (LOGS / name).rglob("*") if path.is_file())
    chosen = readers.get(name)
    each = -(-1000 // len(samples))
    count = read = 0
    for seed, path in enumerate(samples):
        for made in mutations(path.read_bytes(), seed, each):
            count += 1
            assert 0 <= chosen.sniff(made[: reader.HEAD]) <= 1
            try:
                tables = chosen.read(made, str(path))
                read += 1
                for table in tables:
                    assert sound(table)
                    columns.curves(table, columns.choose(table), columns.UNKNOWN)
            except UserError:
                continue
    assert count >= 1000
    assert read > 0


@pytest.mark.parametrize("name", readers.names())
def test_a_log_may_be_cut_off_at_any_byte(name: str) -> None:
    chosen = readers.get(name)
    data = min((path.read_bytes() for path in (LOGS / name).rglob("*") if path.is_file()), key=len)
    whole = 0
    for end in range(len(data)):
        try:
            assert all(map(sound, chosen.read(data[:end], "log")))
            whole += 1
        except UserError:
            continue
    assert whole > 0 or name == "mlflow"  # whose files tell by their names what they hold


@pytest.mark.parametrize(
    "line",
    [
        "a" * 200_000,
        "loss " * 40_000,
        "1 " * 100_000,
        "[" * 100_000,
        "epoch " + " " * 200_000,
        "[200]" + " " * 200_000 + "x",
        "|---|" + " " * 200_000 + "-|---|",
    ],
)
def test_a_line_of_any_length_is_read_in_time_that_grows_with_it(line: str) -> None:
    for each in readers.all():
        each.sniff(line.encode()[: reader.HEAD])
        with pytest.raises(UserError):
            each.read(line.encode(), "log")


def test_a_reader_of_another_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shouted.py").write_text(
        "import numpy as np\n"
        "from lossdoc.curve import Column, Table\n"
        "from lossdoc.reader import Reader\n"
        "def sniff(head):\n"
        "    return 1.0 if head.startswith(b'LOSS!') else 0.0\n"
        "def read(data, source):\n"
        "    values = np.array([float(word) for word in data.split()[1:]])\n"
        "    return [Table(source, {'loss': Column(values, np.isfinite(values))})]\n"
        "reader = Reader(('.shout',), sniff, read)\n"
    )
    installed = tmp_path / "shouted-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: shouted\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[lossdoc.readers]\nshouted = shouted:reader\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(reader, "readers", Members("lossdoc.readers", Reader))
    log = tmp_path / "log.txt"
    log.write_text("LOSS! 3 2 1")
    assert [curve.train.value.tolist() for curve in curves(log)] == [[3, 2, 1]]
    assert "shouted" in reader.readers.names()
    monkeypatch.delitem(sys.modules, "shouted")


def test_a_plain_table_asks_no_other_reader(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("step,train_loss\n1,2\n2,1\n")
    code = (
        "import sys; from lossdoc import reader; reader.read(sys.argv[1]);"
        "print(*sorted(name for name in sys.modules if name.startswith('lossdoc.readers.')))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(log)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "lossdoc.readers._decimals lossdoc.readers._text lossdoc.readers.csv"
