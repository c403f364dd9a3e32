"""Every format writes every kind of report; JSON is strict and keeps to the schema; screens are goldens."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from lossdoc.curve import Context, Curve, Series
from lossdoc.errors import Problem
from lossdoc.findings import Evidence, Finding, Report, Severity
from lossdoc.format import Document, Screen, formats
from lossdoc.subject import Point, Trial, Trials

SCHEMA = json.loads(files("lossdoc").joinpath("report.schema.json").read_text())


def finding(severity: Severity, name: str = "overfitting", code: str = "LC102") -> Finding:
    evidence = Evidence("The gap is 1.2 [nats], 50 % of it new.", {"gap": 1.2, "none": math.nan, "n": 3}, (3.0, 9.0), 0.97)
    return Finding(code, name, severity, evidence, ("Too big a model.",), ("lossdoc sanity",), ("More data.", "Regularize."))


CURVE = Curve(
    Series.of([2.3 * 0.8**n for n in range(20)], name="train_loss"),
    Series.of([2.4 * 0.85**n + 0.01 * n for n in range(20)], name="val_loss"),
    context=Context(axis="epoch"),
)


def trial(index: int, lr: float, loss: float, died: int | None = None) -> Trial:
    curve = Curve(Series.of([2.0, loss]), Series.of([2.0, loss]))
    return Trial(Point(index, {"optimizer.lr": lr, "regularization.l2": 1e-4}), curve, loss, 0.5, died, "healthy")


TRIALS = Trials((trial(0, 1e-3, 0.5), trial(1, 1e-2, 0.25), trial(2, 10.0, math.nan, 4)), {"optimizer.lr": (1e-3, 10.0)})
DOCUMENTS = {
    "finding": Document("diagnose", (Report("c.csv", "c.csv", findings=(finding(Severity.ERROR),), matter=CURVE),)),
    "healthy": Document(
        "diagnose", (Report("c.csv", "c.csv", passed=("LC101",), skipped={"LC301": "no runs"}, matter=CURVE),)
    ),
    "inconclusive": Document("diagnose", (Report("c.csv", inconclusive="5 points are too few", notes=("14 cells",)),)),
    "warning": Document("sanity", (Report("sanity", findings=(finding(Severity.WARNING, "large-logits", "LS302"),)),)),
    "sweep": Document("sweep", (Report("sweep", "m.yaml", matter=TRIALS),)),
    "validated": Document(
        "validate",
        (Report("m.yaml", "m.yaml"),),
        warnings=(Problem("twice", "double-softmax", "m.yaml", 18, 7, "- softmax", warning=True),),
    ),
    "errors": Document("sanity", errors=(Problem("bad, at 100 %", "type", "m.yaml", 3, 5, "lr: x"),)),
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_json_is_strict_and_keeps_to_the_schema(document: Document) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    made = json.loads(formats.get("json").render(document, Screen()), parse_constant=refuse)
    jsonschema.validate(made, SCHEMA)


def test_json_says_what_the_contract_says() -> None:
    (report,) = json.loads(formats.get("json").render(DOCUMENTS["finding"], Screen()))["reports"]
    assert report["primary"] == "overfitting"
    assert report["length"] == 20
    assert report["series"] == {"train": "train_loss", "validation": "val_loss"}
    assert report["findings"][0]["facts"] == {"gap": 1.2, "none": None, "n": 3}
    assert report["findings"][0]["span"] == [3.0, 9.0]
    (sweep,) = json.loads(formats.get("json").render(DOCUMENTS["sweep"], Screen()))["reports"]
    assert sweep["diverged"]
    assert [row["diverged_at"] for row in sweep["trials"]] == [None, None, 4]
    assert sweep["trials"][2]["loss"] is None
    assert sweep["best"]["params"]["optimizer.lr"] == 1e-2


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
@pytest.mark.parametrize("name", formats.names())
def test_screens(name: str, document: Document, golden: Callable[[str, str], None], request: pytest.FixtureRequest) -> None:
    text = formats.get(name).render(document, Screen(width=80))
    golden(f"formats/{request.node.callspec.id}.{name}", text)


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_text_fits_the_screen_and_is_plain_without_color(document: Document) -> None:
    text = formats.get("text").render(document, Screen(width=60, unicode=False))
    reports = [line for line in text.splitlines() if "error[" not in line]
    assert max(map(len, reports), default=0) <= 60
    assert "\x1b" not in text


def test_text_is_colored_only_on_demand() -> None:
    assert "\x1b[" in formats.get("text").render(DOCUMENTS["finding"], Screen(color=True))


def test_quiet_is_one_line_a_report() -> None:
    assert formats.get("text").render(DOCUMENTS["finding"], Screen(verbosity=-1)).strip() == "✗ c.csv: overfitting"
    warned = Document("sanity", (Report("sanity", findings=(finding(Severity.WARNING),), decisive=Severity.ERROR),))
    assert formats.get("text").render(warned, Screen(verbosity=-1)).strip() == "✓ sanity: healthy (1 warning: overfitting)"


def test_junit_and_sarif_hold_any_name() -> None:
    report = Report("a \x1b#%.csv", "a \x1b#%.csv", run="*", findings=(finding(Severity.ERROR),))
    document = Document("diagnose", (report,))
    root = ET.fromstring(formats.get("junit").render(document, Screen()))  # noqa: S314 - our own text
    assert root[0].get("name") == "a \ufffd#%.csv, all runs together"
    sarif = json.loads(formats.get("sarif").render(document, Screen()))
    place = sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert place == "a%20%1B%23%25.csv"


def test_a_fault_of_the_input_is_found_where_it_stands() -> None:
    fault = Problem("'frob' is no layer", kind="unknown-word", file="a b.yaml", line=3, column=39)
    document = Document("sanity", errors=(fault, Problem("no such file", kind="missing-file")))
    run = json.loads(formats.get("sarif").render(document, Screen()))["runs"][0]
    placed, nowhere = run["results"]
    assert (placed["ruleId"], placed["message"]["text"]) == ("unknown-word", "'frob' is no layer")
    assert placed["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "a%20b.yaml"},
        "region": {"startLine": 3, "startColumn": 39},
    }
    assert "locations" not in nowhere
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {"unknown-word", "missing-file"}
    assert not run["invocations"][0]["executionSuccessful"]
    assert "::error file=a b.yaml,line=3,col=39,title=lossdoc unknown-word::" in formats.get("github").render(
        document, Screen()
    )


def test_junit_counts_errors_only_as_failures() -> None:
    for name, failures in (("finding", "1"), ("warning", "0"), ("healthy", "0")):
        root = ET.fromstring(formats.get("junit").render(DOCUMENTS[name], Screen()))  # noqa: S314 - our own text
        assert root[0].get("failures") == failures


@pytest.mark.parametrize(
    ("severity", "decisive", "verdict"),
    [
        (Severity.ERROR, Severity.ERROR, "overfitting"),
        (Severity.WARNING, Severity.ERROR, "healthy"),
        (Severity.WARNING, Severity.WARNING, "overfitting"),
        (Severity.NOTE, Severity.WARNING, "healthy"),
    ],
)
def test_the_verdict_is_the_strongest_decisive_finding(severity: Severity, decisive: Severity, verdict: str) -> None:
    assert Report("x", findings=(finding(severity),), decisive=decisive).primary == verdict


@pytest.mark.parametrize(
    ("source", "shown"),
    [("a b/net.yml", "lossdoc sanity 'a b/net.yml' --select x"), ("log.csv", "lossdoc sanity model.yaml --select x")],
)
def test_advice_names_the_file_that_was_examined(source: str, shown: str) -> None:
    one = replace(finding(Severity.ERROR), confirm=("lossdoc sanity model.yaml --select x", "look at model.yaml"))
    text = formats.get("text").render(Document("sanity", (Report("x", source, findings=(one,)),)), Screen(width=120))
    assert shown in text
    assert "look at model.yaml" in text
