"""Remedies: which changes each of them proposes, and that every change can be made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lossdoc import probe, specimens
from lossdoc.build import Variants
from lossdoc.build import subject as built
from lossdoc.build.subjects import OwnLossFunction
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Finding, Severity
from lossdoc.parts.losses import Mse
from lossdoc.remedies._applied import applied
from lossdoc.remedy import Change, Patient, remedies
from lossdoc.rule import checks, patterns
from lossdoc.spec import loads
from lossdoc.subject import OwnStep, Subject
from lossdoc.train import begin

HEAD = "data: {source: digits, preprocess: [{scale: {divide_by: 16}}]}\n"
BODY = "model: {layers: [flatten, {linear: 16}, relu, {linear: classes}]}\n"
DEEP = "model: {{layers: [flatten{body}, {{linear: classes}}]}}\n"


def finding(name: str) -> Finding:
    return Finding("LS000", name, Severity.ERROR, Evidence("x"), (), (), ())


def patient(text: str) -> Patient:
    spec = loads(text)
    return Patient(built(spec), spec)


def proposed(remedy: str, text: str, name: str | None = None) -> list[Change]:
    found = remedies.get(remedy)
    return list(found.changes(patient(text), finding(name or found.proves[0])))


def deep(activation: str, many: int) -> str:
    return HEAD + DEEP.format(body=f", {{linear: 8}}, {activation}" * many)


LINEAR: Any = {"linear": 16}
LAST: Any = {"linear": "classes"}


@pytest.mark.parametrize(
    ("remedy", "text", "values"),
    [
        ("raise-rate", HEAD + BODY + "optimizer: {sgd: 1e-4}", [{"optimizer.lr": 1e-3}, {"optimizer.lr": 1e-2}]),
        ("lower-rate", HEAD + BODY + "optimizer: {adam: 0.5}", [{"optimizer.lr": 0.05}, {"optimizer.lr": 0.005}]),
        ("mean-reduction", HEAD + BODY + "loss: {cross_entropy: {reduction: sum}}", [{"loss.reduction": "mean"}]),
        ("mean-reduction", HEAD + BODY, []),
        (
            "regularization-off",
            HEAD + BODY + "regularization: {l2: 0.5}",
            [{"regularization.l2": 0.005}, {"regularization.l2": 0.0}],
        ),
        ("regularization-off", HEAD + BODY, []),
        ("shuffle", HEAD.replace("{source", "{shuffle: false, source") + BODY, [{"data.shuffle": True}]),
        ("shuffle", HEAD + BODY, []),
        ("clip-gradients", HEAD + BODY, [{"train.gradient_clip": 1.0}]),
        ("clip-gradients", HEAD + BODY + "train: {gradient_clip: 5}", []),
        ("optimizer-defaults", HEAD + BODY + "optimizer: {adam: {eps: 1e-16}}", [{"optimizer.eps": 1e-8}]),
        ("optimizer-defaults", HEAD + BODY + "optimizer: {adam: {beta1: 0.3}}", [{"optimizer.beta1": 0.9}]),
        ("optimizer-defaults", HEAD + BODY, []),
        ("more-epochs", HEAD + BODY + "train: {epochs: 4}", [{"train.epochs": 12}]),
        ("batch-size", HEAD.replace("{source", "{batch_size: 1, source") + BODY, [{"data.batch_size": 32}]),
        ("batch-size", HEAD + BODY, []),
        ("head", HEAD + BODY, []),
        (
            "head",
            HEAD + BODY.replace("classes}", "classes}, softmax"),
            [{"model.layers": ["flatten", LINEAR, "relu", LAST]}],
        ),
        ("head", HEAD + BODY.replace("classes", "12"), [{"model.layers": ["flatten", LINEAR, "relu", LAST]}]),
        (
            "head",
            HEAD + BODY + "loss: {cross_entropy: {inputs: probabilities}}",
            [{"model.layers": ["flatten", LINEAR, "relu", LAST, "softmax"]}, {"loss.inputs": "logits"}],
        ),
        (
            "head",
            HEAD
            + BODY.replace("classes}", "classes}, softmax: {axis: 0}")
            + "loss: {cross_entropy: {inputs: probabilities}}",
            [
                {"model.layers": ["flatten", LINEAR, "relu", LAST, "softmax"]},
                {"model.layers": ["flatten", LINEAR, "relu", LAST], "loss.inputs": "logits"},
            ],
        ),
        ("loss-for-task", HEAD + BODY, []),
        ("loss-for-task", HEAD + BODY + "loss: multiclass_hinge", [{"loss": "cross_entropy"}]),
        (
            "standardize-inputs",
            HEAD + BODY,
            [{"data.preprocess": [{"scale": {"divide_by": 16}}, {"standardize": {"per": "channel"}}]}],
        ),
        (
            "standardize-inputs",
            "data: {source: digits, preprocess: [{scale: {divide_by: 16}}, {scale: {divide_by: 16}}]}\n" + BODY,
            [
                {"data.preprocess": [{"scale": {"divide_by": 16}}]},
                {"data.preprocess": [*[{"scale": {"divide_by": 16}}] * 2, {"standardize": {"per": "channel"}}]},
            ],
        ),
        ("standardize-inputs", "data: {source: wine, preprocess: [standardize]}\n" + BODY.replace("flatten, ", ""), []),
        ("standardize-targets", HEAD + BODY, []),
        ("initialization", HEAD + BODY + "# no init\n", [{"model.init": "he"}]),
        ("initialization", HEAD + BODY.replace("{layers", "{init: he, layers"), []),
        (
            "initialization",
            HEAD + BODY.replace("linear: 16", "linear: {out: 16, init: zeros}"),
            [{"model.init": "he", "model.layers": ["flatten", {"linear": {"out": 16}}, "relu", LAST]}],
        ),
        (
            "hidden-activation",
            HEAD + BODY.replace("relu", "sigmoid"),
            [{"model.layers": ["flatten", LINEAR, new, LAST]} for new in ("relu", "elu")],
        ),
        (
            "hidden-activation",
            HEAD + BODY,
            [{"model.layers": ["flatten", LINEAR, new, LAST]} for new in ("leaky_relu", "elu")],
        ),
        ("batch-normalization", HEAD + BODY, []),
        ("wider", HEAD + BODY, [{"model.layers": ["flatten", {"linear": 64}, "relu", LAST]}]),
        (
            "wider",
            HEAD + DEEP.format(body=""),
            [{"model.layers": ["flatten", {"linear": {"out": 64}}, "relu", LAST]}],
        ),
        (
            "regularize",
            HEAD + BODY,
            [{"regularization.l2": 1e-3}, {"model.layers": ["flatten", LINEAR, "relu", {"dropout": 0.5}, LAST]}],
        ),
    ],
)
def test_what_is_proposed(remedy: str, text: str, values: list[dict[str, Any]]) -> None:
    changes = proposed(remedy, text)
    assert [dict(change.values) for change in changes] == values
    here = patient(text)
    assert here.spec is not None
    for change in changes:
        after = applied(here, change, Variants(here.spec))
        assert after.values == change.values
        after.subject.build(0)
        assert set(change.causes) <= {*remedies.get(remedy).proves, "saturated-units", "large-logits", "lr-too-high"}


def test_batch_normalization_goes_before_each_hidden_activation_of_a_deep_network() -> None:
    (change,) = proposed("batch-normalization", deep("tanh", 5))
    layers = change.values["model.layers"]
    assert [layers[place - 1] for place, layer in enumerate(layers) if layer == "tanh"] == ["batchnorm"] * 5


@pytest.mark.parametrize(
    ("name", "cause"), [("sigmoid", "saturated-units"), ("exponential", "exploding-activations"), ("relu", "dead-relu")]
)
def test_the_cause_is_what_the_activation_does(name: str, cause: str) -> None:
    assert proposed("hidden-activation", deep(name, 3), "not-learning")[0].causes[0] == cause


@pytest.mark.parametrize(
    ("init", "cause"),
    [("zeros", "symmetric-weights"), ("normal: 1.0", "exploding-activations"), ("normal: 1e-4", "vanishing-activations")],
)
def test_the_cause_is_what_the_initialization_does(init: str, cause: str) -> None:
    text = HEAD + BODY.replace("{layers", f"{{init: {{{init}}}, layers" if ":" in init else f"{{init: {init}, layers")
    assert proposed("initialization", text, "not-learning")[0].causes[0] == cause


def test_targets_of_a_regression_are_standardized() -> None:
    subject = specimens.regression()
    (change,) = remedies.get("standardize-targets").changes(Patient(subject), finding("unscaled-targets"))
    after = applied(Patient(subject), change, None).subject
    targets = torch.cat([batch.targets for batch in after.batches("train", 0)])
    assert torch.allclose(targets.mean(0), torch.zeros(()), atol=1e-5)
    assert torch.allclose(targets.std(0, correction=0), torch.ones(()), atol=1e-5)


def test_what_needs_a_name_has_one() -> None:
    """Whatever a remedy answers or proves is a rule's name: else nothing would ever be tried, or named."""
    known = {*checks.names(), *patterns.names()}
    for name in remedies.names():
        one = remedies.get(name)
        assert set(one.cures) <= known, f"{name}: {set(one.cures) - known}"
        assert 0 < one.prior <= 1


