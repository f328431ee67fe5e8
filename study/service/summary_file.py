"""A summary file beside each record, so that a new service need not read all records.

It is valid for one version token of the record and one version of this package. Deleting it is safe.
"""

import json
import logging
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError

from study.record.backends.backend import VersionToken
from study.service.schemas import Summary
from trainable.disk import write_atomically

SUMMARY_FILE = ".summary.json"
VERSION = version("pareto-study")

log = logging.getLogger("study.service")


def read(folder: Path, version: VersionToken | None) -> Summary | None:
    """The summary of the study in `folder` for its present version token; None if there is none."""
    path = folder / SUMMARY_FILE
    if version is None or not path.is_file():
        return None
    try:
        first, _, rest = path.read_text(encoding="utf-8").partition("\n")
        return Summary.model_validate_json(rest) if first == _key(version) else None
    except (ValidationError, UnicodeDecodeError, OSError):
        return None  # of another version, damaged, or deleted meanwhile


def write(folder: Path, version: VersionToken, summary: Summary) -> None:
    """Write the summary file atomically. If that fails, log it: the next service reads the record."""
    try:
        write_atomically(folder / SUMMARY_FILE, f"{_key(version)}\n{summary.model_dump_json()}".encode())
    except OSError as error:
        log.warning("%s: %s", folder / SUMMARY_FILE, error.strerror)


def _key(version: VersionToken) -> str:
    return json.dumps([VERSION, version])
