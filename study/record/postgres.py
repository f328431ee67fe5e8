"""Connect to a PostgreSQL server with records. Its URL may contain a password and is not stored."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from study.record.sqlite import LOCKED_S, DatabaseAwayError
from trainable.contract import StudyError

CONNECT_S, SILENCE_MS = 10, 30_000
"""Time limits for a PostgreSQL server to accept a connection, and to acknowledge data."""


class PostgresPool(sa.QueuePool):
    """Connections with a limit on waits for a lock, after which the record counts as away.

    A stopped server (SIGSTOP, a sleeping machine) still acknowledges data in its kernel, which no limit
    detects: a new connection fails after `CONNECT_S`, an open one waits until the server continues. Lanes
    have their own limit on answers of the referee.
    """


class OneConnection(sa.StaticPool):
    """A pool of one connection: to create tables Optuna opens a second, and PgBouncer may have none."""


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


def postgres_engine(text: str) -> sa.Engine:
    """An engine for the PostgreSQL database of a spec's URL `text`; broken connections are replaced."""
    try:
        return sa.create_engine(_resolved(text), **POSTGRES_OPTIONS)
    except ImportError as error:
        raise StudyError(
            "storage.url: PostgreSQL needs psycopg; pip install 'pareto-study[postgres]'"
        ) from error


@contextmanager
def answering(engine: sa.Engine) -> Iterator[None]:
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
