"""Layers told in Keras' words, written as the layers of a model.yaml; the shapes are followed on the way."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, prod
from typing import Any

from benchmarks.faults_words import Unknown, activation, initial, initializer, number, penalty, several, whole, word

Shape = tuple[int, ...]
Given = Mapping[str, Any]
IGNORED = {"type", "name", "input_shape", "input_dim", "batch_input_shape", "input_length", "batch_size", "trainable",
           "data_format", "dtype", "stateful", "unroll", "implementation", "index", "note"}  # fmt: skip
WEIGHTS = {"init", "initializer", "kernel_initializer", "bias_initializer", "bias_init", "bias", "use_bias", "activation",
           "l1", "l2", "kernel_regularizer", "regularizer", "W_regularizer"}  # fmt: skip
SIZES = {"kernel", "kernel_size", "stride", "strides", "padding", "dilation", "dilation_rate"}
DROPPED = {"dropout", "spatialdropout1d", "spatialdropout2d", "alphadropout", "gaussiandropout"}
SIMPLE = {"elu": "elu", "softmax": "softmax", "relu": "relu"}


class Layers:
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

    def add(self, given: Given) -> None:
        """Add a layer with its activation.

        Raises:
            Unknown: when it, or something that is said of it, is not known.
        """
        kind = word(str(given.get("type", "")))
        kind = kind.removeprefix("cudnn").replace("convolution", "conv").replace("maxpooling", "maxpool")
        kind = kind.replace("averagepooling", "avgpool").replace("averagepool", "avgpool").replace("avgpooling", "avgpool")
        make = getattr(self, f"_{kind}", None)
        if make is None:
            raise Unknown(f"the layer {given.get('type')!r}")
        make(given)

    def head(self) -> int | None:
        """Return how many numbers come out for a sample."""
        return self.shape[-1] if self.shape else 1

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
        said = {key for key, value in given.items() if value not in (None, False, [], {}) and key not in IGNORED}
        left = said - set(names)
        if left:
            raise Unknown(f"{given.get('type')} with {', '.join(sorted(left))}")

    def _weights(self, given: Given, name: str) -> tuple[dict[str, Any] | None, bool]:
        """Note a layer's regularizers; return how its weights begin, and whether it has biases."""
        self.weighted += 1
        terms = penalty(given)
        if terms:
            self.penalties.append((f"{name}_{len(self.made)}" if name else f"own_{len(self.made)}", terms))
        begins = initializer(given.get("init") or given.get("initializer") or given.get("kernel_initializer"))
        bias = initializer(given.get("bias_initializer") or given.get("bias_init"))
        if bias is not None and bias["init"] != "zeros":
            if bias["init"] not in ("ones", "constant"):
                raise Unknown(f"biases that begin as {bias['init']}")
            begins = {**(begins or {"init": "glorot_uniform"}), "bias": 1.0 if bias["init"] == "ones" else bias["value"]}
        has = given.get("bias", given.get("use_bias", True))
        return begins, not (has is False or has == "false")

    def _activate(self, given: Any) -> None:
        layer = activation(given)
        if layer == "softmax" and len(self.shape) == 3:
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

    # weights
    def _dense(self, given: Given) -> None:
        self._known(given, "units", *WEIGHTS)
        units = whole(given.get("units"))
        if len(self.shape) == 3 and not self.made:  # an image without a Flatten: the program fed vectors
            self.flat_input, self.shape = True, (prod(self.shape),)
        if self.whole and not self.made:
            self.whole = False
        self._lie("TF")
        if len(self.shape) == 3:
            begins, bias = self._weights(given, "")
            self._put(
                {
                    "call": "keras_like:Dense",
                    "args": {"sizes": [self.shape[0], units], "bias": bias, **({"init": begins} if begins else {})},
                }
            )
            self.shape = (units, *self.shape[1:])
        else:
            begins, bias = self._weights(given, "linear")
            self._put({"linear": _with({"out": units}, begins, bias=bias)})
            self.shape = (*self.shape[:-1], units)
        self._activate(given.get("activation"))

    def _timedistributed(self, given: Given) -> None:
        inner = given.get("layer")
        if not isinstance(inner, Mapping) or word(str(inner.get("type"))) != "dense":
            raise Unknown("TimeDistributed of anything but Dense")
        self._dense(inner)

    def _conv2d(self, given: Given) -> None:
        self._conv(given, 2)

    def _conv1d(self, given: Given) -> None:
        self._conv(given, 1)

    def _conv(self, given: Given, axes: int) -> None:
        self._known(given, "filters", *SIZES, *WEIGHTS)
        out = whole(given.get("filters"))
        kernel = several(given.get("kernel", given.get("kernel_size")), axes, 3)
        stride = several(given.get("stride", given.get("strides")), axes, 1)
        spread = several(given.get("dilation", given.get("dilation_rate")), axes, 1)
        self._image(axes, given)
        pad = word(str(given.get("padding") or "valid"))
        if pad not in ("valid", "same") or (spread != [1] * axes and (pad != "valid" or len(set(spread)) > 1)):
            raise Unknown(f"padding {given.get('padding')!r} with dilation {spread}")
        reach = [(size - 1) * apart + 1 for size, apart in zip(kernel, spread, strict=True)]
        sides = _same(list(self.shape[1:]), reach, stride) if pad == "same" else [0] * (2 * axes)
        plain = len({*kernel}) == 1 and len({*stride}) == 1 and set(spread) == {1}
        plain = plain and (pad == "valid" or (set(stride) == {1} and kernel[0] % 2 == 1))
        begins, bias = self._weights(given, "conv" if plain else "")
        if plain:
            said = {"out": out, "kernel": kernel[0]} | ({"stride": stride[0]} if stride[0] != 1 else {})
            said |= {"padding": "same"} if pad == "same" else {}
            self._put({"conv": _with(said, begins, bias=bias)})
        else:
            args = {"sizes": [self.shape[0], out], "kernel": kernel, "stride": stride, "pad": sides, "dilation": spread[0]}
            args |= {"bias": bias} | ({"init": begins} if begins else {})
            self._put({"call": "keras_like:Conv", "args": args})
        self.shape = (out, *_slid(self.shape[1:], reach, stride, sides))
        self._activate(given.get("activation"))

    def _image(self, axes: int, given: Given) -> None:
        """See to it that a window can slide over `axes` axes; vectors become signals of one channel where Keras was told."""
        if axes == 1:
            if len(self.shape) == 1 and not self.made:
                self._put({"call": "keras_like:Reshape", "args": {"shape": [self.shape[0], 1]}})
                self.shape = (self.shape[0], 1)
            if len(self.shape) == 3 and not self.made and self.shape[0] == 1:  # rows as times
                self._put({"call": "keras_like:Reshape", "args": {"shape": list(self.shape[1:])}})
                self.shape = self.shape[1:]
            self._lie("CL")
        if len(self.shape) != axes + 1:
            raise Unknown(f"{given.get('type')} on {len(self.shape)} axes")

    def _pool(self, given: Given, axes: int, kind: str) -> None:
        self._known(given, "pool", "pool_size", "size", "kernel", "stride", "strides", "padding")
        self._image(axes, given)
        size = several(given.get("pool", given.get("pool_size", given.get("size", given.get("kernel")))), axes, 2)
        stated = given.get("stride", given.get("strides"))
        stride = size if stated is None else several(stated, axes, 2)
        pad = word(str(given.get("padding") or "valid")) == "same"
        sides = _same(list(self.shape[1:]), size, stride) if pad else [0] * (2 * axes)
        if any(sides) or len({*size}) > 1 or len({*stride}) > 1:
            args = {"kind": kind, "window": size, "stride": stride, "pad": sides}
            self._put({"call": "keras_like:Pool", "args": args})
        elif stride == size:
            self._put({f"{kind}pool": size[0]})
        else:
            self._put({f"{kind}pool": {"size": size[0], "stride": stride[0]}})
        self.shape = (self.shape[0], *_slid(self.shape[1:], size, stride, sides))

    def _maxpool2d(self, given: Given) -> None:
        self._pool(given, 2, "max")

    def _maxpool1d(self, given: Given) -> None:
        self._pool(given, 1, "max")

    def _avgpool2d(self, given: Given) -> None:
        self._pool(given, 2, "avg")

    def _avgpool1d(self, given: Given) -> None:
        self._pool(given, 1, "avg")

    def _everywhere(self, given: Given, take: str) -> None:
        self._known(given)
        self._lie("CL")
        self._put({"globalpool": take})
        self.shape = self.shape[:1]

    def _globalavgpool2d(self, given: Given) -> None:
        self._everywhere(given, "mean")

    def _globalmaxpool2d(self, given: Given) -> None:
        self._everywhere(given, "max")

    _globalavgpool1d = _globalavgpool2d
    _globalmaxpool1d = _globalmaxpool2d

    # sequences
    def _embedding(self, given: Given) -> None:
        self._known(
            given, "output_dim", "units", "out", "init", "embeddings_initializer", "mask_zero", "entries", "vocabulary"
        )
        entries = whole(given.get("input_dim", given.get("entries", given.get("vocabulary"))))
        out = whole(given.get("output_dim", given.get("units", given.get("out"))))
        begins = initializer(given.get("init") or given.get("embeddings_initializer")) or {"init": "uniform"}
        self._put({"embedding": {"entries": entries, "out": out, "init": initial(begins) or "xavier"}})
        self.shape, self.order = (*self.shape, out), "TF"

    def _recurrent(self, given: Given, kind: str, *, both: bool = False) -> None:
        self._known(
            given,
            "units",
            "return_sequences",
            "recurrent_activation",
            "recurrent_initializer",
            "reset_after",
            "dropout",
            "recurrent_dropout",
            *WEIGHTS,
        )
        if given.get("recurrent_dropout"):
            raise Unknown(f"{kind} with recurrent_dropout")
        if len(self.shape) == 1 and not self.made:
            self._put({"call": "keras_like:Reshape", "args": {"shape": [self.shape[0], 1]}})
            self.shape, self.order = (self.shape[0], 1), "TF"
        if len(self.shape) == 3 and self.shape[0] == 1:
            self._put({"call": "keras_like:Reshape", "args": {"shape": list(self.shape[1:])}})
            self.shape, self.order = self.shape[1:], "TF"
        self._lie("TF")
        if len(self.shape) != 2:
            raise Unknown(f"{kind} on {len(self.shape)} axes")
        if given.get("dropout"):
            self._put({"dropout": float(given["dropout"])})
        out, every = whole(given.get("units")), bool(given.get("return_sequences"))
        begins, _bias = self._weights(given, "")
        args: dict[str, Any] = {"kind": kind, "sizes": [self.shape[1], out], "every": every}
        args |= {"both": True} if both else {}
        for key, name, usual in (("activation", "activation", "tanh"), ("recurrent_activation", "gate", "sigmoid")):
            said = str(given.get(key) or usual).lower()
            args |= {name: said} if said != usual else {}
        args |= {"init": begins} if begins else {}
        self._put({"call": "keras_like:Recurrent", "args": args})
        out *= 1 + both
        self.shape, self.order = ((self.shape[0], out) if every else (out,)), "TF"

    def _lstm(self, given: Given) -> None:
        self._recurrent(given, "lstm")

    def _gru(self, given: Given) -> None:
        self._recurrent(given, "gru")

    def _simplernn(self, given: Given) -> None:
        self._recurrent(given, "simplernn")

    _rnn = _simplernn

    def _bidirectional(self, given: Given) -> None:
        inner = given.get("layer")
        kind = word(str(inner.get("type"))).removeprefix("cudnn") if isinstance(inner, Mapping) else ""
        if kind not in ("lstm", "gru", "simplernn"):
            raise Unknown("Bidirectional of anything but LSTM, GRU, SimpleRNN")
        self._recurrent(inner, kind, both=True)

    # shapes
    def _input(self, given: Given) -> None:
        self._known(given, "shape")

    _inputlayer = _input

    def _flatten(self, given: Given) -> None:
        self._known(given)
        if len(self.shape) > 1:
            self._flat()

    def _reshape(self, given: Given) -> None:
        self._known(given, "shape", "target_shape", "target")
        said = given.get("shape", given.get("target_shape", given.get("target")))
        shape = [said] if isinstance(said, int) else [int(each) for each in said or ()]
        if shape.count(-1) == 1:
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
        if given.get("max_value") not in (None, 6):
            raise Unknown(f"ReLU up to {given['max_value']}")
        self._activate("relu6" if given.get("max_value") else "relu")

    def _softmax(self, given: Given) -> None:
        self._known(given, "axis")
        axis = given.get("axis", -1)
        self._put({"softmax": {"axis": int(axis)}} if axis not in (-1, None, len(self.shape)) else "softmax")

    def _elu(self, given: Given) -> None:
        self._known(given, "alpha")
        self._put({"elu": float(given.get("alpha") or 1.0)})

    def _leakyrelu(self, given: Given) -> None:
        self._known(given, "alpha", "negative_slope")
        slope = number(given.get("alpha", given.get("negative_slope")))
        self._put({"leaky_relu": 0.3 if slope is None else slope})

    def _prelu(self, given: Given) -> None:
        self._known(given, "alpha_initializer", "shared_axes")
        self._put({"prelu": {"slope": 0.0, "per": "channel"}})

    def _thresholdedrelu(self, given: Given) -> None:
        self._known(given, "theta")
        self._put({"call": "keras_like:ThresholdedReLU", "args": {"theta": float(given.get("theta") or 1.0)}})

    def _dropout(self, given: Given) -> None:
        self._known(given, "rate", "p", "dropout")
        rate = number(given.get("rate", given.get("p", given.get("dropout", 0.5)))) or 0.0
        if not 0 <= rate < 1:
            raise Unknown(f"Dropout of {rate:g}")
        if rate:
            self._put({"dropout": rate})

    _spatialdropout1d = _spatialdropout2d = _alphadropout = _gaussiandropout = _dropout

    def _gaussiannoise(self, given: Given) -> None:
        self._known(given, "stddev")
        self._put({"call": "keras_like:GaussianNoise", "args": {"stddev": float(given.get("stddev") or 0.0)}})

    def _batchnormalization(self, given: Given) -> None:
        self._known(given, "momentum", "epsilon", "axis", "center", "scale")
        if given.get("center") is False or given.get("scale") is False:
            raise Unknown("BatchNormalization without center or scale")
        self._lie("CL")
        momentum, epsilon = number(given.get("momentum")), number(given.get("epsilon"))
        keeps = 0.99 if momentum is None else momentum
        self._put({"batchnorm": {"momentum": round(1 - keeps, 9), "epsilon": 1e-3 if epsilon is None else epsilon}})

    _batchnorm = _batchnormalization

    def _layernormalization(self, given: Given) -> None:
        self._known(given, "epsilon")
        self._lie("TF")
        self._put({"layernorm": {"epsilon": number(given.get("epsilon")) or 1e-3}})