# Models and steps of the user's own ------------------------------------------------------------------------------------
class Squashed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 8), nn.Sigmoid())
        self.head = nn.Linear(8, 3)
        self.last = nn.Softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.head(self.body(x)))
        return out


def own() -> Subject:
    return specimens.healthy(build=lambda _seed: Squashed())


def kinds(subject: Subject) -> list[str]:
    return [type(module).__name__ for module in subject.build(0).modules() if not any(module.children())]


def test_modules_are_swapped_in_a_model_of_ones_own() -> None:
    (change,) = remedies.get("hidden-activation").changes(Patient(own()), finding("not-learning"))
    assert change.line == "nn.ReLU() in place of nn.Sigmoid() at body.1, body.3"
    after = applied(Patient(own()), change, None)
    assert kinds(after.subject) == ["Linear", "ReLU", "Linear", "ReLU", "Linear", "Softmax"]


@pytest.mark.parametrize(("name", "cause"), [("dead-relu", "dead-relu"), ("underfitting", "too-small")])
def test_more_units_prove_that_they_died_or_were_too_few(name: str, cause: str) -> None:
    (change,) = proposed("wider", HEAD + BODY, name)
    assert change.causes == (cause,)


def test_an_activation_goes_behind_each_hidden_layer_that_has_none() -> None:
    text = HEAD + DEEP.format(body=", {linear: 16}, {linear: 8}")
    changes = proposed("hidden-activation", text, "no-hidden-activation")
    assert [change.values["model.layers"] for change in changes] == [
        ["flatten", LINEAR, new, {"linear": 8}, new, LAST] for new in ("relu", "tanh")
    ]
    assert {change.causes for change in changes} == {("no-hidden-activation",)}
    straight = specimens.healthy(build=specimens.mlp(depth=2, activation="Identity"))
    (change,) = remedies.get("hidden-activation").changes(Patient(straight), finding("no-hidden-activation"))
    after = applied(Patient(straight), change, None).subject
    assert kinds(after) == ["Linear", "ReLU", "Identity", "Linear", "ReLU", "Identity", "Linear"]
    assert checks.get("no-hidden-activation").fires(straight) is not None
    assert checks.get("no-hidden-activation").fires(after) is None


