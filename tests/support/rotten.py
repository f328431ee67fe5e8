"""Damaged records: any byte of a SQLite file, any value of any of its tables."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from fuzz import ODD_NUMBERS, ODD_REALS, ODD_TEXTS, distorted
from hypothesis import strategies as st

STORABLE = st.one_of(
    st.none(),
    st.sampled_from([n for n in ODD_NUMBERS if -(2**63) <= n < 2**63]),
    st.sampled_from(ODD_REALS),
    st.sampled_from(ODD_TEXTS),
    st.binary(max_size=8),
    st.integers(-(2**63), 2**63 - 1),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
"""Values that a column of SQLite may hold, of any type."""


def places(path: Path) -> list[tuple[str, str, int]]:
    """Every value of a file: table, column and row."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [t for (t,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [
            (table, column[1], row)
            for table in tables
            for column in connection.execute(f"PRAGMA table_info({table})")
            for (row,) in connection.execute(f"SELECT rowid FROM {table}")
        ]


@st.composite
def changes(draw: st.DrawFn, path: Path, found: list[tuple[str, str, int]]) -> tuple[str, str, int, Any]:
    """A value of a file and its replacement: anything that SQLite can hold, or damaged JSON."""
    table, column, row = draw(st.sampled_from(found))
    with closing(sqlite3.connect(path)) as connection:
        (value,) = connection.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (row,)).fetchone()
    if (
        column == "value_json"
        and draw(st.booleans())
        and isinstance(fields := json.loads(value), dict)
        and fields
    ):
        return table, column, row, json.dumps(draw(distorted(fields)))
    return table, column, row, draw(STORABLE)


def change(path: Path, table: str, column: str, row: int, value: Any) -> bool:
    """Put a value into a file; False if SQLite refuses it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        try:
            with connection:
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, row))
        except sqlite3.IntegrityError:
            return False
    return True
