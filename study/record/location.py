"""The database that holds a study's record: where it is, and how it is connected to.

A study's record is a SQLite file in its folder, or part of a PostgreSQL database that the spec names. A URL
may hold a password, so it is resolved where it is used and kept nowhere.
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
from study.record.sqlite import NO_CODE, AwayError, DamagedError, reading, refuse_code
from study.record.tables import CONFIRM, STUDIES, ours, study_id, tables
from study.spec import SpecError, StudySpec
from trainable.contract import StudyError
from trainable.disk import put

FILE = "ledger.db"

SPEC = "study.toml"

MODELS = "models"
"""The folder of a study's models: each in one called TRIAL-EPOCH."""


class MisnamedError(StudyError):
    """A folder whose name differs from its study's."""


DATABASE_ERRORS = (sqlite3.Error, sa.exc.DBAPIError, AwayError)
"""What a database that is damaged, full, locked or away raises from any method of a Reader."""


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that a record in PostgreSQL belongs to: the one from which it was last driven."""

    host: str
    path: str

    @classmethod
    def of(cls, folder: Path) -> "Home":
        """A folder of this machine, by its absolute path."""
        return cls(socket.gethostname(), str(folder.absolute()))


def holds_study(folder: Path) -> bool:
    """Whether `folder` is a study's: it has a record, or a spec that names a database for one.

    So is one whose spec cannot be read: where its record is cannot be told, and reading it says why.
    """
    try:
        return (folder / FILE).is_file() or place(folder) is not None
    except SpecError:
        return True


def studies(home: Path) -> list[Path]:
    """The folders in `home` that are studies', by name."""
    found = (folder for folder in home.glob("*/") if not folder.name.startswith("."))
    return sorted(filter(holds_study, found))


def connected(folder: Path) -> tuple[sa.Engine, str]:
    """A connection to the record of the study in `folder`, and the study's name there. StudyError where there
    is none.
    """
    if (folder / FILE).is_file():
        engine = reading(folder / FILE)
        with held(engine):
            return engine, taken_up(engine, folder / FILE)
    url, name = elsewhere(folder)
    engine = postgres_engine(url)
    with held(engine), answering(engine):
        if not ours(engine) or study_id(engine, name) is None:
            raise unknown(folder, name)
    return engine, name


@contextmanager
def held(engine: sa.Engine) -> Iterator[None]:
    """A database is let go of where what is first asked of it fails."""
    try:
        yield
    except BaseException:
        engine.dispose()
        raise


def taken_up(engine: sa.Engine, path: Path) -> str:
    """The name of the study whose record is the SQLite file `path`. StudyError where it holds none, or one of
    another name than its folder's.

    Tables that a record of an earlier version lacks are there from now on.
    """
    search = sa.select(STUDIES.c.study_name).where(~STUDIES.c.study_name.endswith(CONFIRM))
    names: list[str] = []
    try:
        with engine.connect() as connection:
            refuse_code(path, connection.exec_driver_sql(NO_CODE).all())
            if sa.inspect(connection).has_table(STUDIES.name):
                names += connection.execute(search).scalars()
    except sa.exc.OperationalError:  # it is away, whatever it holds
        raise
    except (sa.exc.DatabaseError, DamagedError) as error:
        said = str(error).partition("\n")[0]
        raise StudyError(
            f"{path}: holds no study's record ({said}); restore it, or delete the folder"
        ) from error
    if len(names) != 1:
        raise StudyError(f"{path}: holds {len(names)} studies' records; restore it, or delete the folder")
    named(path.parent, names[0])
    tables.create_all(engine)
    return names[0]


def named(folder: Path, name: object) -> None:
    """MisnamedError where `folder` is not named after its study: it is a copy, or was renamed."""
    if folder.absolute().name != name:
        raise MisnamedError(
            f"{folder}: holds the study {name!r}, so it is a copy or was renamed; call the folder as the "
            f"study, or make a second study by `study backup` and `study restore --name`"
        )


def elsewhere(folder: Path) -> tuple[str, str]:
    """As `place`. StudyError where the folder holds no study."""
    if (found := place(folder)) is None:
        raise StudyError(f"{folder}: holds no study; `study list` shows those there are")
    named(folder, found[1])
    return found


def unknown(folder: Path, name: str) -> StudyError:
    """That the database that a folder's spec names does not hold the study."""
    return StudyError(f"{name}: the database that {folder / SPEC} names holds no such study")


def place(folder: Path) -> tuple[str, str] | None:
    """The database that the spec in `folder` names, as the spec has it, and the study's name there.

    None where the record is a file.
    """
    if (folder / FILE).is_file():
        return None
    try:
        found = (folder / SPEC).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _place(folder / SPEC, (found.st_ino, found.st_size, found.st_mtime_ns))


@lru_cache(maxsize=10_000)
def _place(path: Path, _stamp: tuple[int, int, int]) -> tuple[str, str] | None:
    """The same, by a spec that is replaced whole: another is another file."""
    spec = StudySpec.load(path)
    return None if spec.storage.url is None else (spec.storage.url, spec.name)


def put_spec(spec: StudySpec, folder: Path) -> None:
    """Put a study's spec into its folder, where it is always whole."""
    put(folder / SPEC, spec.as_toml().encode())
