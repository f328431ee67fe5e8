"""The Referee as an actor of Ray's, and the lanes' way to it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError

from study.loop.events import Event, Log
from study.loop.referee import Referee
from study.record.ledger import Ledger
from study.record.rows import Stage
from study.runtime.prefetch import Ahead
from study.runtime.prometheus import Heard
from study.runtime.reconnect import Steady
from trainable.contract import Answer, Held, Measurement, Unreachable

ANSWER_S = 30.0
"""How long a lane waits for the referee before it parks."""


class RefereeActor:
    """The Referee as an actor: the same class, opened on the record wherever it is started."""

    def __init__(self, folder: Path, stage: Stage, run: int, lease_s: float, *, meters: bool) -> None:
        listeners: list[Callable[[Event], None]] = [Log(folder, stage=stage, run=run)]
        if meters:
            listeners.append(Heard(folder.name, stage))

        def notify(event: Event) -> None:
            for listener in listeners:
                listener(event)

        def opened() -> Ahead:
            ledger = Ledger.read(folder, stage=stage)
            return Ahead(Referee(ledger, run, lease_s=lease_s, ahead=True, notify=notify))

        self._referee = Steady(opened, notify=notify)

    def exchange(
        self,
        lane: str,
        incarnation: int,
        held: Sequence[Held],
        measurements: Sequence[Measurement],
        free: int,
    ) -> Answer:
        """What the Referee answers."""
        return self._referee.exchange(lane, incarnation, held, measurements, free)

    def lose(self, lane: str) -> None:
        """The lane's process has ended."""
        self._referee.lose(lane)

    def over(self) -> str | None:
        """Why the study is over, or None."""
        return self._referee.over


class RayExchange:
    """The way from a lane to the referee, over Ray. Unreachable where no answer comes in time."""

    def __init__(self, referee: Any) -> None:
        self._referee = referee

    def __call__(
        self,
        lane: str,
        incarnation: int,
        held: Sequence[Held],
        measurements: Sequence[Measurement],
        free: int,
    ) -> Answer:
        """The referee's answer."""
        call = self._referee.exchange.remote(lane, incarnation, held, measurements, free)
        try:
            answer: Answer = ray.get(call, timeout=ANSWER_S)
        except (GetTimeoutError, ActorUnavailableError) as error:
            raise Unreachable(str(error)) from error
        return answer
