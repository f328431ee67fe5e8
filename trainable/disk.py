"""Atomic files: complete or absent, also for concurrent readers and after a power loss."""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

PIPES = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")
"""Paths of a shell's pipes, which have a writing process."""

FILE_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def irregular(path: Path) -> str | None:
    """The kind of the file at `path`, as "a named pipe", if a reader might wait for ever. None for a regular
    file and a shell's pipe; OSError if there is no file.
    """
    mode = path.stat().st_mode
    if stat.S_ISFIFO(mode) and str(path).startswith(PIPES):
        return None
    return next((name for is_kind, name in FILE_KINDS if is_kind(mode)), None)


def write_atomically(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write `content` to `path` atomically, replacing a file there; `mode` as for `os.open`."""
    with temporary_file(path, content, mode=mode) as made:
        made.replace(path)


@contextmanager
def temporary_file(path: Path, content: bytes, *, mode: int = 0o666) -> Iterator[Path]:
    """Write `content` to a temporary file beside `path`, flushed to disk; remove it at the end."""
    made = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with open(made, "xb", opener=partial(os.open, mode=mode)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a rename may reach the disk before the content
    except OSError as error:
        made.unlink(missing_ok=True)
        error.filename = error.filename or str(path)  # errors of write have no file name
        raise
    try:
        yield made
    finally:
        made.unlink(missing_ok=True)


def seal(about: Mapping[str, Any], tensors: bytes) -> str:
    """The sha256 of a JSON-ready record, independent of its layout, and of a file: 64 hex digits."""
    record = json.dumps(about, sort_keys=True).encode()
    return sha256(len(record).to_bytes(8, "little") + record + tensors).hexdigest()
