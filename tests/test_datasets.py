"""The data in the package, and the adapter to CSV files."""

from __future__ import annotations

import importlib
import pickle
import re
import struct
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoc.datasets import SOURCES
from lossdoc.datasets.builtin import CHECKSUMS, FOLDER, Digits, Iris, Wine, checksum
from lossdoc.datasets.csv_file import Csv
from lossdoc.datasets.files import ImageFolder, Npz, Parquet, TextFile
from lossdoc.datasets.hubs import HuggingFace, Torchvision
from lossdoc.datasets.synthetic import PLANES, Synthetic
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


def test_csv_with_categories(tmp_path: Path) -> None:
    text = "size,color,label\n3,red,x\n1,blue,y\n2,red,x\n10,green,y\n"
    data = csv(tmp_path, text, categorical=("color",))
    assert data.inputs.tolist() == [[3, 2], [1, 0], [2, 2], [10, 1]]
    assert csv(tmp_path, text, features=("size",), categorical=("size",)).inputs.tolist() == [
        [2],
        [0],
        [1],
        [3],
    ]  # 2 before 10
    for categorical, told in (
        (None, r"color: got 'red'; a finite number is meant \(or `categorical: \[color\]`, for words\)"),
        (("colour",), "there is no column 'colour'; did you mean 'color'"),
    ):
        with pytest.raises(UserError, match=told):
            csv(tmp_path, text, categorical=categorical)
    with pytest.raises(UserError, match=r"data.csv:3: error.empty-cell. color: got nothing; a category is meant"):
        csv(tmp_path, "color,label\nred,x\n,y\n", categorical=("color",))


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
    words = "digits iris wine synthetic csv parquet npz image_folder text torchvision huggingface call"
    assert list(SOURCES) == words.split()


