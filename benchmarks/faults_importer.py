"""Reads a training program told as facts, with the meanings of Keras, and writes it as a model.yaml.

It looks at no more of the facts than what the program is (`READ`). What it does not know it refuses, saying what: an
unknown layer, an argument that it has no place for, data that cannot be had. Regularization in Keras is c·sum w², so that
`l2` becomes 2·c here. `epochs: null` leaves lossdoc's own default, everything else that is null is Keras' default.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import yaml

from benchmarks.faults_layers import Layers
from benchmarks.faults_losses import Ending, loss_of
from benchmarks.faults_optimizers import optimizer_of
from benchmarks.faults_plain import kind_of
from benchmarks.faults_sources import Facts, Source, asked, source_of
from benchmarks.faults_steps import preprocessing
from benchmarks.faults_words import ACTIVATIONS, Unknown, whole, word

READ = ("data", "preprocess", "shuffled_apart", "layers", "loss", "optimizer", "update_sign", "batch_size", "epochs", "task")
BESIDE = ("keras_like.py", "keras_layers.py", "faults_data.py")  # the program's own code, copied beside its model.yaml
INDIFFERENT = {  # layers that take what comes as it is
    "input", "dropout", "gaussiannoise", "gaussiandropout", "alphadropout", "batchnormalization", "activation", "leakyrelu",
    "prelu", "thresholdedrelu", "masking", "rescaling", "layernormalization",
}  # fmt: skip
ALL = 100_000  # more than there are
FEW = 20  # samples of which none can be spared for validation


@dataclass(frozen=True)
class Program:
    """A program as a model.yaml, and where it departs from its facts (another data set in place of one that is not here)."""

    description: Mapping[str, Any]
    departures: tuple[str, ...] = ()

    def write(self, folder: Path) -> Path:
        """Write it into a folder with the code that it calls; return the file."""
        for name in BESIDE:
            shutil.copy(Path(__file__).parent / name, folder / name)
        file = folder / "model.yaml"
        file.write_text(yaml.safe_dump(dict(self.description), sort_keys=False, width=110))
        return file


def imported(facts: Facts) -> Program:
    """Return the program that some facts describe.

    Raises:
        Unknown: when they hold what cannot be expressed; the message says what.
    """
    try:
        return _Importer({name: facts.get(name) for name in READ}).program()
    except Unknown:
        raise
    except Exception as why:  # whatever the facts hold: one program is skipped, not all of them
        raise Unknown(f"could not be imported: {type(why).__name__}: {why}") from why


class _Importer:
    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.departures: list[str] = []

    def program(self) -> Program:
        source = source_of(self.facts["data"] or {}, self.facts)
        if source.stands_for:
            self.departures.append(f"{source.stands_for}: a substitute of the same shape")
        layers = self._layers(source)
        inputs, targets = preprocessing(self.facts["preprocess"] or [], image=len(source.shape) == 3, copied=source.copied)
        ending = _ending(layers, source, scaled=bool(targets))
        loss, encode = loss_of(self.facts["loss"], ending, str(self.facts["task"] or ""))
        if source.copied and len(layers.shape) == 1:
            encode = "flat"
        penalty = layers.penalty()
        data = self._data(self._arguments(source, encode, layers, targets), [*inputs, *layers.prepared()])
        made: dict[str, Any] = {"version": 1, "name": "program", "data": data}
        made["model"] = {"init": "xavier", "layers": layers.made}
        made["loss"] = loss
        made |= self._training(penalty)
        return Program(json.loads(json.dumps(made)), tuple(self.departures))

    def _layers(self, source: Source) -> Layers:
        """Return the layers; data that come as images are flattened where the first layer that minds is Dense."""
        layers = Layers(source.shape, whole=source.whole)
        told = self.facts["layers"] or []
        kinds = [kind_of(each if isinstance(each, Mapping) else {"type": each}) for each in told]
        first = next((kind for kind in kinds if kind not in INDIFFERENT and kind not in ACTIVATIONS), "")
        if first == "dense" and len(source.shape) == 3 and len(asked(told) or [1]) == 1:
            if "flatten" in kinds:
                raise Unknown("Dense before Flatten, of images whose shape is not told")
            layers.flatten_input()
        for each in told:
            layers.add(each)
        if not layers.made:
            raise Unknown("no layers")
        return layers

    def _arguments(self, source: Source, encode: str, layers: Layers, targets: list[list[Any]]) -> dict[str, Any]:
        """Return the arguments of faults_data.splits."""
        args, head = {"source": source.name, **source.args}, prod(layers.shape)
        args |= {"encode": encode} if (source.classes is not None or source.copied) and encode != "labels" else {}
        args |= {"width": head} if encode == "one-hot" and 1 < (source.classes or 0) < head else {}
        args |= {"numbers": True} if source.whole and not layers.whole else {}
        args |= {"steps": targets} if targets else {}
        return args | ({"apart": True} if self.facts["shuffled_apart"] else {})

    def _data(self, args: dict[str, Any], inputs: list[Any]) -> dict[str, Any]:
        share = 0.0 if 0 < int(args.get("n") or 0) < FEW else args.pop("share", None)
        data: dict[str, Any] = {"source": {"call": "faults_data:splits", "args": args}}
        data["batch_size"] = self._batch(args)
        data |= {"split": {"validation": share}} if share is not None else {}
        return data | ({"preprocess": inputs} if inputs else {})

    def _batch(self, args: Mapping[str, Any]) -> int:
        """Return the size of a batch; a full one is all that there is for training."""
        said = self.facts["batch_size"]
        if isinstance(said, str) and word(said) in ("full", "all", "fullbatch", "wholedataset"):
            return int(args.get("train") or args.get("n") or ALL)
        size = 32 if said is None else whole(said)
        if size < 1:
            raise Unknown(f"a batch of {size}")
        return size

    def _training(self, penalty: dict[str, Any]) -> dict[str, Any]:
        """Return the blocks that say how it is trained."""
        optimizer, extra = optimizer_of(self.facts["optimizer"])
        made: dict[str, Any] = {"optimizer": optimizer}
        step: dict[str, Any] = {}
        if extra.get("decay") and extra.get("schedule"):
            raise Unknown("a schedule and a decay")
        if extra.get("schedule"):
            made["schedule"] = extra["schedule"]
        if extra.get("decay"):
            made["schedule"] = {"call": "keras_like:inverse_time", "args": {"decay": extra["decay"]}}
        if extra.get("clipvalue"):
            step["clip"] = extra["clipvalue"]
        if self.facts["update_sign"] not in (None, 1, -1):
            raise Unknown(f"update_sign {self.facts['update_sign']!r}")
        if self.facts["update_sign"] == -1:
            step["sign"] = -1
        if step:
            terms = penalty.get("each", {})
            made["step"] = {"call": "keras_like:train_step", "args": {**step, **terms}}
        elif penalty:
            made["regularization"] = penalty["whole"] or {"call": "keras_like:penalty", "args": penalty["each"]}
        train = {"epochs": whole(self.facts["epochs"])} if self.facts["epochs"] else {}
        train |= {"gradient_clip": extra["clipnorm"]} if extra.get("clipnorm") else {}
        return made | ({"train": train} if train else {})


def _ending(layers: Layers, source: Source, *, scaled: bool) -> Ending:
    """Return what the loss is computed of.

    Raises:
        Unknown: when the outputs are shaped otherwise than the targets, which no loss of Keras takes.
    """
    many = prod(layers.shape)
    if source.copied and many != prod(source.shape):
        raise Unknown(f"an autoencoder of {prod(source.shape)} numbers that puts out {many}")
    if len(layers.shape) > 1 and not source.copied:
        raise Unknown(f"outputs of {len(layers.shape)} axes")
    return Ending(layers.made, many, source, scaled)
