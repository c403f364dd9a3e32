"""The user's own code in every place that takes it."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lossdoc import checkup
from lossdoc.build import subject
from lossdoc.build.own import OwnCode
from lossdoc.errors import UserCodeError, UserError
from lossdoc.loop import epochs_of, run
from lossdoc.regularization import unregularized
from lossdoc.spec import loads
from lossdoc.subject import Subject
from lossdoc.train import OwnTraining, begin

OWN = '''
import functools
import torch
from torch import nn
from torch.utils.data import Dataset

class Named(Dataset):
    def __len__(self): return 60
    def __getitem__(self, n): return {"pixels": torch.full((4,), n / 60), "mask": torch.ones(4), "kind": n % 2}

class Output(dict):
    __getattr__ = dict.__getitem__

class Returns(nn.Module):
    """Like those of Hugging Face: takes everything by name, returns logits and the loss."""
    def __init__(self, p=0.5):
        super().__init__()
        self.linear = nn.Linear(4, 2)
        self.p = p
    def forward(self, pixels, mask, kind):
        logits = self.linear(pixels * mask)
        return Output(loss=nn.functional.cross_entropy(logits, kind), logits=logits)

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 2)
    def forward(self, pixels, mask): return self.linear(pixels * mask)

def numbers(): return torch.linspace(-1, 1, 60)[:, None] * torch.arange(1.0, 5.0), torch.arange(60) % 2
def groups(model, lr=0.1): return torch.optim.SGD([{"params": [model.get_parameter("linear_0.weight")], "weight_decay": 0.5},
    {"params": [model.get_parameter("linear_0.bias")], "lr": lr / 4}], lr=lr, momentum=0.5)
def nothing(model): return 3
def no_rate(model): return torch.optim.SGD(model.parameters(), lr=0.0)
def penalty(model, by): return by * sum(each.abs().sum() for each in model.parameters())
def step(model, batch, optimizer, loss_fn):
    inputs, targets = batch
    optimizer.zero_grad()
    loss = loss_fn(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss
def scheduled(model, batch, optimizer, scheduler, loss_fn):
    loss = step(model, batch, optimizer, loss_fn)
    scheduler.step()
    return loss
def forgets(model, batch, optimizer, scheduler, loss_fn): return step(model, batch, optimizer, loss_fn)
def scaled(model, batch, optimizer, *, scaler, loss_fn, **others):
    assert sorted(others) == ["epoch", "scheduler", "step"]
    optimizer.zero_grad()
    loss = loss_fn(model(batch.inputs), batch.targets)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    return loss.item()
class Steps:
    def __init__(self, loss=torch.nn.functional.cross_entropy): self.loss = loss
    def __call__(self, model, batch, optimizer): return step(model, batch, optimizer, self.loss)
    def method(self, model, batch, optimizer): return self(model, batch, optimizer)
    @classmethod
    def of_class(cls, *three): return cls()(*three)
    @staticmethod
    def static(*three, **others): return step(*three, others["loss_fn"])
made_partial = functools.partial(step, loss_fn=torch.nn.functional.cross_entropy)
short = lambda model, batch, optimizer: step(model, batch, optimizer, torch.nn.functional.cross_entropy)
def wants(model, batch, optimizer, device): return 1.0
def lacks(model, batch): return 1.0
def returns(model, batch, optimizer): return {"loss": 1.0}
def forgot(model, batch, optimizer): step(model, batch, optimizer, torch.nn.functional.cross_entropy)
def raises(model, batch, optimizer): raise KeyError("lost")
class Module:
    def setup(self, stage): self.stage = stage
    def train_dataloader(self): assert self.stage == "fit"; return [numbers()]
    def val_dataloader(self): return [numbers()]
'''
LAYERS = "model: {layers: [{linear: 2}]}\n"


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], Subject]]:
    """Make subjects from files that lie beside own.py."""
    (tmp_path / "own.py").write_text(OWN)
    path = list(sys.path)
    yield lambda text: subject(loads(text, str(tmp_path / "model.yaml")))
    sys.path[:] = path


def first(made: Subject) -> Any:
    return next(iter(made.batches("train", 0)))


def test_the_keys_of_a_batch_can_be_named(make: Any) -> None:
    data = "data: {source: {call: 'own:Named'}, batch: {x: %s, y: kind}}\n"
    assert first(make(data % "pixels" + LAYERS)).inputs.shape == (32, 4)
    several = make(data % "[pixels, mask]" + "model: {call: 'own:Two'}\n")
    assert list(first(several).inputs) == ["pixels", "mask"]
    assert begin(several, 0).step(first(several), 1.0, 0).loss > 0
    with pytest.raises(UserError, match="mappings without the key 'pixel'; there are: pixels, mask, kind"):
        make(data % "pixel" + LAYERS)
    with pytest.raises(UserError, match=r"'data.batch: {x: .*' names them"):
        make("data: {source: {call: 'own:Named'}}\n" + LAYERS)


def test_a_model_may_return_its_own_loss(make: Any) -> None:
    made = make("data: {source: {call: 'own:Named'}, batch: {y: kind}}\nmodel: {call: 'own:Returns'}\nloss: model\n")
    assert list(first(made).inputs) == ["pixels", "mask", "kind"]
    ticks = list(run(made, begin(made, 0), epochs_of(made, 0), seed=0, epochs=2))
    assert ticks[0].train.loss == pytest.approx(0.69, abs=0.4)
    assert 0 <= ticks[-1].train.accuracy <= 1
    assert ticks[-1].validation is not None


def test_a_model_without_a_loss_of_its_own_is_told(make: Any) -> None:
    model = "model: {call: 'torch.nn:Linear', args: {in_features: 4, out_features: 2}}\n"
    made = make("data: {source: {call: 'own:numbers'}}\n" + model + "loss: model\n")
    with pytest.raises(UserError, match="the model puts out Tensor; with 'loss: model' it returns the loss"):
        begin(made, 0).step(first(made), 1.0, 0)


def after(made: Subject, steps: int = 5, factor: float = 1.0) -> dict[str, torch.Tensor]:
    training = begin(made, 0)
    batch = first(made)
    for _ in range(steps):
        training.step(batch, factor, 0)
    return {name: each.detach().clone() for name, each in training.model().named_parameters()}


PAIRS = [
    ("{call: 'torch.optim:Adam', args: {lr: 0.02}}", "{adam: 0.02}"),
    ("{call: 'torch.optim:SGD', args: {lr: 0.1, momentum: 0.9, nesterov: true}}", "{nesterov: 0.1}"),
    (
        "{call: 'own:groups'}",
        "{sgd: {lr: 0.1, momentum: 0.5, groups: [{match: 'bias$', lr: 0.025}, {match: w, weight_decay: 0.5}]}}",
    ),
]


@pytest.mark.parametrize(("own", "word"), PAIRS)
@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_own_optimizers_and_groups_do_what_the_words_do(make: Any, own: str, word: str, factor: float) -> None:
    text = (
        "data: {source: {call: 'own:numbers'}}\n"
        + LAYERS
        + "regularization: {l2: 0.1}\ntrain: {gradient_clip: 0.5}\noptimizer: "
    )
    torch.testing.assert_close(after(make(text + own), factor=factor), after(make(text + word), factor=factor))


@pytest.mark.parametrize("optimizer", [PAIRS[2][0], PAIRS[2][1]])
def test_the_weight_decay_of_groups_is_regularization(make: Any, optimizer: str) -> None:
    made = make("data: {source: {call: 'own:numbers'}}\n" + LAYERS + f"optimizer: {optimizer}\n")
    none = make("data: {source: {call: 'own:numbers'}}\n" + LAYERS + "optimizer: {sgd: {lr: 0.1, momentum: 0.5}}\n")
    weight = "linear_0.weight"
    torch.testing.assert_close(after(unregularized(made))[weight], after(none)[weight], rtol=1e-2, atol=1e-2)
    assert float((after(made)[weight] - after(none)[weight]).abs().max()) > 0.05


def test_an_optimizer_that_asks_for_the_loss_several_times(make: Any) -> None:
    made = make(
        "data: {source: {call: 'own:numbers'}}\n" + LAYERS + "optimizer: {call: 'torch.optim:LBFGS', args: {lr: 0.5}}\n"
    )
    training, batch = begin(made, 0), first(made)
    losses = [training.step(batch, 1.0, 0).loss for _ in range(4)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("own:nothing", "'own:nothing' returns an int; an optimizer like torch's own is meant"),
        ("own:no_rate", "has no learning rate 'lr' above 0"),
        ("own:grops", r"has no 'grops'; did you mean 'groups'\?"),
    ],
)
def test_what_is_no_optimizer(make: Any, call: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        make("data: {source: {call: 'own:numbers'}}\n" + LAYERS + f"optimizer: {{call: '{call}'}}\n")


def test_what_hides_in_own_code_is_disabled(make: Any) -> None:
    text = (
        "data: {source: {call: 'own:Named'}, batch: {y: kind}}\nmodel: {call: 'own:Returns', args: {p: 0.3}}\nloss: model\n"
    )
    assert make(text).plain is None
    made = make(text + "regularization: {disable: {model.args.p: 0}}\n")
    assert [each.build(0).p for each in (made, unregularized(made))] == [0.3, 0]


@pytest.mark.parametrize(
    "loss", ["{cross_entropy: {label_smoothing: 0.2}}", "{call: 'torch.nn:CrossEntropyLoss', args: {label_smoothing: 0.2}}"]
)
def test_label_smoothing_is_regularization(make: Any, loss: str) -> None:
    made = make("data: {source: {call: 'own:numbers'}}\n" + LAYERS + f"loss: {loss}\n")
    outputs, targets = torch.tensor([[9.0, -9.0]]), torch.tensor([0])
    assert float(made.loss(outputs, targets)) == pytest.approx(1.8, rel=1e-3)  # a tenth of the weight is 18 away
    assert float(unregularized(made).loss(outputs, targets)) < 1e-6


def test_a_lightning_data_module_gives_its_loaders(make: Any) -> None:
    made = make("data: {source: {call: 'own:Module'}}\n" + LAYERS)
    assert set(made.sizes) == {"train", "validation"}
    assert first(made).inputs.shape == (60, 4)


STEP = "data: {source: {call: 'own:numbers'}}\n" + LAYERS + "optimizer: {sgd: 0.1}\n"
WHOLE = "step scaled Steps Steps.method Steps.of_class Steps.static made_partial short".split()


@pytest.mark.parametrize("name", WHOLE)
def test_every_kind_of_callable_is_a_training_step(make: Any, name: str) -> None:
    torch.testing.assert_close(after(make(STEP + f"step: {{call: 'own:{name}'}}\n")), after(make(STEP)))


def rates(made: Subject, steps: int) -> list[float]:
    """Return the learning rate that each step was taken with."""
    training, seen = begin(made, 0), []
    assert isinstance(training, OwnTraining)
    training.optimizer.register_step_pre_hook(lambda optimizer, *_: seen.append(optimizer.param_groups[0]["lr"]))
    for _ in run(made, training, epochs_of(made, 0), seed=0, steps=steps, validate=False):
        pass
    return seen


@pytest.mark.parametrize(
    ("step", "factors"),
    [("step", [0.25, 0.5, 0.75, 1.0, 1.0, 0.9]), ("scheduled", [0.25, 0.5, 0.75, 1.0, 1.0, 0.9]), ("forgets", [0.25] * 6)],
)
def test_a_step_that_asks_for_the_scheduler_is_the_one_that_steps_it(make: Any, step: str, factors: list[float]) -> None:
    made = make(
        STEP
        + f"step: {{call: 'own:{step}'}}\nschedule: {{warmup: {{steps: 4, then: {{step: {{every: 1, factor: 0.9}}}}}}}}\n"
    )
    assert rates(made, 6) == pytest.approx([0.1 * each for each in factors])


def test_the_live_scheduler_knows_how_long_the_run_is(make: Any) -> None:
    made = make(STEP + "step: {call: 'own:scheduled'}\nschedule: cosine\n")
    assert rates(made, 4) == pytest.approx([0.05 * (1 + math.cos(math.pi * at / 4)) for at in range(4)])


@pytest.mark.parametrize(("precision", "enabled"), [("float32", False), ("bfloat16", False), ("float16", True)])
def test_the_scaler_works_where_float16_needs_it(make: Any, precision: str, enabled: bool) -> None:
    made = make(STEP + f"step: {{call: 'own:scaled'}}\ntrain: {{precision: {precision}}}\n")
    training = begin(made, 0)
    assert isinstance(training, OwnTraining)
    assert training.scaler.is_enabled() is enabled
    losses = [training.step(first(made), 1.0, 0).loss for _ in range(20)]
    assert losses[-1] < losses[0]


OFFER = (
    "it is called with model, batch, optimizer, and by name with what it asks for of loss_fn, step, epoch, scheduler, scaler"
)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("wants", f"missing a required argument: 'device'; {OFFER}; it is wants(model, batch, optimizer, device)"),
        ("lacks", f"too many positional arguments; {OFFER}; it is lacks(model, batch)"),
        ("returns", "step own:returns returned a dict; it must return the loss"),
        ("forgot", "step own:forgot returned None (a forgotten return?); it must return the loss"),
    ],
)
def test_what_is_no_training_step(make: Any, name: str, told: str) -> None:
    batch = first(make(STEP))
    with pytest.raises(UserError) as caught:
        begin(make(STEP + f"step: {{call: 'own:{name}'}}\n"), 0).step(batch, 1.0, 0)
    assert told in str(caught.value)


def test_a_step_that_raises_is_the_users(make: Any) -> None:
    made = make(STEP + "step: {call: 'own:raises'}\n")
    with pytest.raises(UserCodeError, match="step own:raises raised KeyError: 'lost'"):
        begin(made, 0).step(first(made), 1.0, 0)


@pytest.mark.parametrize("name", ["NAdam", "RAdam", "Adamax", "ASGD", "Rprop", "Adadelta"])
def test_any_optimizer_of_torch_trains(make: Any, name: str) -> None:
    made = make(STEP.replace("{sgd: 0.1}", f"{{call: 'torch.optim:{name}', args: {{lr: 0.05}}}}"))
    training = begin(made, 0)
    losses = [training.step(first(made), 1.0, 0).loss for _ in range(10)]
    assert losses[-1] < losses[0]


def test_an_optimizer_of_torch_that_refuses_the_model_is_a_fault_of_the_file(make: Any) -> None:
    made = make(STEP.replace("{sgd: 0.1}", "{call: 'torch.optim:SparseAdam'}"))
    with pytest.raises(
        UserError, match=r"'torch\.optim:SparseAdam' cannot train this model: SparseAdam does not support dense"
    ):
        begin(made, 0).step(first(made), 1.0, 0)


def test_own_penalty_and_how_what_hides_beside_it_is_disabled(make: Any) -> None:
    regularized = "regularization: {call: 'own:penalty', args: {by: 0.1}, disable: {loss.label_smoothing: 0}}\n"
    made = make(STEP + regularized + "loss: {cross_entropy: {label_smoothing: 0.2}}\n")
    model = made.build(0)
    (term,) = made.recipe.penalties
    expected = 0.1 * sum(float(each.detach().abs().sum()) for each in model.parameters())
    assert float(term.value(model).detach()) == pytest.approx(expected)
    assert begin(made, 0).step(first(made), 1.0, 0).total > begin(unregularized(made), 0).step(first(made), 1.0, 0).total


def test_modules_of_one_name_in_two_folders_are_two_modules(tmp_path: Path) -> None:
    """Each configuration gets its own `twin.py`, and the `helper.py` beside it, in whichever order they are used."""
    path = list(sys.path)
    specs = []
    for folder, width in (("one", 3), ("two", 5)):
        (tmp_path / folder / "lib").mkdir(parents=True)
        (tmp_path / folder / "lib" / "helper.py").write_text(f"WIDTH = {width}\n")
        code = "from torch import nn\nimport helper\ndef net(): return nn.Linear(4, helper.WIDTH)\n"
        (tmp_path / folder / "lib" / "twin.py").write_text(code)
        text = "python_path: [lib]\ndata: iris\nmodel: {call: 'twin:net'}\n"
        specs.append(loads(text, str(tmp_path / folder / "model.yaml")))
    try:
        widths = [subject(specs[at]).build(0).out_features for at in (0, 1, 0, 1, 1, 0)]
        assert widths == [3, 5, 3, 5, 5, 3]
        assert sys.path[0] == str(tmp_path / "one" / "lib")
        assert OwnCode(specs[0]).find("twin:net", ("model",)) is OwnCode(specs[0]).find("twin:net", ("model",))
    finally:
        sys.path[:] = path


def test_a_name_that_python_has_taken_is_told(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("def net(): pass\n")
    spec = loads("data: iris\nmodel: {call: 'random:net'}\n", str(tmp_path / "model.yaml"))
    with pytest.raises(
        UserError, match=r"model\.call: the name 'random' is taken: .* is loaded already; .* needs another name"
    ):
        subject(spec).build(0)


def test_own_code_goes_through_the_whole_checkup() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        reports = list(checkup.checkup(checkup.Case.load(Path(__file__).parents[1] / "configs" / "own_code")))
    finally:
        torch.set_num_threads(before)
    assert {each.title: each.primary for each in reports}.keys() >= {"sanity", "overfit", "sweep"}
    assert [each.primary for each in reports[:2]] == ["healthy", "healthy"]
    assert all(finding.severity != "error" for each in reports for finding in each.findings)
