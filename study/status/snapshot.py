"""Snapshot of a study's record: its state, its progress and its front."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from math import inf
from typing import Any, Literal, get_args

from study.loop.budget import complete, done, most_trials
from study.record.front import Front, candidates, front, reference, repeated
from study.record.reader import Reader
from study.record.rows import Point, Run, ShownState, TrialRecord, TrialSummary, held, shown_state
from study.record.tested import Tested, tested
from study.spec import StudySpec
from study.status.confirmation import ConfirmationProgress, Confirming, expected
from study.status.estimate import Work, cost_s, left_s, pace, share
from study.status.stage import BudgetLimit, StageProgress, confirming, limits, searching, starting
from trainable.contract import Config

Stand = Literal["running", "complete", "stopped", "failed", "died", "not begun"]
"""State of a study: "running", "complete", or the end of its last run; "died" if that left no reason."""

ENDS = 4
"""An estimate of the pace needs this number of ended trials for each running one."""


@dataclass(frozen=True, slots=True)
class Occupant:
    """A trial that a lane trains now: its number in the search, its recorded and its planned epochs."""

    lane: str
    trial: int
    epoch: int
    of: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A study at one moment. `share` is the fraction of its training that is done, confirmation included;
    `left_s` estimates the seconds until it is complete (None: unknown).

    `reason` explains the state; `stage` is the stage that a run is in or would enter next, None if the study
    is complete. `occupants` are the trials that lanes train right now. `trials` has all trials by number,
    `configs` the configurations of running trials and of the front. `points` are all measured points, each
    once; `tested` has the test values of the confirmed ones, by trial and epoch. `reference` has the trivial
    models' scores, by metric.
    """

    spec: StudySpec
    state: Stand
    reason: str
    stage: StageProgress | None
    trials: Mapping[int, TrialSummary]
    counts: Mapping[ShownState, int]
    occupants: Sequence[Occupant]
    member_epochs: int
    share: float
    wall_s: float
    left_s: float | None
    front: Front
    configs: Mapping[int, Config]
    confirmation: ConfirmationProgress | None
    points: Sequence[Point]
    tested: Mapping[tuple[int, int], Tested]
    reference: Mapping[str, float]

    @property
    def lanes(self) -> int:
        """Lanes that train right now."""
        return len({occupant.lane for occupant in self.occupants})


