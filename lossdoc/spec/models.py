"""The blocks of model.yaml, from the top."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PlainValidator, PrivateAttr

from lossdoc.datasets import Source
from lossdoc.errors import Problem
from lossdoc.parts.initializers import Initializer
from lossdoc.parts.layer import Layer
from lossdoc.parts.losses import CrossEntropy, LossWord
from lossdoc.parts.optimizers import Adam, OptimizerWord
from lossdoc.parts.preprocessing import Preprocessing
from lossdoc.parts.regularizers import Regularization
from lossdoc.parts.schedules import Constant, ScheduleWord
from lossdoc.spec.document import Document
from lossdoc.word import Block, Count, Index, Meant, NonNegative, Number, Own, Positive, Reference, Share, Text

Arguments = Annotated[dict[str, Any], Meant("a mapping of arguments by name")]
Names = Annotated[tuple[Text, ...], Field(strict=False), Meant("a list of names")]


class Split(Block):
    """How the data are split: the share for validation, each class in proportion (`stratify`), drawn with `seed`."""

    shorthand: ClassVar[str | None] = "validation"
    validation: Share = 0.2
    stratify: bool | None = None
    seed: Index = 0


def _names(value: Any) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else value
    if isinstance(names, tuple | list) and all(isinstance(each, str) and each for each in names):
        return tuple(names)
    raise ValueError


Keys = Annotated[
    tuple[str, ...],
    PlainValidator(_names),
    Meant("a key (or a list of keys)"),
    Field(json_schema_extra={"type": ["string", "array"]}),
]


class BatchKeys(Block):
    """Which keys of a batch that is a mapping are inputs and targets; several inputs are given to the model by name."""

    x: Keys = ()
    y: Text | None = None


class DataBlock(Block):
    """Where the data come from, and how they are split, prepared and put into batches.

    `preprocess` are the steps that the inputs go through, `targets` those of targets that are numbers to be predicted.
    """

    shorthand: ClassVar[str | None] = "source"
    source: Source
    batch_size: Count = 32
    shuffle: bool = True
    drop_last: bool = False
    split: Split = Split.model_construct()
    preprocess: tuple[Preprocessing, ...] = ()
    targets: tuple[Preprocessing, ...] = ()
    batch: BatchKeys | None = None
    classes: Annotated[int | None, Field(ge=2), Meant("a whole number of 2 or more")] = None


class ModelBlock(Block):
    """The model: a list of layers, or the user's own code that makes a torch.nn.Module."""

    shorthand: ClassVar[str | None] = "layers"
    layers: Annotated[tuple[Layer, ...], Field(min_length=1), Meant("a list of at least one layer")] | None = None
    init: Initializer | None = None
    call: Reference | None = None
    args: Arguments = Field(default_factory=dict)


class Train(Block):
    """How long a full run lasts, the largest norm that a gradient may have, and where and how exactly it is computed.

    `device: auto` is a GPU (cuda, mps) where there is one, else the CPU. `precision: float64` makes weights and data so;
    `bfloat16` and `float16` keep the weights in float32 and run the model's forward in autocast, `float16` with the loss
    scaled up against gradients too small for it.
    """

    epochs: Count = 10
    max_steps: Count | None = None
    gradient_clip: Positive | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["float32", "float64", "bfloat16", "float16"] = "float32"


class Step(Own):
    """The user's own training step: f(model, batch, optimizer) -> loss, which gets its `args` by name.

    It also gets `loss_fn`, `step`, `epoch`, `scheduler` and `scaler` where it asks for them by these names.
    """


class Overfit(Block):
    """The few samples that the model must be able to memorize."""

    samples: Count = 64
    batch_size: Count = 16
    steps: Count | None = None


class Range(Block):
    """What a sweep varies: from `low` to `high` on a log or linear scale, or one of `values`."""

    low: Number | None = None
    high: Number | None = None
    scale: Literal["log", "linear"] = "log"
    values: Annotated[tuple[Any, ...], Field(min_length=1), Meant("a list of values")] | None = None

    @classmethod
    def expand(cls, data: Any) -> Any:
        """Read [low, high]."""
        if not isinstance(data, list):
            return data
        if len(data) != 2:
            raise ValueError(f"got a list of {len(data)}; a range [low, high], or {{values: [...]}}, is meant")
        return {"low": data[0], "high": data[1]}


class Sweep(Block):
    """Which values are tried for how long: by default the learning rate and L2, over few epochs.

    `halving` ends early what does badly, `refine` adds half as many points around the best.
    """

    search: Literal["grid", "random", "qmc", "tpe", "range-test"] = "random"
    points: Count = 16
    epochs: Count = 3
    steps: Count | None = None
    seeds: Count = 1
    halving: bool = False
    refine: bool = False
    parameters: dict[str, Range] = Field(default_factory=dict)


class InitialLoss(Block):
    """What the first loss should be, for a loss that lossdoc does not know."""

    shorthand: ClassVar[str | None] = "expected"
    expected: NonNegative


class Checks(Block):
    """What is expected of the checks, and which are left out."""

    initial_loss: Annotated[InitialLoss | None, Field(alias="initial-loss")] = None
    ignore: Names = ()


class Spec(Block):
    """A model.yaml, complete with all defaults. `warnings` tell what is legal and odd."""

    version: Annotated[int, Field(ge=1, le=1), Meant("1 (the version of this language)")] = 1
    name: Text = "model"
    seed: Annotated[int, Field(ge=0, lt=2**63), Meant("a whole number from 0 up to 2^63 - 1")] = 0
    python_path: Names | None = None
    data: DataBlock
    model: ModelBlock
    loss: LossWord = CrossEntropy.model_construct()
    optimizer: OptimizerWord = Adam.model_construct()
    regularization: Regularization = Regularization.model_construct()
    schedule: ScheduleWord = Constant.model_construct()
    train: Train = Train.model_construct()
    step: Step | None = None
    overfit: Overfit = Overfit.model_construct()
    sweep: Sweep = Sweep.model_construct()
    checks: Checks = Checks.model_construct()

    _document: Document = PrivateAttr(default_factory=lambda: Document("model.yaml"))
    _warnings: tuple[Problem, ...] = PrivateAttr(())

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is legal and odd."""
        return self._warnings

    @property
    def document(self) -> Document:
        """The data as written, with the line and column of everything."""
        return self._document

    @property
    def file(self) -> str:
        """The file that it was read from."""
        return self._document.file

    def resolved(self) -> dict[str, Any]:
        """Return the whole as plain data with all defaults; read again it gives the same."""
        from lossdoc.spec.plain import plain

        return dict(plain(self))

    def with_values(self, values: Mapping[str, Any]) -> "Spec":
        """Return the same with other values at some paths; where a whole number is meant, numbers are rounded to one.

        Raises:
            UserError: when a path does not exist or a value does not fit.
        """
        from lossdoc.spec.loading import changed

        return changed(self, values)