def test_the_last_activation_of_a_model_of_ones_own_is_dropped() -> None:
    (change,) = remedies.get("head").changes(Patient(own()), finding("double-softmax"))
    assert kinds(applied(Patient(own()), change, None).subject)[-1] == "Identity"
    assert list(remedies.get("head").changes(Patient(own()), finding("not-learning"))) == []


class Rounded(nn.Module):
    """Ends in a function, which is no module that could be dropped."""

    def __init__(self, end: Any, out: int) -> None:
        super().__init__()
        self.linear, self.end = nn.Linear(8, out), end

    def forward(self, inputs: Tensor) -> Tensor:
        return self.end(self.linear(inputs))  # type: ignore[no-any-return]


def first_outputs(subject: Subject) -> Tensor:
    batch, outputs = probe.first_answer(subject)
    assert batch.size == len(outputs)
    return outputs


@pytest.mark.parametrize(
    ("end", "out", "subject"),
    [(lambda outputs: outputs.softmax(1), 3, specimens.healthy), (torch.sigmoid, 1, specimens.binary)],
    ids=["softmax", "sigmoid"],
)
def test_what_ends_in_a_function_gives_logits_again(end: Any, out: int, subject: Any) -> None:
    """Of a softmax the logits come back but for what is equal in all of a row, which no softmax sees."""

    def build(last: Any) -> Any:
        def fresh(seed: int) -> nn.Module:
            torch.manual_seed(seed)
            return Rounded(last, out)

        return fresh

    sick = subject(build=build(end))
    (change,) = remedies.get("head").changes(Patient(sick), finding("double-softmax"))
    assert "forward" in change.line
    given, wanted = (
        first_outputs(applied(Patient(sick), change, None).subject),
        first_outputs(subject(build=build(nn.Identity()))),
    )
    torch.testing.assert_close(given.softmax(-1) if out > 1 else given, wanted.softmax(-1) if out > 1 else wanted)


