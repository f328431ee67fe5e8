"""Create a study's record, completely or not at all, and open Optuna's storage on it."""

import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import BaseModel
from optuna.study import StudyDirection

from analysis.objective import objectives
from study.record.location import (
    DATABASE_ERRORS,
    RECORD_FILE,
    Home,
    elsewhere,
    held,
    holds_study,
    named,
    place,
    taken_up,
    unknown,
)
from study.record.postgres import POSTGRES_OPTIONS, OneConnection, answering, postgres_engine
from study.record.rows import Baseline
from study.record.sqlite import SQLITE, DamagedError, options, prepare
from study.record.tables import RECORD_SCHEMA, belonging, ours, study_id, tables
from study.spec import StudySpec
from trainable.contract import StudyError

STORAGE_ERRORS = (*DATABASE_ERRORS, StorageInternalError)
"""Errors of any method of a Ledger whose database is damaged, full, locked or away."""

LOCK_LOOK_S = 0.05
"""Interval between attempts to take a lock that is held."""

_LOCK = 0x5EED
"""Key of the advisory lock for creating tables and studies in a PostgreSQL database."""


def opened(folder: Path) -> tuple[RDBStorage, str]:
    """Open the storage of the study in `folder`; return it and the study's name. StudyError without one."""
    if (folder / RECORD_FILE).is_file():
        return _from_file(folder / RECORD_FILE, made=True)
    url, name = elsewhere(folder)
    storage = _postgres(url, made=True)
    with held(storage.engine):
        if study_id(storage.engine, name) is None:
            raise unknown(folder, name)
    return storage, name


def create(spec: StudySpec, folder: Path, baseline: Baseline) -> RDBStorage:
    """Open the storage of a study; a new one is created completely or not at all.

    StudyError if the record of the study in `folder` is elsewhere.
    """
    named(folder, spec.name)
    url = spec.storage.url
    if holds_study(folder) and url != (there := (place(folder) or (None, ""))[0]):
        raise StudyError(
            f"storage.url: the record of {spec.name} is in {there or folder / RECORD_FILE}; leave it "
            "there, or give the spec another name"
        )
    folder.mkdir(parents=True, exist_ok=True)
    if url is None:
        if new := not (folder / RECORD_FILE).is_file():
            _create_file(spec, folder / RECORD_FILE, baseline)
        return _from_file(folder / RECORD_FILE, made=new)[0]
    storage = _postgres(url)
    with held(storage.engine), _alone(storage.engine):
        _begin(storage, spec, baseline, home=Home.of(folder))
    return storage


def _from_file(path: Path, *, made: bool = False) -> tuple[RDBStorage, str]:
    """Open the storage in a SQLite file; return it and the study's name. StudyError if it has none.

    With `made` Optuna's tables are not checked: the driver has done it, and it takes three times as long as
    reading.
    """
    storage = _sqlite(path, made=made)
    with held(storage.engine):
        return storage, taken_up(storage.engine, path)


def _create_file(spec: StudySpec, path: Path, baseline: Baseline) -> None:
    """Create a record beside `path` and link it there. A kill leaves no partial study, and if two processes
    begin the study at the same moment, the second finds the record of the first.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    storage = empty(beside)
    _begin(storage, spec, baseline)
    let_go(storage)
    try:
        path.hardlink_to(beside)
    except FileExistsError:
        return
    finally:
        beside.unlink()


def empty(path: Path) -> RDBStorage:
    """The storage in a new private SQLite file: all tables, no study, no WAL file beside it."""
    storage = _sqlite(path, journal="DELETE")
    tables.create_all(storage.engine)
    return storage


def erase(storage: RDBStorage, studies: Sequence[int]) -> None:
    """Delete the rows of these studies in Optuna's tables and ours, in one transaction: a study without its
    measurements would look complete.
    """
    optunas = BaseModel.metadata
    with storage.engine.begin() as connection:
        for table in reversed([*optunas.sorted_tables, *tables.sorted_tables]):
            if (which := belonging(table, optunas.tables["trials"], studies)) is not None:
                connection.execute(sa.delete(table).where(which))


def let_go(storage: RDBStorage) -> None:
    """Close every connection of a storage."""
    storage.remove_session()
    storage.engine.dispose()


def _begin(storage: RDBStorage, spec: StudySpec, baseline: Baseline, home: Home | None = None) -> None:
    """Record a study with all that is fixed before its first trial. The schema, last, marks it complete."""
    directions = [
        StudyDirection.MAXIMIZE if o.larger_is_better else StudyDirection.MINIMIZE
        for o in objectives(spec.objectives)
    ]
    try:
        optuna_study = optuna.create_study(storage=storage, study_name=spec.name, directions=directions)
    except DuplicatedStudyError:
        optuna_study = optuna.load_study(study_name=spec.name, storage=storage)
        if "schema" in optuna_study.user_attrs:
            return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*set_metric_names", ExperimentalWarning)
        optuna_study.set_metric_names(list(spec.objectives))
    facts: dict[str, Any] = {"spec": spec.model_dump(mode="json"), "baseline": asdict(baseline)}
    facts |= {"home": asdict(home)} if home is not None else {}
    facts |= {"schema": RECORD_SCHEMA}
    for key, value in facts.items():
        optuna_study.set_user_attr(key, value)


def _sqlite(path: Path, *, journal: str = "WAL", made: bool = False) -> RDBStorage:
    """Optuna's storage on a SQLite file."""
    prepare(path, journal=journal)
    return _storage(SQLITE, options(path), made=made)


def _postgres(text: str, *, made: bool = False) -> RDBStorage:
    """Optuna's storage in the PostgreSQL database of a spec's URL `text`; missing tables are created.

    With `made` Optuna's are not checked if ours exist, which are created last.
    """
    engine = postgres_engine(text)
    with held(engine), answering(engine):
        url = engine.url.render_as_string(hide_password=False)
        if not (made and ours(engine)):
            with _alone(engine):
                maker = _storage(
                    url, {**POSTGRES_OPTIONS, "poolclass": OneConnection, "pool_pre_ping": False}
                )
                tables.create_all(maker.engine)
                let_go(maker)
    engine.dispose()
    return _storage(url, POSTGRES_OPTIONS, made=True)


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[None]:
    """Hold the lock for creating tables and studies in this PostgreSQL database.

    While it waits it has no connection: PgBouncer may have only two, and the holder needs both.
    """
    asked = sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))
    while True:
        with engine.connect() as connection, connection.begin():
            if connection.execute(asked).scalar():
                yield
                return
        time.sleep(LOCK_LOOK_S)


def _storage(url: str, options: Mapping[str, Any], *, made: bool = False) -> RDBStorage:
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # our messages replace Optuna's
    try:
        return RDBStorage(
            url, engine_kwargs=dict(options), skip_compatibility_check=made, skip_table_creation=made
        )
    except (RuntimeError, AssertionError) as error:
        said = " ".join(str(error).split())
        raise DamagedError(
            f"the record has the tables of another version of Optuna than {optuna.__version__}: {said}; use "
            "the version that the study began with, or restore a backup here"
        ) from error
