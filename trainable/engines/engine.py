"""The protocol of engines: members that train together, one epoch per call."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import nan
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trainable.contract import METRICS, Config, UserMetrics
from trainable.data.interactions import Fold

MemberState = Mapping[str, NDArray[np.generic]]
"""The complete state of a member as named arrays, alike in every engine (`two_task.parameters.fresh`)."""


@dataclass(frozen=True, slots=True)
class Member:
    """One replicate of one trial. Its numbers depend on `config` and `replicate` only."""

    trial: int
    replicate: int
    config: Config


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one epoch of a member: mean training losses, and metrics (None if not requested).

    NaN throughout if the member has diverged; its neighbours are not affected.
    """

    epoch: int
    ranking_loss: float
    rating_loss: float
    metrics: Mapping[str, float] | None
    wall_s: float

    def __post_init__(self) -> None:
        if self.metrics is not None and set(self.metrics) != set(METRICS):
            raise ValueError(f"metrics must be {METRICS}, not {tuple(self.metrics)}")

    @classmethod
    def diverged(cls, epoch: int, *, evaluated: bool, wall_s: float) -> "Result":
        """The result of a member whose numbers are not finite: NaN throughout."""
        return cls(epoch, nan, nan, dict.fromkeys(METRICS, nan) if evaluated else None, wall_s)


class Engine(Protocol):
    """Trains all members that have joined, one epoch per call.

    Random streams are keyed by (seed, replicate, epoch, use), so neighbours never change a member's result
    (law 1): bit for bit if `deterministic`, else in float64 within the relative `tolerance` (in float32,
    trajectories diverge by rounding alone).
    """

    fold: Fold
    dtype: str
    """Type of the members' numbers: "float32" or "float64"."""
    deterministic: bool
    tolerance: float
    at_once: int
    """Members that keep the engine busy."""
    stacks: bool
    """True if more members raise the throughput further, because all train in one stack."""

    def __init__(self, fold: Fold, *, seed: int, device: str, threads: int, dtype: str = "float32") -> None:
        """Make an engine without members on one device: "cpu" with `threads` threads, or "cuda"."""
        ...

    def join(self, member: Member, state: MemberState | None = None) -> None:
        """Add a member, at its keyed initial values or at `state`."""
        ...

    def leave(self, member: Member) -> None:
        """Remove a member."""
        ...

    def epoch(self, evaluate: Collection[Member]) -> dict[Member, Result]:
        """Train every member for one epoch, then measure those in `evaluate` on the fold's target.

        MemoryError, here and in `join`, if the device's memory runs out: the engine must be discarded.
        """
        ...

    def by_user(self, member: Member) -> tuple[UserMetrics, ...]:
        """Metrics of a member on the fold's target, by user; NotFiniteError if it has none."""
        ...

    def state(self, member: Member) -> MemberState:
        """The complete state of a member: parameters, optimiser moments, counts of steps and epochs."""
        ...

    def room(self) -> int | None:
        """Number of further members, like the present ones, that fit into memory; None if not limited."""
        ...
