"""Version tokens of records, like ETags: the token changes when the record does.

The token of a file is its inode, size and modification time. For PostgreSQL one query returns the tokens of
all studies in a database: every write belongs to a run or changes the spec, so last run and spec identify the
version of a study that no run drives.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import sqlalchemy as sa

from study.record.location import DATABASE_ERRORS, RECORD_FILE, place
from study.record.postgres import answering, postgres_engine
from study.record.sqlite import DatabaseAwayError
from study.record.tables import ATTRIBUTES_TABLE, STUDIES_TABLE, runs
from study.spec import SpecError
from trainable.contract import StudyError

VersionToken = tuple[str | int | float | None, ...]

TICK_NS = 2_000_000_000
"""Age of a file from which its next write is sure to change its time stamp."""

DATABASE_RETRY_S = 10.0
"""Time before a database that did not answer is queried again."""

AT_ONCE = 16
"""Limit of databases queried in parallel: a silent one must not delay the others."""


class VersionTokens:
    """Version tokens of studies' records. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._engines: dict[str, sa.Engine] = {}
        self._away: dict[str, tuple[float, StudyError]] = {}

    def of(self, folder: Path) -> VersionToken | None:
        """The version token of one study, as in `all`. StudyError if its database does not answer."""
        found = self.all([folder])[folder]
        if isinstance(found, StudyError):
            raise found
        return found

    def all(self, folders: Iterable[Path]) -> Mapping[Path, VersionToken | StudyError | None]:
        """Version tokens by folder: some microseconds for a file, one query for a database.

        Databases are queried in parallel. A token is None if unknown: for a file so new that its next time
        stamp may be equal, and for a study that has not begun. If a database does not answer, its studies
        have the error.
        """
        found: dict[Path, VersionToken | StudyError | None] = {}
        elsewhere: dict[str, dict[Path, str]] = {}
        for folder in folders:
            try:
                there = place(folder)
            except SpecError as error:
                found[folder] = StudyError(str(error))
                continue
            if there is None:
                found[folder] = _of_file(folder)
            else:
                elsewhere.setdefault(there[0], {})[folder] = there[1]
        if elsewhere:
            with ThreadPoolExecutor(min(len(elsewhere), AT_ONCE), "versions") as pool:
                for asked in pool.map(self._asked, *zip(*elsewhere.items(), strict=True)):
                    found |= asked
        return found

    def close(self) -> None:
        """Close the connections to all databases."""
        for engine in self._engines.values():
            engine.dispose()

    def _asked(self, url: str, names: Mapping[Path, str]) -> Mapping[Path, VersionToken | StudyError | None]:
        until, error = self._away.get(url, (0.0, None))
        if error is not None and time.monotonic() < until:
            return dict.fromkeys(names, error)
        try:
            versions = _of_database(self._engine(url), [*names.values()])
        except (StudyError, *DATABASE_ERRORS) as failed:
            kind = DatabaseAwayError if isinstance(failed, DatabaseAwayError) else StudyError
            said = kind(str(failed).partition("\n")[0])
            self._away[url] = (time.monotonic() + DATABASE_RETRY_S, said)
            return dict.fromkeys(names, said)
        return {folder: versions.get(name) for folder, name in names.items()}

    def _engine(self, url: str) -> sa.Engine:
        with self._lock:
            if url not in self._engines:
                self._engines[url] = postgres_engine(url)
            return self._engines[url]


def _of_file(folder: Path) -> VersionToken | None:
    stamps: list[str | int] = []
    newest = 0
    for name in (RECORD_FILE, f"{RECORD_FILE}-wal"):
        try:
            found = (folder / name).stat()
        except FileNotFoundError:
            continue
        if found.st_size:  # while it reads, a reader alone keeps an empty log
            stamps += [name, found.st_ino, found.st_size, found.st_mtime_ns]
            newest = max(newest, found.st_mtime_ns)
    return tuple(stamps) if stamps and time.time_ns() - newest > TICK_NS else None


def _of_database(engine: sa.Engine, names: Sequence[str]) -> Mapping[str, VersionToken]:
    """Version tokens of studies in a PostgreSQL database, by name, for studies with a run."""
    s, a, r = STUDIES_TABLE.c, ATTRIBUTES_TABLE.c, runs.c
    last = sa.select(r.study, sa.func.max(r.run).label("run")).group_by(r.study).subquery()
    begun = STUDIES_TABLE.join(ATTRIBUTES_TABLE, (a.study_id == s.study_id) & (a.key == "spec"))
    driven = begun.join(last, last.c.study == s.study_id).join(runs, r.run == last.c.run)
    query = sa.select(s.study_name, s.study_id, sa.func.md5(a.value_json), r.run, r.ended, r.heard)
    query = query.select_from(driven).where(s.study_name.in_(names))
    with answering(engine), engine.connect() as connection:
        return {name: tuple(version) for name, *version in connection.execute(query)}
