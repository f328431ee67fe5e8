"""The tables of trials and measurements, in pages, as JSON, CSV or Parquet."""

from collections import OrderedDict
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from study.record.location import holds_study
from study.record.reader import Reader
from study.record.version_tokens import VersionTokens
from study.results.export import tables
from study.service.accept import CSV
from study.service.cache import Kept
from study.service.schemas import Measurements, Trials

if TYPE_CHECKING:
    import pandas as pd

TableName = Literal["trials", "measurements"]
Frames = dict[TableName, "pd.DataFrame"]

TABLES_KEPT = 4
"""Studies whose tables are cached; the tables of 10,000 trials take about 10 MB."""


class TableCache:
    """A cache of tables, made again if a record may have changed."""

    def __init__(self, versions: VersionTokens) -> None:
        self._versions = versions
        self._kept: OrderedDict[Path, Kept[Frames]] = OrderedDict()
        self._lock = Lock()

    def of(self, folder: Path, name: TableName) -> "pd.DataFrame | None":
        """A table of the study in `folder`; None if it has no record."""
        if not holds_study(folder):
            return None
        with self._lock:
            kept, now = self._kept.get(folder), self._versions.of(folder)
            if kept is None or not kept.holds(now):
                kept = self._kept[folder] = Kept.made(partial(_read, folder), now)
            self._kept.move_to_end(folder)
            if len(self._kept) > TABLES_KEPT:
                self._kept.popitem(last=False)
        return kept.value[name]


def _read(folder: Path) -> tuple[Frames, bool]:
    """The tables of a study, and True if a trial is running."""
    with closing(Reader.read(folder)) as ledger:
        made = tables(ledger)
    running = "running" in set(made.trials["state"])
    return {"trials": made.trials, "measurements": made.measurements}, running


def as_file(rows: "pd.DataFrame", kind: str) -> bytes:
    """The rows as a file of the media type `kind`, CSV or Parquet."""
    made: bytes = rows.to_csv(index=False).encode() if kind == CSV else rows.to_parquet(index=False)
    return made


def as_answer(
    rows: "pd.DataFrame | None", name: TableName, *, total: int, offset: int, limit: int
) -> Trials | Measurements:
    """The rows as the JSON answer."""
    page = Trials if name == "trials" else Measurements
    return page(total=total, offset=offset, limit=limit, rows=[] if rows is None else _records(rows))


def _records(rows: "pd.DataFrame") -> list[dict[str, Any]]:
    """The rows as dictionaries; missing values are None, times are ISO 8601."""
    plain = rows.copy()
    for column in plain.select_dtypes("datetimetz").columns:
        plain[column] = plain[column].map(lambda at: at.isoformat(), na_action="ignore").astype(object)
    plain = plain.astype(object).where(plain.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]