def test_outputs_get_the_shape_of_the_targets() -> None:
    rule, remedy = checks.get("shape-broadcast"), remedies.get("one-shape")
    within = rule.fires_on[1]  # the loss itself drops a dimension
    for specimen in rule.fires_on:
        sick, (change, *_) = specimen(), (*remedy.changes(Patient(specimen()), finding("shape-broadcast")), None)
        assert (change is None) == (specimen is within)
        if change is not None:
            assert "squeeze(-1)" in change.line
            assert rule.fires(applied(Patient(sick), change, None).subject) is None
    assert list(remedy.changes(Patient(specimens.healthy()), finding("shape-broadcast"))) == []


@pytest.mark.parametrize("end", ["Softmax", "Identity"])
def test_rows_of_a_one_get_the_cross_entropy(end: str) -> None:
    given = {"dim": -1} if end == "Softmax" else {}
    build, batches = specimens.followed_by(specimens.mlp(10), end, **given), specimens.fed(specimens.ten_hot)
    sick = specimens.regression(loss=Mse(), build=build, batches=batches)
    (change,) = remedies.get("loss-for-task").changes(Patient(sick), finding("label-coding"))
    after = applied(Patient(sick), change, None).subject
    outputs, targets = first_outputs(after), next(iter(sick.batches("train", 0))).targets
    logits = outputs.log() if end == "Softmax" else outputs
    torch.testing.assert_close(after.loss(outputs, targets), nn.functional.cross_entropy(logits, targets))


def test_what_was_frozen_learns() -> None:
    sick = specimens.healthy(build=specimens.frozen(specimens.mlp(depth=2), 2))
    (change,) = remedies.get("unfreeze").changes(Patient(sick), finding("frozen-parameters"))
    assert checks.get("frozen-parameters").fires(applied(Patient(sick), change, None).subject) is None
    assert list(remedies.get("unfreeze").changes(Patient(specimens.healthy()), finding("frozen-parameters"))) == []


def test_a_loss_of_ones_own_is_averaged() -> None:
    def total(outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs, targets, reduction="sum")

    sick = specimens.healthy(loss=OwnLossFunction("own:total", total))
    (change,) = remedies.get("mean-reduction").changes(Patient(sick), finding("summed-loss"))
    assert checks.get("summed-loss").fires(sick) is not None
    assert checks.get("summed-loss").fires(applied(Patient(sick), change, None).subject) is None


