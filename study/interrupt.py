"""Signals: the first asks the study to stop, the second ends the process at once."""

import os
import signal
from collections.abc import Callable
from threading import Event, Thread, current_thread, main_thread
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED = 130
"""Exit code of a process that a signal has ended."""

FAREWELL_S = 1.0
"""How long a process that ends at once waits for its last words: its terminal may be stuck."""


class Interrupt:
    """Notes INT and TERM while it is entered. `asked` is set by the first; a second exits with 130.

    Signals reach the main thread only: entered in another one, it leaves them alone. `farewell` is given the
    last words, "" where there are none: it is set by who draws on the terminal and must tidy it up.
    """

    def __init__(self) -> None:
        self.asked = Event()
        self.farewell: Callable[[str], object] = lambda _words: None
        self._leaving = False

    def __enter__(self) -> "Interrupt":
        heard = SIGNALS if current_thread() is main_thread() else ()
        self._before = {s: signal.signal(s, self._note) for s in heard}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def leave(self, code: int, words: str = "") -> NoReturn:
        """End the process at once, whatever its threads are in the middle of, but for the farewell."""
        self._leaving = True
        farewell = Thread(target=self.farewell, args=(words,), name="farewell", daemon=True)
        farewell.start()
        farewell.join(FAREWELL_S)
        os._exit(code)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked.is_set() and not self._leaving:
            self.leave(INTERRUPTED)
        self.asked.set()
