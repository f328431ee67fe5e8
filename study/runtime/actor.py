"""The Referee of a run inside its actor: it prefetches trials, keeps a log, and waits for the database."""

from collections.abc import Callable
from pathlib import Path

from study.loop.events import Event, EventLog
from study.loop.referee import Referee
from study.record.ledger import Ledger
from study.record.rows import Stage
from study.runtime.prefetch import PrefetchingReferee
from study.runtime.prometheus import EventMetrics
from study.runtime.reconnect import ReconnectingReferee


def referee(folder: Path, stage: Stage, run: int, lease_s: float, *, meters: bool) -> ReconnectingReferee:
    """The Referee of a run; its first exchange opens the record."""
    listeners: list[Callable[[Event], None]] = [EventLog(folder, stage=stage, run=run)]
    if meters:
        listeners.append(EventMetrics(folder.name, stage))

    def notify(event: Event) -> None:
        for listener in listeners:
            listener(event)

    def opened() -> PrefetchingReferee:
        ledger = Ledger.read(folder, stage=stage)
        return PrefetchingReferee(Referee(ledger, run, lease_s=lease_s, prefetch=True, notify=notify))

    return ReconnectingReferee(opened, notify=notify)
