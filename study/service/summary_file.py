"""A summary beside the record that it was made of: a service that has just begun need not read them all.

It names the record's stamps and our version, and holds while they do; delete it and it is made again.
"""

import json
import logging
from functools import cache
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError

from study.record.version_tokens import Mark
from study.service.schemas import Summary
from trainable.disk import put

FILE = ".summary.json"

log = logging.getLogger("study.service")


def read(folder: Path, mark: Mark | None) -> Summary | None:
    """The summary of the study in `folder` as its record is marked now; None where none holds."""
    path = folder / FILE
    if mark is None or not path.is_file():
        return None
    try:
        first, _, rest = path.read_text(encoding="utf-8").partition("\n")
        return Summary.model_validate_json(rest) if first == _key(mark) else None
    except (ValidationError, UnicodeDecodeError, OSError):  # from another version, damaged, or just deleted
        return None


def write(folder: Path, mark: Mark, summary: Summary) -> None:
    """Put the summary beside the record, whole; where it cannot be put the next service reads the record."""
    try:
        put(folder / FILE, f"{_key(mark)}\n{summary.model_dump_json()}".encode())
    except OSError as error:
        log.warning("%s: %s", folder / FILE, error.strerror)


def _key(mark: Mark) -> str:
    return json.dumps([_version(), mark])


@cache
def _version() -> str:
    """Our version; looking it up reads files."""
    return version("pareto-study")
