"""Layers without weights, or with some for each feature, told in Keras' words; the shapes are followed on the way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import prod
from typing import Any

from benchmarks.faults_words import ACTIVATIONS, Unknown, activation, number, several, sizes, whole, word

Shape = tuple[int, ...]
Given = Mapping[str, Any]
IGNORED = {"type", "name", "input_shape", "input_dim", "batch_input_shape", "input_length", "batch_size", "trainable",
           "data_format", "dtype", "unroll", "implementation", "index", "note", "seed"}  # fmt: skip
USUAL = {
    "center": True,
    "scale": True,
    "unit_forget_bias": True,
    "reset_after": True,
    "groups": 1,
    "use_bias": True,
    "beta_initializer": "zeros",
    "gamma_initializer": "ones",
    "stateful": False,
}  # what holds where nothing is said
RENAMED = {"border_mode": "padding", "subsample": "strides", "nb_filter": "filters",
           "inner_activation": "recurrent_activation", "W_initializer": "kernel_initializer",
           "b_initializer": "bias_initializer", "inner_init": "recurrent_initializer", "filter_length": "kernel",
           "subsample_length": "strides", "pool_length": "pool", "dropout_W": "dropout",
           "dropout_U": "recurrent_dropout"}  # fmt: skip
WRAPPERS = ("bidirectional", "timedistributed")
WRAPPING = ("merge_mode", "input_shape", "batch_input_shape", "input_dim", "input_length", "name")  # the wrapper's own words
KINDS = {"timedistributeddense": "dense", "rnn": "simplernn", "batchnorm": "batchnormalization", "inputlayer": "input"}
WEIGHTED = (
    "embedding",
    "lstm",
    "gru",
    "simplernn",
    "bidirectional",
    "timedistributed",
    "batchnormalization",
    "prelu",
    "layernormalization",
    "conv2dtranspose",
)  # those that cannot be frozen here
DROPOUTS = {"spatialdropout1d": ("torch.nn:Dropout1d", "p"), "spatialdropout2d": ("torch.nn:Dropout2d", "p"),
            "alphadropout": ("torch.nn:AlphaDropout", "p"),
            "gaussiandropout": ("keras_layers:GaussianDropout", "rate")}  # fmt: skip


class Plain:
    """The layers of a model.yaml as they are added; `shape` is one sample's, channels first where it has two axes or more.

    `order` says how a sample of two axes lies: "TF" (times x features, as recurrent layers and Dense want it) or "CL"
    (channels x length, as convolutions want it). `flat_input`: the data are to be flattened before they come in.
    """

    def __init__(self, shape: Shape, *, whole: bool = False) -> None:
        self.shape, self.whole, self.order = shape, whole, "TF"
        self.made: list[Any] = []
        self.penalties: list[tuple[str, dict[str, float]]] = []
        self.weighted = 0
        self.flat_input = False
        self.rescaled: list[Any] = []  # what a Rescaling at the beginning does to the inputs

    def add(self, given: Given) -> None:
        """Add a layer with its activation.

        Raises:
            Unknown: when it, or something that is said of it, is not known.
        """
        given = _written({"type": given} if isinstance(given, str) else given)
        kind = kind_of(given)
        make = getattr(self, f"_{kind}", None)
        if not self.made:
            self._begins(given, kind)
        if given.get("trainable") in (False, "false", "False") and kind in WEIGHTED:
            raise Unknown(f"{given['type']} that is not trainable")
        if make is not None:
            make(given)
        elif kind in ACTIVATIONS:
            self._known(given)
            self._activate(kind)
        else:
            raise Unknown(f"the layer {given.get('type')!r}")

    def _begins(self, given: Given, kind: str) -> None:
        """Bring the data into the shape that the first layer is told to get, in Keras' order.

        Raises:
            Unknown: when they are not that many numbers.
        """
        told = next((given[key] for key in ("input_shape", "batch_input_shape", "input_dim") if given.get(key)), None)
        if told is None or kind == "embedding" or (kind == "input" and self.whole):
            return
        asked = sizes(told)
        if "batch_input_shape" in given and isinstance(told, list) and told and told[0] is not None:
            asked = asked[1:]
        own = (*self.shape[1:], self.shape[0]) if len(self.shape) == 3 else self.shape
        first = given.get("data_format") == "channels_first"
        if first and asked != list(self.shape):
            raise Unknown("channels first, of data that have them last")
        long = isinstance(told, list) and len(told) >= len(own) and None in told[-len(own) :]  # a length that is left open
        if first or (long and asked[-1:] == [own[-1]]):
            return
        if len(asked) == 1 and len(self.shape) == 2 and given.get("input_dim"):
            asked = [self.shape[0], *asked]  # Keras 1: the features alone, beside input_length
        if prod(asked) != prod(own):
            raise Unknown(f"data of {'x'.join(map(str, own))} for an input of {'x'.join(map(str, asked))}")
        if asked != list(own) and kind not in ("reshape", "flatten"):
            self._shaped(asked)

    def _shaped(self, asked: list[int]) -> None:
        """Bring the data into another shape."""
        if len(self.shape) == 3 and len(asked) == 1:
            self.flatten_input()
        elif asked == list(self.shape) and asked[0] < min(asked[1:]):
            return  # channels first, as Theano has them: nothing else could be slid over
        elif len(asked) in (2, 3):
            self._put({"call": "keras_like:Reshape", "args": {"shape": asked}})
            self.shape, self.order = ((asked[2], *asked[:2]) if len(asked) == 3 else tuple(asked)), "TF"

    def flatten_input(self) -> None:
        """Have the data come in as vectors."""
        self.flat_input, self.shape = True, (prod(self.shape),)

    def prepared(self) -> list[Any]:
        """Return what is done to the data before they come in."""
        return [*self.rescaled, *([{"call": "keras_like:flattened"}] if self.flat_input else [])]

    def penalty(self) -> dict[str, Any]:
        """Return nothing, or `whole` (the terms of model.yaml, None where they do not do) and `each` layer's terms."""
        if not self.penalties:
            return {}
        terms = [each for _, each in self.penalties]
        alike = len(terms) == self.weighted and all(each == terms[0] for each in terms)
        kinds = sorted({kind for each in terms for kind in each})
        each = {kind: {name: term[kind] for name, term in self.penalties if kind in term} for kind in kinds}
        whole = {kind: value * (2 if kind == "l2" else 1) for kind, value in terms[0].items()} if alike else None
        return {"whole": whole, "each": each}

    # what the layers share
    def _put(self, layer: Any) -> None:
        self.made.append(layer)

    def _known(self, given: Given, *names: str) -> None:
        told = {key: value for key, value in given.items() if key not in IGNORED and USUAL.get(key) != value}
        said = {key for key, value in told.items() if value not in (None, [], {}) and (value is not False or key in USUAL)}
        left = said - set(names)
        if left:
            raise Unknown(f"{given.get('type')} with {', '.join(sorted(left))}")

    def _activate(self, given: Any) -> None:
        layer = activation(given)
        features_first = len(self.shape) == 3 or (len(self.shape) == 2 and self.order == "CL")
        if layer == "log_softmax" and features_first:
            raise Unknown("log_softmax of an image")
        if layer == "softmax" and features_first:  # Keras' features are its last axis
            layer = {"softmax": {"axis": 1}}
        if layer is not None:
            self._put(layer)

    def _lie(self, order: str) -> None:
        """Bring a sample of two axes into an order."""
        if len(self.shape) == 2 and self.order != order:
            self._put({"call": "keras_like:Swap"})
            self.shape, self.order = (self.shape[1], self.shape[0]), order

    def _flat(self) -> None:
        if len(self.shape) != 1:
            self._put("flatten")
            self.shape = (prod(self.shape),)

    # shapes
    def _input(self, given: Given) -> None:
        self._known(given)

    def _flatten(self, given: Given) -> None:
        self._known(given)
        if len(self.shape) > 1:
            self._flat()

    def _reshape(self, given: Given) -> None:
        self._known(given, "shape", "target_shape", "target")
        said = given.get("shape", given.get("target_shape", given.get("target")))
        shape = sizes(said if said is not None else [])
        if shape.count(-1) == 1 and 0 not in shape:
            shape[shape.index(-1)] = prod(self.shape) // -prod(shape)
        if prod(shape) != prod(self.shape) or not 1 <= len(shape) <= 3:
            raise Unknown(f"Reshape of {self.shape} to {said}")
        self._lie("TF")
        self._put({"call": "keras_like:Reshape", "args": {"shape": shape}})
        self.shape, self.order = ((shape[2], shape[0], shape[1]) if len(shape) == 3 else tuple(shape)), "TF"

    def _permute(self, given: Given) -> None:
        self._known(given, "dims")
        if list(given.get("dims") or []) != [2, 1] or len(self.shape) != 2:
            raise Unknown("Permute of anything but two axes")
        self._lie("TF")
        self._put({"call": "keras_like:Swap"})
        self.shape = (self.shape[1], self.shape[0])

    def _repeatvector(self, given: Given) -> None:
        self._known(given, "n", "times")
        times = whole(given.get("n", given.get("times")))
        self._put({"call": "keras_like:RepeatVector", "args": {"times": times}})
        self.shape, self.order = (times, *self.shape), "TF"

    def _zeropadding2d(self, given: Given) -> None:
        self._known(given, "padding", "size")
        high, wide = several(given.get("padding", given.get("size")), 2, 1)
        self._put({"call": "keras_like:ZeroPadding", "args": {"sides": [wide, wide, high, high]}})
        self.shape = (self.shape[0], self.shape[1] + 2 * high, self.shape[2] + 2 * wide)

    def _zeropadding1d(self, given: Given) -> None:
        self._known(given, "padding", "size")
        self._lie("CL")
        side = several(given.get("padding", given.get("size")), 1, 1)[0]
        self._put({"call": "keras_like:ZeroPadding", "args": {"sides": [side, side]}})
        self.shape = (self.shape[0], self.shape[1] + 2 * side)

    def _upsampling2d(self, given: Given) -> None:
        self._known(given, "size")
        times = several(given.get("size"), 2, 2)
        if len({*times}) > 1:
            raise Unknown("UpSampling2D of two different factors")
        self._put({"call": "keras_like:UpSampling", "args": {"times": times[0]}})
        self.shape = (self.shape[0], self.shape[1] * times[0], self.shape[2] * times[0])

    # what has no weights, or only some for each feature
    def _activation(self, given: Given) -> None:
        self._known(given, "activation", "alpha")
        self._activate(
            given.get("activation") if given.get("alpha") is None else {"name": given["activation"], "alpha": given["alpha"]}
        )

    def _relu(self, given: Given) -> None:
        self._known(given, "max_value", "negative_slope")
        if given.get("negative_slope"):
            if given.get("max_value"):
                raise Unknown("ReLU with a slope and a largest value")
            self._put({"leaky_relu": number(given["negative_slope"])})
            return
        if given.get("max_value") not in (None, 6):
            raise Unknown(f"ReLU up to {given['max_value']}")
        self._activate("relu6" if given.get("max_value") else "relu")

    def _softmax(self, given: Given) -> None:
        self._known(given, "axis")
        axis = given.get("axis", -1)
        if axis in (-1, None, len(self.shape)):
            self._activate("softmax")
        else:
            self._lie("TF")
            place = whole(axis)
            self._put({"softmax": {"axis": place + 1 if len(self.shape) == 3 and place > 0 else place}})

    def _elu(self, given: Given) -> None:
        self._known(given, "alpha")
        self._put({"elu": float(given.get("alpha") or 1.0)})

    def _leakyrelu(self, given: Given) -> None:
        self._known(given, "alpha", "negative_slope")
        slope = number(given.get("alpha", given.get("negative_slope")))
        self._put({"leaky_relu": 0.3 if slope is None else slope})

    def _prelu(self, given: Given) -> None:
        self._known(given, "alpha_initializer", "shared_axes")
        if word(str(given.get("alpha_initializer") or "zeros")) not in ("zeros", "zero"):
            raise Unknown(f"PReLU that begins as {given['alpha_initializer']}")
        self._put({"prelu": {"slope": 0.0, "per": "channel"}})

    def _thresholdedrelu(self, given: Given) -> None:
        self._known(given, "theta")
        self._put({"call": "keras_like:ThresholdedReLU", "args": {"theta": float(given.get("theta") or 1.0)}})

    def _dropout(self, given: Given) -> None:
        self._known(given, "rate", "p", "dropout")
        rate = number(given.get("rate", given.get("p", given.get("dropout", 0.5)))) or 0.0
        if not 0 <= rate < 1:
            raise Unknown(f"Dropout of {rate:g}")
        kind = kind_of(given)
        if kind.startswith("spatial"):
            self._lie("CL")
        if rate and kind in DROPOUTS:
            module, argument = DROPOUTS[kind]
            self._put({"call": module, "args": {argument: rate}})
        elif rate:
            self._put({"dropout": rate})

    _spatialdropout1d = _spatialdropout2d = _alphadropout = _gaussiandropout = _dropout

    def _rescaling(self, given: Given) -> None:
        self._known(given, "scale", "offset")
        scale, offset = number(given.get("scale")), number(given.get("offset")) or 0.0
        if self.made or not scale or scale < 0:
            raise Unknown("Rescaling behind another layer, or by nothing")
        self.rescaled.append(
            {"statistics": {"mean": [-offset / scale], "std": [1 / scale]}}
            if offset
            else {"scale": {"divide_by": 1 / scale}}
        )

    def _masking(self, given: Given) -> None:
        self._known(given, "mask_value")  # nothing is padded in the data

    def _gaussiannoise(self, given: Given) -> None:
        self._known(given, "stddev")
        self._put({"call": "keras_like:GaussianNoise", "args": {"stddev": float(given.get("stddev") or 0.0)}})

    def _batchnormalization(self, given: Given) -> None:
        self._known(given, "momentum", "epsilon", "axis", "center", "scale")
        if given.get("center") is False or given.get("scale") is False:
            raise Unknown("BatchNormalization without center or scale")
        self._last_axis(given)
        self._lie("CL")
        momentum, epsilon = number(given.get("momentum")), number(given.get("epsilon"))
        keeps = 0.99 if momentum is None else momentum
        self._put({"batchnorm": {"momentum": round(1 - keeps, 9), "epsilon": 1e-3 if epsilon is None else epsilon}})

    def _layernormalization(self, given: Given) -> None:
        self._known(given, "epsilon", "axis")
        self._last_axis(given)
        self._lie("TF")
        epsilon = number(given.get("epsilon")) or 1e-3
        if len(self.shape) == 3:
            self._put({"call": "keras_layers:LayerNorm", "args": {"channels": self.shape[0], "epsilon": epsilon}})
        else:
            self._put({"layernorm": {"epsilon": epsilon}})

    def _last_axis(self, given: Given) -> None:
        """See to it that a layer works on the features.

        Raises:
            Unknown: when it works on another axis.
        """
        axis = given.get("axis")
        first = given.get("data_format") == "channels_first" and axis == 1
        if axis not in (None, -1, len(self.shape), [-1]) and not first:
            raise Unknown(f"{given.get('type')} along axis {axis}")


