"""Delete a study, if no run drives it and it has not changed since the user confirmed."""

import os
import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from study.record.backends.backend import DamagedError, DatabaseAwayError
from study.record.ledger import Ledger
from study.record.location import Home, holds_study, located
from study.record.optuna_storage import STORAGE_ERRORS
from study.record.reader import Reader
from study.record.rows import Run
from trainable.contract import StudyError


@dataclass(frozen=True, slots=True)
class Inspected:
    """A study when the user was asked: fingerprint, runs, number of trials, or the error of reading it."""

    fingerprint: str = ""
    runs: tuple[int, ...] = ()
    begun: int = 0
    unreadable: str | None = None


def look(folder: Path) -> Inspected:
    """Read the study to delete. StudyError if it runs, its database is away, or `folder` is a link."""
    if folder.is_symlink():
        raise StudyError(
            f"{folder}: is a link to {folder.readlink()}; delete the study there, and remove the link by hand"
        )
    try:
        with closing(Reader.read(folder)) as record:
            runs, seen = record.runs(), _seen(record)
    except DatabaseAwayError:  # its rows would remain
        raise
    except StudyError as error:
        return Inspected(unreadable=str(error))
    _refuse_running(folder, runs)
    return seen


def delete(folder: Path, seen: Inspected) -> str | None:
    """Delete the study in `folder`, or nothing; return a note on rows left in a database, or None.

    StudyError if it differs from `seen` or runs now.
    """
    if look(folder) != seen:
        raise _changed(folder)
    left = None if seen.unreadable is not None else _erased(folder, seen)
    gone = folder.with_name(f".{folder.name}.deleted-{os.urandom(4).hex()}")
    folder.rename(gone)
    shutil.rmtree(gone)
    return left


def _erased(folder: Path, seen: Inspected) -> str | None:
    """Claim the study, so that no other run starts, and erase its rows in a database outside its folder."""
    backend, _ = located(folder)
    try:
        with closing(Ledger.read(folder)) as ledger:
            run = ledger.claim()
            try:
                if _seen(ledger, but=run) != seen:
                    raise _changed(folder)
                if not backend.shared:
                    return None
                if (home := ledger.home) is not None and not _belongs(home, folder):
                    ledger.release(run, "not deleted")
                    return (
                        f"its record stays in the database, because it belongs to {home.path} on "
                        f"{home.host}; delete the study there"
                    )
                ledger.erase()
            except BaseException:
                ledger.release(run, "not deleted")
                raise
    except (DamagedError, *STORAGE_ERRORS) as error:
        if backend.shared or "locked" in backend.conditions(error):
            raise
    return None  # on a full disk or with a damaged record, `look` has shown that no run drives it


def _belongs(home: Home, folder: Path) -> bool:
    """True if a record belongs to this folder; False if the folder is a copy of the record's home."""
    here = Home.of(folder)
    if home.path == here.path:
        return True
    return home.host == here.host and not holds_study(Path(home.path))  # the folder was moved


def _seen(record: Reader, *, but: int | None = None) -> Inspected:
    runs = tuple(run.run for run in record.runs() if run.run != but)
    return Inspected(record.spec.fingerprint, runs, record.begun())


def _refuse_running(folder: Path, runs: list[Run]) -> None:
    if runs and runs[-1].alive:
        owner = runs[-1].owner
        raise StudyError(
            f"{folder.name}: is being run by process {owner.pid} on {owner.host}; "
            f"`study stop {folder.name}` first"
        )


def _changed(folder: Path) -> StudyError:
    return StudyError(f"{folder.name}: has changed since the question; nothing was deleted, try again")
