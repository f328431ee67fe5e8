"""Find a study's record and connect to it.

The record is a file in the study's folder, or part of a database that the spec names.
"""

import socket
import sqlite3
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import sqlalchemy as sa

from study.record.backends.backend import Backend, Condition, DatabaseAwayError, named
from study.record.backends.postgres import PostgreSQL
from study.record.backends.sqlite import SQLite
from study.spec import SpecError, StudySpec
from trainable.contract import StudyError
from trainable.disk import write_atomically

RECORD_FILE = "ledger.db"

SPEC_FILE = "study.toml"

MODELS_FOLDER = "models"
"""Folder of a study's models, each in a subfolder TRIAL-EPOCH."""

BACKENDS: tuple[type[Backend], ...] = (SQLite, PostgreSQL)
"""Every kind of database."""

DATABASE_ERRORS = (sqlite3.Error, sa.exc.DBAPIError, DatabaseAwayError)
"""Errors of any method of a Reader whose database is damaged, full, locked or away."""


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that a record in a shared database belongs to: that of its last run."""

    host: str
    path: str

    @classmethod
    def of(cls, folder: Path) -> "Home":
        """The absolute path of a folder on this machine."""
        return cls(socket.gethostname(), str(folder.absolute()))


def holds_study(folder: Path) -> bool:
    """True if `folder` has a record, or a spec that names a database.

    Also true if its spec cannot be read: reading the study then reports the reason.
    """
    try:
        return database(folder) is not None
    except SpecError:
        return True


def studies(home: Path) -> list[Path]:
    """The folders of studies in `home`, by name."""
    found = (folder for folder in home.glob("*/") if not folder.name.startswith("."))
    return sorted(filter(holds_study, found))


def connected(folder: Path) -> tuple[Backend, sa.Engine, str]:
    """Connect to the record of the study in `folder`; return its database, an engine, and the study's name.

    StudyError if there is no record.
    """
    backend, name = located(folder)
    return backend, holding(backend, folder, name), name


def holding(backend: Backend, folder: Path, name: str) -> sa.Engine:
    """An engine that reads the database. StudyError if it does not have the study `name` of `folder`."""
    with backend.opening() as engine:
        if not backend.holds(engine, name):
            raise StudyError(f"{name}: the database that {folder / SPEC_FILE} names does not have this study")
    return engine


def located(folder: Path) -> tuple[Backend, str]:
    """The result of `database`. StudyError if the folder contains no study."""
    if (found := database(folder)) is None:
        raise StudyError(f"{folder}: contains no study; `study list` shows the studies")
    named(folder, found[1])
    return found


def database(folder: Path) -> tuple[Backend, str] | None:
    """The database with the record of the study in `folder`, and the study's name.

    None if there is neither a record's file nor a spec that names a database.
    """
    if (folder / RECORD_FILE).is_file():
        return SQLite(folder / RECORD_FILE), folder.absolute().name
    try:
        found = (folder / SPEC_FILE).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _specified(folder / SPEC_FILE, (found.st_ino, found.st_size, found.st_mtime_ns))


@lru_cache(maxsize=10_000)
def _specified(path: Path, _stamp: tuple[int, int, int]) -> tuple[Backend, str] | None:
    """The server that a spec names and the study's name, cached until the file of the spec is replaced."""
    spec = StudySpec.load(path)
    return None if spec.storage.url is None else (chosen(spec, path.parent), spec.name)


def chosen(spec: StudySpec, folder: Path) -> Backend:
    """The database that a spec chooses for its study in `folder`."""
    return SQLite(folder / RECORD_FILE) if spec.storage.url is None else PostgreSQL(spec.storage.url)


def conditions(error: BaseException) -> set[Condition]:
    """The conditions that an error and its causes report of any database."""
    return set[Condition]().union(*(kind.conditions(error) for kind in BACKENDS))


def put_spec(spec: StudySpec, folder: Path) -> None:
    """Write a study's spec into its folder, atomically."""
    write_atomically(folder / SPEC_FILE, spec.as_toml().encode())