@pytest.mark.parametrize("form", [*PLANES, "sine", "polynomial"])
def test_synthetic_data_are_as_told(form: Any) -> None:
    source = Synthetic(form=form, n=300, noise=0.05, seed=3)
    data = source.load(Path())
    assert data.inputs.shape == (300, *source.shape)
    assert data.inputs.dtype == np.float32
    assert len(data.classes) == (source.classes or 0)
    if source.goal == "classification":
        assert np.bincount(data.targets).tolist() == [300 // len(data.classes)] * len(data.classes)
    np.testing.assert_array_equal(source.load(Path()).inputs, data.inputs)
    assert not np.array_equal(Synthetic(form=form, n=300, noise=0.05, seed=4).load(Path()).inputs, data.inputs)


def synthetic(form: Any, noise: float = 0.0) -> Any:
    data = Synthetic(form=form, n=600, noise=noise).load(Path())
    return data.inputs.astype(float), data.targets


def test_synthetic_forms_by_their_formulas() -> None:
    points, labels = synthetic("circles")
    np.testing.assert_allclose(np.hypot(*points.T), 1 - 0.5 * labels, atol=1e-6)
    points, labels = synthetic("xor")
    np.testing.assert_array_equal(points.prod(axis=1) < 0, labels == 1)
    points, labels = synthetic("moons")
    upper = np.where(labels[:, None] == 0, points, [1.0, 0.5] - points)
    np.testing.assert_allclose(np.hypot(*upper.T), 1, atol=1e-6)
    assert upper[:, 1].min() > -1e-6
    x, y = synthetic("sine")
    np.testing.assert_allclose(y, np.sin(np.pi * x[:, 0]), atol=1e-5)
    x, y = synthetic("polynomial")
    np.testing.assert_allclose(y, x[:, 0] ** 3 - x[:, 0] / 2, atol=1e-5)


@pytest.mark.parametrize("form", ["sine", "polynomial"])
def test_noise_has_the_deviation_that_is_asked_for(form: Any) -> None:
    clean: Any = {"sine": lambda x: np.sin(np.pi * x), "polynomial": lambda x: x**3 - x / 2}[form]
    x, y = synthetic(form, noise=0.3)
    assert float((y - clean(x[:, 0])).std()) == pytest.approx(0.3, rel=4 / np.sqrt(2 * 600))  # four standard errors


def test_fewer_points_than_classes() -> None:
    with pytest.raises(UserError, match="2 points for 3 classes"):
        Synthetic(form="blobs", n=2).load(Path())


def saved(tmp_path: Path, **arrays: Any) -> Path:
    np.savez(tmp_path / "a.npz", **arrays)
    return tmp_path


def test_npz(tmp_path: Path) -> None:
    folder = saved(tmp_path, x=np.ones((3, 2)), y=np.array([5, 7, 5]))
    data = Npz(path="a.npz", inputs="x", targets="y").load(folder)
    assert (data.targets.tolist(), data.classes) == ([0, 1, 0], ("5", "7"))
    assert data.inputs.dtype == np.float32
    numbers = Npz(path="a.npz", inputs="x", targets="y", task="regression").load(folder)
    assert numbers.targets.tolist() == [5, 7, 5]
    assert numbers.targets.dtype == np.float32


def test_npz_runs_no_pickle(tmp_path: Path) -> None:
    folder = saved(tmp_path, inputs=np.array([{}, {}], dtype=object), targets=np.arange(2))
    with pytest.raises(UserError, match=r"a.npz: .* holds pickled objects, which are code and never run here"):
        Npz(path="a.npz").load(folder)
    with (tmp_path / "b.npz").open("wb") as file:
        pickle.dump(Bomb(), file)
    with pytest.raises(UserError, match=r"b.npz: .* is not an npz file$"):
        Npz(path="b.npz").load(tmp_path)
    assert not BLOWN


PACKAGE = FOLDER.parent
READING = [
    PACKAGE / "reader.py",
    *(path for name in ("datasets", "readers", "spec") for path in (PACKAGE / name).glob("*.py")),
]


@pytest.mark.parametrize("path", sorted(READING), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_no_file_is_read_in_a_way_that_could_run_it(path: Path) -> None:
    """Nothing unpickles; torch's files are read as weights only, YAML without tags."""
    source = path.read_text()
    assert not re.search(r"^\s*(import|from) (pickle|dill|joblib|cloudpickle|shelve|marshal)\b", source, re.MULTILINE)
    assert not re.search(
        r"yaml\.(unsafe_|full_)?load\(|UnsafeLoader|FullLoader|allow_pickle=True|(?<![.\w])(eval|exec)\((?!\?)", source
    )
    assert all("weights_only=True" in line for line in source.splitlines() if "torch.load(" in line)


BLOWN: list[str] = []


class Bomb:
    def __reduce__(self) -> Any:
        return BLOWN.append, ("it was run",)


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("a.npz", {"inputs": "input"}, "there is no array 'input'; did you mean 'inputs'?"),
        ("a.npz", {"inputs": "words"}, "'words' holds <U1; an array of numbers is meant"),
        ("a.npz", {"inputs": "longer"}, "'longer' has 3 samples, 'targets' 2"),
        ("b.npz", {}, "cannot be read: No such file"),
        ("c.npz", {}, "is not an npz file"),
        ("d.npy", {}, "is not an npz file"),
    ],
)
def test_npz_that_is_not_as_told(tmp_path: Path, name: str, arguments: Any, told: str) -> None:
    folder = saved(tmp_path, inputs=np.ones((2, 2)), targets=np.arange(2), words=np.array(["a", "b"]), longer=np.ones(3))
    (tmp_path / "c.npz").write_text("no zip")
    np.save(tmp_path / "d.npy", np.ones(3))
    with pytest.raises(UserError, match=told.replace("?", r"\?")):
        Npz(path=name, **arguments).load(folder)


