"""The user's interrupt on its way to the record, where the referee sees it, wherever it runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from study.interrupt import Interrupt
from study.ledger import Ledger
from study.storage import STORAGE_ERRORS

LOOK_S = 0.25
"""How often the interrupt is looked at: who sees nothing come of a signal sends the second."""


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
