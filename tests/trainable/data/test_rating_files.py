"""Ratings from files: ids are kept as written, and errors name their place."""

import csv
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from trainable.contract import StudyError
from trainable.data.files import read_csv, read_parquet
from trainable.data.interactions import Interactions

Row = tuple[Any, ...]
GOOD = [("ann", "x", 3.0), ("bob", "y", 4.5), ("ann", "y", 1.0)]
COLUMNS = ("user", "item", "rating", "timestamp")


def write_csv(folder: Path, rows: list[Row], columns: tuple[str, ...] = COLUMNS) -> Path:
    path = folder / "ratings.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_MINIMAL)
        writer.writerow(columns[: len(rows[0])] if rows else columns)
        writer.writerows(rows)
    return path


def write_parquet(folder: Path, rows: list[Row], columns: tuple[str, ...] = COLUMNS) -> Path:
    path = folder / "ratings.parquet"
    names = columns[: len(rows[0])] if rows else columns
    parquet.write_table(pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)}), path)
    return path


KINDS = [(write_csv, read_csv, 2), (write_parquet, read_parquet, 1)]
each_kind = pytest.mark.parametrize(("write", "read", "first"), KINDS, ids=["csv", "parquet"])
Write = Callable[..., Path]
Read = Callable[[Path], Interactions]


def told(ratings: Interactions) -> list[Row]:
    times = [None] * len(ratings) if ratings.timestamps is None else ratings.timestamps.tolist()
    users, items = ratings.user_ids[ratings.users].tolist(), ratings.item_ids[ratings.items].tolist()
    return list(zip(users, items, ratings.ratings.tolist(), times, strict=True))


def refuses(read: Read, path: Path, *words: str) -> None:
    with pytest.raises(StudyError) as error:
        read(path)
    message = str(error.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    for word in words:
        assert word in message, message


@each_kind
def test_rows_are_kept_in_order_over_ascending_ids(
    write: Write, read: Read, first: int, tmp_path: Path
) -> None:
    ratings = read(write(tmp_path, GOOD))
    assert told(ratings) == [(*row, None) for row in GOOD]
    assert ratings.user_ids.tolist() == ["ann", "bob"]
    assert (ratings.users.dtype, ratings.items.dtype, ratings.ratings.dtype) == (
        np.int32,
        np.int32,
        np.float32,
    )


id_texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)


