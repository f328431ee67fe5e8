"""Progress of the stages after a search: their points, their training, and front points outside them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from study.record.front import PointKey
from study.record.reader import Reader
from study.record.rows import Holder, Plan, Planned, Point, Run, TrialRecord, held
from study.record.tested import confirmed
from study.spec.sections import Confirm
from study.status.estimate import Work, cost_s
from study.status.stage import StageProgress, confirming, validating

OPENED_S = 1.0
"""Resolution of the recorded time at which a test set was opened."""

ALMOST = 0.98
"""A running point counts as trained by its time; until it has ended, at most this share counts."""


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
class FreshProgress:
    """Progress of the fresh-seed stage: configurations planned and ended, the fresh seeds of each, and the
    time at which it was planned.
    """

    begun: str
    planned: int
    ended: int
    replicates: int


@dataclass(frozen=True, slots=True)
class Again:
    """A planned stage that trains points again, and its record so far.

    `trained` has the last measured epoch and the summed seconds of each point, by its number in the plan.
    """

    reader: Reader
    plan: Plan
    records: Sequence[TrialRecord]
    trained: Mapping[int, tuple[int, float]]

    @classmethod
    def of(cls, reader: Reader | None) -> "Again | None":
        """The stage with this record; None if it is not planned."""
        if reader is None or reader.plan is None:
            return None
        return cls(reader, reader.plan, reader.records(), reader.trained())

    @property
    def planned(self) -> int:
        """Number of its points."""
        return len(self.plan.points)

    @property
    def ended(self) -> int:
        """Number of points that are trained or have failed."""
        return sum(r.state != "running" for r in self.records)

    @property
    def replicates(self) -> int:
        """Fresh seeds for each point."""
        return self.reader.spec.search.replicates

    def work(self, run: Run | None, search_cost_s: float | None) -> Work:
        """Its training. In the active `run`, the time since a lease estimates the progress of a point.

        Until enough is measured, a member-epoch costs as much as in the search.
        """
        replicates = self.replicates
        whole = [p.epoch * replicates for p in self.plan.points]
        cost = cost_s(self.trained.values(), replicates=replicates) or search_cost_s
        done = float(sum(whole[r.trial] for r in self.records if r.state != "running"))
        if run is not None and cost:
            training = list(held(self.records, run.run))
            for holder, record in training:
                beside = sum(other == holder for other, _ in training)
                trained = _seconds_since(record.started, run) / (cost * beside)
                done += min(trained, ALMOST * whole[record.trial])
        return Work(done, sum(whole), cost)


@dataclass(frozen=True, slots=True)
class Later:
    """The stages after a search that are planned: the fresh-seed stage and the confirmation."""

    fresh: Again | None
    confirmation: Again | None

    @classmethod
    def of(cls, search: Reader, same: Mapping[PointKey, PointKey]) -> "Later":
        """The later stages of a search; the points of its confirmation are renamed by `same`."""
        return cls(Again.of(search.fresh()), Again.of(confirmed(search, same)))

    @property
    def stages(self) -> list[Again]:
        """The planned stages, in order."""
        return [stage for stage in (self.fresh, self.confirmation) if stage is not None]

    @property
    def stage(self) -> StageProgress:
        """The stage that a run is in, or would enter next, once the search is complete."""
        fresh, confirmation = self.fresh, self.confirmation
        if confirmation is not None:
            return confirming(confirmation.ended, confirmation.planned)
        if fresh is not None and fresh.ended < fresh.planned:
            return validating(fresh.ended, fresh.planned)
        return confirming(0, None)

    @property
    def progress(self) -> str:
        """The progress of the last planned stage, in words."""
        if self.confirmation is not None:
            return f"{self.confirmation.ended} of {self.confirmation.planned} points confirmed"
        if self.fresh is not None:
            return f"{self.fresh.ended} of {self.fresh.planned} configurations validated with fresh seeds"
        return "its front not confirmed"

    def fresh_progress(self) -> FreshProgress | None:
        """The progress of the fresh-seed stage; None before it is planned."""
        if (fresh := self.fresh) is None:
            return None
        return FreshProgress(fresh.plan.opened, fresh.planned, fresh.ended, fresh.replicates)

    def confirmation_progress(self, front: Iterable[TrialRecord]) -> ConfirmationProgress | None:
        """The progress of the confirmation against the search's present front, given as one trial for each
        point; None before the test set is opened.
        """
        if (confirmation := self.confirmation) is None:
            return None
        planned = self.stages[0].plan.opened
        return ConfirmationProgress(
            opened=confirmation.plan.opened,
            planned=confirmation.planned,
            ended=confirmation.ended,
            replicates=confirmation.replicates,
            found_later=sum(found_later(record, planned) for record in front),
        )

    def held(self, run: Run) -> Iterator[tuple[Holder, Planned, int]]:
        """Points that lanes of this run hold: each with its holder and its last measured epoch."""
        for stage in self.stages:
            for holder, record in held(stage.records, run.run):
                epoch, _ = stage.trained.get(record.trial, (0, 0.0))
                yield holder, stage.plan.points[record.trial], epoch

    def work(
        self, asked: Confirm | None, front: Sequence[Point], run: Run | None, search_cost_s: float | None
    ) -> list[tuple[Work, int]]:
        """The training of each stage, with its number of points left.

        A confirmation that is `asked` for and not planned counts with the most that it and its fresh-seed
        stage may train.
        """
        works = [(s.work(run, search_cost_s), s.planned - s.ended) for s in self.stages]
        if self.confirmation is None and (asked is not None or self.fresh is not None):
            points, whole = expected(asked or Confirm(), front)
            rest = max(0.0, whole - sum(work.planned for work, _ in works))
            works.append((Work(0.0, rest, search_cost_s), points))
        return works


def expected(asked: Confirm, front: Sequence[Point]) -> tuple[int, float]:
    """The most points that a confirmation of this front would plan, and their training in member-epochs."""
    if not front:
        return 0, 0.0
    points = min(len(front), asked.points) + asked.points // 2
    epochs = sum(p.epoch for p in front) / len(front)
    return points, points * epochs * asked.replicates


def found_later(record: TrialRecord, planned: str) -> bool:
    """True if a trial ended after the points to train again were planned, or has not ended."""
    if record.finished is None:
        return True
    since = datetime.fromisoformat(record.finished) - datetime.fromisoformat(planned)
    return since.total_seconds() >= OPENED_S


def _seconds_since(moment: str | None, run: Run) -> float:
    """Seconds from a moment on record until now, on the clock of the run's driver."""
    if moment is None:
        return 0.0
    now = run.renewed + max(0.0, run.silent_s)
    return max(0.0, now - datetime.fromisoformat(moment).timestamp())
