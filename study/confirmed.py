"""How far a confirmation is: its points, its training, and what of the front it does not cover."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from study.estimate import Work, cost_s
from study.front import Key
from study.parts import Confirm
from study.reader import Reader
from study.record import Plan, Point, Record, Run, held
from study.tested import confirmed

OPENED_S = 1.0
"""The moment at which a test set was opened is on record in whole seconds."""

ALMOST = 0.98
"""A point that trains is measured at its end only; until then it counts as trained so far at most."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How far a confirmation is: points ended of those planned, and when it opened the test set.

    `found_later` counts the points of the front that were found after that: they are not confirmed.
    """

    opened: str
    planned: int
    ended: int
    replicates: int
    found_later: int = 0


@dataclass(frozen=True, slots=True)
class Confirming:
    """The record of a confirmation that was planned, as far as it is."""

    reader: Reader
    plan: Plan
    records: Sequence[Record]

    @classmethod
    def of(cls, search: Reader, same: Mapping[Key, Key]) -> "Confirming | None":
        """That of a search, its points called as in `same`; None where the test set was not opened."""
        reader = confirmed(search, same)
        if reader is None or reader.plan is None:
            return None
        return cls(reader, reader.plan, reader.records())

    @property
    def ended(self) -> int:
        """Points that are trained, or have failed."""
        return sum(r.state != "running" for r in self.records)

    def told(self, front: Iterable[Record]) -> Confirmation:
        """How far it is, beside the trials that the search's front has now, one for each point."""
        return Confirmation(
            opened=self.plan.opened,
            planned=len(self.plan.points),
            ended=self.ended,
            replicates=self.reader.spec.search.replicates,
            found_later=sum(found_later(record, self.plan.opened) for record in front),
        )

    def work(self, run: Run | None, search_cost_s: float | None) -> Work:
        """Its training; of `run`, which drives it now, the time since a lease says how far a point is.

        Before enough is measured a member-epoch costs as much as in the search.
        """
        replicates = self.reader.spec.search.replicates
        whole = [p.epoch * replicates for p in self.plan.points]
        cost = cost_s(self.reader.trained().values(), replicates=replicates) or search_cost_s
        done = float(sum(whole[r.trial] for r in self.records if r.state != "running"))
        if run is not None and cost:
            training = list(held(self.records, run.run))
            for holder, record in training:
                beside = sum(other == holder for other, _ in training)
                trained = _seconds_since(record.started, run) / (cost * beside)
                done += min(trained, ALMOST * whole[record.trial])
        return Work(done, sum(whole), cost)


def expected(asked: Confirm, front: Sequence[Point], search_cost_s: float | None) -> tuple[int, Work]:
    """How many points a confirmation of this front would plan at most, and their training."""
    if not front:
        return 0, Work()
    points = min(len(front), asked.points) + asked.points // 2
    epochs = sum(p.epoch for p in front) / len(front)
    return points, Work(0.0, points * epochs * asked.replicates, search_cost_s)


def found_later(record: Record, opened: str) -> bool:
    """Whether a trial ended after the test set was opened, or has not ended."""
    if record.finished is None:
        return True
    since = datetime.fromisoformat(record.finished) - datetime.fromisoformat(opened)
    return since.total_seconds() >= OPENED_S


def _seconds_since(moment: str | None, run: Run) -> float:
    """Seconds from a moment on record until now, on the clock of the run's driver."""
    if moment is None:
        return 0.0
    now = run.renewed + max(0.0, run.silent_s)
    return max(0.0, now - datetime.fromisoformat(moment).timestamp())
