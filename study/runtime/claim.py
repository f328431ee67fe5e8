"""Claim a study whose last driver cannot be seen from here: it may be dead, or slow.

Its process is in another container or on another host. Only a minute of silence shows that it is dead.
"""

import logging
import time

from study.record.ledger import Ledger, TakenError
from study.record.rows import SILENT_RUN_S

CLAIM_LOOK_S = 1.0
"""Interval between checks of the record: a live driver renews its run once a second."""

SILENT_DRIVER_S = 10.0
"""Silence of a driver after which the log says that the claim waits for it."""

log = logging.getLogger("study.runtime")


def claim_run(ledger: Ledger) -> int:
    """Claim the study for this process; return the number of the new run.

    Waits while a driver that cannot be seen from here is silent, until the silence has lasted
    `SILENT_RUN_S`. TakenError where that driver renews its run, or is seen to run.
    """
    heard: tuple[int, float] | None = None
    warned = False
    while True:
        try:
            return ledger.claim()
        except TakenError as taken:
            run = taken.run
            if run.owner.running is not None or heard not in (None, (run.run, run.renewed)):
                raise
        heard = run.run, run.renewed
        if not warned and run.silent_s > SILENT_DRIVER_S:
            warned = True
            log.warning(
                "%s: waiting for up to %.0f s; process %d on %s ran it and may be gone",
                ledger.spec.name,
                SILENT_RUN_S - run.silent_s,
                run.owner.pid,
                run.owner.host,
            )
        time.sleep(CLAIM_LOOK_S)
