"""Temporary folders with their owner on file: a later run removes those of killed processes."""

import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import mkdtemp

from study.record.process import Owner
from trainable.disk import write_atomically
from trainable.typed import typed

PREFIX = "study-"
OWNER_FILE = "owner.json"


def make(place: str) -> Path:
    """Make a folder of this process in `place` that only this user may enter; remove the orphans there."""
    remove_orphans(place)
    made = Path(mkdtemp(prefix=PREFIX, dir=place))
    try:
        give(made, os.getpid())
    except OSError:
        made.rmdir()
        raise
    return made


@contextmanager
def temporary_folder(place: str) -> Iterator[Path]:
    """Make a folder as `make` does; remove it at the end."""
    made = make(place)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def give(folder: Path, pid: int) -> None:
    """Record that a folder belongs to this process: it is an orphan once the process has ended."""
    write_atomically(folder / OWNER_FILE, json.dumps(asdict(Owner.of(pid))).encode())


def remove_orphans(place: str) -> None:
    """Remove the folders in `place` that this user's dead processes left."""
    for folder in Path(place).glob(f"{PREFIX}*"):
        if _orphaned(folder):
            with suppress(OSError):  # another run removes it too
                _remove(folder)


def _orphaned(folder: Path) -> bool:
    """True if it is certainly a folder of this user, and of a process of this machine that has ended."""
    try:
        about = folder.lstat()
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid():
            return False
        path = folder / OWNER_FILE
        owner: Owner = typed(Owner, json.loads(path.read_bytes()), str(path))
        return owner.running is False
    except (OSError, ValueError, RecursionError, OverflowError):
        return False


def _remove(folder: Path) -> None:
    """Remove a folder, its owner's file last: processes that are ending may still write there."""
    for path in folder.iterdir():
        if path.name != OWNER_FILE:
            shutil.rmtree(path, ignore_errors=True)
    if [path.name for path in folder.iterdir()] == [OWNER_FILE]:
        shutil.rmtree(folder, ignore_errors=True)
