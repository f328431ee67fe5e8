"""Signals: the first asks the study to stop, the second ends the run at once."""

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
    """Notes INT and TERM while it is entered. `asked` is set by the first; a second ends a command's process
    with 130, and is a KeyboardInterrupt in any other, a notebook's say: as soon as Python has the word, which
    a call of Ray's may keep for a while.

    Signals reach the main thread only: entered in another one, it leaves them alone. `farewell` is given the
    last words, "" where there are none: a command sets it, which may have a terminal to tidy up.
    """

    def __init__(self) -> None:
        self.asked = Event()
        self.farewell: Callable[[str], object] | None = None
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
        if self.farewell is not None:
            farewell = Thread(target=self.farewell, args=(words,), name="farewell", daemon=True)
            farewell.start()
            farewell.join(FAREWELL_S)
        os._exit(code)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked.is_set() and not self._leaving:
            if self.farewell is None:
                raise KeyboardInterrupt
            self.leave(INTERRUPTED)
        self.asked.set()
