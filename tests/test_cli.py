"""The command line from outside: exit codes, one clear message for bad input, strict JSON that keeps to the schema."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from lossdoc.cli import app
from tests.conftest import PROJECT, Run

SCHEMA = json.loads(files("lossdoc").joinpath("report.schema.json").read_text())
SMALL = """version: 1
name: small
data: {source: iris, preprocess: [standardize]}
model: {layers: [{linear: {out: 8}}, relu, {linear: {out: classes}}]}
optimizer: {adam: {lr: 1e-2}}
regularization: {l2: 1e-4}
train: {epochs: 5}
sweep: {points: 3, epochs: 2}
"""
HEALTHY = "step,train_loss,val_loss\n" + "".join(
    f"{n},{2.3 * 0.9**n + 0.01 * (n * 7919 % 13 / 13):.6f},{2.35 * 0.905**n + 0.02:.6f}\n" for n in range(60)
)


def parsed(text: str) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    made = json.loads(text, parse_constant=refuse)
    jsonschema.validate(made, SCHEMA)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.yaml").write_text(SMALL)
    (tmp_path / "good.csv").write_text(HEALTHY)
    return tmp_path


@pytest.mark.parametrize("words", [["sanity"], ["overfit"], ["sweep"], ["checkup"], ["diagnose", "good.csv"]])
def test_every_command_answers_in_strict_json(words: list[str], folder: Path, lossdoc: Run) -> None:
    done = lossdoc(*words, "--format", "json", cwd=folder)
    made = parsed(done.stdout)
    assert made["command"] == words[0]
    worst = {finding["severity"] for report in made["reports"] for finding in report["findings"]}
    assert done.returncode == (1 if "error" in worst else 0)
    assert "Traceback" not in done.stderr
    titles = [report["title"] for report in made["reports"]]
    stages = ["sanity", "overfit", "sweep", "training", "learning", "causes"]
    assert titles == (stages if words == ["checkup"] else [Path(words[-1]).name])


@pytest.mark.parametrize(
    ("name", "text", "tells"),
    [
        ("empty.csv", "", "empty"),
        ("header.csv", "step,train_loss\n", "header.csv"),
        ("nocol.csv", "a,b\n1,2\n3,4\n5,6\n", "--train"),
        ("words.csv", "step,train_loss\n" + "1,oops\n" * 9, "number"),
        ("folder", None, "folder"),
        ("missing.csv", None, "missing.csv"),
    ],
)
def test_bad_logs_get_one_clear_message(name: str, text: str | None, tells: str, tmp_path: Path, lossdoc: Run) -> None:
    if name == "folder":
        (tmp_path / name).mkdir()
    elif text is not None:
        (tmp_path / name).write_text(text)
    done = lossdoc("diagnose", name)
    assert done.returncode == 2
    assert done.stdout == ""
    assert tells in done.stderr
    assert name in done.stderr
    assert done.stderr.count("error[") == 1
    assert "Traceback" not in done.stderr


def test_a_bad_log_does_not_keep_the_others_from_being_read(folder: Path, lossdoc: Run) -> None:
    done = lossdoc("diagnose", "nowhere.csv", "good.csv", "--format", "json", cwd=folder)
    made = parsed(done.stdout)
    assert done.returncode == 2
    assert [report["title"] for report in made["reports"]] == ["good.csv"]
    assert "nowhere.csv" in made["errors"][0]["file"]


def test_standard_input_is_a_log(lossdoc: Run) -> None:
    done = lossdoc("diagnose", "-", "--format", "json", stdin=HEALTHY)
    assert done.returncode == 0
    assert parsed(done.stdout)["reports"][0]["length"] == 60


def test_cells_that_are_not_numbers_are_spoken_of(tmp_path: Path, lossdoc: Run) -> None:
    rows = "".join(f"{n},{'oops' if n % 7 == 3 else 2 / (n + 1)}\n" for n in range(100))
    (tmp_path / "mixed.csv").write_text("step,train_loss\n" + rows)
    assert "14 cells" in lossdoc("diagnose", "mixed.csv").stdout


@pytest.mark.parametrize(
    ("change", "code", "tells"),
    [
        (("--set", "optimizer.lr=0.1"), 0, ()),
        (("--set", "optimizer.lrr=0.1"), 2, ("--set optimizer.lrr=0.1", "did you mean", "lr")),
        (("--set", "optimizer.lr=-1"), 2, ("lr", "above 0")),
        (("--select", "initial-los"), 2, ("initial-los", "did you mean 'initial-loss'?")),
        (("--format", "yaml"), 2, ("no format is called 'yaml'", "json")),
        (("--output", "nowhere/x.txt"), 2, ("nowhere",)),
        (("--output", "."), 2, ("is a folder",)),
        (("--fail-on", "sometimes"), 2, ("sometimes",)),
    ],
)
def test_options_are_checked(change: tuple[str, ...], code: int, tells: tuple[str, ...], folder: Path, lossdoc: Run) -> None:
    done = lossdoc("sanity", *change, cwd=folder)
    assert done.returncode == code, done.stderr
    for tell in tells:
        assert tell in done.stderr
    assert "Traceback" not in done.stderr


def test_output_goes_to_a_file(folder: Path, lossdoc: Run) -> None:
    done = lossdoc("diagnose", "good.csv", "--format", "json", "--output", "report.json", cwd=folder)
    assert done.stdout == ""
    assert parsed((folder / "report.json").read_text())["reports"][0]["title"] == "good.csv"


def test_a_warning_of_the_file_is_told_on_stderr_alone(folder: Path, lossdoc: Run) -> None:
    (folder / "model.yaml").write_text(SMALL.replace("]}\noptimizer", ", softmax]}\noptimizer"))
    done = lossdoc("sanity", cwd=folder)
    assert "model.yaml:4:" in done.stderr
    assert "warning[" in done.stderr
    assert "warning[" not in done.stdout
    assert "errors" not in parsed(lossdoc("sanity", "--format", "json", cwd=folder).stdout)


def test_fail_on_decides_the_exit_code(tmp_path: Path, lossdoc: Run) -> None:
    (tmp_path / "nan.csv").write_text("step,train_loss\n" + "".join(f"{n},{1 / (n + 1)}\n" for n in range(20)) + "20,nan\n")
    codes = [lossdoc("diagnose", "nan.csv", "--fail-on", level).returncode for level in ("error", "warning", "never")]
    assert codes == [1, 1, 0]


OWN = {
    "raises": (
        "def build():\n    raise RuntimeError('their own words')\n",
        3,
        ["their own words", "in build", "own_net.py"],
    ),
    "imports": ("import nothing_of_that_name\n\ndef build(): ...\n", 3, ["nothing_of_that_name", "own_net.py"]),
    "missing": (None, 2, ["there is no module 'own_net'", "model.yaml:"]),
    "attribute": ("def built(): ...\n", 2, ["build", "did you mean 'built'?"]),
    "shared": ("from torch import nn\nNET = nn.Linear(4, 3)\n\ndef build():\n    return NET\n", 2, ["the very same model"]),
    "arguments": ("def build(width): ...\n", 2, ["width"]),
}


@pytest.mark.parametrize(("text", "code", "tells"), OWN.values(), ids=OWN)
def test_faults_of_own_code_are_told_apart(
    text: str | None, code: int, tells: list[str], folder: Path, lossdoc: Run
) -> None:
    lines = [line for line in SMALL.splitlines() if not line.startswith("model")]
    (folder / "model.yaml").write_text("\n".join([*lines, "model: {call: 'own_net:build'}", "python_path: [.]", ""]))
    if text is not None:
        (folder / "own_net.py").write_text(text)
    done = lossdoc("sanity", cwd=folder)
    assert done.returncode == code, done.stderr
    for tell in tells:
        assert tell in done.stderr
    assert "lossdoc itself failed" not in done.stderr


def test_debug_shows_the_whole_traceback(folder: Path, lossdoc: Run) -> None:
    (folder / "own_net.py").write_text(OWN["raises"][0] or "")
    done = lossdoc("sanity", "--set", "model={call: 'own_net:build'}", "--set", "python_path=[.]", "--debug", cwd=folder)
    assert done.returncode == 3, done.stderr
    assert "Traceback" in done.stderr


def test_an_interrupted_sweep_keeps_its_finished_trials(folder: Path) -> None:
    words = ["sweep", "--points", "400", "--epochs", "2", "--runner", "serial"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    sweep = subprocess.Popen(
        [sys.executable, "-m", "lossdoc", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no threads yet
    )
    runs = folder / "lossdoc_runs" / "small"
    for _ in range(600):
        kept = list(runs.glob("*/trials.jsonl"))
        if kept and len(kept[0].read_text().splitlines()) >= 3:
            break
        time.sleep(0.1)
    sweep.send_signal(signal.SIGINT)
    _, told = sweep.communicate(timeout=60)
    assert sweep.returncode == 130
    assert re.search(r"interrupted: \d+ trials are finished; they are in lossdoc_runs/small/\S+, and --resume last", told)
    assert "Traceback" not in told
    (trials,) = runs.glob("*/trials.jsonl")
    assert [json.loads(line)["index"] for line in trials.read_text().splitlines()][:3] == [0, 1, 2]


def test_init_never_overwrites_and_writes_what_is_valid(tmp_path: Path, lossdoc: Run) -> None:
    assert lossdoc("init").returncode == 0
    again = lossdoc("init")
    assert again.returncode == 2
    assert "--force" in again.stderr
    assert lossdoc("init", "--force").returncode == 0
    assert lossdoc("validate").returncode == 0
    assert lossdoc("init", tmp_path / "no" / "where.yaml").returncode == 2


def test_faults_of_models_come_in_every_format(tmp_path: Path, lossdoc: Run) -> None:
    (tmp_path / "boom.py").write_text("def build():\n    raise RuntimeError('no')\n")
    text = "version: 1\ndata: iris\nmodel: {call: boom:build}\nloss: cross_entropy\noptimizer: {sgd: {lr: 0.1}}\n"
    (tmp_path / "boom.yaml").write_text(text)
    (tmp_path / "bad.yaml").write_text(text.replace("lr", "lrr"))
    done = lossdoc("validate", "--format", "json", "boom.yaml", "bad.yaml")
    told = json.loads(done.stdout)
    assert (done.returncode, [report["title"] for report in told["reports"]]) == (2, ["boom.yaml"])
    assert {(each["file"], each["line"]) for each in told["errors"]} == {("bad.yaml", 5)}
    for command in (("validate", "--build"), ("sanity",)):
        done = lossdoc(*command, "boom.yaml", "--format", "github")
        assert done.returncode == 3
        assert done.stdout.startswith("::error file=boom.yaml,line=3,col=15,title=lossdoc own-code::")


def test_the_pages_are_there_for_every_rule(lossdoc: Run) -> None:
    listed = lossdoc("explain")
    assert listed.returncode == 0
    for name in ("overfitting", "initial-loss", "double-softmax"):
        assert name in listed.stdout
    page = lossdoc("explain", "overfitting").stdout
    assert "Causes" in page
    assert "Thresholds" in page
    unknown = lossdoc("explain", "overfiting")
    assert unknown.returncode == 2
    assert "did you mean 'overfitting'?" in unknown.stderr


def test_a_closed_pipe_is_no_error(folder: Path) -> None:
    command = f"{sys.executable} -m lossdoc explain | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, cwd=folder)  # noqa: S602 - our own words
    assert done.stderr == ""
    assert done.stdout


@pytest.mark.parametrize(
    ("words", "tells"),
    [
        ([""], "a log has a name"),
        (["--lr", "-1"], "--lr -1: must be a number, 0 or above"),
        (["--lr", "nan"], "--lr nan"),
        (["--steps-per-epoch", "inf"], "--steps-per-epoch inf"),
        (["--classes", "1"], "--classes"),
        (["--batch-size", "-3"], "--batch-size"),
        (["--loss", "cros_entropy"], "did you mean 'cross_entropy'?"),
        (["--loss", ""], "no loss is called so"),
        (["--train", "val_loss", "--val", "val_loss"], "--train and --val are both 'val_loss'"),
        (["--run", "2"], "has no run '2'"),
        (["--run-column", "nowhere"], "has no column 'nowhere'"),
        (["--select", "overfiting"], "did you mean 'overfitting'?"),
        (["--select", "departure"], "--compare asks it"),
        (["--glob", "*.csv"], "no folder was given"),
        (["--plot", "x.jpg"], "a .png or an .svg"),
        (["--plot", "no/x.png"], "there is no folder no"),
        (["--output", "good.csv"], "the log itself"),
        (["--compare", "nowhere.csv"], "nowhere.csv"),
        (["--idle", "3"], "go with --watch"),
        (["--watch", "--interval", "-1"], "--interval -1"),
        (["--watch", "-"], "standard input is neither"),
        (["--watch", "--until-failure", "--fail-on", "never"], "counts nothing"),
    ],
)
def test_what_cannot_be_meant_of_a_log_is_one_sentence(
    words: list[str], tells: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")  # or a usage error is wrapped in the middle of a word
    with pytest.raises(SystemExit) as done:
        app(["diagnose", *([] if words == [""] else ["good.csv"]), *words])
    seen = capsys.readouterr()
    assert done.value.code == 2
    assert tells in seen.err
    assert "Traceback" not in seen.err
    assert (folder / "good.csv").read_text() == HEALTHY


@pytest.mark.parametrize(
    "name", ["cross_entropy", "CrossEntropyLoss", "nn.MSELoss", "label_smoothed_cross_entropy", "BCE", "other"]
)
def test_a_loss_may_be_written_in_any_way(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as done:
        app(["diagnose", "good.csv", "--quiet", "--loss", name])
    assert done.value.code == 0


def diagnosed(folder: Path, lossdoc: Run, *words: str) -> list[tuple[str, str | None]]:
    made = parsed(lossdoc("diagnose", *words, "--format", "json", cwd=folder).stdout)
    return [(report["title"], report["run"]) for report in made["reports"]]


def test_a_folder_of_seeds_and_one_run_of_it(folder: Path, lossdoc: Run) -> None:
    for seed in (1, 2, 3):
        (folder / "runs" / f"seed{seed}").mkdir(parents=True)
        (folder / "runs" / f"seed{seed}" / "log.csv").write_text(HEALTHY)
    titles = [(f"seed{seed}/log.csv", None) for seed in (1, 2, 3)]
    assert diagnosed(folder, lossdoc, "runs") == [*titles, ("seed*/log.csv", "*")]
    assert diagnosed(folder, lossdoc, "runs", "--no-group", "--glob", "seed[12]/*") == titles[:2]
    assert diagnosed(folder, lossdoc, "runs", "--run", "seed2/log.csv") == [titles[1]]
    lost = lossdoc("diagnose", "runs", "--run", "seed9/log.csv", cwd=folder)
    assert (lost.returncode, lost.stdout) == (2, "")
    assert "the logs are: seed1/log.csv, seed2/log.csv, seed3/log.csv" in lost.stderr


def test_runs_that_follow_each_other_in_a_file_have_numbers(folder: Path, lossdoc: Run) -> None:
    (folder / "two.csv").write_text(HEALTHY + "".join(HEALTHY.splitlines(keepends=True)[1:31]))
    assert "--run takes 1 to 2" in " ".join(lossdoc("diagnose", "two.csv", cwd=folder).stdout.split())
    made = parsed(lossdoc("diagnose", "two.csv", "--run", "1", "--format", "json", cwd=folder).stdout)
    assert [(report["run"], report["length"]) for report in made["reports"]] == [("1", 60)]
    assert "its runs are: 1, 2" in lossdoc("diagnose", "two.csv", "--run", "3", cwd=folder).stderr


def test_a_picture_is_drawn_and_a_good_run_compared_with(folder: Path, lossdoc: Run) -> None:
    done = lossdoc("diagnose", "good.csv", "--plot", "new.png", "--compare", "good.csv", cwd=folder)
    assert done.returncode == 0
    assert (folder / "new.png").read_bytes().startswith(b"\x89PNG")
    assert "stays with that of good.csv" in " ".join(done.stdout.split())


ODD = "\033[31mlo\033]2;hi\a\u202ess"


@pytest.mark.parametrize("form", ["text", "json", "jsonl", "github", "junit", "markdown", "sarif"])
def test_names_in_a_log_command_no_terminal(form: str, folder: Path, lossdoc: Run) -> None:
    (folder / "odd.csv").write_text(HEALTHY.replace("train_loss", ODD))
    told = lossdoc("diagnose", "odd.csv", "--train", ODD, "--format", form, "--color", "always", cwd=folder)
    assert told.returncode == 0, told.stderr
    wrong = lossdoc("diagnose", "odd.csv", "--train", "loss", "--format", form, cwd=folder)
    for text in (told.stdout, wrong.stdout, wrong.stderr):
        assert not {"\a", "\u202e"} & set(text)
        assert "\033]" not in text
        assert "\033[31mlo" not in text