def test_text_is_continued_by_one(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("abcabcabcä", encoding="utf-8")
    data = TextFile(path="t.txt", length=3).load(tmp_path)
    assert data.classes == ("a", "b", "c", "ä")
    assert data.inputs.tolist() == [[0, 1, 2]] * 3
    assert data.targets.tolist() == [[1, 2, 0], [1, 2, 0], [1, 2, 3]]
    bytes_ = TextFile(path="t.txt", length=3, unit="byte").load(tmp_path)
    assert (len(bytes_.classes), bytes_.inputs[0].tolist()) == (256, [97, 98, 99])


def test_text_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(b"\xff\xfe" * 90)
    with pytest.raises(UserError, match=r"is not a text \(UTF-8\); 'unit: byte' reads any file"):
        TextFile(path="t.txt").load(tmp_path)
    with pytest.raises(UserError, match="holds 180 bytes; two windows of 100"):
        TextFile(path="t.txt", unit="byte", length=100).load(tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        TextFile(path="none.txt").load(tmp_path)


def test_image_folder(tmp_path: Path) -> None:
    from PIL import Image

    for name, color in (("cat", (255, 0, 0)), ("dog", (0, 0, 255))):
        (tmp_path / name).mkdir()
        Image.new("RGB", (10, 6), color).save(tmp_path / name / "1.png")
    data = ImageFolder(path=".", size=4).load(tmp_path)
    assert data.inputs.shape == (2, 3, 4, 4)
    assert (data.inputs[0, :, 0, 0].tolist(), data.targets.tolist(), data.classes) == ([255, 0, 0], [0, 1], ("cat", "dog"))
    assert ImageFolder(path=".", size=4, colors="gray").load(tmp_path).inputs.shape == (2, 1, 4, 4)
    (tmp_path / "cat" / "1.png").write_text("no image")
    with pytest.raises(UserError, match="is not an image"):
        ImageFolder(path=".").load(tmp_path)
    with pytest.raises(UserError, match="has 0 folders with images"):
        ImageFolder(path="cat").load(tmp_path)


@pytest.mark.parametrize(
    ("source", "package"),
    [
        (Torchvision(name="MNIST"), "torchvision"),
        (HuggingFace(path="a", inputs="x", targets="y"), "datasets"),
        (Parquet(path="a.parquet", target="y"), "pyarrow"),
    ],
)
def test_a_package_that_is_missing_is_named(source: Any, package: str, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=f"`pip install {package}`"):
        source.load(tmp_path)


def test_torchvision_by_a_stand_in(monkeypatch: Any, tmp_path: Path) -> None:
    class Pictures:
        classes = ("no", "yes")

        def __init__(self, root: str, *, train: bool, download: bool) -> None:
            assert train
            if not download:
                raise RuntimeError(f"Dataset not found in {Path(root).name}.")

        def __len__(self) -> int:
            return 3

        def __getitem__(self, place: int) -> Any:
            return np.full((4, 5, 3), place, dtype=np.uint8), place % 2

    package: Any = types.ModuleType("torchvision")
    package.datasets = types.SimpleNamespace(Pictures=Pictures)
    monkeypatch.setitem(sys.modules, "torchvision", package)
    data = Torchvision(name="Pictures", download=True).load(tmp_path)
    assert (data.inputs.shape, data.targets.tolist(), data.classes) == ((3, 3, 4, 5), [0, 1, 0], ("no", "yes"))
    with pytest.raises(UserError, match=r"finds no Pictures: Dataset not found in data\.; 'download: true' fetches it"):
        Torchvision(name="Pictures").load(tmp_path)
    with pytest.raises(UserError, match=r"torchvision has no 'Picture'; did you mean 'Pictures'\?"):
        Torchvision(name="Picture").load(tmp_path)


def real(package: str) -> Any:
    """Import a package that is no dependency, or skip the test and say why."""
    try:
        return importlib.import_module(package)
    except ImportError:
        pytest.skip(f"{package} is not installed; `pip install 'lossdoc[data]'` brings it")
    except RuntimeError as bad:
        pytest.skip(f"{package} does not fit this torch: {bad}")


def test_parquet_itself(tmp_path: Path) -> None:
    pyarrow, parquet = real("pyarrow"), real("pyarrow.parquet")
    table = {"a": [1.5, 2.0, None], "b": [1, 2, 3], "yes": [True, False, True], "kind": ["x", "y", "x"]}
    parquet.write_table(pyarrow.table(table), tmp_path / "a.parquet")
    data = Parquet(path="a.parquet", target="kind", features=("b",)).load(tmp_path)
    assert (data.inputs.tolist(), data.targets.tolist(), data.classes) == ([[1], [2], [3]], [0, 1, 0], ("x", "y"))
    assert Parquet(path="a.parquet", target="b", features=("b",), task="regression").load(tmp_path).targets.tolist() == [
        1,
        2,
        3,
    ]
    with pytest.raises(UserError, match=r"a.parquet:3: error\[not-a-number\] a: got nothing; a finite number is meant"):
        Parquet(path="a.parquet", target="kind").load(tmp_path)
    (tmp_path / "bad.parquet").write_text("a,b")
    with pytest.raises(UserError, match="is not a parquet file"):
        Parquet(path="bad.parquet", target="kind").load(tmp_path)
    with pytest.raises(UserError, match="cannot be read: No such file"):
        Parquet(path="none.parquet", target="kind").load(tmp_path)


@pytest.mark.filterwarnings("ignore")  # other people's
def test_hugging_face_itself(tmp_path: Path) -> None:
    datasets = real("datasets")
    from PIL import Image

    features = {"x": datasets.Sequence(datasets.Value("float32")), "kind": datasets.ClassLabel(names=["cat", "dog"])}
    rows = datasets.Dataset.from_dict({"x": [[1, 2], [3, 4]], "kind": [1, 0]}, features=datasets.Features(features))
    datasets.DatasetDict(train=rows, test=rows).save_to_disk(str(tmp_path / "stored"))
    source = HuggingFace(path="stored", inputs="x", targets="kind", split="test")
    data = source.load(tmp_path)
    assert (data.inputs.tolist(), data.targets.tolist(), data.classes) == ([[1, 2], [3, 4]], [1, 0], ("cat", "dog"))
    with pytest.raises(UserError, match=r"there is no split 'tests'; did you mean 'test'\?; there are: train, test"):
        HuggingFace(path="stored", inputs="x", targets="kind", split="tests").load(tmp_path)
    pictures = {"image": [Image.new("RGB", (5, 4), (9, 0, 0))] * 2, "kind": ["a", "b"]}
    kinds = datasets.Features({"image": datasets.Image(), "kind": datasets.Value("string")})
    datasets.Dataset.from_dict(pictures, features=kinds).save_to_disk(str(tmp_path / "pictures"))
    images = HuggingFace(path="pictures", inputs="image", targets="kind").load(tmp_path)
    assert (images.inputs.shape, images.inputs[0, :, 0, 0].tolist(), images.classes) == ((2, 3, 4, 5), [9, 0, 0], ("a", "b"))
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "train.csv").write_text("x,y\n1,0\n2,1\n")
    assert HuggingFace(path="files", inputs="x", targets="y").load(tmp_path).inputs.tolist() == [[1], [2]]
    with pytest.raises(
        UserError, match=r"'nowhere' is no folder here, and cannot be loaded: .*; 'download: true' fetches it"
    ):
        HuggingFace(path="nowhere", inputs="x", targets="y").load(tmp_path)


@pytest.mark.filterwarnings("ignore")  # other people's
def test_torchvision_itself(tmp_path: Path) -> None:
    real("torchvision")
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, count in (("train", 6), ("t10k", 4)):
        pixels = np.arange(count * 28 * 28, dtype=np.uint32).astype(np.uint8)
        (raw / f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 2051, count, 28, 28) + pixels.tobytes())
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, count) + bytes(range(count)))
    data = Torchvision(name="MNIST").load(tmp_path)
    assert (data.inputs.shape, data.targets.tolist(), len(data.classes)) == ((6, 1, 28, 28), [0, 1, 2, 3, 4, 5], 10)
    assert data.inputs[0, 0, 0, :3].tolist() == [0, 1, 2]
    for name, told in (
        ("CIFAR10", "torchvision finds no CIFAR10: Dataset not found.*; 'download: true' fetches it"),
        ("mnistt", r"torchvision has no 'mnistt'; did you mean '\w*MNIST'"),
        ("FakeData", "torchvision's FakeData has no training split below a root"),
        ("Kinetics", "torchvision finds no Kinetics: .*frames_per_clip"),
    ):
        with pytest.raises(UserError, match=told):
            Torchvision(name=name).load(tmp_path)


