"""Records in PostgreSQL: one database for many studies. Its URL may contain a password and is not stored."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa

from study.record.backends.backend import LOCKED_S, Condition, DatabaseAwayError, VersionToken, held
from study.record.tables import ATTRIBUTES_TABLE, STUDIES_TABLE, ours, runs, study_id, tables
from trainable.contract import StudyError

CONNECT_S, SILENCE_MS = 10, 30_000
"""Time limits for a PostgreSQL server to accept a connection, and to acknowledge data."""

LOCK_LOOK_S = 0.05
"""Interval between attempts to take a lock that is held."""

_LOCK = 0x5EED
"""Key of the advisory lock for creating tables and studies."""


class PostgresPool(sa.QueuePool):
    """Connections with a limit on waits for a lock, after which the record counts as away.

    A stopped server (SIGSTOP, a sleeping machine) still acknowledges data in its kernel, which no limit
    detects: a new connection fails after `CONNECT_S`, an open one waits until the server continues. Lanes
    have their own limit on answers of the referee.
    """


class OneConnection(sa.StaticPool):
    """One connection, with the same limit."""


@sa.event.listens_for(sa.Engine, "begin")
def _limit(connection: sa.Connection) -> None:
    """Set the lock timeout in each transaction: PgBouncer may run the next one on another connection, and
    give this connection to another client.
    """
    if isinstance(connection.engine.pool, PostgresPool | OneConnection):
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCKED_S}s'")


POSTGRES_OPTIONS: Mapping[str, Any] = {
    "connect_args": {
        "connect_timeout": CONNECT_S,
        "tcp_user_timeout": SILENCE_MS,
        "keepalives_idle": 10,
        "client_encoding": "utf8",  # with SQL_ASCII psycopg would return bytes
        "prepare_threshold": None,  # PgBouncer changes connections between statements
    },
    "poolclass": PostgresPool,
    "pool_pre_ping": True,
}


@dataclass(frozen=True, slots=True)
class PostgreSQL:
    """The PostgreSQL database of a spec's URL, which may name a variable and is resolved on use.

    With `single` an engine for writing has one connection: to create tables Optuna opens a second, and
    PgBouncer may have none.
    """

    url: str
    single: bool = False

    shared: ClassVar[bool] = True

    def __str__(self) -> str:
        return self.url

    @contextmanager
    def opening(self) -> Iterator[sa.Engine]:
        """An engine that replaces broken connections. StudyError if the URL is invalid, or without psycopg;
        DatabaseAwayError, without a password, if the server does not answer in the block.
        """
        url, options = self.arguments()
        try:
            engine = sa.create_engine(url, **options)
        except ImportError as error:
            raise StudyError(
                "storage.url: PostgreSQL needs psycopg; pip install 'pareto-study[postgres]'"
            ) from error
        with held(engine), _answering(engine):
            yield engine

    def arguments(self) -> tuple[str, Mapping[str, Any]]:
        """URL, with its password, and options of an engine. StudyError if the URL is invalid."""
        single = {"poolclass": OneConnection, "pool_pre_ping": False} if self.single else {}
        return _resolved(self.url).render_as_string(hide_password=False), {**POSTGRES_OPTIONS, **single}

    @contextmanager
    def beginning(self) -> Iterator["PostgreSQL"]:
        """The database, with an advisory lock. While it waits it has no connection: PgBouncer may have only
        two, and the holder needs both. A study that a kill has cut off is begun again in its place.
        """
        asked = sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))
        with self.opening() as engine:
            while True:
                with engine.connect() as connection, connection.begin():
                    if connection.execute(asked).scalar():
                        yield PostgreSQL(self.url, single=True)
                        break
                time.sleep(LOCK_LOOK_S)
        engine.dispose()

    def holds(self, engine: sa.Engine, name: str) -> bool:
        """True if the database has the study `name`; adds tables that an earlier version did not have."""
        if not sa.inspect(engine).has_table(STUDIES_TABLE.name) or study_id(engine, name) is None:
            return False
        if not ours(engine):
            with self.beginning():
                tables.create_all(engine)
        return True

    def upsert(self, table: sa.Table) -> sa.Insert:
        """INSERT … ON CONFLICT DO NOTHING."""
        from sqlalchemy.dialects.postgresql import insert  # a record in a file needs no import of it

        return insert(table).on_conflict_do_nothing()

    def clock(self) -> sa.ColumnElement[float]:
        """The clock of the server."""
        return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Float(53))

    def versions(
        self, names: Sequence[str], connected: Callable[[], sa.Engine], /
    ) -> Mapping[str, VersionToken]:
        """Last run and spec of each study with a run, by one query: every write belongs to a run or changes
        the spec, so they identify the version of a study that no run drives.
        """
        s, a, r = STUDIES_TABLE.c, ATTRIBUTES_TABLE.c, runs.c
        last = sa.select(r.study, sa.func.max(r.run).label("run")).group_by(r.study).subquery()
        begun = STUDIES_TABLE.join(ATTRIBUTES_TABLE, (a.study_id == s.study_id) & (a.key == "spec"))
        driven = begun.join(last, last.c.study == s.study_id).join(runs, r.run == last.c.run)
        query = sa.select(s.study_name, s.study_id, sa.func.md5(a.value_json), r.run, r.ended, r.heard)
        query = query.select_from(driven).where(s.study_name.in_(names))
        engine = connected()
        with _answering(engine), engine.connect() as connection:
            return {name: tuple(version) for name, *version in connection.execute(query)}

    def copy(self, _path: Path, rows: Callable[[sa.Connection], None], /) -> None:
        """Copy with `rows`, from one snapshot."""
        unchanging = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self.opening() as engine:
            connection = engine.connect()
        with connection.execution_options(**unchanging) as reading:
            rows(reading)
        engine.dispose()

    @staticmethod
    def conditions(_error: BaseException, /) -> set[Condition]:
        """No condition: any error of a server may pass, so it counts as away."""
        return set()


@contextmanager
def _answering(engine: sa.Engine) -> Iterator[None]:
    """DatabaseAwayError, without a password, if the PostgreSQL server does not answer in the block."""
    try:
        yield
    except sa.exc.OperationalError as error:
        where = f"{engine.url.host or 'this machine'}, database {engine.url.database}"
        reason = str(error.orig).strip().splitlines()[0]
        raise DatabaseAwayError(
            f"storage.url: the PostgreSQL server at {where} does not answer: {reason}"
        ) from error


def _resolved(text: str) -> sa.URL:
    """Resolve a spec's URL, with its password. StudyError, without the password, if it is invalid."""
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
            f"{source} does not hold a URL like postgresql://USER:PASSWORD@HOST:PORT/DATABASE; in a "
            "password, write @ as %40 and % as %25"
        )
    return url
