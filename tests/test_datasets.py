"""The data in the package, and the adapter to CSV files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoc.datasets import SOURCES
from lossdoc.datasets.builtin import CHECKSUMS, FOLDER, Digits, Iris, Wine, checksum
from lossdoc.datasets.csv_file import Csv
from lossdoc.errors import UserError


@pytest.mark.parametrize("word", CHECKSUMS)
def test_the_files_are_those_that_are_attributed(word: str) -> None:
    assert checksum(word) == CHECKSUMS[word]
    assert CHECKSUMS[word] in (FOLDER / "ATTRIBUTION.md").read_text()


@pytest.mark.parametrize(
    ("source", "count", "per_class"),
    [
        (Digits(), 1797, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]),
        (Iris(), 150, [50, 50, 50]),
        (Wine(), 178, [59, 71, 48]),
    ],
)
def test_builtin_data(source: Any, count: int, per_class: list[int]) -> None:
    data = source.load(Path())
    assert data.inputs.shape == (count, *source.shape)
    assert (data.inputs.dtype, data.targets.dtype) == (np.float32, np.int64)
    assert np.bincount(data.targets).tolist() == per_class
    assert len(data.classes) == source.classes
    assert len(data.features) in (0, source.shape[0])


def test_digits_are_pixels_from_0_to_16() -> None:
    inputs = Digits().load(Path()).inputs
    assert (inputs.min(), inputs.max()) == (0, 16)
    assert inputs[0, 0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]  # the first row of the first image, a zero


@pytest.mark.parametrize(
    ("source", "means"),
    [  # as published with the data sets
        (Iris(), {"sepal_length": 5.84, "sepal_width": 3.05, "petal_length": 3.76, "petal_width": 1.20}),
        (Wine(), {"alcohol": 13.0, "malic_acid": 2.34, "ash": 2.36, "magnesium": 99.7, "hue": 0.96, "proline": 746.0}),
    ],
)
def test_features_have_the_means_that_are_published(source: Any, means: dict[str, float]) -> None:
    data = source.load(Path())
    found = dict(zip(data.features, data.inputs.mean(axis=0), strict=True))
    assert {name: found[name] for name in means} == pytest.approx(means, rel=5e-3)


GOOD = "a,b,label\n1,2.5,cat\n3,-4e1,dog\n\n5,6,cat\n"


def csv(tmp_path: Path, text: str, **arguments: Any) -> Any:
    (tmp_path / "data.csv").write_text(text)
    return Csv(**{"path": "data.csv", "target": "label", **arguments}).load(tmp_path)


def test_csv_of_classes(tmp_path: Path) -> None:
    data = csv(tmp_path, GOOD)
    assert data.inputs.tolist() == [[1, 2.5], [3, -40], [5, 6]]
    assert data.targets.tolist() == [0, 1, 0]
    assert (data.features, data.classes) == (("a", "b"), ("cat", "dog"))


def test_csv_of_numbers(tmp_path: Path) -> None:
    data = csv(tmp_path, GOOD, target="b", features=("a",), task="regression")
    assert data.inputs.tolist() == [[1], [3], [5]]
    assert (data.targets.tolist(), data.targets.dtype, data.classes) == ([2.5, -40, 6], np.float32, ())


def test_classes_that_are_numbers_are_sorted_as_numbers(tmp_path: Path) -> None:
    assert csv(tmp_path, "a,label\n1,10\n2,9\n3,2\n").classes == ("2", "9", "10")


def test_a_byte_order_mark_and_another_delimiter(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(b"\xef\xbb\xbfa;label\r\n1; x\r\n")
    assert Csv(path="data.csv", target="label", delimiter=";").load(tmp_path).classes == ("x",)


@pytest.mark.parametrize(
    ("text", "arguments", "told"),
    [
        (GOOD, {"target": "lable"}, "data.csv: error[missing-column] there is no column 'lable'; did you mean 'label'?"),
        (GOOD, {"features": ("a", "c")}, "there is no column 'c'; there are: a, b, label"),
        (GOOD, {"target": "label", "task": "regression"}, "data.csv:2: error[not-a-number] label: got 'cat'"),
        ("a,label\n1,x\noops,x\n,y\nnan,y\n", {}, "data.csv:3: error[not-a-number] a: got 'oops'; a finite number is meant"),
        ("a,label\n1,x\noops,x\n,y\nnan,y\n", {}, "data.csv:4: error[not-a-number] a: got nothing"),
        ("a,label\n1,x\noops,x\n,y\nnan,y\n", {}, "data.csv:5: error[not-a-number] a: got 'nan'"),
        ("a,label\n1,x\n2,\n", {}, "data.csv:3: error[empty-cell] label: got nothing; a class is meant"),
        ("a,label\n1,x\n2\n3\n", {}, "data.csv:3: error[ragged] does not have the 2 cells of the header (so have 2 lines)"),
        ("", {}, "holds no rows below a header"),
        ("a,label\n", {}, "holds no rows below a header"),
        ('a,label\n1,"x\n', {}, "not a CSV file"),
        (GOOD, {"path": "none.csv"}, "none.csv: error[missing-file] cannot be read: No such file"),
    ],
)
def test_csv_faults(tmp_path: Path, text: str, arguments: Any, told: str) -> None:
    with pytest.raises(UserError) as caught:
        csv(tmp_path, text, **arguments)
    assert told in str(caught.value)


@given(content=st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_bytes_give_anything_but_data_or_faults(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "data.csv").write_bytes(b"a,label\n1,x\n" + content)
    try:
        data = Csv(path="data.csv", target="label").load(folder)
    except UserError:
        return
    assert len(data.inputs) == len(data.targets) >= 1


def test_every_source_is_in_the_table() -> None:
    assert list(SOURCES) == ["digits", "iris", "wine", "csv", "call"]
