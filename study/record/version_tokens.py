"""Version tokens of records, like ETags: the token changes when the record does."""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Lock

import sqlalchemy as sa

from study.record.backends.backend import Backend, DatabaseAwayError, VersionToken
from study.record.location import DATABASE_ERRORS, database
from study.spec import SpecError
from trainable.contract import StudyError

DATABASE_RETRY_S = 10.0
"""Time before a database that did not answer is queried again."""

AT_ONCE = 16
"""Limit of databases queried in parallel: a silent one must not delay the others."""


class VersionTokens:
    """Version tokens of studies' records. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._engines: dict[Backend, sa.Engine] = {}
        self._away: dict[Backend, tuple[float, StudyError]] = {}

    def of(self, folder: Path) -> VersionToken | None:
        """The version token of one study, as in `all`. StudyError if its database does not answer."""
        found = self.all([folder])[folder]
        if isinstance(found, StudyError):
            raise found
        return found

    def all(self, folders: Iterable[Path]) -> Mapping[Path, VersionToken | StudyError | None]:
        """Version tokens by folder: some microseconds for a file, one query for a database.

        Databases are queried in parallel. A token is None if it is unknown, and for a study that has not
        begun. If a database does not answer, its studies have the error.
        """
        found: dict[Path, VersionToken | StudyError | None] = {}
        elsewhere: dict[Backend, dict[Path, str]] = {}
        for folder in folders:
            try:
                there = database(folder)
            except SpecError as error:
                found[folder] = StudyError(str(error))
                continue
            if there is None:
                found[folder] = None
                continue
            backend, name = there
            if backend.shared:
                elsewhere.setdefault(backend, {})[folder] = name
            else:
                found[folder] = backend.versions([name], partial(self._engine, backend)).get(name)
        if elsewhere:
            with ThreadPoolExecutor(min(len(elsewhere), AT_ONCE), "versions") as pool:
                for asked in pool.map(self._asked, *zip(*elsewhere.items(), strict=True)):
                    found |= asked
        return found

    def close(self) -> None:
        """Close the connections to all databases."""
        for engine in self._engines.values():
            engine.dispose()

    def _asked(
        self, backend: Backend, names: Mapping[Path, str]
    ) -> Mapping[Path, VersionToken | StudyError | None]:
        until, error = self._away.get(backend, (0.0, None))
        if error is not None and time.monotonic() < until:
            return dict.fromkeys(names, error)
        try:
            versions = backend.versions([*names.values()], partial(self._engine, backend))
        except (StudyError, *DATABASE_ERRORS) as failed:
            kind = DatabaseAwayError if isinstance(failed, DatabaseAwayError) else StudyError
            said = kind(str(failed).partition("\n")[0])
            self._away[backend] = (time.monotonic() + DATABASE_RETRY_S, said)
            return dict.fromkeys(names, said)
        return {folder: versions.get(name) for folder, name in names.items()}

    def _engine(self, backend: Backend) -> sa.Engine:
        with self._lock:
            if backend not in self._engines:
                with backend.opening() as engine:
                    self._engines[backend] = engine
            return self._engines[backend]
