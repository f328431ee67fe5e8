"""Plan a confirmation: the best points of the front, and points within its noise, trained with fresh seeds.

A front is chosen among noisy measurements, so its own values are biased. The chosen points are trained again
with seeds that no search has used, on training and validation data, for exactly their epochs, and measured
once, at the end, on the test set.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from analysis.front import box, near, subset
from analysis.objective import Floats
from study.record.front import candidates, front, losses, reference
from study.record.ledger import Ledger
from study.record.rows import Plan, Planned, Point
from study.spec import StudySpec
from study.spec.sections import Budget, Confirm, Stopping
from trainable.contract import Config, StudyError
from trainable.streams import derive


def begin(ledger: Ledger, confirm: Confirm) -> Ledger:
    """Open the record of a search's confirmation, or plan and create it, which opens the test set.

    A confirmation is planned once; later changes of the front do not change it. Its runtime is that of the
    search's present spec. StudyError if the search has no point yet.
    """
    begun = ledger.confirmation() or ledger.confirm(*_planned(ledger, confirm))
    begun.spec = begun.spec.model_copy(update={"runtime": ledger.spec.runtime})
    return begun


def _planned(ledger: Ledger, confirm: Confirm) -> tuple[StudySpec, Plan]:
    """The spec of the confirmation, and its plan, with the longest training first to balance the lanes."""
    spec, corner = ledger.spec, reference(ledger.baseline, ledger.spec)
    records = {r.trial: r for r in ledger.records()}
    chosen = candidates(ledger.points(), records, spec)
    if not chosen:
        raise StudyError(f"{spec.name}: has no point to confirm yet; `study run {spec.name}` trains some")
    best = front(chosen, spec, corner).points
    members = _members(best, spec, corner, confirm.points)
    rivals = _rivals(chosen, members, noise(ledger), spec, corner)[: confirm.points // 2]
    points = [(p, "on the front") for p in members]
    points += [(p, "within the noise of the front") for p in rivals]
    planned = [
        Planned(p.trial, p.epoch, reason, _exactly(config, p.epoch))
        for p, reason in sorted(points, key=lambda entry: -entry[0].epoch)
        if (config := records[p.trial].config) is not None
    ]
    again = spec.model_copy(
        update={
            "train": spec.train.model_copy(update={"candidates": "last"}),
            "search": spec.search.model_copy(
                update={
                    "sampler": "random",
                    "replicates": confirm.replicates,
                    "seed": derive(spec.search.seed, use="confirm", number=0),
                    "initial": (),
                }
            ),
            "stopping": Stopping(),
            "budget": Budget(trials=len(planned)),
            "confirm": None,
        }
    )
    return again, Plan(datetime.now(UTC).isoformat(timespec="seconds"), tuple(planned))


def _members(best: Sequence[Point], spec: StudySpec, corner: Floats, count: int) -> list[Point]:
    """The `count` points of a front with the largest hypervolume; if none has any, the nearest to it."""
    array = losses(best, spec)
    some = subset(array, corner, count)
    return [best[i] for i in (some if len(some) else np.argsort(-box(array, corner), kind="stable")[:count])]


def _exactly(config: Config, epochs: int) -> Config:
    """The configuration with these epochs, measured only after the last one."""
    return replace(config, epochs=epochs, evaluate_every=epochs)


def _rivals(
    chosen: Sequence[Point], members: Sequence[Point], noise_: Floats, spec: StudySpec, corner: Floats
) -> list[Point]:
    """The best point of each other trial that is within the noise of `members`.

    Sorted by single-point hypervolume, the largest first.
    """
    array = losses(chosen, spec)
    within = near(array, losses(members, spec), noise_)
    boxes = box(array, corner)
    taken, rivals = {p.trial for p in members}, []
    for i in np.argsort(-boxes, kind="stable").tolist():
        if within[i] and chosen[i].trial not in taken:
            taken.add(chosen[i].trial)
            rivals.append(chosen[i])
    return rivals


def noise(ledger: Ledger) -> Floats:
    """Standard deviation (2,) of a point's losses, in the objectives' units, estimated from the search.

    With several replicates it is that of their mean, pooled over the points. With one it is estimated from
    the distance of a measurement to the line between its neighbours (variance 3/2 of one measurement's: Rice
    1984, doi 10.1214/aos/1176346788). That is a lower bound: it lacks the constant effect of a seed.
    """
    spec = ledger.spec
    curves: dict[tuple[int, int], list[list[float]]] = {}
    for m in ledger.measurements():
        key = (m.trial, m.epoch) if spec.search.replicates > 1 else (m.trial, m.replicate)
        curves.setdefault(key, []).append([getattr(m, name) for name in spec.objectives])
    arrays = [np.asarray(curve) for curve in curves.values()]
    if spec.search.replicates > 1:
        spread = [a.var(axis=0, ddof=1) / len(a) for a in arrays if len(a) > 1]
    else:
        spread = [((a[1:-1] - (a[:-2] + a[2:]) / 2) ** 2).mean(axis=0) / 1.5 for a in arrays if len(a) > 2]
    return np.sqrt(np.mean(spread, axis=0)) if spread else np.zeros(len(spec.objectives))
