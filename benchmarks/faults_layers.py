"""Layers with weights told in Keras' words, written as the layers of a model.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from benchmarks.faults_plain import Given, Plain, Shape, kind_of
from benchmarks.faults_words import (
    Unknown,
    initial,
    initializer,
    number,
    penalty,
    recurrent_activation,
    several,
    whole,
    word,
)

WEIGHTS = {"init", "initializer", "kernel_initializer", "bias_initializer", "bias_init", "bias", "use_bias", "activation",
           "l1", "l2", "kernel_regularizer", "regularizer", "W_regularizer"}  # fmt: skip
SIZES = {"kernel", "kernel_size", "stride", "strides", "padding", "dilation", "dilation_rate"}


class Layers(Plain):
    """The layers of a model.yaml: those with weights beside the plain ones."""

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
            begins = {
                **(begins or {"init": "glorot_uniform"}),
                "bias": 1.0 if bias["init"] == "ones" else bias.get("value", 0.0),
            }
        has = given.get("use_bias", given.get("bias", True))
        return begins, not (has is False or has == "false")

    # weights
    def _dense(self, given: Given) -> None:
        self._known(given, "units", *WEIGHTS)
        units = whole(given.get("units"))
        if self.whole and not self.made:
            self.whole = False
        self._lie("TF")
        if len(self.shape) == 3 or _frozen(given):
            image = len(self.shape) == 3
            begins, bias = self._weights(given, "")
            self._put(
                {
                    "call": "keras_like:Dense",
                    "args": {
                        "sizes": [self.shape[0] if image else self.shape[-1], units],
                        "bias": bias,
                        **({"init": begins} if begins else {}),
                        **({} if image else {"last": True}),
                        **({"frozen": True} if _frozen(given) else {}),
                    },
                }
            )
            self.shape = (units, *self.shape[1:]) if image else (*self.shape[:-1], units)
        else:
            begins, bias = self._weights(given, "linear")
            self._put({"linear": _with({"out": units}, begins, bias=bias)})
            self.shape = (*self.shape[:-1], units)
        self._activate(given.get("activation"))

    def _timedistributed(self, given: Given) -> None:
        inner = given.get("layer")
        if not isinstance(inner, Mapping) or kind_of(inner) != "dense":
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
        if pad not in ("valid", "same", *(("causal",) if axes == 1 else ())) or len(set(spread)) > 1:
            raise Unknown(f"padding {given.get('padding')!r} with dilation {spread}")
        reach = [(size - 1) * apart + 1 for size, apart in zip(kernel, spread, strict=True)]
        sides = _same(list(self.shape[1:]), reach, stride) if pad == "same" else [0] * (2 * axes)
        sides = [reach[0] - 1, 0] if pad == "causal" else sides
        plain = not _frozen(given) and pad != "causal" and len({*kernel}) == 1 and len({*stride}) == 1 and set(spread) == {1}
        plain = plain and (pad == "valid" or (set(stride) == {1} and kernel[0] % 2 == 1))
        begins, bias = self._weights(given, "conv" if plain else "")
        if plain:
            said = {"out": out, "kernel": kernel[0]} | ({"stride": stride[0]} if stride[0] != 1 else {})
            said |= {"padding": "same"} if pad == "same" else {}
            self._put({"conv": _with(said, begins, bias=bias)})
        else:
            args = {"sizes": [self.shape[0], out], "kernel": kernel, "stride": stride, "pad": sides, "dilation": spread[0]}
            args |= {"bias": bias} | ({"init": begins} if begins else {}) | ({"frozen": True} if _frozen(given) else {})
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
        if axes == 2 and self.shape == (64,) and not self.made:  # scikit-learn's digits
            self._put({"call": "keras_like:Reshape", "args": {"shape": [8, 8, 1]}})
            self.shape = (1, 8, 8)
        if len(self.shape) != axes + 1:
            raise Unknown(f"{given.get('type')} on {len(self.shape)} axes")

    def _conv2dtranspose(self, given: Given) -> None:
        self._known(given, "filters", "kernel", "kernel_size", "stride", "strides", "padding", *WEIGHTS)
        self._image(2, given)
        out, pad = whole(given.get("filters")), word(str(given.get("padding") or "valid"))
        kernel = several(given.get("kernel", given.get("kernel_size")), 2, 3)
        stride = several(given.get("stride", given.get("strides")), 2, 1)
        if pad not in ("valid", "same"):
            raise Unknown(f"padding {pad!r} of Conv2DTranspose")
        more = [0, 0] if pad == "same" else [max(size - step, 0) for size, step in zip(kernel, stride, strict=True)]
        lengths = [each * step + add for each, step, add in zip(self.shape[1:], stride, more, strict=True)]
        begins, bias = self._weights(given, "")
        args = {"sizes": [self.shape[0], out], "kernel": kernel, "stride": stride, "lengths": lengths, "same": pad == "same"}
        args |= {"bias": bias} | ({"init": begins} if begins else {})
        self._put({"call": "keras_layers:ConvTranspose", "args": args})
        self.shape = (out, *lengths)
        self._activate(given.get("activation"))

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
        if not self.whole or self.made:
            raise Unknown("Embedding of what are no whole numbers")
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
            "dropout",
            "recurrent_dropout",
            *WEIGHTS,
        )
        drop = number(given.get("recurrent_dropout")) or 0.0
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
        begins, bias = self._weights(given, "")
        if not bias or "bias" in (begins or {}):
            raise Unknown(f"{kind} without biases, or with biases that begin elsewhere than at 0")
        kept = initializer(given.get("recurrent_initializer"))
        args: dict[str, Any] = {"kind": kind, "sizes": [self.shape[1], out], "every": every}
        args |= {"both": True} if both else {}
        for key, name, usual in (("activation", "activation", "tanh"), ("recurrent_activation", "gate", "sigmoid")):
            said = recurrent_activation(given.get(key), usual)
            args |= {name: said} if said != usual else {}
        args |= {"drop": drop} if drop else {}
        args |= {"init": begins} if begins else {}
        args |= {"kept": kept} if kept not in (None, {"init": "orthogonal"}) else {}
        self._put({"call": "keras_like:Recurrent", "args": args})
        out *= 1 + both
        self.shape, self.order = ((self.shape[0], out) if every else (out,)), "TF"

    def _lstm(self, given: Given) -> None:
        self._recurrent(given, "lstm")

    def _gru(self, given: Given) -> None:
        self._recurrent(given, "gru")

    def _simplernn(self, given: Given) -> None:
        self._recurrent(given, "simplernn")

    def _bidirectional(self, given: Given) -> None:
        inner = given.get("layer")
        kind = kind_of(inner) if isinstance(inner, Mapping) else ""
        self._known(given, "layer", "merge_mode")
        if given.get("merge_mode") not in (None, "concat"):
            raise Unknown(f"Bidirectional merged by {given['merge_mode']}")
        if kind not in ("lstm", "gru", "simplernn"):
            raise Unknown("Bidirectional of anything but LSTM, GRU, SimpleRNN")
        assert isinstance(inner, Mapping)
        self._recurrent(inner, kind, both=True)


def _same(lengths: list[int], kernel: list[int], stride: list[int]) -> list[int]:
    """Return the padding of TensorFlow's "same" before and behind each axis, the last axis first; the odd one is behind."""
    sides: list[int] = []
    for length, size, step in zip(reversed(lengths), reversed(kernel), reversed(stride), strict=True):
        whole = max((ceil(length / step) - 1) * step + size - length, 0)
        sides += [whole // 2, whole - whole // 2]
    return sides


def _frozen(given: Given) -> bool:
    """Tell whether a layer is not to be trained."""
    return given.get("trainable") in (False, "false", "False")


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
