"""INT and TERM: the first signal asks the study to stop, the second ends the run at once."""

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from threading import Thread, current_thread, main_thread
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED = 130
"""Exit code of a process that a signal has ended."""

RESUMES = "the same command resumes the study"
"""Message of a run that ends before its study is complete."""

FAREWELL_S = 5.0
"""Limit of the wait for the last line of a process that ends at once: its terminal may be stuck."""


class Interrupt:
    """Context manager that handles INT and TERM. The first asks the study to stop. A second ends the process
    of a command with exit code 130, and raises KeyboardInterrupt elsewhere, in a notebook for example. It
    takes effect once Python runs; a call into Ray may delay that.

    Signals reach the main thread only; in another thread it handles none. A command sets `farewell`, which
    tidies up the terminal and prints the last line.
    """

    def __init__(self) -> None:
        self.farewell: Callable[[str], object] | None = None
        self._asked = self._noted = False
        self._leaving = False
        self._heard: socket.socket | None = None
        self._restores = ExitStack()

    def __enter__(self) -> "Interrupt":
        if current_thread() is main_thread():
            with ExitStack() as restores:
                self._heard, waker = (restores.enter_context(closing(end)) for end in socket.socketpair())
                self._heard.setblocking(False)
                waker.setblocking(False)
                before = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
                restores.callback(signal.set_wakeup_fd, before)
                for number in SIGNALS:
                    if (handler := signal.signal(number, self._note)) is not None:  # None: set by C
                        restores.callback(signal.signal, number, handler)
                self._restores = restores.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._asked = self.asked
        self._restores.close()

    @property
    def asked(self) -> bool:
        """True after a signal or `ask`, even while the main thread is in a call that runs no Python, such as
        one of Ray's that waits for a head which the same signal has ended.
        """
        if self._asked or self._heard is None:
            return self._asked
        with suppress(OSError):  # no signal, or the socket is closed
            return any(number in SIGNALS for number in self._heard.recv(4096, socket.MSG_PEEK))
        return False

    def wait(self, seconds: float) -> None:
        """Wait for a signal, for at most this time."""
        if self._heard is not None:
            with suppress(OSError, ValueError):  # the socket is closed
                select.select([self._heard], [], [], seconds)
                return
        time.sleep(seconds)

    def ask(self) -> None:
        """Ask the study to stop, as the first signal does."""
        self._asked = True

    def leave(self, code: int, words: str) -> NoReturn:
        """End the process at once, after the farewell, without waiting for other threads."""
        self._leaving = True
        if self.farewell is not None:
            farewell = Thread(target=self.farewell, args=(words,), name="farewell", daemon=True)
            farewell.start()
            farewell.join(FAREWELL_S)
        os._exit(code)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self._noted and not self._leaving:
            if self.farewell is None:
                raise KeyboardInterrupt
            self.leave(INTERRUPTED, f"interrupted; {RESUMES}")
        self._noted = True
        self.ask()