def kind_of(given: Given) -> str:
    """Return what kind of layer it is: the name of a method of `Layers` without its underscore."""
    kind = word(str(given.get("type", "")).split(".")[-1])
    kind = kind.removeprefix("cudnn").replace("convolution", "conv").replace("maxpooling", "maxpool")
    kind = kind.replace("averagepooling", "avgpool").replace("averagepool", "avgpool").replace("avgpooling", "avgpool")
    return KINDS.get(kind, kind)


def _written(given: Given) -> Given:
    """Return a layer in the words of Keras 2, its wrapper, if it is named in one, as a layer with another in it.

    Raises:
        Unknown: when it is no layer.
    """
    if not isinstance(given, Mapping):
        raise Unknown(f"the layer {given!r}")
    said = {RENAMED.get(key, key): value for key, value in given.items()}
    match = re.fullmatch(r"(\w+)\((\w+)\)", str(said.get("type", "")))
    if match and word(match[1]) in WRAPPERS:
        return {"type": match[1], "layer": {**said, "type": match[2]}}
    if word(str(said.get("type", ""))) in WRAPPERS:
        inner = said.get("layer", said.get("inner"))
        rest = {key: value for key, value in said.items() if key not in ("type", "layer", "inner", *WRAPPING)}
        inner = {"type": inner, **rest} if isinstance(inner, str) else inner
        return {key: value for key, value in said.items() if key in WRAPPING} | {"type": said["type"], "layer": inner}
    if "nb_row" in said and "nb_col" in said:
        said["kernel"] = [said.pop("nb_row"), said.pop("nb_col")]
    if kind_of(said) == "input" and "shape" in said:
        said["input_shape"] = said.pop("shape")
    if "output_dim" in said and "units" not in said and kind_of(said) != "embedding":
        said["units"] = said.pop("output_dim")
    for size in ("units", "filters"):
        if size in said and whole(said[size]) < 1:
            raise Unknown(f"{said.get('type')} of {said[size]} {size}")
    return said
