"""Lines of a study's log as they come, for people and for machines.

They contain the text of errors that trials raised, and a terminal obeys some characters: unprintable ones are
escaped as in JSON.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

from study.loop.events import LOG_FILE
from study.printable import printable

LOG_LOOK_S = 0.5
"""Interval between reads of a log that is followed."""

HEAD = ("time", "level", "stage", "event")
"""The first fields of every line."""


class Tail:
    """The complete lines of a file that another process writes, each once.

    The file may appear later, be truncated, or be replaced by another of its name. The new one is read from
    its beginning, after the rest of the old one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._part = b""

    def lines(self) -> Iterator[str]:
        """The lines that were completed since the last call."""
        if self._file is not None:
            yield from self._whole(self._file)
            if self._same(self._file):
                return
            self.close()
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:
            return
        yield from self._whole(self._file)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file, self._part = None, b""

    def _whole(self, file: BinaryIO) -> Iterator[str]:
        for piece in file:
            self._part += piece
            if piece.endswith(b"\n"):
                line, self._part = self._part[:-1], b""
                yield line.decode("utf-8", errors="replace")

    def _same(self, file: BinaryIO) -> bool:
        """True if the open file still has its name and was not truncated."""
        try:
            found = self._path.stat()
        except FileNotFoundError:  # moved away; its writer may continue
            return True
        ours = os.fstat(file.fileno())
        return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino) and found.st_size >= file.tell()


def lines(folder: Path, *, over: Callable[[], bool]) -> Iterator[str]:
    """The lines of the log in a study's `folder`: the present ones, then new ones until it is `over`.

    An incomplete last line is left out.
    """
    with closing(Tail(folder / LOG_FILE)) as tail:
        while True:
            last = over()  # before reading, so that no line written before the end is missed
            yield from tail.lines()
            if last:
                return
            time.sleep(LOG_LOOK_S)


def in_words(line: str) -> str:
    """A line for people: time, level, stage, event, its lane and trial, and its reason.

    A line that a full disk cut off is shown as it is.
    """
    fields = _parsed(line)
    if fields is None:
        return printable(line)
    when, level, stage, event = (str(fields.pop(key)) for key in HEAD)
    words = fields.pop("words", None)
    named = ", ".join(_named(key, value) for key, value in fields.items() if key not in ("study", "run"))
    what = ": ".join(str(part) for part in (named, words) if part)
    return printable(f"{when.replace('+00:00', 'Z')} {level:7} {stage:7} {event:12} {what}".rstrip())


def _parsed(line: str) -> dict[str, Any] | None:
    """The fields of a line; None if it is incomplete or not one of ours."""
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) and fields.keys() >= {*HEAD} else None


def _named(key: str, value: object) -> str:
    return f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}"
