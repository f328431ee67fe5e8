"""Connections to a PostgreSQL server that holds records; its URL may hold a password and is kept nowhere."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from study.record.sqlite import LOCKED_S, AwayError
from trainable.contract import StudyError

CONNECT_S, SILENCE_MS = 10, 30_000
"""How long a PostgreSQL server may take to answer at first, and to acknowledge what it is sent."""


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
