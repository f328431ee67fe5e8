"""Progress of a confirmation: its points, its training, and the front's points outside it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from study.record.front import PointKey
from study.record.reader import Reader
from study.record.rows import Plan, Point, Run, TrialRecord, held
from study.record.tested import confirmed
from study.spec.sections import Confirm
from study.status.estimate import Work, cost_s

OPENED_S = 1.0
"""Resolution of the recorded time at which a test set was opened."""

ALMOST = 0.98
"""A running point is measured at its end only; until then at most this share counts as trained."""


@dataclass(frozen=True, slots=True)
class ConfirmationProgress:
    """Progress of a confirmation: points planned and ended, and the time at which it opened the test set.

    `found_later` counts the points of the front that were found later: they are not confirmed.
    """

    opened: str
    planned: int
    ended: int
    replicates: int
    found_later: int = 0


@dataclass(frozen=True, slots=True)
class Confirming:
    """A planned confirmation and its record so far."""

    reader: Reader
    plan: Plan
    records: Sequence[TrialRecord]

    @classmethod
    def of(cls, search: Reader, same: Mapping[PointKey, PointKey]) -> "Confirming | None":
        """The confirmation of a search, its points renamed by `same`; None before the test set is opened."""
        reader = confirmed(search, same)
        if reader is None or reader.plan is None:
            return None
        return cls(reader, reader.plan, reader.records())

    @property
    def ended(self) -> int:
        """Number of points that are trained or have failed."""
        return sum(r.state != "running" for r in self.records)

    def progress(self, front: Iterable[TrialRecord]) -> ConfirmationProgress:
        """Its progress against the search's present front, given as one trial for each point."""
        return ConfirmationProgress(
            opened=self.plan.opened,
            planned=len(self.plan.points),
            ended=self.ended,
            replicates=self.reader.spec.search.replicates,
            found_later=sum(found_later(record, self.plan.opened) for record in front),
        )

    def work(self, run: Run | None, search_cost_s: float | None) -> Work:
        """Its training. In the active `run`, the time since a lease estimates the progress of a point.

        Until enough is measured, a member-epoch costs as much as in the search.
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
    """The most points that a confirmation of this front would plan, and their training."""
    if not front:
        return 0, Work()
    points = min(len(front), asked.points) + asked.points // 2
    epochs = sum(p.epoch for p in front) / len(front)
    return points, Work(0.0, points * epochs * asked.replicates, search_cost_s)


def found_later(record: TrialRecord, opened: str) -> bool:
    """True if a trial ended after the test set was opened, or has not ended."""
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
