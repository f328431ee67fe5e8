"""Ratings from a .csv or .parquet file with the columns user, item, rating and, optionally, timestamp.

Ids are integers, or text without NUL, kept as written. Ratings are finite numbers in any unit. Timestamps are
integers or date-times; only their order is used. Other columns are ignored. Messages count rows from 1; the
header of a .csv file is row 1, as in a spreadsheet.
"""

from csv import Error as CsvError
from csv import reader
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv, parquet

from trainable.contract import StudyError, first_line
from trainable.data.catalogue import index
from trainable.data.interactions import Ids, Interactions
from trainable.disk import irregular

WANTED = ("user", "item", "rating")
OPTIONAL_COLUMNS = ("timestamp",)
LARGEST = 1e19
"""Bound on a rating, so that its square fits into the 32-bit floats of training."""
TIME_TYPES = ("int64", pa.timestamp("ns", tz="UTC"), pa.timestamp("ns"))
"""Arrow types that a timestamp column is cast through, in this order."""
LONGEST_SHOWN = 60
"""Characters of a value in a message, at most."""
NUMBER = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$"


@dataclass(frozen=True, slots=True)
class _File:
    """The path of a file, and the number of its first row of ratings, for messages."""

    path: Path
    first: int

    def __str__(self) -> str:
        return str(self.path)


