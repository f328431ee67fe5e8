"""A run's sign of life: its row is renewed for as long as its driver lives, whatever its lanes are doing."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from study.ledger import Ledger
from study.storage import STORAGE_ERRORS

BEAT_S = 1.0
"""From one renewal to the next: what the wall time of a killed run may lack; far less than silence is."""


@contextmanager
def beating(ledger: Ledger, run: int, *, every_s: float = BEAT_S) -> Iterator[None]:
    """While this is entered, `run` is renewed, in a thread; a database that is away is tried again."""
    over = Event()

    def beat() -> None:
        while not over.wait(every_s):
            try:
                if not ledger.renew(run):
                    return  # somebody took it for dead, which the referee sees as well and says
            except STORAGE_ERRORS:  # a referee has patience with them, and ends the run when it is at its end
                continue

    heart = Thread(target=beat, name="heartbeat", daemon=True)
    heart.start()
    try:
        yield
    finally:
        over.set()
        heart.join()
