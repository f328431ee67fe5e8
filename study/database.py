"""The database behind a Ledger: a file that is made whole or not at all, and how it is opened."""

import os
import sqlite3
import warnings
from dataclasses import asdict
from pathlib import Path

import optuna
import sqlalchemy as sa
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection

from analysis.objective import objectives
from study.record import Baseline, tables
from study.spec import StudySpec
from trainable.contract import StudyError

SCHEMA = 2
"""Version of what is written; a database with another one is refused."""

FILE = "ledger.db"

DATABASE_ERRORS = (sqlite3.Error, sa.exc.DBAPIError, StorageInternalError)
"""What a database that is damaged, full or locked raises from any method of a Ledger."""


def create(spec: StudySpec, path: Path, baseline: Baseline) -> None:
    """Make the record of a new study at `path`, whole or not at all.

    It is made beside its place and then linked there: a kill leaves nothing that looks like a study, and of
    two that begin the same study at the same moment one finds the other's.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    storage = connect(beside, journal="DELETE")
    tables.create_all(storage.engine)
    directions = [
        StudyDirection.MAXIMIZE if o.larger_is_better else StudyDirection.MINIMIZE
        for o in objectives(spec.objectives)
    ]
    optuna_study = optuna.create_study(storage=storage, study_name=spec.name, directions=directions)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*set_metric_names", ExperimentalWarning)
        optuna_study.set_metric_names(list(spec.objectives))
    facts = {"spec": spec.model_dump(mode="json"), "baseline": asdict(baseline), "schema": SCHEMA}
    for key, value in facts.items():
        optuna_study.set_user_attr(key, value)
    storage.remove_session()
    storage.engine.dispose()
    try:
        path.hardlink_to(beside)
    except FileExistsError:
        return
    finally:
        beside.unlink()


def connect(path: Path, *, journal: str = "WAL") -> RDBStorage:
    """Optuna's storage on a SQLite file; in WAL mode readers never wait, and a commit costs no full sync."""
    try:
        with sqlite3.connect(path) as connection:
            connection.execute(f"PRAGMA journal_mode={journal}")
        connection.close()
    except sqlite3.Error as error:
        raise StudyError(
            f"{path}: cannot be opened as a study's record: {error}; restore it, or delete the folder"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 30}})

    @sa.event.listens_for(storage.engine, "connect")
    def _(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")

    storage.engine.dispose()
    return storage
