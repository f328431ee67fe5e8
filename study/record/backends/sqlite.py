"""Records in SQLite: one file in the folder of each study. Unsafe files are refused."""

import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from study.record.backends.backend import (
    LOCKED_S,
    Condition,
    DamagedError,
    DatabaseAwayError,
    VersionToken,
    damaged,
    held,
    named,
)
from study.record.tables import STUDIES_TABLE, tables
from trainable.contract import StudyError

_NETWORK = re.compile("nfs|cifs|smb|9p|afs|ceph|lustre|gluster|beegfs|sshfs|gpfs")
"""Parts of the names of file systems on which SQLite's locks do not hold (sqlite.org/faq.html#q5)."""

LONGEST_PATH = 504
"""Longest path that SQLite opens, in bytes: 512 with the journal's suffix (sqlite.org/src, MAX_PATHNAME)."""

_URL = "sqlite://"
"""The URL of every engine; the options name the file, which may contain any character."""

UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
"""Errors of sqlite3 in reading a file; the second where its own message quotes invalid UTF-8."""

TICK_NS = 2_000_000_000
"""Age of a file from which its next write is sure to change its time stamp."""

_CONDITIONS: Mapping[str, Condition] = {
    **dict.fromkeys(("CORRUPT", "NOTADB"), "corrupt"),
    **dict.fromkeys(("CANTOPEN", "FULL", "IOERR"), "full"),
    **dict.fromkeys(("BUSY", "LOCKED", "PROTOCOL"), "locked"),
    "READONLY": "read-only",
}
"""The condition that a primary code of SQLite reports, such as SQLITE_FULL."""