@pytest.mark.parametrize(("end", "told"), [("", "add softmax"), (", relu", "end the model in softmax, not in relu")])
def test_a_loss_of_ones_own_that_was_found_to_take_probabilities_gets_them(end: str, told: str) -> None:
    body = BODY.replace("classes}", "classes}" + end)
    text = HEAD + body + "loss: {call: 'lossdoc.specimens:entropy_of_probabilities'}"
    (change,) = proposed("head", text, "missing-activation")
    assert change.summary.startswith(told)
    assert change.values["model.layers"] == ["flatten", LINEAR, "relu", LAST, "softmax"]
    assert proposed("head", text, "initial-loss") == []


def uphill(model: Any, batch: Any, optimizer: Any, loss_fn: Any) -> Any:
    optimizer.zero_grad()
    loss = loss_fn(model(batch.inputs), batch.targets)
    (-loss).backward()
    optimizer.step()
    return loss


def hoarding(model: Any, batch: Any, optimizer: Any, loss_fn: Any) -> Any:
    loss = loss_fn(model(batch.inputs), batch.targets)
    loss.backward()
    optimizer.step()
    return loss


def idle(model: Any, batch: Any, _optimizer: Any, loss_fn: Any) -> Any:
    loss = loss_fn(model(batch.inputs), batch.targets)
    loss.backward()
    return loss


def right(model: Any, batch: Any, optimizer: Any, loss_fn: Any) -> Any:
    optimizer.zero_grad()
    loss = loss_fn(model(batch.inputs), batch.targets)
    loss.backward()
    optimizer.step()
    return loss


def trained(subject: Subject) -> list[Tensor]:
    training = begin(subject, 0)
    for batch in [*subject.batches("train", 0)][:3]:
        training.step(batch, 1.0, 0)
    return [parameter.detach() for parameter in training.model().parameters()]


def stepping(call: Any) -> Subject:
    subject = specimens.healthy()
    return replace(subject, recipe=replace(subject.recipe, step=OwnStep("own:step", call)))


@pytest.mark.parametrize(
    ("name", "call"), [("wrong-sign", uphill), ("accumulating-gradients", hoarding), ("no-update", idle)]
)
def test_a_mended_step_does_what_the_right_one_does(name: str, call: Any) -> None:
    (change,) = remedies.get("training-step").changes(Patient(stepping(call)), finding(name))
    assert "own:step" in change.line
    mended = applied(Patient(stepping(call)), change, None)
    for ours, wanted in zip(trained(mended.subject), trained(stepping(right)), strict=True):
        torch.testing.assert_close(ours, wanted)


@pytest.mark.parametrize(
    ("name", "line"), [("detached-loss", "detach"), ("wrong-gradient", "clip"), ("not-learning", "clip")]
)
def test_what_cannot_be_put_around_a_step_is_tried_by_the_usual_one(name: str, line: str) -> None:
    (change,) = remedies.get("training-step").changes(Patient(stepping(right)), finding(name))
    assert applied(Patient(stepping(right)), change, None).subject.recipe.step is None
    assert line in change.line
    assert "own:step" in change.line
    assert change.causes == ("wrong-gradient" if name == "not-learning" else name,)


def test_labels_are_put_right_only_where_the_step_parts_them() -> None:
    changes, found = remedies.get("training-step").changes, finding("bad-labels")
    assert list(changes(Patient(stepping(right)), found)) == []
    by_step = replace(found, evidence=Evidence("own:step takes labels that are not those of its inputs"))
    assert len(list(changes(Patient(stepping(right)), by_step))) == 1


def test_what_only_the_user_can_change_cannot_be_tried() -> None:
    with pytest.raises(NotApplicable, match="only you"):
        applied(Patient(stepping(right)), Change("print less"), None)
