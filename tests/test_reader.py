"""Reading logs: what real files do to a table, and what is said of files that hold none."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossdoc import reader
from lossdoc.curve import Table
from lossdoc.errors import UserError
from lossdoc.readers.csv import reader as csv_reader
from lossdoc.readers.csv import sniff

NAN = float("nan")


def table(text: str | bytes) -> Table:
    """Read a text as a table."""
    return csv_reader.read(text.encode() if isinstance(text, str) else text, "log.csv")[0]


def lists(found: Table) -> dict[str, list[float]]:
    """Return the columns' values."""
    return {name: column.values.tolist() for name, column in found.columns.items()}


PLAIN = {"step": [1.0, 2.0, 3.0], "loss": [0.5, 0.25, 0.125]}
ROWS = "1,0.5\n2,0.25\n3,0.125\n"


@pytest.mark.parametrize(
    "text",
    [
        "step,loss\n" + ROWS,
        "step,loss\n" + ROWS.rstrip("\n"),
        "step;loss\n" + ROWS.replace(",", ";"),
        "step\tloss\n" + ROWS.replace(",", "\t"),
        "step|loss\n" + ROWS.replace(",", "|"),
        "step loss\n" + ROWS.replace(",", "  "),
        "step,loss\r\n" + ROWS.replace("\n", "\r\n"),
        "step,loss\r\r\n" + ROWS.replace("\n", "\r\r\n"),
        "step,loss\r" + ROWS.replace("\n", "\r"),
        b"\xef\xbb\xbf" + ("step,loss\n" + ROWS).encode(),
        ("step,loss\n" + ROWS).encode("utf-16"),
        ("step,loss\n" + ROWS).encode("utf-16-le"),
        '"step","loss"\n"1","0.5"\n"2","0.25"\n"3","0.125"',
        "   step,        loss\n   1,   0.5\n   2,   0.25\n   3,   0.125\n",
        "# by a trainer\n\nstep,loss\n" + ROWS,
        "# step loss\n" + ROWS.replace(",", " "),
        "step,loss\n1,0.5\n\n2,0.25\n# resumed\n3,0.125\n",
        "step;loss\n1;0,5\n2;0,25\n3;0,125\n",
        "step,loss\n1,50%\n2,25 %\n3,12.5%\n",
        "step,loss\n1,0.5\n2,0.25\nstep,loss\n3,0.125\n",
        "step,loss\n1,5e-1\n2,2.5E-1\n3,+.125\n",
    ],
    ids=lambda text: repr(text)[:40],
)
def test_one_table_written_in_many_ways(text: str | bytes) -> None:
    assert sniff(text.encode() if isinstance(text, str) else text) > 0
    assert lists(table(text)) == PLAIN


@pytest.mark.parametrize(
    ("cell", "value", "logged", "unreadable"),
    [
        ("nan", NAN, True, 0),
        ("NaN", NAN, True, 0),
        ("-nan", NAN, True, 0),
        ("-nan(ind)", NAN, True, 0),
        ("inf", np.inf, True, 0),
        ("-Infinity", -np.inf, True, 0),
        ("", NAN, False, 0),
        ("null", NAN, False, 0),
        ("None", NAN, False, 0),
        ("N/A", NAN, False, 0),
        ("No log", NAN, False, 0),
        ("oops", NAN, False, 1),
        ("1_000", NAN, False, 1),
        ("0:32", NAN, False, 1),
    ],
)
def test_what_a_cell_means(cell: str, value: float, logged: bool, unreadable: int) -> None:
    column = table(f"step,loss,more\n1,0.5,1\n2,{cell},1\n3,0.2,1\n").columns["loss"]
    assert column.values.tolist() == pytest.approx([0.5, value, 0.2], nan_ok=True)
    assert column.logged.tolist() == [True, logged, True]
    assert column.unreadable == unreadable


def test_unreadable_cells_are_counted_and_the_first_is_shown() -> None:
    found = table("step,train_loss\n" + "".join(f"{i},{'oops' if i % 7 == 3 else 1 / (i + 1)}\n" for i in range(100)))
    assert found.notes == ("14 cells of 'train_loss' are not numbers (first: line 5: 'oops') and left out",)
    assert found.columns["train_loss"].unreadable == 14


