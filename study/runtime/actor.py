"""The Referee of a run inside its actor: it prefetches trials, keeps a log, and waits for the database."""

from collections.abc import Callable
from pathlib import Path

from study.loop.events import Event, Log
from study.loop.referee import Referee
from study.record.ledger import Ledger
from study.record.rows import Stage
from study.runtime.prefetch import Ahead
from study.runtime.prometheus import Heard
from study.runtime.reconnect import Steady


def referee(folder: Path, stage: Stage, run: int, lease_s: float, *, meters: bool) -> Steady:
    """The Referee of a run; its first exchange opens the record."""
    listeners: list[Callable[[Event], None]] = [Log(folder, stage=stage, run=run)]
    if meters:
        listeners.append(Heard(folder.name, stage))

    def notify(event: Event) -> None:
        for listener in listeners:
            listener(event)

    def opened() -> Ahead:
        ledger = Ledger.read(folder, stage=stage)
        return Ahead(Referee(ledger, run, lease_s=lease_s, ahead=True, notify=notify))

    return Steady(opened, notify=notify)
