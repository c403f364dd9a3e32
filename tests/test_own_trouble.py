"""The user's own code where it is odd or broken: it works, or one sentence says what is wrong and whose it is."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from lossdoc import checkup, specimens
from lossdoc.build import subject, trial
from lossdoc.errors import UserCodeError, UserError
from lossdoc.loop import epochs_of, run
from lossdoc.measuring import evaluate
from lossdoc.randomness import seeded
from lossdoc.spec import loads
from lossdoc.subject import Subject
from lossdoc.train import begin

ZOO = '''
import sys
from collections import namedtuple
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

X = torch.randn(48, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long() + (X[:, 1] > 0).long()
def arrays(): return X, Y

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 16), nn.Linear(16, 3)
    def forward(self, x): return self.b(torch.relu(self.a(x)))
class Seeding(Net):
    def forward(self, x): torch.manual_seed(1); np.random.seed(1); return super().forward(x)
class Lazy(Net):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.LazyLinear(16), nn.LazyLinear(3)
class Tied(Net):
    def __init__(self):
        super().__init__()
        self.c, self.d = nn.Linear(16, 16), nn.Linear(16, 16)
        self.d.weight = self.c.weight
    def forward(self, x): return self.b(torch.relu(self.d(torch.relu(self.c(torch.relu(self.a(x)))))))
class PartFrozen(Net):
    def __init__(self): super().__init__(); self.a.requires_grad_(False)
class Hooked(Net):
    def __init__(self):
        super().__init__()
        self.seen = []
        self.a.register_forward_hook(lambda module, given, output: self.seen.append(float(output.detach().mean())))
class Logging(Net):
    """Like a LightningModule without its trainer."""
    def training_step(self, batch, index):
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("loss", loss)
        return loss
    def log(self, name, value): self.logged = float(value.detach())
def plain_step(model, batch, optimizer):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(batch.inputs), batch.targets)
    loss.backward()
    optimizer.step()
    return loss
def logging_step(model, batch, optimizer, step):
    optimizer.zero_grad()
    loss = model.training_step(batch, step)
    loss.backward()
    optimizer.step()
    return loss
class Buffered(Net):
    def __init__(self): super().__init__(); self.register_buffer("calls", torch.zeros(()))
    def forward(self, x): self.calls += 1; return super().forward(x)
def compiled(): return torch.compile(Net(), backend="eager")
def parallel(): return nn.DataParallel(Net())
class Narrow(Net):
    def __init__(self): super().__init__(); self.bfloat16()
    def forward(self, x): return super().forward(x.bfloat16())

class Exits(Net):
    def forward(self, x): sys.exit(0)
class Leaves(Net):
    def __init__(self): super().__init__(); sys.exit(1)
class Double(Net):
    def __init__(self): super().__init__(); self.double()
class Meta(Net):
    def __init__(self): super().__init__(); self.to("meta")
class Raises(Net):
    def forward(self, x): raise ValueError("no such luck")
class Numpy(Net):
    def forward(self, x): return super().forward(x).detach().numpy()
class Listed(Net):
    def forward(self, x): return [super().forward(x)]
class Forgets(Net):
    def forward(self, x): super().forward(x)
class Twice(Net):
    def forward(self, x): return super().forward(x), 3
class Function(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x.clone()
    @staticmethod
    def backward(ctx, slope): raise ZeroDivisionError("on the way back")
class Backwards(Net):
    def forward(self, x): return Function.apply(super().forward(x))
class Norm(nn.Sequential):
    def __init__(self): super().__init__(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
class Loud(Net):
    def forward(self, x):
        print("{not json")
        sys.__stdout__.write("{nor this")
        sys.__stdout__.flush()
        return super().forward(x)

def vector(outputs, targets): return nn.functional.cross_entropy(outputs, targets, reduction="none")
def number(outputs, targets): return float(nn.functional.cross_entropy(outputs, targets).detach())

class Kept(Dataset):
    def __init__(self, kind): self.kind = kind
    def __len__(self): return 48
    def __getitem__(self, n):
        x, y = X[n], Y[n]
        if self.kind == "breaks" and n == 31: raise OSError("file 31 is corrupt")
        kinds = {"dict": {"x": x, "y": y, "name": str(n)}, "triple": (x, y, n), "named": Pair(x, y)}
        kinds |= {"named3": Sample("a", x, y), "none": (x, None), "object": (x, object()), "ragged": (x[: n % 3 + 1], y)}
        return kinds.get(self.kind, (x, y))
Pair = namedtuple("Pair", "first second")
Sample = namedtuple("Sample", "name x y")
class Endless(IterableDataset):
    def __iter__(self):
        while True: yield from zip(X, Y)
def endless(): return {"train": Endless(), "validation": Endless()}
def loader(part, workers=0): return DataLoader(TensorDataset(X[part], Y[part]), batch_size=8, num_workers=workers)
def workers(): return {"train": loader(slice(32), 2), "val": loader(slice(32, 48))}
class Several:
    def train_dataloader(self): return loader(slice(32))
    def val_dataloader(self): return [loader(slice(32, 48))]
'''
MODEL = "data: {source: {call: 'zoo:arrays'}, batch_size: 16}\nmodel: {call: 'zoo:%s'}\noptimizer: {adam: 0.02}\n"
DATA = "data: {source: {call: 'zoo:%s'}, batch_size: 8%s}\nmodel: {call: 'zoo:Net'}\n"


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], Subject]]:
    """Make subjects from files that lie beside zoo.py."""
    (tmp_path / "zoo.py").write_text(ZOO)
    path = list(sys.path)
    yield lambda text: subject(loads(text, str(tmp_path / "model.yaml")))
    sys.path[:] = path


def trained(made: Subject, steps: int = 8) -> list[float]:
    ticks = run(made, begin(made, 0), epochs_of(made, 0), seed=0, steps=steps, validate=False)
    return [tick.train.loss for tick in ticks]


ODD = "Net Seeding Lazy Tied PartFrozen Hooked Logging Buffered compiled parallel Narrow".split()


@pytest.mark.parametrize("name", ODD)
def test_odd_models_are_examined_and_learn(make: Any, name: str) -> None:
    made = make(MODEL % name)
    generator = torch.get_rng_state()
    losses = trained(made)
    assert losses[-1] < losses[0]
    assert trained(made) == losses
    with seeded(0):  # as in every run
        assert evaluate(made, made.build(0)).loss > 0
    report = checkup.sanity(checkup.Case(loads(MODEL % name, made.source or ""), made))
    found = {each.name for each in report.findings} - {"small-validation-set"}  # 10 samples are few
    assert found == ({"frozen-parameters"} if name == "PartFrozen" else set())
    assert torch.equal(torch.get_rng_state(), generator)


def test_a_step_may_be_that_of_a_lightning_module(make: Any) -> None:
    losses = trained(make(MODEL % "Logging" + "step: {call: 'zoo:logging_step'}\n"))
    assert losses[-1] < losses[0]


TYPES = "(its weights are torch.float64 on cpu, its inputs torch.float32 on cpu)"


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("Exits", UserCodeError, "the model's forward, given 16x4, raised SystemExit: 0"),
        ("Leaves", UserCodeError, "zoo:Leaves raised SystemExit: 1"),
        (
            "Double",
            UserCodeError,
            f"the model's forward {TYPES} raised RuntimeError: mat1 and mat2 must have the same dtype",
        ),
        ("Meta", UserError, "model.yaml:2:1: error[device] model: the model has weights on the device 'meta'"),
        ("Raises", UserCodeError, "the model's forward, given 16x4, raised ValueError: no such luck"),
        ("Numpy", UserError, "the model's forward returned a ndarray; `cross_entropy` takes one tensor"),
        ("Listed", UserError, "the model's forward returned a list; `cross_entropy` takes one tensor"),
        ("Twice", UserError, "the model's forward returned a tuple; `cross_entropy` takes one tensor"),
        ("Forgets", UserError, "the model's forward returned None (a forgotten return?); a tensor is meant"),
        ("Backwards", UserCodeError, "the backward pass raised ZeroDivisionError: on the way back"),
    ],
)
@pytest.mark.parametrize("optimizer", ["{adam: 0.01}", "{call: 'torch.optim:Adam'}"])
def test_broken_models_are_told_in_one_sentence(
    make: Any, optimizer: str, name: str, error: type[Exception], told: str
) -> None:
    with pytest.raises(error) as caught:
        trained(make((MODEL % name).replace("{adam: 0.02}", optimizer)))
    assert told in str(caught.value)
    if isinstance(caught.value, UserCodeError) and name != "Double":
        assert "zoo.py" in caught.value.tail()


@pytest.mark.parametrize(("name", "told"), [("vector", "a .mean() is missing"), ("number", "no .item()")])
def test_a_loss_that_is_no_scalar_tensor(make: Any, name: str, told: str) -> None:
    made = make(MODEL % "Net" + f"loss: {{call: 'zoo:{name}'}}\n")
    with pytest.raises(UserError) as caught:
        trained(made)
    assert told in str(caught.value)


@pytest.mark.parametrize("step", ["", "step: {call: 'zoo:plain_step'}\n"])
def test_batch_normalization_of_a_single_sample(make: Any, step: str) -> None:
    """The last of 39 samples in batches of 19 is alone; without it everything goes well."""
    alone = "batch_size: 19, split: {validation: 0.1875, stratify: false}"
    config = (MODEL % "Norm").replace("batch_size: 16", alone) + step
    with pytest.raises(UserError, match=r"batch of 1, and batch normalization cannot take .* 'data: \{drop_last: true\}'"):
        trained(make(config))
    assert len(trained(make(config.replace("batch_size: 19", "batch_size: 19, drop_last: true")))) == 8


@pytest.mark.parametrize(
    ("call", "more"),
    [
        ("Kept, args: {kind: dict}", ""),
        ("Kept, args: {kind: triple}", ', batch: {x: "0", y: "1"}'),
        ("Kept, args: {kind: named}", ""),
        ("Kept, args: {kind: named}", ", batch: {x: first, y: second}"),
        ("Kept, args: {kind: named3}", ""),
        ("workers", ""),
        ("Several", ""),
    ],
)
def test_every_form_of_samples_trains(make: Any, call: str, more: str) -> None:
    made = make((DATA % (call, more)).replace(", args", "', args").replace("}'}", "}}"))
    assert next(iter(made.batches("train", 0))).inputs.shape == (8, 4)
    assert set(made.sizes) == {"train", "validation"}
    assert all(loss > 0 for loss in trained(made, 4))


@pytest.mark.parametrize(
    ("kind", "error", "told"),
    [
        (
            "triple",
            UserError,
            'gives 3 parts a sample; pairs (inputs, targets) are meant, or \'data.batch: {x: "0", y: "1"}\'',
        ),
        ("none", UserError, "cannot be put into a batch: batch must contain tensors, numpy arrays, numbers, dicts or lists"),
        ("object", UserError, "found <class 'object'>; a DataLoader with a collate_fn of your own can do it"),
        ("ragged", UserError, "cannot be put into a batch: stack expects each tensor to be equal size"),
        ("breaks", UserCodeError, "zoo:Kept raised OSError: file 31 is corrupt"),
    ],
)
def test_samples_that_do_not_do(make: Any, kind: str, error: type[Exception], told: str) -> None:
    text = (DATA % (f"Kept', args: {{kind: {kind}}}", "")).replace("}'}", "}}")
    with pytest.raises(error) as caught:
        trained(make(text))
    assert told in str(caught.value)


def test_data_without_end_are_bounded(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("lossdoc.loop.MOST_BATCHES", "lossdoc.measuring.MOST_BATCHES"):
        monkeypatch.setattr(place, 20)
    made = make(DATA % ("endless", ""))
    assert len(trained(made, 30)) == 30  # so many were asked for
    with pytest.raises(
        UserError, match=r"no end after 20 batches, so there are no epochs; .* train\.max_steps, and sweep\.st"
    ):
        list(run(made, begin(made, 0), epochs_of(made, 0), seed=0, epochs=2))
    with pytest.raises(UserError, match="the validation data had no end after 20 batches"):
        evaluate(made, made.build(0))


def test_what_own_code_prints_never_reaches_the_report(tmp_path: Path) -> None:
    (tmp_path / "zoo.py").write_text(ZOO)
    (tmp_path / "model.yaml").write_text(MODEL % "Loud")
    command = [sys.executable, "-m", "lossdoc", "sanity", str(tmp_path / "model.yaml"), "--format", "json", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path.parent, check=False)
    assert json.loads(done.stdout)["reports"][0]["primary"] == "healthy"
    assert "{not json" in done.stderr
    assert "{nor this" in done.stderr
    assert done.returncode == 0


FAULTS = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, width=4, scale=1.0, add=0.0):
        super().__init__()
        self.a, self.scale, self.add = nn.Linear(width, 3), scale, add
    def forward(self, x): return self.a(x) * float(self.scale) + self.add
def build(width, **_): return Net(width)
def strict(width): return Net(width)
def broken(): raise ValueError("own fault")
def several():
    return [{"x": torch.zeros(4), "mask": torch.ones(2), "y": 0}] * 20
class Two(Net):
    def forward(self, x, mask): return self.a(x @ mask)
def matrix(outputs, targets): return outputs
def penalty(model): return "much"
"""
FAULTY = "data: {source: %s, batch_size: 16}\nmodel: {call: %s}\n"


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        (
            FAULTY % ("iris", "faulty:strict, args: {widht: 3}"),
            UserError,
            "2:37: error[arguments] model.args.widht: there is no argument 'widht'; did you mean 'width'? it is strict(",
        ),
        (FAULTY % ("iris", "faulty:build, args: {widht: 3}"), UserError, "2:15: error[arguments] model.call: missing a req"),
        (FAULTY % ("iris", "faulty:broken"), UserCodeError, "2:15: error[own-code] model.call: faulty:broken raised ValueE"),
        (FAULTY % ("iris", "raising:f"), UserCodeError, "2:15: error[own-code] model.call: importing raising raised ZeroD"),
        (
            FAULTY % ("iris", "faulty:Net, args: {width: 5}"),
            UserCodeError,
            "2:15: error[own-code] model.call: the model's forward, given 16x4, raised RuntimeError: mat1 and mat2",
        ),
        (
            FAULTY % ("{call: faulty:several}", "faulty:Two") + "",
            UserCodeError,
            "2:15: error[own-code] model.call: the model's forward, given x 16x4, mask 16x2, raised RuntimeError",
        ),
        (
            FAULTY % ("iris", "faulty:Net, args: {scale: nan}") + "loss: cross_entropy\n",
            UserError,
            "3:7: error[non-finite-loss] loss: the loss of the first batch is nan; a finite number is meant; what the",
        ),
        (
            FAULTY % ("iris", "faulty:Net") + "loss: {call: faulty:matrix}\n",
            UserError,
            "3:14: error[own-loss] loss.call: loss faulty:matrix returned a tensor of shape (16, 3); a scalar",
        ),
        (
            FAULTY % ("iris", "faulty:Net") + "regularization: {call: faulty:penalty}\n",
            UserError,
            "3:24: error[own-penalty] regularization.call: regularization faulty:penalty returned a str; a single number",
        ),
        (
            FAULTY % ("{csv: {path: none.csv, target: y}}", "faulty:Net"),
            UserError,
            "1:16: error[missing-file] data.source: ",
        ),
        (
            FAULTY % ("{csv: {path: a.csv, target: z}}", "faulty:Net"),
            UserError,
            "1:16: error[missing-column] data.source: ",
        ),
    ],
)
def test_faults_are_told_where_the_code_or_the_data_are_named(
    tmp_path: Path, text: str, error: type[Exception], told: str
) -> None:
    (tmp_path / "faulty.py").write_text(FAULTS)
    (tmp_path / "raising.py").write_text("1 / 0\n")
    (tmp_path / "a.csv").write_text("x,y\n1,0\n2,1\n3,0\n4,1\n5,0\n")
    if "several" in text:
        text = text.replace("batch_size", "batch: {x: [x, mask], y: y}, batch_size")
    with pytest.raises(error) as caught:
        trial(loads(text, str(tmp_path / "model.yaml")))
    bad: Any = caught.value
    assert f"model.yaml:{told}" in (bad.headline if isinstance(bad, UserCodeError) else str(bad))
    if isinstance(bad, UserCodeError):
        assert pickle.loads(pickle.dumps(bad)).headline == bad.headline  # noqa: S301 - our own
        assert "<frozen" not in bad.tail()
        assert "importlib" not in bad.tail()


