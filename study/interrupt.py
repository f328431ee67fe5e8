"""Signals: the first asks the study to stop, the second ends the process at once."""

import os
import signal
from threading import Event, current_thread, main_thread
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """Notes INT and TERM while it is entered. `asked` is set by the first; a second exits with 130.

    Signals reach the main thread only: entered in another one, it leaves them alone.
    """

    def __init__(self) -> None:
        self.asked = Event()

    def __enter__(self) -> "Interrupt":
        heard = SIGNALS if current_thread() is main_thread() else ()
        self._before = {s: signal.signal(s, self._note) for s in heard}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked.is_set():
            os._exit(130)
        self.asked.set()
