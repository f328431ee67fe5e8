"""Make the report of a study in a separate process: figures take seconds, and would delay events."""

import asyncio
import json
import re
import sys
import time
from pathlib import Path

from study.record.backends.backend import VersionToken
from study.record.location import RECORD_FILE, holds_study
from study.record.version_tokens import VersionTokens
from study.service.cache import NoStudyError
from trainable.contract import StudyError
from trainable.disk import write_atomically

REPORT_FILE = "report/index.html"
MADE_FROM_FILE = "report/.mark"
"""File with the version token of the record from which the service made the page."""

STALE_S = 30.0
"""Seconds for which a page is served although the record has changed."""

_POLICY = re.compile(r'http-equiv="Content-Security-Policy" content="([^"]+)"')


class Reports:
    """Makes reports, one at a time."""

    def __init__(self, versions: VersionTokens) -> None:
        self._versions = versions
        self._one = asyncio.Lock()

    async def page(self, folder: Path) -> str:
        """The page, made again if the record has changed. NoStudyError if there is no record."""
        if not holds_study(folder):
            raise NoStudyError(f"{folder.name}: has no record yet, and so no report")
        async with self._one:
            version = await asyncio.to_thread(self._versions.of, folder)
            if _stale(folder, version):
                await _made(folder)
                write_atomically(folder / MADE_FROM_FILE, json.dumps(version).encode())
        return (folder / REPORT_FILE).read_text(encoding="utf-8", errors="replace")


def policy(page: str) -> str:
    """The content security policy in a report's page, with frames forbidden."""
    found = _POLICY.search(page)
    own = found[1].replace("&#39;", "'") if found else "default-src 'none'; style-src 'unsafe-inline'"
    return f"{own}; frame-ancestors 'none'"


def _stale(folder: Path, version: VersionToken | None) -> bool:
    """True if the record, of this `version`, is newer than the page, and the page is older than STALE_S."""
    page = folder / REPORT_FILE
    if not page.is_file():
        return True
    made, known = page.stat().st_mtime, folder / MADE_FROM_FILE
    if version is not None and known.is_file() and known.read_bytes() == json.dumps(version).encode():
        return False
    written = [
        p.stat().st_mtime for name in (RECORD_FILE, f"{RECORD_FILE}-wal") if (p := folder / name).is_file()
    ]
    return max(written, default=time.time()) > made and time.time() - made > STALE_S


async def _made(folder: Path) -> None:
    """Write the report in a process. StudyError with its last line on stderr if it fails."""
    command = (sys.executable, "-P", "-m", "study.results.report", str(folder))
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    if process.returncode:
        *_, last = errors.decode(errors="replace").strip().splitlines() or ["its process gave no message"]
        raise StudyError(f"{folder.name}: the report cannot be made: {last}")
