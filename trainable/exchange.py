"""The exchange between lanes and the referee, over Ray.

Ray loads the class of an actor wherever its handle goes. Lanes would import Optuna and SQLAlchemy with
`study`, and the referee Ray Tune with `trainable.tune`, before the first epoch.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError

from trainable.contract import Answer, Held, Measurement, Unreachable

ANSWER_S = 30.0
"""How long a lane waits for the referee before it parks."""


class Answers(Protocol):
    """What a referee's actor needs of its referee."""

    def exchange(
        self,
        lane: str,
        incarnation: int,
        held: Sequence[Held],
        measurements: Sequence[Measurement],
        free: int,
    ) -> Answer:
        """Answer a lane's report."""
        ...

    def lose(self, lane: str) -> None:
        """Note that the lane's process has ended."""
        ...

    @property
    def over(self) -> str | None:
        """Why the study is over, or None."""
        ...


class RefereeActor:
    """The actor of a referee, which `open_` opens in the actor's process."""

    def __init__(self, open_: Callable[[], Answers]) -> None:
        self._referee = open_()

    def exchange(
        self,
        lane: str,
        incarnation: int,
        held: Sequence[Held],
        measurements: Sequence[Measurement],
        free: int,
    ) -> Answer:
        """Answer a lane's report."""
        return self._referee.exchange(lane, incarnation, held, measurements, free)

    def lose(self, lane: str) -> None:
        """Note that the lane's process has ended."""
        self._referee.lose(lane)

    def over(self) -> str | None:
        """Why the study is over, or None."""
        return self._referee.over


class RayExchange:
    """The way from a lane to the referee's actor. Unreachable where no answer comes in time."""

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
