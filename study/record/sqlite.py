"""Open SQLite records for driving and for reading, and refuse unsafe files."""

import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from trainable.contract import StudyError

SQLITE = "sqlite://"
"""The URL of every SQLite engine; `options` names the file, which may contain any character."""

LOCKED_S = 30
"""Limit of a statement's wait for a lock. Its execution has none: a slow read is not a fault."""

NETWORK_FILE_SYSTEMS = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "afs",
    "ceph",
    "lustre",
    "gluster",
    "beegfs",
    "sshfs",
    "gpfs",
)
"""Parts of the names of file systems on which SQLite's locks do not hold (sqlite.org/faq.html#q5)."""

LONGEST_PATH = 504
"""Longest path that SQLite opens, in bytes: 512 with the journal's suffix (sqlite.org/src, MAX_PATHNAME)."""

NO_CODE = "SELECT type, name FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE '%VIRTUAL%'"
"""Finds triggers, views and virtual tables: SQLite would run them when a table is used."""


UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
"""Errors of sqlite3 in reading a file; the second where its own message quotes invalid UTF-8."""


class DatabaseAwayError(StudyError):
    """Error: the database does not answer."""


class DamagedError(StudyError):
    """Error: this version cannot have written the record."""


def damaged(where: object, why: object) -> DamagedError:
    """The error for a damaged record, with its remedy; `where` is a study or a file."""
    words = " ".join(str(why).split())[:200]
    return DamagedError(f"{where}: its record is damaged: {words}; restore a backup, or delete the study")


def prepare(path: Path, *, journal: str = "WAL") -> None:
    """Set up the SQLite file `path`; in WAL mode readers never wait. StudyError if it cannot be opened,
    DatabaseAwayError if a later attempt may succeed.
    """
    refuse_network(path)
    refuse_long(path)
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA journal_mode={journal}")
    except UNREADABLE as error:
        raise _unopened(path, error) from error


def _unopened(path: Path, error: Exception) -> StudyError:
    """The error for a file that SQLite cannot open, with its remedy; DatabaseAwayError if it may be sound."""
    said = f"{path}: cannot be opened as a study's record: {error}"
    if not os.access(path.parent, os.W_OK):
        mend = "its folder is read-only, and reading takes a lock there: make it writable, or copy it"
        return StudyError(f"{said}; {mend}")
    if isinstance(error, sqlite3.OperationalError):
        return DatabaseAwayError(
            f"{said}; the disk fails or is full, or another process has locked it: try again"
        )
    return DamagedError(f"{said}; restore it, or delete the folder")


def options(path: Path) -> dict[str, Any]:
    """Engine options for the SQLite file `path`. A URL would misread a name with `?`, `%`, `#` or `{`."""
    return {"creator": partial(_connect, path.absolute()), "poolclass": sa.QueuePool}


def reading(path: Path) -> sa.Engine:
    """An engine that reads the SQLite file `path`, also on a full or read-only disk.

    Even to read, SQLite makes a lock and an index beside the file. If there is no room for them, and no log
    beside the file, then no process writes it, and it is opened as immutable. Errors as in `prepare`, and
    DamagedError from any statement that finds the file damaged.
    """
    creator = partial(_connect, path.absolute(), immutable=_unwritable(path))
    engine = sa.create_engine(SQLITE, creator=creator, poolclass=sa.QueuePool)

    @sa.event.listens_for(engine, "handle_error")
    def _named(context: sa.engine.ExceptionContext) -> None:
        error = context.original_exception
        if no_room(error) or locked(error):
            raise DatabaseAwayError(
                f"{path}: cannot be read: {error}; the disk fails, or another process locks it"
            )
        if isinstance(error, UNREADABLE):
            raise damaged(path, error)

    return engine


def connection(path: Path) -> sqlite3.Connection:
    """A connection that reads the SQLite file `path`, opened as in `reading`."""
    return _connect(path.absolute(), immutable=_unwritable(path))


def _unwritable(path: Path) -> bool:
    """True if a file must be opened as immutable, because its disk has no room. Errors as in `prepare`."""
    try:
        prepare(path)
    except StudyError as error:
        if no_room(error) and _at_rest(path):
            return True
        raise
    return False


def no_room(error: BaseException) -> bool:
    """True if an error or its cause is a full, read-only or broken disk."""
    return full(error) or "READONLY" in _codes(error)


def corrupt(error: BaseException) -> bool:
    """True if an error or its cause is a corrupt database."""
    return bool({"CORRUPT", "NOTADB"} & _codes(error))


def full(error: BaseException) -> bool:
    """True if an error or its cause is a full or broken disk."""
    return bool({"IOERR", "FULL", "CANTOPEN"} & _codes(error))


def locked(error: BaseException) -> bool:
    """True if an error or its cause is a locked file."""
    return bool({"BUSY", "LOCKED", "PROTOCOL"} & _codes(error))


def _codes(error: BaseException | None) -> set[str]:
    """SQLite's primary codes of an error and its causes, as "FULL"."""
    names = set[str]()
    while error is not None:
        for each in (error, getattr(error, "orig", None)):
            names.add(str(getattr(each, "sqlite_errorname", "")).removeprefix("SQLITE_").partition("_")[0])
        error = error.__cause__
    return names


def _at_rest(path: Path) -> bool:
    """True if a SQLite file has no log with commits beside it."""
    log = path.with_name(f"{path.name}-wal")
    return path.is_file() and not (log.exists() and log.stat().st_size)


def _connect(path: Path, *, immutable: bool = False) -> sqlite3.Connection:
    """A connection that threads may share; commits are durable, also against power loss."""
    where = f"{path.as_uri()}?mode=ro&immutable=1" if immutable else path.as_uri()
    connection = sqlite3.connect(where, uri=True, timeout=LOCKED_S, check_same_thread=False)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA temp_store=MEMORY")  # sorting needs no room in TMPDIR
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection


def refuse_code(where: object, found: Iterable[Sequence[Any]]) -> None:
    """DamagedError if `NO_CODE` found a trigger, a view or a virtual table: using tables would run it."""
    for kind, name in found:
        raise damaged(where, f"it has the {kind} {name!a}, which no study's record has")


def refuse_long(path: Path) -> None:
    """StudyError if the full path of a record at `path` is too long for SQLite."""
    size = len(os.fsencode(path.absolute()))
    if size > LONGEST_PATH:
        raise StudyError(
            f"{path}: its full path has {size} bytes, more than SQLite's limit of {LONGEST_PATH}; "
            "work in a folder with a shorter path, or name a PostgreSQL database in storage.url"
        )


def refuse_network(path: Path) -> None:
    """StudyError if a record at `path` would be on a network file system."""
    kind = file_system(path.parent)
    if any(name in kind for name in NETWORK_FILE_SYSTEMS):
        raise StudyError(
            f"{path}: lies on a network file system ({kind}), where SQLite loses records; run on a local "
            "disk, or name a PostgreSQL database in storage.url"
        )


def file_system(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The type of the file system of `folder`, as "ext4", or "unknown"."""
    if not mounts.is_file():
        return "unknown"
    place, found, longest = str(folder.resolve()) + "/", "unknown", 0
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _, point, kind, *_ = line.split(" ")
        point = point.replace("\\040", " ").rstrip("/") + "/"
        if place.startswith(point) and len(point) >= longest:
            found, longest = kind, len(point)
    return found
