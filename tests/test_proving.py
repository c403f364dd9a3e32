"""From findings to proven causes: what repairs is confirmed and named, what does not is ruled out."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import jsonschema
import pytest
import typer

from lossdoc import checkup, proving
from lossdoc.build import subject as built
from lossdoc.curve import Curve
from lossdoc.experiments import Experiments
from lossdoc.findings import Evidence, Finding, Report, Severity
from lossdoc.format import Document, Screen, formats
from lossdoc.hypotheses import hypotheses
from lossdoc.options import seconds
from lossdoc.proving import prove
from lossdoc.remedy import Patient
from lossdoc.rule import checks, examine, patterns
from lossdoc.spec import load, loads

IRIS = """\
data: {source: iris, preprocess: [standardize], split: 0.4}
model:
  layers:
    - linear: 16
    - relu
    - linear: classes
optimizer: {adam: {lr: 0.03}}   # the rate
train: {epochs: 30}
"""
SCHEMA = json.loads((Path(proving.__file__).parent / "report.schema.json").read_text())


def symptom(name: str, severity: Severity = Severity.ERROR) -> Finding:
    folder = patterns if name in patterns.names() else checks
    return folder.get(name).finding(Evidence(f"{name}, as if seen", severity=severity))


def proved(text: str, *findings: Finding, until: float = float("inf"), steps: int = 60) -> Report:
    spec = loads(text)
    subject = built(spec)
    return prove(Patient(subject, spec), findings, Experiments(subject, tuple(range(5)), steps, until))


@cache
def slow() -> Report:
    """Return what is made of a rate that is a hundred times too low."""
    return proved(IRIS.replace("0.03", "3e-4"), symptom("slow-learning", Severity.WARNING))


def checked(text: str) -> tuple[Finding, ...]:
    return examine("sanity", built(loads(text)), [one for one in checks.all() if one.matter == "Subject"]).findings


def test_where_nothing_was_found_nothing_is_tried() -> None:
    spec = loads(IRIS)
    experiments = Experiments(built(spec), (0,), 10)
    report = prove(Patient(built(spec), spec), [symptom("constant-feature", Severity.NOTE)], experiments)
    assert (report.primary, report.findings, experiments.done) == ("healthy", (), {})
    assert "nothing to prove" in report.notes[0]


def test_a_cause_is_named_by_what_repairs_the_symptom() -> None:
    report = slow()
    first = report.findings[0]
    assert (report.primary, first.name, first.severity) == ("lr-too-low", "lr-too-low", Severity.ERROR)
    assert report.skipped == {patterns.get("slow-learning").code: "explained by lr-too-low"}
    proof = first.proof
    assert proof is not None
    assert (proof.status, proof.measure, proof.seeds) == ("confirmed", "accuracy", 5)
    assert proof.gain == pytest.approx(proof.after - proof.before)
    assert proof.gain > 4 * proof.error > 0
    assert "-optimizer: {adam: {lr: 3e-4}}   # the rate\n+optimizer: {adam: {lr: 0.03}}   # the rate" in proof.fix
    assert isinstance(report.matter, proving.Repair)
    assert dict(report.matter.values) == {"optimizer.lr": 0.03}


def test_a_step_that_clips_to_next_to_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "clipping.py").write_text(
        "import torch\n\n\ndef step(model, batch, optimizer):\n"
        "    optimizer.zero_grad()\n"
        "    loss = torch.nn.functional.cross_entropy(model(batch.inputs), batch.targets)\n"
        "    loss.backward()\n"
        "    torch.nn.utils.clip_grad_norm_(model.parameters(), 1e-5)\n"
        "    optimizer.step()\n"
        "    return loss\n",
        encoding="utf-8",
    )
    text = IRIS.replace("adam: {lr: 0.03}", "sgd: {lr: 0.3}")
    own = f"step: {{call: 'clipping:step'}}\npython_path: ['{tmp_path}']\n"
    report = proved(text + own, symptom("not-learning"))
    assert report.primary == "wrong-gradient"
    proof = report.findings[0].proof
    assert proof is not None
    assert proof.status == "confirmed"
    assert "in clipping:step" in proof.fix


def test_a_fault_that_a_check_is_certain_of_is_cured() -> None:
    text = IRIS.replace("    - linear: classes\n", "    - linear: classes\n    - softmax   # a mistake\n")
    (finding,) = checked(text)
    report = proved(text, finding)
    proof = report.findings[0].proof
    assert (report.primary, len(report.findings)) == ("double-softmax", 1)
    assert proof is not None
    assert proof.status == "confirmed"
    assert "-    - softmax   # a mistake" in proof.fix.splitlines()
    assert checked(text.replace("    - softmax   # a mistake\n", "")) == ()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (("optimizer", "loss: {cross_entropy: {reduction: sum}}\noptimizer"), "share of the first loss"),
        (("0.03", "3e-4"), "loss"),
    ],
)
def test_curves_before_and_after_have_one_unit(change: tuple[str, str], name: str) -> None:
    text = IRIS.replace(*change)
    proof = proved(text, *(checked(text) or [symptom("slow-learning")])).findings[0].proof
    assert proof is not None
    assert proof.curves is not None
    series = [curve.train for curve in proof.curves if isinstance(curve, Curve)]
    assert [each.name for each in series] == [name, name]
    assert ([each.value[0] for each in series] == [1.0, 1.0]) == (name == "share of the first loss")


def test_two_faults_are_repaired_one_after_the_other() -> None:
    text = IRIS.replace("    - linear: classes\n", "    - linear: classes\n    - softmax\n").replace("0.03", "1e-5")
    report = proved(text, *checked(text), symptom("slow-learning"))
    assert {one.name for one in report.findings if one.proof and one.proof.status == "confirmed"} == {
        "double-softmax",
        "lr-too-low",
    }
    assert isinstance(report.matter, proving.Repair)
    assert set(report.matter.values) == {"model.layers", "optimizer.lr"}
    assert report.matter.after.score > report.matter.before.score + 0.3


def test_what_repairs_nothing_is_ruled_out_and_decides_nothing() -> None:
    text = IRIS.replace("preprocess: [standardize]", "preprocess: [{scale: {divide_by: 3}}]")
    report = proved(text, symptom("unscaled-inputs", Severity.WARNING))
    (finding,) = report.findings
    assert finding.proof is not None
    assert (finding.proof.status, finding.severity, report.primary) == ("ruled out", Severity.NOTE, "healthy")


def test_a_sound_model_is_given_no_cause() -> None:
    report = proved(IRIS, symptom("not-learning"))
    (finding,) = report.findings
    assert finding.proof is not None
    assert (finding.name, finding.proof.status) == ("not-learning", "suspected")
    assert report.matter is None


@pytest.mark.parametrize("there", [True, False])
def test_a_fault_that_is_certain_and_not_cured_stands_before_what_repairs_its_effect(
    there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    certain = checks.get("bad-labels").finding(Evidence("as if seen", confidence=0.99, severity=Severity.ERROR))
    monkeypatch.setattr(proving, "passes", lambda *_: not there)
    report = proved(IRIS.replace("0.03", "3e-4"), certain, symptom("slow-learning"))
    told = [(one.name, one.proof.status) for one in report.findings if one.proof is not None]
    assert told == [("bad-labels", "suspected")] * there + [("lr-too-low", "confirmed")]
    assert report.skipped.get(certain.code) == (None if there else "gone with lr-too-low")


@pytest.mark.parametrize(("told", "status"), [(1, "suspected"), (3, "confirmed")])
def test_an_interrupt_keeps_what_was_proved(told: int, status: str) -> None:
    spec, said = loads(IRIS.replace("0.03", "3e-4")), list[str]()

    def interrupted(text: str) -> None:
        said.append(text)
        if len(said) == told:
            raise KeyboardInterrupt

    experiments = Experiments(built(spec), tuple(range(5)), 60)
    with pytest.raises(proving.CutShort) as cut:
        prove(Patient(built(spec), spec), [symptom("slow-learning")], experiments, interrupted)
    assert cut.value.report.notes[-1] == "interrupted: other changes were not tried"
    assert [one.proof.status for one in cut.value.report.findings if one.proof is not None] == [status]


def test_what_there_is_no_time_for_is_suspected() -> None:
    report = proved(IRIS, symptom("not-learning"), until=time.monotonic() - 1)
    (finding,) = report.findings
    assert finding.proof is not None
    assert (finding.proof.status, finding.severity) == ("suspected", Severity.ERROR)
    assert "time" in finding.proof.why


def test_the_likeliest_is_tried_first_and_each_change_once() -> None:
    spec = loads(IRIS)
    here = Patient(built(spec), spec)
    found = [symptom("not-learning"), symptom("unscaled-inputs", Severity.WARNING), symptom("underfitting")]
    listed = hypotheses(here, found)
    keys = [one.change.key for one in listed]
    assert len(keys) == len(set(keys))
    assert [one.change.causes[0] for one in listed[:2]] == ["lr-too-low", "lr-too-high"]
    both = next(one for one in listed if one.change.causes == ("lr-too-low",))
    assert {one.name for one in both.findings} == {"not-learning", "underfitting"}


@pytest.mark.parametrize("name", ["json", "text", "markdown", "github", "junit", "sarif", "jsonl"])
def test_every_format_can_say_it(name: str) -> None:
    report = slow()
    text = formats.get(name).render(Document("checkup", (report,)), Screen())
    assert "lr-too-low" in text
    if name == "json":
        jsonschema.validate(json.loads(text), SCHEMA)
        assert json.loads(text)["reports"][0]["findings"][0]["proof"]["status"] == "confirmed"
    if name in ("text", "markdown"):
        assert "confirmed" in text
        assert "+optimizer: {adam: {lr: 0.03}}" in text


# Budget and repair -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("text", "value"), [("90", 90), ("60s", 60), ("2m", 120), ("1.5h", 5400), ("0.5", 0.5)])
def test_times_as_people_write_them(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "s", "0", "-3s", "inf", "nan", "2 minutes", "1d"])
def test_what_is_no_time_is_told_in_a_sentence(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is meant"):
        seconds(text)


def sick(folder: Path) -> checkup.Case:
    (folder / "model.yaml").write_text(IRIS.replace("0.03", "3e-4"))
    return checkup.Case.load(folder / "model.yaml")


def test_the_repaired_file_is_written_beside_the_old_one(tmp_path: Path) -> None:
    case = sick(tmp_path)
    report = checkup.causes(case, [symptom("slow-learning")], tmp_path / "model.fixed.yaml")
    assert report.primary == "lr-too-low"
    assert load(tmp_path / "model.fixed.yaml").optimizer.lr > 3e-4  # type: ignore[attr-defined]  # it is adam
    assert "model.fixed.yaml" in report.advice[-1]


def test_no_file_is_written_over(tmp_path: Path) -> None:
    case = sick(tmp_path)
    healthy = checkup.causes(case, [], tmp_path / "other.yaml")
    assert healthy.advice[-1] == f"nothing to write to {tmp_path / 'other.yaml'}: no change of the file is confirmed"
    repair = slow().matter
    assert isinstance(repair, proving.Repair)
    in_code = replace(healthy, matter=replace(repair, values={}))
    assert "your own code" in checkup._fixed(case, in_code, tmp_path / "other.yaml")
    assert not (tmp_path / "other.yaml").exists()
    (tmp_path / "model.fixed.yaml").write_text("mine")
    with pytest.raises(Exception, match="exists already"):
        next(checkup.checkup(case, fix=True))
    assert (tmp_path / "model.fixed.yaml").read_text() == "mine"


def test_a_spent_budget_leaves_stages_out_and_says_so(tmp_path: Path) -> None:
    reports = list(checkup.checkup(sick(tmp_path), budget=1e-3))
    assert [report.title for report in reports] == [*checkup.STAGES, "causes"]
    assert all("budget" in (report.inconclusive or "") for report in reports[1:-1])
    assert reports[0].inconclusive is None
