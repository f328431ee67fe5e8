"""A study's log as it is read: its lines as they come, for people and for machines.

The words in it are whatever a trial raised, and a terminal obeys some characters: what is not printable is
escaped, as JSON escapes it.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

from study.loop.events import LOG
from study.printable import printable

LOOK_S = 0.5
"""How often a log that is followed is looked at."""

HEAD = ("time", "level", "stage", "event")
"""What every line says first."""


class Tail:
    """The lines of a file that somebody else writes, each once, when it is whole.

    It may not be there yet, be cut short, or make room for another one of its name: the new one is read from
    its beginning, after the rest of the old one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._part = b""

    def lines(self) -> Iterator[str]:
        """Those that came since the last call."""
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
        """Let go of the file."""
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
        """Whether what is open is what the name leads to, and is no shorter than what was read of it."""
        try:
            found = self._path.stat()
        except FileNotFoundError:  # moved away; whoever writes it may go on
            return True
        ours = os.fstat(file.fileno())
        return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino) and found.st_size >= file.tell()


def lines(folder: Path, *, over: Callable[[], bool]) -> Iterator[str]:
    """The lines of the log in a study's `folder`: what is there, then what comes, until it is `over`.

    A line that is not whole at the end is left out.
    """
    with closing(Tail(folder / LOG)) as tail:
        while True:
            last = over()  # asked first: what was written before the end is read
            yield from tail.lines()
            if last:
                return
            time.sleep(LOOK_S)


def in_words(line: str) -> str:
    """A line for people: when, how bad, in which stage, what happened, to which lane and trial, and why.

    One that a full disk cut off is shown as it is.
    """
    said = _parsed(line)
    if said is None:
        return printable(line)
    when, level, stage, event = (str(said.pop(key)) for key in HEAD)
    words = said.pop("words", None)
    named = ", ".join(_named(key, value) for key, value in said.items() if key not in ("study", "run"))
    what = ": ".join(str(part) for part in (named, words) if part)
    return printable(f"{when.replace('+00:00', 'Z')} {level:7} {stage:7} {event:12} {what}".rstrip())


def _parsed(line: str) -> dict[str, Any] | None:
    """What a line says; None where it is not one of ours, or not whole."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said if isinstance(said, dict) and said.keys() >= {*HEAD} else None


def _named(key: str, value: object) -> str:
    return f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}"