def test_a_loss_below_0_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "faulty.py").write_text(FAULTS)
    text = FAULTY % ("iris", "faulty:Net, args: {add: 100}") + "loss: nll\n"
    assert "but nll of log-probabilities is never below 0" in trial(loads(text, str(tmp_path / "model.yaml")))


class Block(nn.Module):
    """The basic block of ResNet (He et al. 2015)."""

    def __init__(self, given: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(given, width, 3, stride, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        short = nn.Sequential(nn.Conv2d(given, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        self.downsample = short if stride > 1 or given != width else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return torch.relu(result + self.downsample(x))


def resnet(widths: tuple[int, ...] = (4, 8), classes: int = 4) -> nn.Module:
    """A ResNet-18 with fewer and narrower stages, of the same blocks and names."""
    stem = [nn.Conv2d(3, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
    stages = [
        nn.Sequential(Block(given, width, 1 if at == 0 else 2), Block(width, width, 1))
        for at, (given, width) in enumerate(zip((widths[0], *widths), widths, strict=False))
    ]
    return nn.Sequential(*stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes))


def torchvision_resnet(classes: int = 4) -> nn.Module:
    """The real ResNet-18."""
    from torchvision.models import resnet18

    made: nn.Module = resnet18(num_classes=classes)
    return made


def images(count: int = 96, side: int = 16, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise in which one quarter of each image is brighter: its class."""
    labels = torch.arange(count) % classes
    pixels = 0.5 * torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))
    for index, label in enumerate(labels.tolist()):
        row, column = divmod(label, 2)
        pixels[index, :, side // 2 * row : side // 2 * (row + 1), side // 2 * column : side // 2 * (column + 1)] += 1.0
    return pixels, labels


IMAGES = "data: {source: {call: 'test_own_trouble:images'}, batch_size: 16}\nmodel: {call: 'test_own_trouble:%s'}\n"
REST = "optimizer: {adam: 0.01}\n"


class Output(dict[str, torch.Tensor]):
    """As Hugging Face's ModelOutput: keys that are attributes too."""

    __getattr__ = dict.__getitem__


class Encoder(nn.Module):
    """As those of Hugging Face: tokens and labels by name in, loss and logits out."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(24, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
        self.classifier = nn.Linear(16, 3)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor | None = None) -> Output:
        hidden = self.layer(self.embeddings(input_ids), src_key_padding_mask=attention_mask == 0)
        logits = self.classifier(hidden.mean(1))
        return Output({"logits": logits} | ({} if labels is None else {"loss": nn.functional.cross_entropy(logits, labels)}))


def sentences(count: int = 96) -> list[dict[str, torch.Tensor]]:
    """Eight tokens, of which one, anywhere, tells the class."""
    generator, mask = torch.Generator().manual_seed(0), torch.ones(8, dtype=torch.long)
    tokens = torch.randint(5, 24, (count, 8), generator=generator)
    tokens[torch.arange(count), torch.randint(8, (count,), generator=generator)] = torch.arange(count) % 3 + 1
    return [{"input_ids": row, "attention_mask": mask, "labels": torch.tensor(n % 3)} for n, row in enumerate(tokens)]


TOKENS = "data: {source: {call: 'test_own_trouble:sentences'}, batch_size: 16}\nmodel: {call: 'test_own_trouble:Encoder'}\n"


@pytest.mark.parametrize("text", [IMAGES % "resnet", TOKENS + "loss: model\n"], ids=["resnet", "hugging-face"])
def test_residual_networks_and_models_that_return_their_loss_are_healthy(text: str, tmp_path: Path) -> None:
    spec = loads(f"python_path: ['{Path(__file__).parent}']\n{text}{REST}", str(tmp_path / "model.yaml"))
    made = subject(spec)
    report = checkup.sanity(checkup.Case(spec, made))
    assert report.primary == "healthy"
    losses = trained(made, 12)
    assert losses[-1] < losses[0]


def test_a_torchvision_resnet_18_trains(tmp_path: Path) -> None:
    try:
        import torchvision.models  # noqa: F401
    except (ImportError, RuntimeError) as bad:  # RuntimeError: it was built for another build of torch
        pytest.skip(f"no torchvision that fits this torch: {bad}")
    text = f"python_path: ['{Path(__file__).parent}']\n" + IMAGES % "torchvision_resnet" + REST
    made = subject(loads(text, str(tmp_path / "model.yaml")))
    losses = trained(made, 12)
    assert losses[-1] < losses[0]


def test_the_table_of_layers_fits_80_columns_and_counts_every_parameter(tmp_path: Path) -> None:
    text = f"python_path: ['{Path(__file__).parent}']\n" + TOKENS + "loss: model\n"
    spec = loads(text, str(tmp_path / "model.yaml"))
    lines = trial(spec).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[:2]] == ["layer", "embeddings"]
    assert lines[1].split()[1:3] == ["16x8x16", "384"]
    total = sum(each.numel() for each in subject(spec).build(0).parameters())
    assert f"{total:,} parameters" in lines[-1]


class Checkpointed(nn.Module):
    """A network whose activations are computed a second time in the backward pass."""

    def __init__(self, *, twice: bool) -> None:
        super().__init__()
        self.body, self.head, self.twice = nn.Linear(specimens.FEATURES, 16), nn.Linear(16, specimens.CLASSES), twice

    def hidden(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.body(inputs).tanh()
        return hidden

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = checkpoint(self.hidden, inputs, use_reentrant=False) if self.twice else self.hidden(inputs)
        scores: torch.Tensor = self.head(hidden)
        return scores


def losses(*, twice: bool) -> list[float]:
    def build(seed: int) -> nn.Module:
        with seeded(seed):
            return Checkpointed(twice=twice)

    thing = specimens.healthy(build=build)
    ticks = run(thing, begin(thing, 0), epochs_of(thing, 0), seed=0, steps=20)
    return [tick.train.loss for tick in ticks]


def test_checkpointed_activations_change_nothing() -> None:
    assert losses(twice=True) == losses(twice=False)
