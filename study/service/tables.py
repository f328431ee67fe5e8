"""The tables of trials and measurements, in pages, as JSON, CSV or Parquet."""

from collections import OrderedDict
from contextlib import closing
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from study.record.location import holds_study
from study.record.reader import Reader
from study.record.version_tokens import VersionTokens
from study.results.export import tables
from study.service.accept import CSV, PARQUET
from study.service.cache import FRESH_S, LOOKING
from study.service.schemas import Measured, Measurements, Trial, Trials

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
        self._kept: OrderedDict[Path, tuple[object, float, Frames]] = OrderedDict()
        self._lock = Lock()

    def of(self, folder: Path, name: TableName) -> "pd.DataFrame | None":
        """A table of the study in `folder`; None if it has no record."""
        if not holds_study(folder):
            return None
        with self._lock:
            known, until, frames = self._kept.get(folder, (None, 0.0, {}))
            now = self._versions.of(folder)
            if not (now is not None and known == now) and monotonic() >= until:
                began = monotonic()
                with closing(Reader.read(folder)) as ledger:
                    made = tables(ledger)
                frames = {"trials": made.trials, "measurements": made.measurements}
                ended = monotonic()
                if "running" in set(made.trials["state"]):  # a run may die without a change of the record
                    now = None
                self._kept[folder] = (now, ended + max(FRESH_S, LOOKING * (ended - began)), frames)
            self._kept.move_to_end(folder)
            if len(self._kept) > TABLES_KEPT:
                self._kept.popitem(last=False)
        return frames[name]


def as_file(rows: "pd.DataFrame", kind: str) -> bytes:
    """The rows as a file of the media type `kind`. ValueError if it is unknown."""
    content: bytes
    if kind == CSV:
        content = rows.to_csv(index=False).encode()
        return content
    if kind == PARQUET:
        content = rows.to_parquet(index=False)
        return content
    raise ValueError(f"{kind} is no format of a table")


def as_answer(
    rows: "pd.DataFrame | None", name: TableName, *, total: int, offset: int, limit: int
) -> Trials | Measurements:
    """The rows as the JSON answer."""
    values = [] if rows is None else _records(rows)
    if name == "trials":
        trials = [Trial(**row) for row in values]
        return Trials(total=total, offset=offset, limit=limit, rows=trials)
    measured = [Measured(**row) for row in values]
    return Measurements(total=total, offset=offset, limit=limit, rows=measured)


def _records(rows: "pd.DataFrame") -> list[dict[str, Any]]:
    """The rows as dictionaries; missing values are None, times are ISO 8601."""
    plain = rows.copy()
    for column in plain.select_dtypes("datetimetz").columns:
        plain[column] = plain[column].map(lambda at: at.isoformat(), na_action="ignore").astype(object)
    plain = plain.astype(object).where(plain.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]