def _same(lengths: list[int], kernel: list[int], stride: list[int]) -> list[int]:
    """Return the padding of TensorFlow's "same" before and behind each axis, the last axis first; the odd one is behind."""
    sides: list[int] = []
    for length, size, step in zip(reversed(lengths), reversed(kernel), reversed(stride), strict=True):
        whole = max((ceil(length / step) - 1) * step + size - length, 0)
        sides += [whole // 2, whole - whole // 2]
    return sides


def _with(said: dict[str, Any], begins: Mapping[str, Any] | None, *, bias: bool) -> dict[str, Any]:
    """Return a layer's arguments with how it begins and whether it has biases."""
    values = dict(begins or {})
    start = values.pop("bias", None)
    begin = initial(values or None)
    if start is not None:
        begin = _biased(begin or "xavier", float(start))
    return said | ({"init": begin} if begin is not None else {}) | ({} if bias else {"bias": False})


def _biased(begin: Any, start: float) -> Any:
    """Return an initializer that lets biases begin elsewhere than at 0."""
    if isinstance(begin, str):
        return {begin: {"bias": start}}
    (name, said), *_ = begin.items()
    return {name: {**(said if isinstance(said, dict) else {"value" if name == "constant" else "std": said}), "bias": start}}


def _slid(lengths: Shape, kernel: list[int], stride: list[int], sides: list[int]) -> Shape:
    """Return the lengths behind a window; `sides` holds the padding of the last axis first.

    Raises:
        Unknown: when nothing is left.
    """
    added = [sides[2 * place] + sides[2 * place + 1] for place in reversed(range(len(lengths)))]
    after = tuple(
        (length + more - size) // step + 1 for length, more, size, step in zip(lengths, added, kernel, stride, strict=True)
    )
    if min(after) < 1:
        raise Unknown(f"a window of {kernel} over {lengths}")
    return after
