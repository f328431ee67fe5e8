"""The inline runtime: lanes in this process, taking turns. No Ray; for tests and notebooks."""

import time
from contextlib import closing
from pathlib import Path

from study.loop.events import EventLog
from study.loop.referee import Referee
from study.record.ledger import Ledger
from study.runtime.reconnect import ReconnectingReferee
from study.signals import Interrupt
from trainable.job import Job
from trainable.session import Session

PARKED_S = 0.5
"""Wait while no lane has work, for example because the database is away."""


def drive(ledger: Ledger, run: int, job: Job, folder: Path, interrupt: Interrupt) -> str:
    """Train the rest of the study in this process; return why the run ended."""
    lanes = ledger.spec.runtime.lanes
    log = EventLog(folder, stage=ledger.stage, run=run)
    referee = ReconnectingReferee(lambda: Referee(ledger, run, notify=log), notify=log)
    sessions = [
        Session(
            job.build,
            slots=job.slots,
            lane=f"{run}.{number}",
            exchange=referee.exchange,
            by_user=job.by_user,
        )
        for number in range(1 if lanes == "auto" else lanes)
    ]
    with interrupt, closing(log):
        while referee.over is None:
            parked = [session.advance().park for session in sessions]
            if all(parked) and referee.over is None:
                time.sleep(PARKED_S)
    return referee.over