@dataclass(frozen=True, slots=True)
class _Search:
    """The parts of a search's record that a snapshot needs; `epochs` has the trained epochs by trial."""

    spec: StudySpec
    trials: Mapping[int, TrialSummary]
    epochs: Mapping[int, int]
    records: Mapping[int, TrialRecord]
    enough: str | None
    wall_s: float

    @property
    def member_epochs(self) -> int:
        return sum(self.epochs.values()) * self.spec.search.replicates

    @property
    def begun(self) -> Mapping[int, TrialRecord]:
        """The trials without an end."""
        return {
            n: self.records[n] for n, t in self.trials.items() if t.state == "running" and n in self.records
        }

    @property
    def ended(self) -> int:
        return sum(t.state != "running" for t in self.trials.values())

    def limits(self) -> list[BudgetLimit]:
        begun = [self.epochs[n] / r.config.epochs for n, r in self.begun.items() if r.config is not None]
        return limits(
            self.spec.budget,
            most=most_trials(self.spec, self.trials.values()),
            ended=self.ended,
            begun=begun,
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


def snapshot(ledger: Reader) -> Snapshot:
    """The study as the record has it now. A trial that has ended has all its points."""
    spec, baseline, runs = ledger.spec, ledger.baseline, ledger.runs()
    driven = runs[-1] if runs and runs[-1].alive else None
    trials = ledger.trial_summaries()
    points = [p for p in ledger.points() if p.trial in trials]
    chosen = candidates(points, trials, spec)
    best, same = front(chosen, spec, reference(baseline, spec)), repeated(points, trials, chosen)
    search = _search(ledger, trials, points, best, runs)
    planned = Confirming.of(ledger, same)
    counts = Counter(shown_state(t.state, driven=driven is not None) for t in trials.values())
    state, reason, stage = _state(search, planned, runs)
    occupants = [] if driven is None else _occupants(search, planned, driven)
    part, rest_s = _estimate(ledger, search, planned, best, driven, len({o.lane for o in occupants}))
    return Snapshot(
        spec=spec,
        state=state,
        reason=reason,
        stage=stage,
        trials=trials,
        counts={name: counts[name] for name in get_args(ShownState)},
        occupants=occupants,
        member_epochs=search.member_epochs,
        share=1.0 if state == "complete" else part,
        wall_s=search.wall_s,
        left_s=rest_s,
        front=best,
        configs={n: r.config for n, r in search.records.items() if r.config is not None},
        confirmation=None
        if planned is None
        else planned.progress(search.records[p.trial] for p in best.points),
        points=[p for p in points if (p.trial, p.epoch) not in same],
        tested={} if planned is None else tested(planned.reader),
        reference=baseline.reference,
    )


def _search(
    ledger: Reader,
    trials: Mapping[int, TrialSummary],
    points: Sequence[Point],
    best: Front,
    runs: Sequence[Run],
) -> _Search:
    """The search on record, with the records of its front and of the trials without an end."""
    reached = {p.trial: p.epoch for p in points}
    begun = {n for n, t in trials.items() if t.state == "running"}
    trains = runs and runs[-1].alive and runs[-1].began is not None
    silent_s = max(0.0, runs[-1].silent_s) if trains else 0.0
    return _Search(
        spec=ledger.spec,
        trials=trials,
        epochs={n: reached.get(n, 0) if t.state == "running" else t.epochs for n, t in trials.items()},
        records={r.trial: r for r in ledger.records(begun | {p.trial for p in best.points})},
        enough=complete(ledger, trials.values()),
        wall_s=sum(run.wall_s for run in runs) + silent_s,
    )


def _state(
    search: _Search, planned: Confirming | None, runs: Sequence[Run]
) -> tuple[Stand, str, StageProgress | None]:
    """The state, its reason, and the stage that a run is in or would enter next."""
    whole = done(
        search.enough, None if planned is None else planned.reader, asked=search.spec.confirm is not None
    )
    stage = None if whole is not None else _stage(search, planned)
    if runs and runs[-1].alive:
        owner = runs[-1].owner
        if stage is not None and runs[-1].began is None:
            stage = starting(search.spec.runtime.address)
        return "running", f"by process {owner.pid} on {owner.host}", stage
    if whole is not None:
        return "complete", whole, None
    if not runs:
        return "not begun", "no run yet", stage
    last, owner = runs[-1].reason, runs[-1].owner
    lacks = "" if search.enough is None else f"; search complete, {_unconfirmed(planned)}"
    if last is None or last == "died":
        return "died", f"process {owner.pid} on {owner.host} ended without giving a reason{lacks}", stage
    return "failed" if last.startswith("failed") else "stopped", f"{last}{lacks}", stage


def _unconfirmed(planned: Confirming | None) -> str:
    if planned is None:
        return "its front not confirmed"
    return f"{planned.ended} of {len(planned.plan.points)} points confirmed"


def _stage(search: _Search, planned: Confirming | None) -> StageProgress:
    if search.enough is None:
        return searching(search.limits(), search.ended)
    if planned is None:
        return confirming(0, None)
    return confirming(planned.ended, len(planned.plan.points))


def _occupants(search: _Search, planned: Confirming | None, run: Run) -> list[Occupant]:
    """The trials and points that the lanes of this run train now."""
    found = [
        Occupant(holder.lane, record.trial, search.epochs[record.trial], record.config.epochs)
        for holder, record in held(search.begun.values(), run.run)
        if record.config is not None
    ]
    if planned is not None:
        for holder, record in held(planned.records, run.run):
            point = planned.plan.points[record.trial]
            found.append(Occupant(holder.lane, point.trial, 0, point.epoch))
    return found


def _estimate(
    ledger: Reader,
    search: _Search,
    planned: Confirming | None,
    best: Front,
    run: Run | None,
    lanes: int,
) -> tuple[float, float | None]:
    """The share of the training that is done, and the seconds left on the `lanes` of `run`."""
    spec, spent = search.spec, search.limits()
    cost = None if run is None else cost_s(ledger.trained().values(), replicates=spec.search.replicates)
    points, confirmation = 0, Work()
    if planned is not None:
        points, confirmation = len(planned.plan.points) - planned.ended, planned.work(run, cost)
    elif spec.confirm is not None:
        points, confirmation = expected(spec.confirm, best.points, cost)
    if confirmation.planned:
        part = share(search.work(spent, cost), confirmation)
    else:
        part = 1.0 if search.enough else min(1.0, max((limit.share for limit in spent), default=0.0))
    if run is None:
        return part, None
    counted = [limit for limit in spent if limit.unit != "seconds"]
    paced = _pace(ledger, search, run)
    slow = max(cost, lanes / paced) if cost is not None and paced else cost
    rest = search.work(counted, slow)
    limit_s = None if spec.budget.wall_time_s is None else spec.budget.wall_time_s - search.wall_s
    if counted and rest.rest_s is None:  # the wall time alone says too little
        limit_s = None
    return part, left_s(rest, confirmation, lanes=lanes, points=points, limit_s=limit_s)


def _pace(ledger: Reader, search: _Search, run: Run) -> float | None:
    """Member-epochs a second of this run's search, from its last ended trials; None if they are too few."""
    beside = max(1, len(search.begun))
    ended = [n for n, t in search.trials.items() if t.state != "running"][-2 * ENDS * beside :]
    ends = [
        (datetime.fromisoformat(r.finished).timestamp(), r.epochs * search.spec.search.replicates)
        for r in ledger.records(ended)
        if r.finished is not None and r.holder is not None and r.holder.run == run.run
    ]
    return pace(ends) if len(ends) >= ENDS * beside else None


def as_dict(seen: Snapshot) -> dict[str, Any]:
    """The snapshot, JSON-ready."""
    return {
        "name": seen.spec.name,
        "fingerprint": seen.spec.fingerprint,
        "state": seen.state,
        "reason": seen.reason,
        "stage": None if seen.stage is None else asdict(seen.stage),
        "counts": dict(seen.counts),
        "member_epochs": seen.member_epochs,
        "share": seen.share,
        "wall_s": seen.wall_s,
        "left_s": seen.left_s,
        "hypervolume": seen.front.hypervolume,
        "confirmation": None if seen.confirmation is None else asdict(seen.confirmation),
        "front": [
            {
                "trial": p.trial,
                "epoch": p.epoch,
                **p.metrics,
                "beats_trivial": beats,
                "test": None if (test := seen.tested.get((p.trial, p.epoch))) is None else test.as_dict(),
                "config": config.as_dict(),
            }
            for p, beats in zip(seen.front.points, seen.front.beats_trivial, strict=True)
            if (config := seen.configs.get(p.trial)) is not None
        ],
    }