def read_csv(path: Path) -> Interactions:
    """Read the ratings of a comma-separated UTF-8 file with a header line. Raises StudyError."""
    file = _File(path, first=2)
    try:
        _refuse_irregular(path)
        with path.open(newline="", encoding="utf-8-sig") as text:
            columns = _columns(file, next(reader(text), []))
        table = csv.read_csv(
            path,
            csv.ReadOptions(use_threads=False),  # with threads, errors do not name the row
            csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(include_columns=columns, column_types=dict.fromkeys(columns, pa.string())),
        )
    except (OSError, UnicodeError, CsvError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    return _interactions(file, table)


def read_parquet(path: Path) -> Interactions:
    """Read the ratings of a Parquet file. Raises StudyError."""
    file = _File(path, first=1)
    try:
        _refuse_irregular(path)
        with parquet.ParquetFile(path) as source:
            columns = _columns(file, source.schema_arrow.names)
            table = source.read(columns=columns)
            table.validate(full=True)  # reading does not check that text is UTF-8
    except (OSError, UnicodeError, pa.ArrowException) as error:  # UnicodeError: names of columns
        raise _unreadable(path, error) from error
    return _interactions(file, table)


def _columns(file: _File, names: list[str]) -> list[str]:
    wanted = f"{', '.join(WANTED)} are required, {', '.join(OPTIONAL_COLUMNS)} is optional"
    for name in WANTED:
        if name not in names:
            raise StudyError(f"{file}: no column {name!r} among {names}; {wanted}")
    columns = [*WANTED, *(name for name in OPTIONAL_COLUMNS if name in names)]
    for name in columns:
        if names.count(name) > 1:
            raise StudyError(f"{file}: column {name!r} occurs {names.count(name)} times; keep one")
    return columns


def _interactions(file: _File, table: Any) -> Interactions:
    if table.num_rows == 0:
        raise StudyError(f"{file}: no ratings; give at least one row below the header")
    users, user_ids = index(_ids(file, table, "user"))
    items, item_ids = index(_ids(file, table, "item"))
    for name, ids in (("user", user_ids), ("item", item_ids)):
        if len(ids) == 1:
            raise StudyError(
                f"{file}: column {name!r}: every row has {_shown(ids[0])}; give at least two {name}s"
            )
    _refuse_duplicates(file, users, items, user_ids, item_ids)
    return Interactions(
        users=users,
        items=items,
        ratings=_ratings(file, table["rating"]),
        timestamps=_timestamps(file, table["timestamp"]) if "timestamp" in table.column_names else None,
        user_ids=user_ids,
        item_ids=item_ids,
    )


def _ids(file: _File, table: Any, name: str) -> Any:
    column = _plain(table[name])
    if not (_is_text(column) or pa.types.is_integer(column.type)):
        raise StudyError(f"{file}: column {name!r} holds {column.type}; use text or integers")
    _refuse(file, name, column, _missing(column), "is missing; give every rating a user and an item")
    if _is_text(column):
        nul = _array(pc.match_substring(column, "\0"))
        _refuse(file, name, column, nul, "contains a NUL character; remove it")
    return column


def _ratings(file: _File, column: Any) -> NDArray[np.float32]:
    column = _plain(column)
    kind = column.type
    if _is_text(column):
        numbers = pc.fill_null(pc.match_substring_regex(column, NUMBER), fill_value=False)
        _refuse(file, "rating", column, ~_array(numbers), "is not a finite number")
        column = pc.utf8_trim_whitespace(column)
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise StudyError(f"{file}: column 'rating' holds {kind}; use numbers")
    with np.errstate(over="ignore"):
        ratings: NDArray[np.float32] = _array(pc.cast(column, "float64", safe=False)).astype(np.float32)
    _refuse(file, "rating", column, ~np.isfinite(ratings), "is not a finite number")
    why = f"is beyond ±{LARGEST:g}, so its square is too large for training; give ratings in a larger unit"
    _refuse(file, "rating", column, np.abs(ratings) > LARGEST, why)
    return ratings


def _timestamps(file: _File, column: Any) -> NDArray[np.int64]:
    column = _plain(column)
    _refuse(file, "timestamp", column, _missing(column), "is missing; give every row one, or drop the column")
    first_bad = 0
    for kind in TIME_TYPES:
        if (numbers := _as_times(column, kind)) is not None:
            return _array(numbers)
        first_bad = max(first_bad, _first_unlike(column, kind))
    raise StudyError(
        f"{file}: column 'timestamp' ({column.type}), row {first_bad + file.first}: "
        f"{_shown(_in_words(column[first_bad]))} is not a valid time; use whole numbers in "
        "every row, or date-times from 1677-09-22 to 2262-04-11, all with a time zone or all without"
    )


def _as_times(column: Any, kind: Any) -> Any | None:
    """Cast a column through `kind` to int64; None if a row cannot be cast."""
    try:
        return pc.cast(pc.cast(column, kind), "int64")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _in_words(scalar: Any) -> str:
    """Text of an Arrow value: Python has no date-time after the year 9999, Arrow no text for a list."""
    try:
        return str(scalar.cast("string"))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return str(scalar)


def _first_unlike(column: Any, kind: Any) -> int:
    """Index of the first row that is not a time of `kind`, by bisection; there must be one."""
    first, size = 0, len(column)
    while size > 1:
        half = size // 2
        if _as_times(column.slice(first, half), kind) is not None:
            first, half = first + half, size - half
        size = half
    return first


def _refuse_duplicates(
    file: _File,
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    user_ids: Ids,
    item_ids: Ids,
) -> None:
    pair = users.astype(np.int64) * len(item_ids) + items
    order = np.argsort(pair, kind="stable")
    again = np.flatnonzero(pair[order][1:] == pair[order][:-1])
    if len(again):
        later = order[again + 1].min()
        first = np.flatnonzero(pair == pair[later])[0]
        raise StudyError(
            f"{file}: row {later + file.first} rates user {_shown(user_ids[users[later]])}, item "
            f"{_shown(item_ids[items[later]])} again, after row {first + file.first}; keep one of them"
        )


def _refuse(file: _File, name: str, column: Any, bad: NDArray[np.bool_], why: str) -> None:
    if bad.any():
        row = int(bad.argmax())
        raise StudyError(
            f"{file}: column {name!r}, row {row + file.first}: {_shown(column[row].as_py())} {why}"
        )


def _shown(value: object) -> str:
    """Repr of a value, cut to `LONGEST_SHOWN` characters."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"


def _refuse_irregular(path: Path) -> None:
    if (kind := irregular(path)) is not None:
        raise StudyError(f"{path}: cannot be read: it is {kind}; give a readable file of ratings")


def _unreadable(path: Path, error: Exception) -> StudyError:
    if isinstance(error, FileNotFoundError):
        return StudyError(f"{path}: there is no such file; give the path of a .csv or .parquet file")
    return StudyError(f"{path}: cannot be read: {first_line(error)}; give a readable file of ratings")


def _plain(column: Any) -> Any:
    """Remove dictionary encoding from a column."""
    return pc.cast(column, column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _is_text(column: Any) -> bool:
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def _missing(column: Any) -> NDArray[np.bool_]:
    null = column.is_null()
    return _array(pc.or_kleene(null, pc.equal(column, "")) if _is_text(column) else null)


def _array(column: Any) -> NDArray[Any]:
    return np.asarray(column.to_numpy())
