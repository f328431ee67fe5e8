"""A summary file beside each record, so that a new service need not read all records.

It is valid for one version token of the record and one version of this package. Deleting it is safe.
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
    """The summary of the study in `folder` for its present version token; None if there is none."""
    path = folder / FILE
    if mark is None or not path.is_file():
        return None
    try:
        first, _, rest = path.read_text(encoding="utf-8").partition("\n")
        return Summary.model_validate_json(rest) if first == _key(mark) else None
    except (
        ValidationError,
        UnicodeDecodeError,
        OSError,
    ):  # of another version, damaged, or deleted meanwhile
        return None


def write(folder: Path, mark: Mark, summary: Summary) -> None:
    """Write the summary file atomically. If that fails, log it: the next service reads the record."""
    try:
        put(folder / FILE, f"{_key(mark)}\n{summary.model_dump_json()}".encode())
    except OSError as error:
        log.warning("%s: %s", folder / FILE, error.strerror)


def _key(mark: Mark) -> str:
    return json.dumps([_version(), mark])


@cache
def _version() -> str:
    """The version of this package; cached, because the look-up reads files."""
    return version("pareto-study")
