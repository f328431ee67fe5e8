"""The exchange between lanes and the referee, over Ray.

This module is separate, because Ray loads an actor's class wherever its handle goes: otherwise lanes would
import Optuna and SQLAlchemy with `study`, and the referee Ray Tune with `trainable.tune`.
"""

from collections.abc import Callable
from typing import Any, Protocol

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError

from trainable.contract import Answer, LaneReport, Unreachable

REFEREE_ANSWER_S = 30.0
"""Time that a lane waits for the referee before it parks."""


class Answers(Protocol):
    """The part of the referee that its actor uses."""

    def exchange(self, report: LaneReport) -> Answer:
        """Answer a lane's report."""
        ...

    def lose(self, lane: str) -> None:
        """Note that the lane's process has ended."""
        ...

    @property
    def over(self) -> str | None:
        """The reason why the study is over, or None."""
        ...


class RefereeActor:
    """A referee's actor; `open_` opens the referee in the actor's process."""

    def __init__(self, open_: Callable[[], Answers]) -> None:
        self._referee = open_()

    def exchange(self, report: LaneReport) -> Answer:
        """Answer a lane's report."""
        return self._referee.exchange(report)

    def lose(self, lane: str) -> None:
        """Note that the lane's process has ended."""
        self._referee.lose(lane)

    def over(self) -> str | None:
        """The reason why the study is over, or None."""
        return self._referee.over


class RayExchange:
    """Calls the referee's actor from a lane. Raises Unreachable if it does not answer in time."""

    def __init__(self, referee: Any) -> None:
        self._referee = referee

    def __call__(self, report: LaneReport) -> Answer:
        """Report to the referee and return its answer."""
        call = self._referee.exchange.remote(report)
        try:
            answer: Answer = ray.get(call, timeout=REFEREE_ANSWER_S)
        except (GetTimeoutError, ActorUnavailableError) as error:
            raise Unreachable(str(error)) from error
        return answer
