"""A search and its record so far: its trials, its front, the spent budget, and its pace."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from math import inf

from study.loop.budget import complete, most_trials
from study.record.front import Front, PointKey, candidates, front, reference, repeated
from study.record.reader import Reader
from study.record.rows import Point, Run, TrialRecord, TrialSummary
from study.spec import StudySpec
from study.status.estimate import Work, pace
from study.status.stage import BudgetLimit, limits

ENDS = 4
"""An estimate of the pace needs this number of ended trials for each running one."""


@dataclass(frozen=True)
class Searching:
    """A search at one moment; what few callers need is computed when they ask for it.

    `records` are those of the front and of the trials without an end. `same` has the points that repeat
    another, as `repeated` returns them.
    """

    reader: Reader
    spec: StudySpec
    runs: Sequence[Run]
    trials: Mapping[int, TrialSummary]
    points: Sequence[Point]
    front: Front
    same: Mapping[PointKey, PointKey]
    records: Mapping[int, TrialRecord]

    @classmethod
    def of(cls, reader: Reader) -> "Searching":
        """The search as the record has it now. A trial that has ended has all its points."""
        spec, runs, trials = reader.spec, reader.runs(), reader.trial_summaries()
        points = [p for p in reader.points() if p.trial in trials]
        chosen = candidates(points, trials, spec)
        best = front(chosen, spec, reference(reader.baseline, spec))
        begun = {n for n, t in trials.items() if t.state == "running"}
        records = {r.trial: r for r in reader.records(begun | {p.trial for p in best.points})}
        return cls(reader, spec, runs, trials, points, best, repeated(points, trials, chosen), records)

    @cached_property
    def run(self) -> Run | None:
        """The run that drives the study now."""
        return self.runs[-1] if self.runs and self.runs[-1].alive else None

    @cached_property
    def enough(self) -> str | None:
        """The reason that the search is complete, or None."""
        return complete(self.reader, self.trials.values())

    @property
    def wall_s(self) -> float:
        """Seconds of all runs; of the present one, the time since its last sign of life counts too."""
        trains = self.run is not None and self.run.began is not None
        return sum(run.wall_s for run in self.runs) + (max(0.0, self.runs[-1].silent_s) if trains else 0.0)

    @cached_property
    def epochs(self) -> Mapping[int, int]:
        """Trained epochs by trial."""
        reached = {p.trial: p.epoch for p in self.points}
        return {n: reached.get(n, 0) if t.state == "running" else t.epochs for n, t in self.trials.items()}

    @property
    def member_epochs(self) -> int:
        """Trained member-epochs."""
        return sum(self.epochs.values()) * self.spec.search.replicates

    @property
    def begun(self) -> Mapping[int, TrialRecord]:
        """The trials without an end."""
        return {n: r for n, r in self.records.items() if self.trials[n].state == "running"}

    @property
    def ended(self) -> int:
        """Number of ended trials."""
        return sum(t.state != "running" for t in self.trials.values())

    def limits(self) -> list[BudgetLimit]:
        """The limits of the budget and of the space, with the spent share of each."""
        return limits(
            self.spec.budget,
            most=most_trials(self.spec, self.trials.values()),
            ended=self.ended,
            begun=[self.epochs[n] / r.config.epochs for n, r in self.begun.items() if r.config is not None],
            member_epochs=self.member_epochs,
            wall_s=self.wall_s,
        )

    def work(self, spent: Collection[BudgetLimit], cost: float | None) -> Work:
        """Its training, done and planned; the plan follows from the spent share of the limits."""
        trained = self.member_epochs
        if self.enough is not None:
            return Work(trained, trained, cost)
        part = max((limit.share for limit in spent), default=0.0)
        return Work(trained, trained / min(part, 1.0) if part and trained else inf, cost)

    def pace(self, run: Run) -> float | None:
        """Member-epochs a second of `run`, from its last ended trials; None if they are too few."""
        beside = max(1, len(self.begun))
        ended = [n for n, t in self.trials.items() if t.state != "running"][-2 * ENDS * beside :]
        ends = [
            (datetime.fromisoformat(r.finished).timestamp(), r.epochs * self.spec.search.replicates)
            for r in self.reader.records(ended)
            if r.finished is not None and r.holder is not None and r.holder.run == run.run
        ]
        return pace(ends) if len(ends) >= ENDS * beside else None
