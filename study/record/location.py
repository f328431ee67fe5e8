"""Find a study's record and connect to it.

The record is a SQLite file in the study's folder, or part of a PostgreSQL database that the spec names. A URL
may contain a password, so it is resolved on use and not stored.
"""

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import sqlalchemy as sa

from study.record.postgres import answering, postgres_engine
from study.record.sqlite import NO_CODE, DamagedError, DatabaseAwayError, reading, refuse_code
from study.record.tables import CONFIRM_SUFFIX, STUDIES_TABLE, ours, study_id, tables
from study.spec import SpecError, StudySpec
from trainable.contract import StudyError
from trainable.disk import write_atomically

RECORD_FILE = "ledger.db"

SPEC_FILE = "study.toml"

MODELS_FOLDER = "models"
"""Folder of a study's models, each in a subfolder TRIAL-EPOCH."""


class MisnamedError(StudyError):
    """Error: a folder has another name than its study."""


DATABASE_ERRORS = (sqlite3.Error, sa.exc.DBAPIError, DatabaseAwayError)
"""Errors of any method of a Reader whose database is damaged, full, locked or away."""


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that a record in PostgreSQL belongs to: that of its last run."""

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
        return (folder / RECORD_FILE).is_file() or place(folder) is not None
    except SpecError:
        return True


def studies(home: Path) -> list[Path]:
    """The folders of studies in `home`, by name."""
    found = (folder for folder in home.glob("*/") if not folder.name.startswith("."))
    return sorted(filter(holds_study, found))


def connected(folder: Path) -> tuple[sa.Engine, str]:
    """Connect to the record of the study in `folder`; return the engine and the study's name there.

    StudyError if there is no record.
    """
    if (folder / RECORD_FILE).is_file():
        engine = reading(folder / RECORD_FILE)
        with held(engine):
            return engine, taken_up(engine, folder / RECORD_FILE)
    url, name = elsewhere(folder)
    engine = postgres_engine(url)
    with held(engine), answering(engine):
        if not ours(engine) or study_id(engine, name) is None:
            raise unknown(folder, name)
    return engine, name


@contextmanager
def held(engine: sa.Engine) -> Iterator[None]:
    """Dispose of the engine if the block fails."""
    try:
        yield
    except BaseException:
        engine.dispose()
        raise


def taken_up(engine: sa.Engine, path: Path) -> str:
    """The name of the study in the SQLite file `path`; adds tables that an earlier version did not have.

    StudyError if the file has no record, or one of another name than the folder.
    """
    search = sa.select(STUDIES_TABLE.c.study_name).where(~STUDIES_TABLE.c.study_name.endswith(CONFIRM_SUFFIX))
    names: list[str] = []
    try:
        with engine.connect() as connection:
            refuse_code(path, connection.exec_driver_sql(NO_CODE).all())
            if sa.inspect(connection).has_table(STUDIES_TABLE.name):
                names += connection.execute(search).scalars()
    except sa.exc.OperationalError:  # the database is away
        raise
    except (sa.exc.DatabaseError, DamagedError) as error:
        said = str(error).partition("\n")[0]
        raise StudyError(
            f"{path}: is not a study's record ({said}); restore it, or delete the folder"
        ) from error
    if len(names) != 1:
        raise StudyError(f"{path}: holds {len(names)} studies' records; restore it, or delete the folder")
    named(path.parent, names[0])
    tables.create_all(engine)
    return names[0]


def named(folder: Path, name: object) -> None:
    """MisnamedError if `folder` has another name than its study: it is a copy, or was renamed."""
    if folder.absolute().name != name:
        raise MisnamedError(
            f"{folder}: contains the study {name!r}, so it is a copy or was renamed; give the folder the "
            f"study's name, or make a second study with `study backup` and `study restore --name`"
        )


def elsewhere(folder: Path) -> tuple[str, str]:
    """The database and the name that `place` finds. StudyError if the folder contains no study."""
    if (found := place(folder)) is None:
        raise StudyError(f"{folder}: contains no study; `study list` shows the studies")
    named(folder, found[1])
    return found


def unknown(folder: Path, name: str) -> StudyError:
    """The error for a study that is not in the database that its spec names."""
    return StudyError(f"{name}: the database that {folder / SPEC_FILE} names does not have this study")


def place(folder: Path) -> tuple[str, str] | None:
    """The database that the spec in `folder` names, unresolved, and the study's name there.

    None if the record is a file, or there is no spec.
    """
    if (folder / RECORD_FILE).is_file():
        return None
    try:
        found = (folder / SPEC_FILE).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _place(folder / SPEC_FILE, (found.st_ino, found.st_size, found.st_mtime_ns))


@lru_cache(maxsize=10_000)
def _place(path: Path, _stamp: tuple[int, int, int]) -> tuple[str, str] | None:
    """As `place`, cached until the file of the spec is replaced."""
    spec = StudySpec.load(path)
    return None if spec.storage.url is None else (spec.storage.url, spec.name)


def put_spec(spec: StudySpec, folder: Path) -> None:
    """Write a study's spec into its folder, atomically."""
    write_atomically(folder / SPEC_FILE, spec.as_toml().encode())
