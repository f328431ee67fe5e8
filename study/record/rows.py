"""Rows and facts of the record, as values."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from study.record.process import Owner
from study.search.origin import ConfigOrigin
from trainable.contract import METRICS, Config, Decision, FaultKind

SILENT_RUN_S = 60.0
"""Time without renewal after which a run counts as dead, if its process is not visible from here."""

Stage = Literal["search", "fresh", "confirm"]
"""A stage of a study; each has a record of its own."""

TrialState = Literal["completed", "stopped", "failed", "running"]

ShownState = Literal["completed", "stopped", "failed", "running", "unfinished"]
"""A trial's state as shown: "unfinished" is a trial without an end in a study that no run drives."""

ENDED: Mapping[str, TrialState] = {"complete": "completed", "stop": "stopped", "fail": "failed"}


def shown_state(state: TrialState, *, driven: bool) -> ShownState:
    """A trial's state as shown; `driven` says that a run drives its study."""
    return "unfinished" if state == "running" and not driven else state


@dataclass(frozen=True, slots=True)
class Baseline:
    """Facts that are fixed before the first trial: counts and hash of the data, and the reference point.

    `reference` has a value for every metric: MRR of ranking by popularity, MSE of the damped bias model, both
    on the data that measures the search.
    """

    data: Mapping[str, Any]
    reference: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of a lease: a lane of one run, in one of its incarnations."""

    run: int
    lane: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class Place:
    """Place of a lane in one of its incarnations: the node's id in Ray, its address, its GPUs by number."""

    lane: str
    incarnation: int
    node: str
    address: str
    devices: list[str]


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One trial on record. `epochs` were trained; `epoch` is that of the point that stands for it.

    `faults` counts its faults by kind; `retries` has each in words. `origin` says where its configuration is
    from; in a later stage it is "unknown".
    """

    trial: int
    config: Config | None
    state: TrialState
    reason: str | None
    holder: Holder | None
    attempt: int
    epochs: int
    epoch: int | None
    started: str | None
    finished: str | None
    faults: Mapping[FaultKind, int]
    retries: tuple[str, ...] = ()
    origin: ConfigOrigin = "unknown"


def held(records: Iterable[TrialRecord], run: int) -> Iterator[tuple[Holder, TrialRecord]]:
    """Trials that lanes of this run hold, each with its holder."""
    for record in records:
        if record.state == "running" and record.holder is not None and record.holder.run == run:
            yield record.holder, record


class TrialSummary(NamedTuple):
    """State of a trial and the reason of its end; `epochs` is 0 while it runs."""

    state: TrialState
    reason: str | None
    epochs: int
    config: Config | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One stretch of driving a study, from a start to its end. Times are seconds since 1970, UTC, on a
    monotonic clock of the driver.

    `silent_s` is the time since the last renewal, by the database's clock, which all hosts share.
    `began` is the time at which the run's first lane asked for work; None before.
    """

    run: int
    owner: Owner
    started: float
    renewed: float
    stop: bool
    ended: float | None
    reason: str | None
    silent_s: float
    began: float | None = None

    @property
    def wall_s(self) -> float:
        """Seconds from its first lane to its end, or to its last renewal; 0 before the first lane."""
        return 0.0 if self.began is None else (self.ended or self.renewed) - self.began

    @property
    def alive(self) -> bool:
        """True if its driver is alive: by its process if that is visible, else by its last renewal.

        A renewal in the future means that the database's clock was set back.
        """
        if self.ended is not None:
            return False
        if (running := self.owner.running) is not None:
            return running
        return abs(self.silent_s) < SILENT_RUN_S


class Point(NamedTuple):
    """A trial after `epoch` epochs: the means over all its replicates."""

    trial: int
    epoch: int
    mrr: float
    mrr_all: float
    mse: float

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics by name."""
        return {name: getattr(self, name) for name in METRICS}


@dataclass(frozen=True, slots=True)
class Planned:
    """A point of the search to train again: its trial and epoch, the reason, and its configuration."""

    trial: int
    epoch: int
    reason: str
    config: Config


@dataclass(frozen=True, slots=True)
class Plan:
    """Points that a later stage trains, in order, and the time when it was planned (ISO, UTC).

    In a confirmation that is the time when it opened the test set. In the fresh-seed stage, earlier points of
    a trial are measured, too.
    """

    opened: str
    points: tuple[Planned, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Plan":
        """The inverse of `as_dict`."""
        points = (Planned(**p | {"config": Config.from_dict(p["config"])}) for p in values["points"])
        return cls(values["opened"], tuple(points))


@dataclass(frozen=True, slots=True)
class Judgement:
    """Decision of a stopping rule on a trial after `epoch` epochs."""

    epoch: int
    decision: Decision