@dataclass(frozen=True, slots=True)
class SQLite:
    """The SQLite file `path`; `journal` "DELETE" writes no log beside it."""

    path: Path
    journal: str = "WAL"

    shared: ClassVar[bool] = False

    def __str__(self) -> str:
        return str(self.path)

    @contextmanager
    def opening(self) -> Iterator[sa.Engine]:
        """An engine that reads the file, also on a full or read-only disk.

        Even to read, SQLite makes a lock and an index beside the file. If there is no room for them, and no
        log beside the file, then no process writes it, and it is opened as immutable. Errors as in `prepare`,
        and DamagedError from any statement that finds the file damaged.
        """
        creator = partial(_connect, self.path.absolute(), immutable=self._unwritable())
        engine = sa.create_engine(_URL, creator=creator, poolclass=sa.QueuePool)

        @sa.event.listens_for(engine, "handle_error")
        def _named(context: sa.engine.ExceptionContext) -> None:
            error = context.original_exception
            if self.conditions(error) & {"full", "locked", "read-only"}:
                raise DatabaseAwayError(
                    f"{self}: cannot be read: {error}; the disk fails, or another process locks it"
                )
            if isinstance(error, UNREADABLE):
                raise damaged(self, error)

        with held(engine):
            yield engine

    def arguments(self) -> tuple[str, Mapping[str, Any]]:
        """URL and options to write the file. A URL would misread a name with `?`, `%`, `#` or `{`."""
        prepare(self.path, journal=self.journal)
        return _URL, {"creator": partial(_connect, self.path.absolute()), "poolclass": sa.QueuePool}

    @contextmanager
    def beginning(self) -> Iterator["SQLite | None"]:
        """A file beside this one, which is linked here at the end. A kill leaves no partial study, and if two
        processes begin the study at the same moment, the second finds the record of the first.
        """
        if self.path.is_file():
            yield None
            return
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        beside.unlink(missing_ok=True)
        yield SQLite(beside, journal="DELETE")
        try:
            with suppress(FileExistsError):
                self.path.hardlink_to(beside)
        finally:
            beside.unlink()

    def holds(self, engine: sa.Engine, name: str) -> bool:
        """True, or a StudyError; adds tables that an earlier version did not have."""
        search = sa.select(STUDIES_TABLE.c.study_name)
        search = search.where(~STUDIES_TABLE.c.study_name.contains("/"))
        names: list[str] = []
        try:
            with engine.connect() as connection:
                refuse_code(self, connection.exec_driver_sql)
                if sa.inspect(connection).has_table(STUDIES_TABLE.name):
                    names += connection.execute(search).scalars()
        except sa.exc.OperationalError:  # the database is away
            raise
        except (sa.exc.DatabaseError, DamagedError) as error:
            said = str(error).partition("\n")[0]
            raise StudyError(
                f"{self}: is not a study's record ({said}); restore it, or delete the folder"
            ) from error
        if len(names) != 1:
            raise StudyError(f"{self}: holds {len(names)} studies' records; restore it, or delete the folder")
        named(self.path.parent, names[0])
        tables.create_all(engine)
        return names == [name]

    def upsert(self, table: sa.Table) -> sa.Insert:
        """INSERT … ON CONFLICT DO NOTHING."""
        return insert(table).on_conflict_do_nothing()

    def clock(self) -> sa.ColumnElement[float]:
        """The clock of this machine."""
        return sa.literal(time.time())

    def versions(
        self, names: Sequence[str], _connected: Callable[[], sa.Engine], /
    ) -> Mapping[str, VersionToken]:
        """Inode, size and modification time of the file and its log; unknown for a file so new that its next
        time stamp may be equal.
        """
        stamps: list[str | int] = []
        newest = 0
        for path in (self.path, self._log):
            try:
                found = path.stat()
            except FileNotFoundError:
                continue
            if found.st_size:  # while it reads, a reader alone keeps an empty log
                stamps += [path.name, found.st_ino, found.st_size, found.st_mtime_ns]
                newest = max(newest, found.st_mtime_ns)
        known = stamps and time.time_ns() - newest > TICK_NS
        return dict.fromkeys(names, tuple(stamps)) if known else {}

    def copy(self, path: Path, _rows: Callable[[sa.Connection], None], /) -> None:
        """Copy with SQLite's online backup, all pages in one step: a run that writes does not delay it."""
        with (
            closing(_connect(self.path.absolute(), immutable=self._unwritable())) as reading,
            closing(sqlite3.connect(path)) as writing,
        ):
            reading.backup(writing)

    @staticmethod
    def conditions(error: BaseException, /) -> set[Condition]:
        """The conditions that SQLite's primary codes of the error and its causes report."""
        found = set[Condition]()
        cause: BaseException | None = error
        while cause is not None:
            for each in (cause, getattr(cause, "orig", None)):
                code = str(getattr(each, "sqlite_errorname", "")).removeprefix("SQLITE_").partition("_")[0]
                found |= {_CONDITIONS[code]} if code in _CONDITIONS else set()
            cause = cause.__cause__
        return found

    @property
    def _log(self) -> Path:
        """The file of commits that are not yet in the database."""
        return self.path.with_name(f"{self.path.name}-wal")

    def _unwritable(self) -> bool:
        """True if the file must be opened as immutable, as its disk has no room. Errors as in `prepare`."""
        try:
            prepare(self.path, journal=self.journal)
        except StudyError as error:
            if self.conditions(error) & {"full", "read-only"} and self._at_rest:
                return True
            raise
        return False

    @property
    def _at_rest(self) -> bool:
        """True if the file has no log with commits beside it."""
        return self.path.is_file() and not (self._log.exists() and self._log.stat().st_size)


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


def _connect(path: Path, *, immutable: bool = False) -> sqlite3.Connection:
    """A connection that threads may share; commits are durable, also against power loss."""
    where = f"{path.as_uri()}?mode=ro&immutable=1" if immutable else path.as_uri()
    connection = sqlite3.connect(where, uri=True, timeout=LOCKED_S, check_same_thread=False)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA temp_store=MEMORY")  # sorting needs no room in TMPDIR
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection


def refuse_code(where: object, execute: Callable[[str], Iterable[Sequence[Any]]]) -> None:
    """DamagedError if a file has a trigger, a view or a virtual table: SQLite would run it with a table."""
    code = "SELECT type, name FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE '%VIRTUAL%'"
    for kind, name in execute(code):
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
    if _NETWORK.search(kind):
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
