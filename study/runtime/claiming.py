"""Claiming a study whose last driver cannot be seen from here: it may be dead, or slow.

Its process is in another container or on another host. Only its silence tells that it is dead.
"""

import logging
import time

from study.ledger import Ledger, TakenError
from study.record import SILENT_RUN_S

LOOK_S = 1.0
"""From one look at the record to the next: a driver that lives renews its run once a second."""

PATIENCE_S = 10.0
"""How long a driver may be silent before the user is told that its silence is waited for."""

log = logging.getLogger("study.runtime")


def claimed(ledger: Ledger) -> int:
    """The number of a run by this process that drives the study from now on.

    Waits while a driver that cannot be seen from here is silent, and claims the study once that has lasted
    for `SILENT_RUN_S`. TakenError where the driver is heard meanwhile, or is seen to run.
    """
    heard: tuple[int, float] | None = None
    told = False
    while True:
        try:
            return ledger.claim()
        except TakenError as taken:
            run = taken.run
            if run.owner.running is not None or heard not in (None, (run.run, run.renewed)):
                raise
        heard = run.run, run.renewed
        if not told and run.silent_s > PATIENCE_S:
            told = True
            log.warning(
                "%s: waiting for up to %.0f s; process %d on %s ran it and may be gone",
                ledger.spec.name,
                SILENT_RUN_S - run.silent_s,
                run.owner.pid,
                run.owner.host,
            )
        time.sleep(LOOK_S)