def test_a_torchvision_for_another_torch_is_told(monkeypatch: Any, tmp_path: Path) -> None:
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(UserError, match=r"cannot be imported: operator .* must be the one made for torch 2"):
        Torchvision(name="MNIST").load(tmp_path)


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_decimal_targets_are_no_classes(tmp_path: Path, kind: str) -> None:
    prices, grades = np.linspace(0.5, 9.7, 20), np.tile([1.5, 2.5], 10)
    for name, targets in (("prices", prices), ("grades", grades)):
        np.savez(tmp_path / f"{name}.npz", inputs=np.ones((20, 2)), targets=targets)
        (tmp_path / f"{name}.csv").write_text("a,targets\n" + "".join(f"1,{each}\n" for each in targets))

    def load(name: str, task: Any = "classification") -> Any:
        source: Any = (
            Csv(path=f"{name}.csv", target="targets", task=task) if kind == "csv" else Npz(path=f"{name}.npz", task=task)
        )
        return source.load(tmp_path)

    with pytest.raises(UserError, match="targets: 20 different decimal numbers in 20 samples are no classes; for a regress"):
        load("prices")
    np.testing.assert_allclose(load("prices", "regression").targets, prices, rtol=1e-6)
    assert load("grades").classes == ("1.5", "2.5")


