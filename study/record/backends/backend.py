"""The protocol that a database with records fulfils, and the errors of a record."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import sqlalchemy as sa

from trainable.contract import StudyError

LOCKED_S = 30
"""Limit of a statement's wait for a lock. Its execution has none: a slow read is not a fault."""

Condition = Literal["corrupt", "full", "locked", "read-only"]
"""Condition of a database that an error reports; a broken disk counts as full."""

VersionToken = tuple[str | int | float | None, ...]


class DatabaseAwayError(StudyError):
    """Error: the database does not answer."""


class DamagedError(StudyError):
    """Error: this version cannot have written the record."""


class MisnamedError(StudyError):
    """Error: a folder has another name than its study."""


def damaged(where: object, why: object) -> DamagedError:
    """The error for a damaged record, with its remedy; `where` is a study or a file."""
    words = " ".join(str(why).split())[:200]
    return DamagedError(f"{where}: its record is damaged: {words}; restore a backup, or delete the study")


def named(folder: Path, name: object) -> None:
    """MisnamedError if `folder` has another name than its study: it is a copy, or was renamed."""
    if folder.absolute().name != name:
        raise MisnamedError(
            f"{folder}: contains the study {name!r}, so it is a copy or was renamed; give the folder the "
            f"study's name, or make a second study with `study backup` and `study restore --name`"
        )


@contextmanager
def held(engine: sa.Engine) -> Iterator[None]:
    """Dispose of the engine if the block fails."""
    try:
        yield
    except BaseException:
        engine.dispose()
        raise


class Backend(Protocol):
    """A database with records; the differences between kinds of databases are in its methods.

    Its text is its place, without a password. Objects for the same database are equal.
    """

    shared: ClassVar[bool]
    """True for a server with the records of many studies; False for a file in the folder of one."""

    def opening(self) -> AbstractContextManager[sa.Engine]:
        """An engine for reading, which is disposed of if the block fails.

        StudyError if the database cannot be opened; DatabaseAwayError, without a password, if it does not
        answer in the block.
        """

    def arguments(self) -> tuple[str, Mapping[str, Any]]:
        """URL, with its password, and options of an engine for writing. Errors as in `opening`."""

    def beginning(self) -> AbstractContextManager["Backend | None"]:
        """The database to create tables and a study in, alone; None if it is a file with a study."""

    def holds(self, engine: sa.Engine, name: str) -> bool:
        """True if the database has the study `name`; adds tables that an earlier version did not have.

        StudyError if a file has no record, or one of another name than the folder.
        """

    def upsert(self, table: sa.Table) -> sa.Insert:
        """An insert that leaves existing rows as they are."""

    def clock(self) -> sa.ColumnElement[float]:
        """Seconds since 1970 by the clock that all users of the database share."""

    def versions(
        self, names: Sequence[str], connected: Callable[[], sa.Engine], /
    ) -> Mapping[str, VersionToken]:
        """Version tokens of studies, by name, where they are known; `connected` gives an engine."""

    def copy(self, path: Path, rows: Callable[[sa.Connection], None], /) -> None:
        """Copy a study into the new SQLite file `path`, as of one moment: the file at once, or by `rows`,
        which gets a connection that sees one moment.
        """

    @staticmethod
    def conditions(error: BaseException, /) -> set[Condition]:
        """The conditions of the database that an error and its causes report."""
