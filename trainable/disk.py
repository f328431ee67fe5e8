"""Files that are whole or not there: also for whoever reads meanwhile, and after a power loss."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path


def put(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Put `content` at `path`, in the place of what is there, with a `mode` as `os.open` takes it."""
    with beside(path, content, mode=mode) as made:
        made.replace(path)


@contextmanager
def beside(path: Path, content: bytes, *, mode: int = 0o666) -> Iterator[Path]:
    """A file of this content beside `path`, on the disk, which nobody else knows and which is not left."""
    made = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with open(made, "xb", opener=partial(os.open, mode=mode)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a rename may reach the disk before what it names
    except OSError as error:
        made.unlink(missing_ok=True)
        error.filename = error.filename or str(path)  # writing names no file
        raise
    try:
        yield made
    finally:
        made.unlink(missing_ok=True)
