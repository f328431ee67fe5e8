"""The database that holds a study's record: where it is, and how it is connected to.

A study's record is a SQLite file in its folder, or part of a PostgreSQL database that the spec names. A URL
may hold a password, so it is resolved where it is used and kept nowhere.
"""

import os
import socket
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from study.record import tables
from study.spec import SpecError, StudySpec
from study.sqlite import LOCKED_S, NO_CODE, AwayError, DamagedError, reading, refuse_code
from trainable.contract import StudyError
from trainable.disk import put

SCHEMA = 3
"""Version of what is written; a database with another one is refused."""

FILE = "ledger.db"
SPEC = "study.toml"

MODELS = "models"
"""The folder of a study's models: each in one called TRIAL-EPOCH."""

CONFIRM = "/confirm"
"""What the name of a confirmation adds to the name of its search; no study's own name has a slash."""


class MisnamedError(StudyError):
    """A folder whose name differs from its study's."""


DATABASE_ERRORS = (sqlite3.Error, sa.exc.DBAPIError, AwayError)
"""What a database that is damaged, full, locked or away raises from any method of a Reader."""

CONNECT_S, SILENCE_MS = 10, 30_000
"""How long a PostgreSQL server may take to answer at first, and to acknowledge what it is sent."""

STUDIES = sa.table("studies", *map(sa.column, ("study_id", "study_name")))
ATTRIBUTES = sa.table("study_user_attributes", *map(sa.column, ("study_id", "key", "value_json")))
"""Optuna's tables of studies and of what is fixed for each."""


class PostgresPool(sa.QueuePool):
    """Connections on which a statement that waits for a lock gives up in time: its record is away.

    A server that is halted (SIGSTOP, a machine asleep) still has its kernel acknowledge what it is sent, and
    no limit of ours or libpq's sees that: a new connection is refused after `CONNECT_S`, one that is open
    waits until the server goes on. Lanes do not: they wait for the Referee as long as they do for any answer.
    """


class OneConnection(sa.StaticPool):
    """A pool of one connection: Optuna opens a second to make its tables, and PgBouncer may have none."""


@sa.event.listens_for(sa.Engine, "begin")
def _limit(connection: sa.Connection) -> None:
    """Set the lock timeout for each transaction: PgBouncer may run the next one on another connection, and
    lend this connection to another client.
    """
    if isinstance(connection.engine.pool, PostgresPool | OneConnection):
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCKED_S}s'")


POSTGRES_OPTIONS: Mapping[str, Any] = {
    "connect_args": {
        "connect_timeout": CONNECT_S,
        "tcp_user_timeout": SILENCE_MS,
        "keepalives_idle": 10,
        "client_encoding": "utf8",  # of a database in SQL_ASCII psycopg would give bytes
        "prepare_threshold": None,  # PgBouncer changes connections between statements
    },
    "poolclass": PostgresPool,
    "pool_pre_ping": True,
}


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


def study_id(engine: sa.Engine, name: str) -> int | None:
    """The number of a study in its database; None where there is none of this name."""
    query = sa.select(STUDIES.c.study_id).where(STUDIES.c.study_name == name)
    with engine.connect() as connection:
        return connection.execute(query).scalar()


def ours(engine: sa.Engine) -> bool:
    """Whether a database has our tables, which were made last."""
    return set(tables.tables) <= set(sa.inspect(engine).get_table_names())


def belonging(table: sa.Table, trials: sa.Table, studies: Sequence[int]) -> sa.ColumnElement[bool] | None:
    """Which rows of a table, Optuna's or ours, are of these studies; None where it is not about studies."""
    column = table.c
    if "study_id" in column:
        return column.study_id.in_(studies)
    if "study" in column:
        return column.study.in_(studies)
    if "trial_id" in column:
        return column.trial_id.in_(sa.select(trials.c.trial_id).where(trials.c.study_id.in_(studies)))
    return None


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


def postgres_engine(text: str) -> sa.Engine:
    """The engine of the PostgreSQL database that a spec's `text` means; a broken connection is replaced."""
    try:
        return sa.create_engine(_resolved(text), **POSTGRES_OPTIONS)
    except ImportError as error:
        raise StudyError(
            "storage.url: PostgreSQL needs psycopg; pip install 'pareto-study[postgres]'"
        ) from error


@contextmanager
def answering(engine: sa.Engine) -> Iterator[None]:
    """AwayError, without a password, where the PostgreSQL server of this engine does not answer."""
    try:
        yield
    except sa.exc.OperationalError as error:
        where = f"{engine.url.host or 'this machine'}, database {engine.url.database}"
        reason = str(error.orig).strip().splitlines()[0]
        raise AwayError(f"storage.url: the PostgreSQL server at {where} does not answer: {reason}") from error


def _resolved(text: str) -> sa.URL:
    """The URL that a spec means, password and all. StudyError, without a password, where it is none."""
    source = "storage.url: it"
    if text.startswith("env:"):
        name = text[4:]
        text = os.environ.get(name, "")
        source = f"storage.url: the environment variable {name}"
        if not text.startswith(("postgresql://", "postgres://")):
            what = "is not set" if not text else "does not hold a postgresql:// URL"
            raise StudyError(f"{source} {what} on this machine")
    try:
        url = sa.make_url(text).set(drivername="postgresql+psycopg")
    except (sa.exc.ArgumentError, ValueError):
        url = None
    if url is None or "@" in (url.host or ""):
        raise StudyError(
            f"{source} does not hold a URL as postgresql://USER:PASSWORD@HOST:PORT/DATABASE; in a password "
            "every @ is written as %40, and every % as %25"
        )
    return url
