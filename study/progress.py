"""How a study stands: a snapshot of its record."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from study.budget import complete, most_trials
from study.front import Front, candidates, front, reference, repeated
from study.reader import Reader
from study.record import Point, Record, Run, Standing, State
from study.spec import StudySpec
from study.tested import Tested, confirmed, tested
from trainable.contract import Config

Stand = Literal["running", "complete", "stopped", "failed", "died", "not begun"]
"""How a study stands: driven now; its budget spent; or how its last run ended, "died" where nothing says."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How far a confirmation is: points ended of those planned, and when it opened the test set."""

    opened: str
    planned: int
    ended: int
    replicates: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A study at one moment: `share` of its budget is spent, `left_s` guesses the rest (None: no guess).

    `reason` says why it stands so, in words; `lanes` counts those that train right now. `trials` has all that
    began, by number, `configs` the values of those that run or are on the front. `points` are all that were
    measured, each once; `tested` has the confirmed ones on the test set, by trial and epoch. `reference` has
    what the trivial models reach, by metric.
    """

    spec: StudySpec
    state: Stand
    reason: str
    trials: Mapping[int, Standing]
    counts: Mapping[State, int]
    lanes: int
    member_epochs: int
    share: float
    wall_s: float
    left_s: float | None
    front: Front
    configs: Mapping[int, Config]
    confirmation: Confirmation | None
    points: Sequence[Point]
    tested: Mapping[tuple[int, int], Tested]
    reference: Mapping[str, float]


def snapshot(ledger: Reader) -> Snapshot:
    """The study as the record has it now; of a trial that has ended, all points are there."""
    spec, baseline, runs = ledger.spec, ledger.baseline, ledger.runs()
    trials = ledger.standings()
    points = [p for p in ledger.points() if p.trial in trials]
    reached = {p.trial: p.epoch for p in points}
    epochs = {n: reached.get(n, 0) if t.state == "running" else t.epochs for n, t in trials.items()}
    counts = Counter(t.state for t in trials.values())
    chosen = candidates(points, trials, spec)
    best = front(chosen, spec, reference(baseline, spec))
    begun = {n for n, t in trials.items() if t.state == "running"}
    records = {r.trial: r for r in ledger.records(begun | {p.trial for p in best.points})}
    running = {n: records[n] for n in begun & records.keys()}
    member_epochs = sum(epochs.values()) * spec.search.replicates
    alive = bool(runs) and runs[-1].alive
    waits = not alive or runs[-1].began is None
    wall_s = sum(run.wall_s for run in runs) + (0.0 if waits else max(0.0, runs[-1].silent_s))
    state, reason = _stand(runs, None if alive else complete(ledger, trials.values()), alive=alive)
    share = _share(spec, epochs, running, wall_s, most=most_trials(spec, trials.values()))
    same = repeated(points, trials, chosen)
    confirmation = confirmed(ledger, same)
    holders = {r.holder for r in running.values() if r.holder is not None}
    return Snapshot(
        spec=spec,
        state=state,
        reason=reason,
        trials=trials,
        counts={state: counts[state] for state in get_args(State)},
        lanes=len({h.lane for h in holders if h.run == runs[-1].run}) if alive else 0,
        member_epochs=member_epochs,
        share=share,
        wall_s=wall_s,
        left_s=wall_s * (1 - share) / share if alive and 0 < share < 1 else None,
        front=best,
        configs={n: r.config for n, r in records.items() if r.config is not None},
        confirmation=_confirmation(confirmation),
        points=[p for p in points if (p.trial, p.epoch) not in same],
        tested=tested(confirmation),
        reference=baseline.reference,
    )


def _confirmation(confirmed: Reader | None) -> Confirmation | None:
    if confirmed is None or confirmed.plan is None:
        return None
    return Confirmation(
        opened=confirmed.plan.opened,
        planned=len(confirmed.plan.points),
        ended=sum(t.state != "running" for t in confirmed.standings().values()),
        replicates=confirmed.spec.search.replicates,
    )


def _stand(runs: Sequence[Run], enough: str | None, *, alive: bool) -> tuple[Stand, str]:
    """How the study stands, and why; `enough` is why its budget is spent, or None."""
    if alive:
        return "running", f"by process {runs[-1].owner.pid} on {runs[-1].owner.host}"
    if enough is not None:
        return "complete", enough
    if not runs:
        return "not begun", "no run yet"
    last = runs[-1].reason
    if last is None or last == "died":
        return "died", f"process {runs[-1].owner.pid} on {runs[-1].owner.host} ended without a word"
    return "failed" if last.startswith("failed") else "stopped", last


def _share(
    spec: StudySpec,
    epochs: Mapping[int, int],
    running: Mapping[int, Record],
    wall_s: float,
    *,
    most: int | None,
) -> float:
    """The part of the budget that is spent, by the nearest of its limits; `epochs` has each trial's, and
    `most` trials can be reached.
    """
    budget, parts = spec.budget, [0.0]
    if most is not None:
        begun = sum(epochs[n] / r.config.epochs for n, r in running.items() if r.config)
        parts.append((len(epochs) - len(running) + begun) / most)
    if budget.member_epochs is not None:
        parts.append(sum(epochs.values()) * spec.search.replicates / budget.member_epochs)
    if budget.wall_time_s is not None:
        parts.append(wall_s / budget.wall_time_s)
    return min(max(parts), 1.0)


def as_dict(seen: Snapshot) -> dict[str, Any]:
    """The study for a machine: JSON-ready."""
    return {
        "name": seen.spec.name,
        "fingerprint": seen.spec.fingerprint,
        "state": seen.state,
        "reason": seen.reason,
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
