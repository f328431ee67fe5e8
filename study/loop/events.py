"""What happens in a study, when it happens: for its log and for meters. The record needs none of it."""

import json
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from study.printable import printable
from trainable.contract import Verdict

LOG = "log.jsonl"
"""The log in a study's folder: one JSON object a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened: to a lane, to an attempt at a trial, or (all None) to the study.

    `seconds` is how long it took; `words` is the reason or what went wrong.
    """

    what: Literal[
        "lane started", "asked", "leased", "went back", "ended", "over", "record away", "record back"
    ]
    lane: str | None = None
    incarnation: int | None = None
    trial: int | None = None
    attempt: int | None = None
    epoch: int | None = None
    verdict: Verdict | None = None
    seconds: float | None = None
    words: str | None = None


Notify = Callable[[Event], None]
"""What is told of every event, in the thread it happens in."""


def unheard(_event: Event) -> None:
    """A listener to nothing."""


class AsJson(logging.Formatter):
    """A log record as one JSON object: time (ISO, UTC), level, event, and what the event names."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps(line | getattr(record, "about", {}), ensure_ascii=False)


class Appending(logging.FileHandler):
    """A log file; what the disk does not take is lost, and a line on stderr says so."""

    def emit(self, record: logging.LogRecord) -> None:
        """Append the line, if the disk takes it."""
        try:
            super().emit(record)
        except OSError:  # of opening the file
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name that logging calls
        """Say which event is lost, and why."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        with suppress(OSError):
            said = f"{self.baseFilename}: {error.strerror}; lost: {self.format(record)}"
            print(printable(said), file=sys.stderr)

    def close(self) -> None:
        """Let go of the file; what is still to be written has been said."""
        with suppress(OSError):
            super().close()


class Log:
    """A listener that appends to the log in a study's `folder`, through the logger `study.events.NAME`.

    What the disk does not take is said on stderr, and lost.
    """

    def __init__(self, folder: Path, *, stage: str, run: int) -> None:
        self._about = {"study": folder.name, "stage": stage, "run": run}
        self._log = logging.getLogger(f"study.events.{folder.name}")
        self._log.setLevel(logging.INFO)
        self._handler = Appending(folder / LOG, encoding="utf-8", delay=True)
        self._handler.setFormatter(AsJson())
        self._log.addHandler(self._handler)

    def __call__(self, event: Event) -> None:
        """Write the event down; what costs trials their epochs, or all lanes time, is a warning."""
        named = {key: value for key, value in asdict(event).items() if key != "what" and value is not None}
        level = logging.WARNING if event.what in ("went back", "record away") else logging.INFO
        self._log.log(level, event.what, extra={"about": self._about | named})

    def close(self) -> None:
        """Write no more."""
        self._log.removeHandler(self._handler)
        self._handler.close()
