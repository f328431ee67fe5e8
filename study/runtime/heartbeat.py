"""Heartbeat of a run: its row is renewed as long as its driver lives, whatever its lanes do.

It writes every second, so it is the first to notice that the record cannot be written, and reports it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from study.record.ledger import Ledger
from study.record.optuna_storage import STORAGE_ERRORS
from study.runtime.reconnect import DATABASE_AWAY_S
from study.signals import Interrupt
from trainable.contract import first_line

INTERRUPT_LOOK_S = 0.25
"""Interval between checks of the interrupt: a user who sees no reaction to a signal sends a second one."""

BEAT_S = 1.0
"""Interval between renewals, far below the silence of a dead run. A killed run's wall time may lack it."""


@contextmanager
def renew_run(
    ledger: Ledger, run: int, echo: Callable[[str], None], *, every_s: float = BEAT_S
) -> Iterator[None]:
    """Renew `run` in a thread while the body runs. A database that is away, full or locked is tried again;
    `echo` gets a line when it goes, and one when it is back.
    """
    over = Event()

    def beat() -> None:
        away_since = None
        while not over.wait(every_s):
            try:
                if not ledger.renew(run):
                    return  # another driver took it for dead; the referee notices and reports it
            except STORAGE_ERRORS as error:  # the referee waits as well, then ends the run
                if away_since is None:
                    away_since = time.monotonic()
                    why = first_line(error)
                    echo(
                        f"the record cannot be written: {why}; lanes wait for at most {DATABASE_AWAY_S:.0f} s"
                    )
                continue
            if away_since is not None:
                echo(f"the record can be written again, after {time.monotonic() - away_since:.0f} s")
                away_since = None

    heart = Thread(target=beat, name="heartbeat", daemon=True)
    heart.start()
    try:
        yield
    finally:
        over.set()
        heart.join()


@contextmanager
def forward_interrupt(
    interrupt: Interrupt, ledger: Ledger, run: int, echo: Callable[[str], None]
) -> Iterator[None]:
    """Ask `run`, and no other, to stop when the interrupt is set, in a thread while the body runs.

    `echo` gets one line. A database that is away is tried again.
    """
    over = Event()

    def pass_on() -> None:
        announced = False
        while not over.wait(INTERRUPT_LOOK_S):
            if not interrupt.asked:
                continue
            if not announced:
                echo("stopping; a second signal ends the run at once")
                announced = True
            with suppress(*STORAGE_ERRORS):  # the heartbeat reports them
                ledger.request_stop(run)
                return

    thread = Thread(target=pass_on, name="interrupt", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