class Rows(dict[str, Any]):
    column_names = ("x", "y")


def test_hugging_face_by_a_stand_in(monkeypatch: Any, tmp_path: Path) -> None:
    package: Any = types.ModuleType("datasets")
    package.config = types.SimpleNamespace(HF_HUB_OFFLINE=False)

    def load_dataset(path: str, split: str) -> Rows:
        assert package.config.HF_HUB_OFFLINE is True  # download: false
        if path != "known":
            raise FileNotFoundError(f"Couldn't find {path} in the cache\nand so on")
        return Rows(x=[[1, 2], [3, 4]], y=[split, "b"])

    package.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", package)
    data = HuggingFace(path="known", inputs="x", targets="y").load(tmp_path)
    assert (data.inputs.tolist(), data.targets.tolist(), data.classes) == ([[1, 2], [3, 4]], [1, 0], ("b", "train"))
    assert package.config.HF_HUB_OFFLINE is False
    with pytest.raises(UserError, match="Couldn't find strange in the cache; 'download: true' fetches it"):
        HuggingFace(path="strange", inputs="x", targets="y").load(tmp_path)
    with pytest.raises(UserError, match="there is no column 'z'; there are: x, y"):
        HuggingFace(path="known", inputs="z", targets="y").load(tmp_path)


def test_parquet_by_a_stand_in(monkeypatch: Any, tmp_path: Path) -> None:
    package: Any = types.ModuleType("pyarrow")
    table = types.SimpleNamespace(to_pydict=lambda: {"a": [1.5, 2.0], "label": ["x", "y"]})
    package.parquet = types.SimpleNamespace(read_table=lambda _: table)
    package.ArrowInvalid = ValueError
    monkeypatch.setitem(sys.modules, "pyarrow", package)
    data = Parquet(path="a.parquet", target="label").load(tmp_path)
    assert (data.inputs.tolist(), data.targets.tolist(), data.classes) == ([[1.5], [2.0]], [0, 1], ("x", "y"))
