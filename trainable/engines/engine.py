"""What an engine is: members that train together, an epoch a call."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import nan
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trainable.contract import METRICS, Config, UserMetrics
from trainable.data.interactions import Fold

State = Mapping[str, NDArray[np.generic]]
"""Everything a member is, as named arrays: the same names in every engine (`two_task.parameters.fresh`)."""


@dataclass(frozen=True, slots=True)
class Member:
    """One replicate of one trial. Only `config` and `replicate` decide its numbers."""

    trial: int
    replicate: int
    config: Config


@dataclass(frozen=True, slots=True)
class Result:
    """What one epoch of one member gave: mean training losses, and metrics (None where not asked for).

    A member whose numbers are no longer finite has NaN here; its neighbours are untouched.
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
        """The result of a member whose numbers are no longer finite: NaN throughout."""
        return cls(epoch, nan, nan, dict.fromkeys(METRICS, nan) if evaluated else None, wall_s)


class Engine(Protocol):
    """Trains the members that have joined, all together, one epoch a call.

    Every random number comes from a stream keyed by (seed, replicate, epoch, use), so a neighbour never
    changes a member's result (law 1): bit for bit where `deterministic`, else in float64 within `tolerance`
    (relative; in float32 rounding alone makes trajectories diverge).
    """

    fold: Fold
    dtype: str
    """What its members' numbers are: "float32" or "float64"."""
    deterministic: bool
    tolerance: float
    at_once: int
    """Members that the engine should have, to be busy."""
    stacks: bool
    """Whether more than these make it faster still, for they all train in one."""

    def __init__(self, fold: Fold, *, seed: int, device: str, threads: int, dtype: str = "float32") -> None:
        """An engine without members, on one share of one device: "cpu" with `threads` threads, or "cuda"."""
        ...

    def join(self, member: Member, state: State | None = None) -> None:
        """Add a member, at its keyed initial values or at `state`."""
        ...

    def leave(self, member: Member) -> None:
        """Forget a member."""
        ...

    def epoch(self, evaluate: Collection[Member]) -> dict[Member, Result]:
        """One epoch of every member; those in `evaluate` are measured on the fold's target after it.

        MemoryError, here and in `join`, where the device's memory runs out: the engine is of no use then.
        """
        ...

    def by_user(self, member: Member) -> tuple[UserMetrics, ...]:
        """A member's metrics on the fold's target as it stands, user by user; NotFiniteError where it has
        none.
        """
        ...

    def state(self, member: Member) -> State:
        """Everything needed to go on elsewhere, bit for bit: parameters, optimiser moments, epoch."""
        ...

    def room(self) -> int | None:
        """How many more members like those here the device's memory holds; None where that is no limit."""
        ...
