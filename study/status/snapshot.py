"""Snapshot of a study's record: its state, its progress and its front."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from study.loop.budget import done
from study.record.front import Front
from study.record.reader import Reader
from study.record.rows import Point, ShownState, TrialSummary, held, shown_state
from study.record.tested import Tested, tested
from study.spec import StudySpec
from study.status.confirmation import ConfirmationProgress, FreshProgress, Later
from study.status.estimate import cost_s, left_s, share
from study.status.searching import Searching
from study.status.stage import StageProgress, searching, starting
from trainable.contract import Config

Stand = Literal["running", "complete", "stopped", "failed", "died", "not begun"]
"""State of a study: "running", "complete", or the end of its last run; "died" if that left no reason."""


@dataclass(frozen=True, slots=True)
class Occupant:
    """A trial that a lane trains now: its number in the search, its recorded and its planned epochs."""

    lane: str
    trial: int
    epoch: int
    of: int


@dataclass(frozen=True)
class FrontSnapshot:
    """The front of a study at one moment.

    `trials` has all trials by number, `configs` the configurations of running trials and of the front.
    `points` are all measured points, each once; `tested` has the test values of the confirmed ones, by trial
    and epoch. `reference` has the trivial models' scores, by metric.
    """

    spec: StudySpec
    trials: Mapping[int, TrialSummary]
    front: Front
    configs: Mapping[int, Config]
    confirmation: ConfirmationProgress | None
    points: Sequence[Point]
    tested: Mapping[tuple[int, int], Tested]
    reference: Mapping[str, float]


@dataclass(frozen=True)
class Snapshot(FrontSnapshot):
    """A study at one moment. `share` is the fraction of its training that is done, all stages included;
    `left_s` estimates the seconds until it is complete (None: unknown).

    `reason` explains the state; `stage` is the stage that a run is in or would enter next, None if the study
    is complete. `occupants` are the trials that lanes train right now.
    """

    state: Stand
    reason: str
    stage: StageProgress | None
    counts: Mapping[ShownState, int]
    occupants: Sequence[Occupant]
    member_epochs: int
    share: float
    wall_s: float
    left_s: float | None
    fresh: FreshProgress | None

    @property
    def lanes(self) -> int:
        """Lanes that train right now."""
        return len({occupant.lane for occupant in self.occupants})


def front_snapshot(reader: Reader) -> FrontSnapshot:
    """The front as the record has it now, without the state and the progress of the study."""
    search = Searching.of(reader)
    return _front(search, Later.of(reader, search.same))


def snapshot(reader: Reader) -> Snapshot:
    """The study as the record has it now."""
    search = Searching.of(reader)
    later = Later.of(reader, search.same)
    counts = Counter(shown_state(t.state, driven=search.run is not None) for t in search.trials.values())
    state, reason, stage = _state(search, later)
    occupants = _occupants(search, later)
    part, rest_s = _estimate(search, later, lanes=len({o.lane for o in occupants}))
    return Snapshot(
        **vars(_front(search, later)),
        state=state,
        reason=reason,
        stage=stage,
        counts={name: counts[name] for name in get_args(ShownState)},
        occupants=occupants,
        member_epochs=search.member_epochs,
        share=1.0 if state == "complete" else part,
        wall_s=search.wall_s,
        left_s=rest_s,
        fresh=later.fresh_progress(),
    )


def _front(search: Searching, later: Later) -> FrontSnapshot:
    """The front of a search, with its confirmation if one is planned."""
    best, records = search.front, search.records
    return FrontSnapshot(
        spec=search.spec,
        trials=search.trials,
        front=best,
        configs={n: r.config for n, r in records.items() if r.config is not None},
        confirmation=later.confirmation_progress(records[p.trial] for p in best.points),
        points=[p for p in search.points if (p.trial, p.epoch) not in search.same],
        tested={} if later.confirmation is None else tested(later.confirmation.reader),
        reference=search.reader.baseline.reference,
    )


def _state(search: Searching, later: Later) -> tuple[Stand, str, StageProgress | None]:
    """The state, its reason, and the stage that a run is in or would enter next."""
    asked = search.spec.confirm is not None or later.fresh is not None
    confirmation = None if later.confirmation is None else later.confirmation.reader
    whole = done(search.enough, confirmation, asked=asked)
    stage = None if whole is not None else _stage(search, later)
    if search.run is not None:
        owner = search.run.owner
        if stage is not None and search.run.began is None:
            stage = starting(search.spec.runtime.address)
        return "running", f"by process {owner.pid} on {owner.host}", stage
    if whole is not None:
        return "complete", whole, None
    if not search.runs:
        return "not begun", "no run yet", stage
    last, owner = search.runs[-1].reason, search.runs[-1].owner
    lacks = "" if search.enough is None else f"; search complete, {later.progress}"
    if last is None or last == "died":
        return "died", f"process {owner.pid} on {owner.host} ended without giving a reason{lacks}", stage
    return "failed" if last.startswith("failed") else "stopped", f"{last}{lacks}", stage


def _stage(search: Searching, later: Later) -> StageProgress:
    return searching(search.limits(), search.ended) if search.enough is None else later.stage


def _occupants(search: Searching, later: Later) -> list[Occupant]:
    """The trials and points that the lanes of the present run train now."""
    if search.run is None:
        return []
    found = [
        Occupant(holder.lane, record.trial, search.epochs[record.trial], record.config.epochs)
        for holder, record in held(search.begun.values(), search.run.run)
        if record.config is not None
    ]
    again = later.held(search.run)
    return [*found, *(Occupant(holder.lane, p.trial, epoch, p.epoch) for holder, p, epoch in again)]


def _estimate(search: Searching, later: Later, *, lanes: int) -> tuple[float, float | None]:
    """The share of the training that is done, and the seconds left on the `lanes` of the present run."""
    spec, spent, run = search.spec, search.limits(), search.run
    trained = () if run is None else search.reader.trained().values()
    cost = cost_s(trained, replicates=spec.search.replicates)
    works = later.work(spec.confirm, search.front.points, run, cost)
    if any(work.planned for work, _ in works):
        part = share(search.work(spent, cost), *(work for work, _ in works))
    else:
        part = 1.0 if search.enough else min(1.0, max((limit.share for limit in spent), default=0.0))
    if run is None:
        return part, None
    counted = [limit for limit in spent if limit.unit != "seconds"]
    paced = search.pace(run)
    slow = max(cost, lanes / paced) if cost is not None and paced else cost
    rest = search.work(counted, slow)
    limit_s = None if spec.budget.wall_time_s is None else spec.budget.wall_time_s - search.wall_s
    if counted and rest.rest_s is None:  # the wall time alone says too little
        limit_s = None
    return part, left_s(rest, works, lanes=lanes, limit_s=limit_s)


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
        "fresh": None if seen.fresh is None else asdict(seen.fresh),
        "confirmation": None if seen.confirmation is None else asdict(seen.confirmation),
        "front": front_as_dicts(seen),
    }


def front_as_dicts(seen: FrontSnapshot) -> list[dict[str, Any]]:
    """The points of the front, JSON-ready."""
    return [
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
    ]
