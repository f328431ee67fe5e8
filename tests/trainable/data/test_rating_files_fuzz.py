"""Any file of ratings can be split and described, or is refused by a StudyError."""

import csv
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fuzz import ODD_NUMBERS, damaged, odd, refusal
from hypothesis import example, given
from hypothesis import strategies as st
from pyarrow import parquet

from trainable.data.description import describe
from trainable.data.registry import SPLITS, load

pytestmark = pytest.mark.fuzz
COLUMNS = ("user", "item", "rating", "timestamp")
ROWS = [(f"u{u}", i, (u * i) % 5 + 0.5, 1000 * u + i) for u in range(6) for i in range(8)]


def check(path: Path, content: bytes) -> None:
    """Check the law of this file with one of the splits."""
    path.write_bytes(content)
    for name in SPLITS:
        message = refusal(lambda name=name: used(path, name))
        assert message is None or message.startswith((str(path), "data.split: "))
        assert "\n" not in (message or "")


def used(path: Path, split: str) -> None:
    """Load, split and describe ratings; check the invariants that a study relies on."""
    parts = load(str(path), split=split, split_seed=0)
    describe(parts)
    for ids in (parts.train.user_ids, parts.train.item_ids):
        assert len(set(ids.tolist())) == len(ids)
        "".join(ids.tolist()).encode()
    assert np.isfinite(parts.train.ratings).all()


# --- .csv ------------------------------------------------------------------------------------------------

cells = odd.map(str) | st.sampled_from(
    ["1", "2.5", "u1", "u1\0", "NA", "1e400", "1e-400", '"', "٣", "2020-01-01", "9" * 30]
)


def as_csv(rows: list[tuple[Any, ...]], **options: Any) -> str:
    text = io.StringIO()
    csv.writer(text, **options).writerows(rows)
    return text.getvalue()


CSV = as_csv([COLUMNS, *ROWS])


@given(damaged(CSV.encode(), as_csv([("item", "user"), *ROWS], delimiter=";").encode()) | st.binary())
def test_any_csv(tmp_path: Path, content: bytes):
    check(tmp_path / "ratings.csv", content)


@given(
    rows=st.lists(st.lists(cells, min_size=4, max_size=4).map(tuple), max_size=5),
    header=st.permutations([*COLUMNS, "user"]).map(lambda names: names[:4]) | st.just(list(COLUMNS)),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-7", "latin-1", "cp037"]),
    options=st.fixed_dictionaries(
        {},
        optional={
            "delimiter": st.sampled_from(",;\t|"),
            "lineterminator": st.sampled_from(["\n", "\r", "\r\n", "\n\n"]),
            "quoting": st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
        },
    ),
)
def test_any_cells_in_any_encoding(tmp_path: Path, rows, header, encoding, options):
    text = as_csv([tuple(header), *ROWS[:20], *rows, *ROWS[20:]], **options)
    check(tmp_path / "ratings.csv", text.encode(encoding, errors="replace"))


# --- .parquet --------------------------------------------------------------------------------------------


def as_parquet(columns: dict[str, Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pa.table(columns), buffer, **options)
    return buffer.getvalue()


GOOD = dict(zip(COLUMNS, map(list, zip(*ROWS, strict=True)), strict=True))
PARQUET = as_parquet(GOOD)


@example(PARQUET.replace(b"user", b"\xf5ser"))
@given(damaged(PARQUET, as_parquet(GOOD, compression="none")) | st.binary())
def test_any_parquet(tmp_path: Path, content: bytes):
    check(tmp_path / "ratings.parquet", content)


def arrays(kind: pa.DataType, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Columns of one type with a value for each row, some missing, often with few distinct values."""
    few = st.lists(values | values | values | st.none(), min_size=1, max_size=6)
    return few.map(lambda some: pa.array([some[n % len(some)] for n in range(len(ROWS))], kind))


whole = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([n for n in ODD_NUMBERS if abs(n) < 2**63])
texts = st.text(max_size=6) | cells
columns = st.one_of(
    arrays(pa.int64(), whole),
    arrays(pa.uint64(), whole.map(abs)),
    arrays(pa.int8(), st.integers(-128, 127)),
    arrays(pa.float64(), st.floats()),
    arrays(pa.float32(), st.floats(width=32)),
    arrays(pa.float16(), st.floats(width=16).map(np.float16)),
    arrays(pa.string(), texts),
    arrays(pa.large_string(), texts),
    arrays(pa.string_view(), texts),
    arrays(pa.string(), texts).map(lambda column: column.dictionary_encode()),
    arrays(pa.int64(), whole).map(lambda column: column.dictionary_encode()),
    arrays(pa.float64(), st.floats()).map(lambda column: column.dictionary_encode()),
    arrays(pa.binary(), st.binary(max_size=4)),
    arrays(pa.binary(3), st.binary(min_size=3, max_size=3)),
    arrays(pa.bool_(), st.booleans()),
    arrays(pa.null(), st.none()),
    arrays(pa.date32(), st.dates()),
    arrays(pa.timestamp("s"), st.datetimes()),
    arrays(pa.timestamp("us", tz="Europe/Berlin"), st.datetimes()),
    arrays(pa.duration("ms"), st.timedeltas(timedelta(-999), timedelta(999))),
    arrays(pa.time64("us"), st.times()),
    arrays(pa.decimal128(38, 6), st.decimals(-(10**30), 10**30, places=6)),
    arrays(pa.decimal256(76, 3), st.decimals(-(10**60), 10**60, places=3)),
    arrays(pa.list_(pa.int64()), st.lists(st.integers(0, 9), max_size=2)),
    arrays(pa.struct({"a": pa.int64()}), st.fixed_dictionaries({"a": st.integers(0, 9)})),
    arrays(pa.map_(pa.string(), pa.int64()), st.just([("a", 1)])),
)


@given(changes=st.dictionaries(st.sampled_from(COLUMNS), columns, min_size=1, max_size=2))
def test_any_columns(tmp_path: Path, changes: dict[str, Any]):
    check(tmp_path / "ratings.parquet", as_parquet(GOOD | changes))


@given(st.lists(st.binary(max_size=3), min_size=2, max_size=6), st.sampled_from(["user", "item", "rating"]))
def test_text_that_is_no_utf8(tmp_path: Path, some: list[bytes], name: str):
    """Arrow does not check it when reading. Catches bytes that raise an error much later."""
    raw = pa.array([some[n % len(some)] for n in range(len(ROWS))], pa.binary())
    text = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    check(tmp_path / "ratings.parquet", as_parquet(GOOD | {name: text}))
