"""A run's sign of life: its row is renewed for as long as its driver lives, whatever its lanes are doing.

What writes every second is the first to know that the record cannot be written, and says so.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from study.record.ledger import Ledger
from study.record.optuna_storage import STORAGE_ERRORS
from study.runtime.reconnect import AWAY_S
from study.signals import Interrupt

LOOK_S = 0.25
"""How often the interrupt is looked at: who sees nothing come of a signal sends the second."""

BEAT_S = 1.0
"""From one renewal to the next: what the wall time of a killed run may lack; far less than silence is."""


@contextmanager
def beating(
    ledger: Ledger, run: int, tell: Callable[[str], None], *, every_s: float = BEAT_S
) -> Iterator[None]:
    """While this is entered, `run` is renewed, in a thread. A database that is away, full or locked is tried
    again; `tell` hears of it once, and when it is back.
    """
    over = Event()

    def beat() -> None:
        away_since = None
        while not over.wait(every_s):
            try:
                if not ledger.renew(run):
                    return  # somebody took it for dead, which the referee sees as well and says
            except STORAGE_ERRORS as error:  # a referee has patience with them, and ends the run at its end
                if away_since is None:
                    away_since = time.monotonic()
                    why = str(error).partition("\n")[0]
                    tell(f"the record cannot be written: {why}; lanes wait, for {AWAY_S:.0f} s at most")
                continue
            if away_since is not None:
                tell(f"the record is written again, after {time.monotonic() - away_since:.0f} s")
                away_since = None

    heart = Thread(target=beat, name="heartbeat", daemon=True)
    heart.start()
    try:
        yield
    finally:
        over.set()
        heart.join()


@contextmanager
def passed_on(interrupt: Interrupt, ledger: Ledger, run: int, tell: Callable[[str], None]) -> Iterator[None]:
    """While this is entered, an interrupt asks `run` to stop, and no other, in a thread; `tell` hears of it
    once. A database that is away is tried again.
    """
    over = Event()

    def pass_on() -> None:
        told = False
        while not over.wait(LOOK_S):
            if not interrupt.asked:
                continue
            if not told:
                tell("stopping; a second signal ends the run at once")
                told = True
            with suppress(*STORAGE_ERRORS):  # the heartbeat says so
                ledger.request_stop(run)
                return

    thread = Thread(target=pass_on, name="interrupt", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
