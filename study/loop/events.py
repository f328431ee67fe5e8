"""Events of a study, for its log and for metrics. The record does not depend on them."""

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

LOG_FILE = "log.jsonl"
"""The log in a study's folder: one JSON object in each line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event of a lane, of an attempt at a trial, or (with neither) of the study.

    `seconds` is its duration; `words` has the reason or the fault.
    """

    what: Literal[
        "lane started",
        "asked",
        "leased",
        "resumed",
        "went back",
        "ended",
        "over",
        "record away",
        "record back",
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
"""A listener, called with every event in the thread of the event."""


def ignore_event(_event: Event) -> None:
    """A listener that ignores every event."""


class JsonFormatter(logging.Formatter):
    """Formats a log record as one JSON object: time (ISO, UTC), level, event, and the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps(line | getattr(record, "about", {}), ensure_ascii=False)


class AppendingHandler(logging.FileHandler):
    """A log file. A line that cannot be written goes to stderr instead."""

    def emit(self, record: logging.LogRecord) -> None:
        """Append the line."""
        try:
            super().emit(record)
        except OSError:  # the file cannot be opened
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name that logging calls
        """Print the lost line and the reason on stderr."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        with suppress(OSError):
            message = f"{self.baseFilename}: {error.strerror}; lost: {self.format(record)}"
            print(printable(message), file=sys.stderr)

    def close(self) -> None:
        """Close the file. A line that cannot be flushed is on stderr already."""
        with suppress(OSError):
            super().close()


class EventLog:
    """A listener that appends to the log in a study's `folder`, through the logger `study.events.NAME`.

    A line that cannot be written goes to stderr instead.
    """

    def __init__(self, folder: Path, *, stage: str, run: int) -> None:
        self._about = {"study": folder.name, "stage": stage, "run": run}
        self._log = logging.getLogger(f"study.events.{folder.name}")
        self._log.setLevel(logging.INFO)
        self._handler = AppendingHandler(folder / LOG_FILE, encoding="utf-8", delay=True)
        self._handler.setFormatter(JsonFormatter())
        self._log.addHandler(self._handler)

    def __call__(self, event: Event) -> None:
        """Log the event, as a warning if trials lose epochs or all lanes lose time."""
        named = {key: value for key, value in asdict(event).items() if key != "what" and value is not None}
        level = logging.WARNING if event.what in ("went back", "record away") else logging.INFO
        self._log.log(level, event.what, extra={"about": self._about | named})

    def close(self) -> None:
        """Close the log."""
        self._log.removeHandler(self._handler)
        self._handler.close()
