"""The inline runtime: lanes in this process, taking turns. No Ray; for tests and notebooks."""

from pathlib import Path

from study.ledger import Ledger
from study.referee import Referee
from study.runtime.interrupt import Interrupt
from trainable.job import Job
from trainable.session import Session


def drive(ledger: Ledger, run: int, job: Job, folder: Path, interrupt: Interrupt) -> str:  # noqa: ARG001
    """Why the run ended; trains what the study has left."""
    lanes = ledger.spec.runtime.lanes
    referee = Referee(ledger, run)
    sessions = [
        Session(job.build, slots=job.slots, lane=f"{run}.{number}", exchange=referee.exchange)
        for number in range(1 if lanes == "auto" else lanes)
    ]
    with interrupt:
        while referee.over is None:
            for session in sessions:
                session.advance()
    return referee.over
