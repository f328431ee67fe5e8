"""Signals: the first asks the study to stop, the second ends the process at once."""

import os
import signal
from threading import Event
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """Notes INT and TERM while it is entered. `asked` is set by the first; a second exits with 130."""

    def __init__(self) -> None:
        self.asked = Event()

    def __enter__(self) -> "Interrupt":
        self._before = {s: signal.signal(s, self._note) for s in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked.is_set():
            os._exit(130)
        self.asked.set()