@given(
    users=st.lists(id_texts, min_size=2, max_size=5, unique=True),
    items=st.lists(id_texts, min_size=2, max_size=5, unique=True),
    seed=st.integers(0, 99),
)
def test_any_text_comes_back_as_an_id(
    users: list[str], items: list[str], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("ids")
    pairs = [(user, item) for user in users for item in items]
    rows = [(*pairs[k], float(k)) for k in np.random.default_rng(seed).permutation(len(pairs))]
    for write, read, _ in KINDS:
        ratings = read(write(folder, rows))
        assert told(ratings) == [(*row, None) for row in rows]
        assert sorted(ratings.user_ids.tolist()) == sorted(users)


@each_kind
def test_integers_ascend_by_value_and_mixtures_by_code_point(
    write: Write, read: Read, first: int, tmp_path: Path
) -> None:
    ratings = read(write(tmp_path, [("10", "10", 1), ("9", "007", 1), ("-3", "9", 1)]))
    assert ratings.user_ids.tolist() == ["-3", "9", "10"]
    assert ratings.item_ids.tolist() == ["007", "10", "9"]


def test_parquet_takes_integer_and_categorical_ids_and_any_numbers(tmp_path: Path) -> None:
    path = tmp_path / "ratings.parquet"
    columns = {
        "user": pa.array([10, 9, 10], pa.int16()),
        "item": pa.array(["b", "a", "a"]).dictionary_encode(),
        "rating": pa.array([1, 2, 3], pa.int8()),
        "timestamp": pa.array([0, 1, 2], pa.timestamp("ms")),
        "more": pa.array([None, "ignored", None]),
    }
    parquet.write_table(pa.table(columns), path)
    assert told(read_parquet(path)) == [("10", "b", 1.0, 0), ("9", "a", 2.0, 1), ("10", "a", 3.0, 2)]


def test_csv_keeps_quotes_commas_line_breaks_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_bytes('\ufeffuser,item,more,rating\r\n"a,""b""\r\nc",x,1, 2.5 \r\nNA,null,,-1e-2\r\n'.encode())
    assert told(read_csv(path)) == [
        ('a,"b"\r\nc', "x", 2.5, None),
        ("NA", "null", pytest.approx(-0.01), None),
    ]


@each_kind
def test_timestamps_are_whole_numbers(write: Write, read: Read, first: int, tmp_path: Path) -> None:
    rows = [(*row, time) for row, time in zip(GOOD, (2**62, 5, -1), strict=True)]
    assert told(read(write(tmp_path, rows))) == rows


@pytest.mark.parametrize(
    "times",
    [
        ("2021-03-01", "2020-01-01 10:00:00", "2022-01-01T00:00:00.5"),
        ("2021-03-01T00:00:00Z", "2021-03-01T00:30:00+01:00", "2021-03-01T00:00:01Z"),
    ],
)
def test_timestamps_may_be_date_times(times: tuple[str, ...], tmp_path: Path) -> None:
    rows = [(*row, time) for row, time in zip(GOOD, times, strict=True)]
    read = read_csv(write_csv(tmp_path, rows))
    assert read.timestamps is not None
    assert np.argsort(read.timestamps).tolist() == [1, 0, 2]


@each_kind
@pytest.mark.parametrize("rating", [float("nan"), float("inf"), -float("inf"), 1e39, None])
def test_a_rating_that_is_not_finite_is_refused(
    rating: float | None, write: Write, read: Read, first: int, tmp_path: Path
) -> None:
    path = write(tmp_path, [*GOOD, ("bob", "x", rating)])
    refuses(read, path, "column 'rating'", f"row {3 + first}:", "not a finite number")


def test_numbers_may_be_written_in_any_usual_way(tmp_path: Path) -> None:
    rows = [("a", "x", "+1"), ("a", "y", "5."), ("b", "x", ".5"), ("b", "y", "-2.5E+1"), ("c", "x", " 007 ")]
    assert read_csv(write_csv(tmp_path, rows)).ratings.tolist() == [1.0, 5.0, 0.5, -25.0, 7.0]


@each_kind
@pytest.mark.parametrize("rating", ["good", "1,5", "0x10", "1_0", "", "1e", "True"])
def test_a_rating_that_is_not_a_number_is_refused(
    rating: str, write: Write, read: Read, first: int, tmp_path: Path
) -> None:
    path = write(tmp_path, [("a", "x", "1"), ("b", "y", rating)])
    refuses(read, path, "column 'rating'", f"row {1 + first}:", repr(rating))


@each_kind
@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("missing", [None, ""])
def test_a_missing_id_is_refused(
    missing: str | None, column: int, write: Write, read: Read, first: int, tmp_path: Path
) -> None:
    row: list[Any] = ["cat", "z", 1.0]
    row[column] = missing
    path = write(tmp_path, [*GOOD, tuple(row)])
    refuses(read, path, f"column {COLUMNS[column]!r}", f"row {3 + first}:", "missing")


@each_kind
@pytest.mark.parametrize("column", [0, 1])
def test_an_id_with_a_nul_is_refused(
    column: int, write: Write, read: Read, first: int, tmp_path: Path
) -> None:
    """NumPy drops it at the end of a text. Catches two ids that become equal."""
    row: list[Any] = ["cat", "z", 1.0]
    row[column] += "\0"
    path = write(tmp_path, [*GOOD, tuple(row)])
    refuses(read, path, f"column {COLUMNS[column]!r}", f"row {3 + first}:", "contains a NUL character")


def test_parquet_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """Arrow reads it unchecked. Catches Arrow's own error, much later."""
    raw = pa.array([b"a", b"\xff"])
    text = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    path = tmp_path / "ratings.parquet"
    parquet.write_table(pa.table({"user": text, "item": ["x", "y"], "rating": [1.0, 2.0]}), path)
    refuses(read_parquet, path, "cannot be read", "UTF8")


@each_kind
def test_a_pair_rated_twice_is_refused(write: Write, read: Read, first: int, tmp_path: Path) -> None:
    path = write(tmp_path, [*GOOD, ("bob", "y", 4.5)])
    refuses(read, path, f"row {3 + first} rates user 'bob', item 'y' again, after row {1 + first}")


@each_kind
@pytest.mark.parametrize("name", ["user", "item", "rating"])
def test_a_missing_column_is_refused(name: str, write: Write, read: Read, first: int, tmp_path: Path) -> None:
    columns = tuple("else" if column == name else column for column in COLUMNS)
    path = write(tmp_path, GOOD, columns)
    refuses(read, path, f"no column {name!r}", "'else'", "user, item, rating", "timestamp")


@each_kind
def test_a_column_there_twice_is_refused(write: Write, read: Read, first: int, tmp_path: Path) -> None:
    path = tmp_path / ("twice.csv" if first == 2 else "twice.parquet")
    names = ["user", "item", "rating", "user"]
    if first == 2:
        path.write_text(",".join(names) + "\na,x,1,b\n")
    else:
        parquet.write_table(pa.Table.from_arrays([pa.array(["a"])] * 4, names=names), path)
    refuses(read, path, "column 'user'", "2 times")


@each_kind
def test_no_rows_one_user_one_item_are_refused(write: Write, read: Read, first: int, tmp_path: Path) -> None:
    refuses(read, write(tmp_path, []), "no ratings")
    refuses(read, write(tmp_path, [("a", "x", 1), ("a", "y", 2)]), "column 'user'", "at least two users")
    refuses(read, write(tmp_path, [("a", "x", 1), ("b", "x", 2)]), "column 'item'", "at least two items")


@each_kind
def test_a_missing_timestamp_or_half_a_second_is_refused(
    write: Write, read: Read, first: int, tmp_path: Path
) -> None:
    rows = [(*row, time) for row, time in zip(GOOD, (1, 2, None), strict=True)]
    refuses(read, write(tmp_path, rows), "column 'timestamp'", f"row {2 + first}:", "missing")
    rows = [(*row, time) for row, time in zip(GOOD, (1.0, 2.5, 3.0), strict=True)]
    refuses(read, write(tmp_path, rows), "column 'timestamp'", "whole numbers")


@each_kind
def test_a_missing_or_unreadable_file_is_refused(
    write: Write, read: Read, first: int, tmp_path: Path
) -> None:
    suffix = ".csv" if first == 2 else ".parquet"
    refuses(read, tmp_path / f"nowhere{suffix}", "no such file")
    folder = tmp_path / f"folder{suffix}"
    folder.mkdir()
    refuses(read, folder, "cannot be read")
    empty = tmp_path / f"empty{suffix}"
    empty.touch()
    refuses(read, empty)
    garbage = tmp_path / f"garbage{suffix}"
    garbage.write_bytes(bytes(range(256)))
    refuses(read, garbage)


def test_csv_with_a_short_row_or_bad_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("user,item,rating\na,x,1\nb,y\n")
    refuses(read_csv, path, "Row #3", "Expected 3 columns, got 2")
    path.write_bytes(b"user,item,rating\n" + b"a,x,1\n" * 20_000 + b"b,\xff,2\n")
    refuses(read_csv, path, "cannot be read", "UTF8")


@pytest.mark.parametrize(
    ("column", "values"), [("user", [1.0, 2.0]), ("rating", [True, False]), ("item", [b"a", b"b"])]
)
def test_parquet_columns_of_another_type_are_refused(column: str, values: list[Any], tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {"user": ["a", "b"], "item": ["x", "y"], "rating": [1.0, 2.0]}
    path = tmp_path / "ratings.parquet"
    parquet.write_table(pa.table({**columns, column: values}), path)
    refuses(read_parquet, path, f"column {column!r} holds", "use")


@each_kind
def test_a_long_id_does_not_widen_others(write: Write, read: Read, first: int, tmp_path: Path) -> None:
    """Ids are not stored as fixed-width text, which would take 160 MB here."""
    long = "x" * 20_000
    rows = [(f"u{n}", f"i{n % 7}", 1.0) for n in range(2_000)]
    path = write(tmp_path, [*rows, (long, "i0", 2.0)])
    tracemalloc.start()
    try:
        ratings = read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ratings.user_ids[ratings.users[-1]] == long
    assert peak < 40 << 20


@each_kind
def test_a_long_id_is_not_repeated_in_a_message(write: Write, read: Read, first: int, tmp_path: Path) -> None:
    long = "x" * 200_000
    for rows in (
        [*GOOD, (long, "y", 4.5), (long, "y", 4.5)],
        [(long, "x", 1.0), (long, "y", 1.0)],
        [*GOOD, (long + "\0", "z", 1.0)],
    ):
        path = write(tmp_path, rows)
        with pytest.raises(StudyError) as error:
            read(path)
        assert "…" in str(error.value)
        assert len(str(error.value)) < 500


def test_an_invalid_time_is_named_with_its_row(tmp_path: Path) -> None:
    """The error names the row of the year 2500, and does not ask for date-times, which they are."""
    good = ["2020-01-01"] * 300
    for column, where, shown in [
        ([*good, "2500-01-01", *good], 301, "2500-01-01"),
        ([*good, "7", *good], 301, "7"),
        (["7", "8", "8.5"], 3, "8.5"),
        (["2020-01-01T00:00:00Z", "2020-01-01T00:00:00"], 2, "2020-01-01T00:00:00"),
        ([str(2**63), "1"], 1, str(2**63)),
    ]:
        rows = [(f"u{n}", f"i{n}", 1, time) for n, time in enumerate(column)]
        words = (f"row {where + 1}:", repr(shown), "1677-09-22 to 2262-04-11")
        refuses(read_csv, write_csv(tmp_path, rows), "column 'timestamp'", *words)


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        (pa.array([0, 2932896], pa.date32()), "row 2: '9999-12-31'"),
        (pa.array([1, 2**63], pa.uint64()), f"row 2: '{2**63}'"),
        (pa.array([{"a": 1}, {"a": 2}]), "row 1: "),
        (pa.array([[1], [2]]), "row 1: '[1]'"),
    ],
)
def test_a_parquet_time_out_of_range_is_named_with_its_row(column: pa.Array, shown: str, tmp_path: Path):
    path = tmp_path / "ratings.parquet"
    rest = {"user": ["a", "b"], "item": ["x", "y"], "rating": [1.0, 2.0]}
    parquet.write_table(pa.table({**rest, "timestamp": column}), path)
    refuses(read_parquet, path, "column 'timestamp'", shown)


@each_kind
def test_a_rating_whose_square_does_not_fit_is_refused(
    write: Write, read: Read, first: int, tmp_path: Path
) -> None:
    """The error comes before training; otherwise every trial would fail."""
    path = write(tmp_path, [*GOOD, ("bob", "x", -2e19)])
    refuses(read, path, "column 'rating'", f"row {3 + first}:", "is beyond ±1e+19", "a larger unit")
    assert read(write(tmp_path, [*GOOD, ("bob", "x", 1.7e18)])).ratings.max() == np.float32(1.7e18)