@pytest.mark.parametrize(
    ("text", "columns", "says"),
    [
        ("1,0.5\n2,0.25\n", {"1": [1.0, 2.0], "2": [0.5, 0.25]}, "no header"),
        ("0.5\n0.25\n0.2\n", {"1": [0.5, 0.25, 0.2]}, "no header"),
        ("loss\n0.5\n0.25\n", {"loss": [0.5, 0.25]}, None),
        (",loss\n0,0.5\n1,0.25\n", {"index": [0.0, 1.0], "loss": [0.5, 0.25]}, None),
        ("loss,loss\n1,2\n3,4\n", {"loss": [1.0, 3.0], "loss (2)": [2.0, 4.0]}, "several columns are called 'loss'"),
        ("a,b,c\n1,2,3\n4,5\n", {"a": [1.0, 4.0], "b": [2.0, 5.0], "c": [3.0, NAN]}, "1 row has fewer cells"),
        ("a,b\n1,2,9\n4,5\n", {"a": [1.0, 4.0], "b": [2.0, 5.0]}, "1 row has more cells"),
        ('a,b\n"1,5",2\n"x\ny",3\n', {"a": [NAN, NAN], "b": [2.0, 3.0]}, None),
    ],
)
def test_tables_that_are_not_quite_right(text: str, columns: dict[str, list[float]], says: str | None) -> None:
    found = table(text)
    assert list(found.columns) == list(columns)
    for name, values in columns.items():
        assert found.columns[name].values.tolist() == pytest.approx(values, nan_ok=True)
    assert says is None or any(says in note for note in found.notes)


def test_words_are_kept_where_a_column_holds_no_numbers() -> None:
    column = table("run,loss\na,1\na,2\nb,1\n").columns["run"]
    assert column.labels == ("a", "a", "b")
    assert not column.logged.any()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n\r\n", "is empty"),
        (b"step,train_loss\n", "not one row"),
        (b"# nothing\n", "is no log"),
        (bytes((i * 7919 + i * i) % 256 for i in range(4096)), "binary data"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n", "Git-LFS pointer"),
        (b"Once upon a time, there was\na log without numbers\n", "is no log"),
        (b'{"step": 1, "place": 2}\n{"step": 2, "place": 1}\n', "holds no loss"),
    ],
)
def test_files_that_hold_no_log(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=says) as bad:
        reader.read(path)
    assert "bad.csv" in str(bad.value)


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "losses.bin"
    path.write_text("step,loss\n" + ROWS)
    assert lists(reader.read(path)[0]) == PLAIN


def test_missing_files_and_unknown_readers_are_named(tmp_path: Path) -> None:
    (tmp_path / "curve.csv").write_text("step,loss\n" + ROWS)
    with pytest.raises(UserError, match=r"cruve\.csv: error.*did you mean 'curve\.csv'"):
        reader.read(tmp_path / "cruve.csv")
    with pytest.raises(UserError, match="did you mean 'csv'"):
        reader.read(tmp_path / "curve.csv", "cvs")
    with pytest.raises(UserError, match="no such file"):
        reader.read(tmp_path / "no" / "such.csv")


def test_what_may_not_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(UserError, match="cannot be read: Permission denied"):
        reader.read(tmp_path / "curve.csv")


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(("step,loss\n" + ROWS).encode())))
    assert lists(reader.read("-")[0]) == PLAIN
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(UserError, match=r"standard input: error.*is empty"):
        reader.read("-")


def test_a_folder_gives_its_logs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the folder holds no log"):
        reader.read(tmp_path)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.csv").write_text("step,loss\n" + ROWS)
    (tmp_path / "a.txt").write_text("loss\n1\n2\n")
    (tmp_path / "model.bin").write_bytes(bytes(range(256)))
    (tmp_path / ".hidden.csv").write_text("step,loss\n" + ROWS)
    assert [Path(found.source).name for found in reader.read(tmp_path)] == ["a.txt", "b.csv"]


numbers = st.floats() | st.none()


@given(st.lists(st.tuples(numbers, numbers, numbers), min_size=2, max_size=30), st.sampled_from(",;\t"))
def test_any_numbers_come_back_exactly(rows: list[tuple[float | None, ...]], mark: str) -> None:
    text = "".join(mark.join("" if cell is None else repr(cell) for cell in row) + "\n" for row in rows)
    found = table(mark.join("abc") + "\n" + text)
    keep = [row for row in rows if row != (None, None, None) or mark != " "]
    for name, cells in zip("abc", zip(*keep, strict=True), strict=True):
        assert found.columns[name].logged.tolist() == [cell is not None for cell in cells]
        expected = np.array([NAN if cell is None else cell for cell in cells])
        assert np.array_equal(found.columns[name].values, expected, equal_nan=True)


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    try:
        found = csv_reader.read(data, "x") if sniff(data) > 0 else []
    except UserError:
        return
    for each in found:
        assert len({len(column.values) for column in each.columns.values()}) == 1


@pytest.mark.parametrize(
    ("cell", "value"), [('"1,234.5"', 1234.5), ('"12,345,678"', 12345678.0), ('"-1,000"', -1000.0), ('"0.5"', 0.5)]
)
def test_commas_that_part_thousands(cell: str, value: float) -> None:
    (found,) = csv_reader.read(f'step,loss\n1,{cell}\n2,"2,000.5"\n'.encode(), "log.csv")
    assert found.columns["loss"].values.tolist() == [value, 2000.5]
