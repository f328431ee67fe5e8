"""Engines: the same mathematics on different hardware. A new engine is one file and one line in `ENGINES`."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from math import nan
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from trainable.contract import METRICS, Config, StudyError, UserMetrics
from trainable.data.interactions import Fold

ENGINES = {
    "numba": "trainable.engines.numba:NumbaEngine",
    "torch": "trainable.engines.torch:TorchEngine",
    "plain": "trainable.engines.plain:PlainEngine",
}

AUTO = {"cpu": "numba", "cuda": "torch"}
"""The fastest engine on each kind of device."""

State = Mapping[str, NDArray[np.generic]]
"""Everything a member is, as named arrays: the same names in every engine (`trainable.parameters.fresh`)."""


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


def engine(
    name: str,
    fold: Fold,
    *,
    seed: int,
    device: str,
    threads: int,
    dtype: str = "float32",
    gpu_share: float | None = None,
) -> Engine:
    """The engine called `name`, or the best for the device ("auto"); StudyError where there is none.

    With `gpu_share` this process never takes more than that part of the GPU's memory.
    """
    name = AUTO[device] if name == "auto" else name
    if name not in ENGINES:
        raise StudyError(f"engine: {name!r} is not known; use {', '.join(ENGINES)}")
    if gpu_share is not None:
        import_module("trainable.engines.device").limit(gpu_share)
    module, _, attribute = ENGINES[name].partition(":")
    made = getattr(import_module(module), attribute)(
        fold, seed=seed, device=device, threads=threads, dtype=dtype
    )
    return cast(Engine, made)


def prepare(name: str, compiling: Callable[[], object]) -> None:
    """Compile the code of the engine `name` for this machine's CPU, in this process and on disk.

    `compiling` is called first if that takes seconds, usually once per machine. "auto" means the best engine
    for a CPU. Does nothing for an engine without compiled code.
    """
    if (AUTO["cpu"] if name == "auto" else name) == "numba":
        import_module("trainable.engines.numba").prepare(compiling)
