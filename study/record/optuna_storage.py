"""Create a study's record, completely or not at all, and open Optuna's storage on it."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import optuna
import sqlalchemy as sa
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import BaseModel
from optuna.study import StudyDirection

from analysis.objective import objectives
from study.record.backends.backend import Backend, DamagedError, held, named
from study.record.location import DATABASE_ERRORS, Home, chosen, connected, database, holding
from study.record.rows import Baseline
from study.record.tables import RECORD_SCHEMA, belonging, tables
from study.spec import StudySpec
from trainable.contract import StudyError

STORAGE_ERRORS = (*DATABASE_ERRORS, StorageInternalError)
"""Errors of any method of a Ledger whose database is damaged, full, locked or away."""


def opened(folder: Path) -> tuple[Backend, RDBStorage, str]:
    """Open the storage of the study in `folder`; return its database, the storage, and the study's name.

    StudyError if there is no record. Optuna's tables are not checked: the driver has done it, and it takes
    three times as long as reading.
    """
    backend, engine, name = connected(folder)
    engine.dispose()
    return backend, _storage(backend, made=True), name


def create(spec: StudySpec, folder: Path, baseline: Baseline) -> tuple[Backend, RDBStorage, str]:
    """Open the storage of a study as `opened` does; a new one is created completely or not at all.

    StudyError if the record of the study in `folder` is elsewhere.
    """
    named(folder, spec.name)
    backend, there = chosen(spec, folder), database(folder)
    if there is not None and there[0] != backend:
        raise StudyError(
            f"storage.url: the record of {spec.name} is in {there[0]}; leave it "
            "there, or give the spec another name"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with backend.beginning() as new:
        if new is not None:
            storage = empty(new)
            with held(storage.engine):
                _begin(storage, spec, baseline, Home.of(folder))
            let_go(storage)
    holding(backend, folder, spec.name).dispose()
    return backend, _storage(backend, made=new is not None), spec.name


def empty(backend: Backend) -> RDBStorage:
    """The storage in a database, with all tables."""
    storage = _storage(backend)
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


def _begin(storage: RDBStorage, spec: StudySpec, baseline: Baseline, home: Home) -> None:
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
    facts = {"spec": spec.model_dump(mode="json"), "baseline": asdict(baseline), "home": asdict(home)}
    for key, value in {**facts, "schema": RECORD_SCHEMA}.items():
        optuna_study.set_user_attr(key, value)


def _storage(backend: Backend, *, made: bool = False) -> RDBStorage:
    """Optuna's storage in a database; with `made` its tables are not checked."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # our messages replace Optuna's
    url, options = backend.arguments()
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
