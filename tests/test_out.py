"""`--out DIR`: what lies in the folder, when it is refused, and that it is the same for the same input."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from lossdoc import diagnosis, reporting
from lossdoc.curve import Curve
from lossdoc.errors import UserError
from lossdoc.findings import Report
from lossdoc.format import Document, heading
from lossdoc.memorization import Memorization
from lossdoc.synthetic import healthy
from tests.conftest import PROJECT, Run
from tests.pages import DOCUMENTS, memorized, swept

LOG = "step,train_loss,val_loss,lr\n" + "".join(
    f"{step},{2.3 * 0.97**step + 0.01:.6f},{'' if step % 5 else 1 + step / 100},0.1\n" for step in range(200)
)
SCHEMA = json.loads((PROJECT / "lossdoc" / "report.schema.json").read_text())


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_diagnosis_leaves_a_folder_that_is_the_same_each_time(lossdoc: Run, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    done = lossdoc("diagnose", "log.csv", "--out", "one/deep", PYTHONHASHSEED="1")
    again = lossdoc("diagnose", "log.csv", "--out", "two", "--format", "json", PYTHONHASHSEED="2")
    assert (done.returncode, again.returncode) == (1, 1)
    assert "report.html is written" in done.stderr
    first, second = files(tmp_path / "one" / "deep"), files(tmp_path / "two")
    assert sorted(first) == ["curves.csv", "figures/curves.png", "figures/curves.svg", "report.html", "result.json"]
    assert first == second
    assert first["result.json"].decode() == again.stdout
    jsonschema.validate(json.loads(again.stdout), SCHEMA)


def test_the_curves_of_a_report_have_the_same_diagnosis(lossdoc: Run, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    lossdoc("diagnose", "log.csv", "--out", "out", "--classes", "10")
    before, after = (
        json.loads(lossdoc("diagnose", name, "--format", "json", "--classes", "10").stdout)["reports"][-1]
        for name in ("log.csv", "out/curves.csv")
    )
    assert [one["name"] for one in before["findings"]] == [one["name"] for one in after["findings"]]
    assert before["findings"][0]["facts"] == after["findings"][0]["facts"]


def test_a_folder_that_holds_anything_is_refused_before_the_work(lossdoc: Run, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    refused = lossdoc("diagnose", "log.csv", "--out", "out")
    assert refused.returncode == 2
    assert "--out out is not empty" in refused.stderr
    assert sorted(files(tmp_path / "out")) == ["mine.txt"]
    assert lossdoc("diagnose", "log.csv", "--out", "out", "--force").returncode == 1
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    assert (tmp_path / "out" / "report.html").exists()


def test_no_log_is_overwritten_by_its_own_report(lossdoc: Run, tmp_path: Path) -> None:
    (tmp_path / "curves.csv").write_text(LOG)
    refused = lossdoc("diagnose", "curves.csv", "--out", ".", "--force")
    assert refused.returncode == 2
    assert (tmp_path / "curves.csv").read_text() == LOG


def test_a_model_has_its_report_too(lossdoc: Run, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text((PROJECT / "configs" / "digits-mlp.yaml").read_text())
    done = lossdoc("sanity", "m.yaml", "--select", "initial-loss", "--out", "out", "-q")
    assert done.returncode == 0
    assert done.stderr == ""
    assert sorted(files(tmp_path / "out")) == ["report.html", "result.json"]
    assert "<h1" in (tmp_path / "out" / "report.html").read_text()


def test_faults_of_the_input_are_in_the_report(lossdoc: Run, tmp_path: Path) -> None:
    done = lossdoc("diagnose", "missing.csv", "--out", "out")
    assert done.returncode == 2
    assert "missing.csv" in (tmp_path / "out" / "report.html").read_text()
    assert json.loads((tmp_path / "out" / "result.json").read_text())["errors"][0]["file"] == "missing.csv"


def test_a_name_that_is_no_text_is_written_down_as_far_as_it_is(lossdoc: Run, tmp_path: Path) -> None:
    log = Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.csv"))
    log.write_text("loss\n" + "\n".join(str(1 / n) for n in range(1, 30)))
    done = lossdoc("diagnose", str(log), "--out", str(tmp_path / "out"))
    assert done.returncode == 0
    assert "b?.csv" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_what_an_earlier_report_left_is_taken_away(tmp_path: Path) -> None:
    reporting.write(tmp_path, DOCUMENTS["one curve"])
    reporting.write(tmp_path, DOCUMENTS["nothing"])
    assert sorted(files(tmp_path)) == ["report.html", "result.json"]


def test_a_sweep_and_a_memorization_are_drawn_and_written(tmp_path: Path) -> None:
    document = Document("checkup", (memorized(), swept()))
    reporting.write(tmp_path, document)
    made = files(tmp_path)
    pictures = ["curves.png", "curves.svg", "map.png", "parallel.png", "rates.png", "trials.png"]
    assert [name for name in made if name.startswith("figures/")] == [f"figures/{name}" for name in pictures]
    rows = list(csv.DictReader(made["curves.csv"].decode().splitlines()))
    assert {row["run"] for row in rows} == {"overfit, rate 0.01", "overfit, rate 0.1"} | {
        f"sweep, trial {n}/0" for n in range(8)
    }
    attempt = [float(row["train_loss"]) for row in rows if row["run"] == "overfit, rate 0.01"]
    known = memorized().matter
    assert isinstance(known, Memorization)
    np.testing.assert_array_equal(attempt, known.attempts[0].curve.train.value)


@pytest.mark.parametrize(("place", "told"), [("taken", "is a file; a folder is meant"), ("taken/out", "cannot be written")])
def test_what_is_no_folder_is_refused(place: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(UserError, match=told):
        reporting.prepare(tmp_path / place, force=True)
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="permission denied"):
        reporting.prepare(tmp_path, force=True)


def test_the_curves_of_a_sweep_stay_apart_when_they_are_read_back() -> None:
    """Trials of one point are runs of one network; those of different points, and what a checkup made, are not."""
    falling = healthy().train
    seeds = [Curve(falling, run=f"sweep, trial {point}/{seed}") for point in range(2) for seed in range(3)]
    stages = [Curve(falling, run=name) for name in ("training", "causes, clip: before", "causes, clip: after")]
    assert sorted(diagnosis._of_one_network(seeds)) == ["sweep, trial 0/*", "sweep, trial 1/*"]
    assert diagnosis._of_one_network(stages) == {}


def test_a_name_with_a_line_in_it_stays_on_one_line() -> None:
    assert heading(Report("new\nline.csv", run="a\nb")) == "new\\nline.csv, run a\\nb"


def test_a_report_is_no_log(lossdoc: Run, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    assert lossdoc("diagnose", "log.csv", "--out", "out").returncode == 1
    again = lossdoc("diagnose", "out", "-q")
    assert (again.returncode, again.stderr) == (1, "")
    assert [line.split(":")[0].split(" ", 1)[1] for line in again.stdout.splitlines()] == ["curves.csv, run log.csv"]
