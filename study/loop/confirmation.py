"""What is confirmed: the best of the front and what may be as good, to be trained again on fresh seeds.

A front is chosen among noisy measurements, so it flatters itself. What was chosen is trained again with seeds
that no search has used, on all ratings but the test set's, for exactly its epochs, and measured once: when it
ends, on the test set.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from analysis.front import box, near, subset
from study.record.front import candidates, front, losses, reference
from study.record.ledger import Ledger
from study.record.rows import Plan, Planned, Point
from study.spec import StudySpec
from study.spec.sections import Budget, Confirm, Stopping
from trainable.contract import Config, StudyError
from trainable.streams import derive

Floats = NDArray[np.float64]


def begin(ledger: Ledger, confirm: Confirm) -> Ledger:
    """The record of a search's confirmation: the one that was begun, else a new one; the test set is open.

    A confirmation is planned once: what the front becomes later does not change it; where it runs is what the
    search's spec says now. StudyError where nothing was measured yet.
    """
    begun = ledger.confirmation() or ledger.confirm(*_planned(ledger, confirm))
    begun.spec = begun.spec.model_copy(update={"runtime": ledger.spec.runtime})
    return begun


def _planned(ledger: Ledger, confirm: Confirm) -> tuple[StudySpec, Plan]:
    """The spec that confirms, and the points, the longest training first, so that no lane is late."""
    spec, corner = ledger.spec, reference(ledger.baseline, ledger.spec)
    records = {r.trial: r for r in ledger.records()}
    chosen = candidates(ledger.points(), records, spec)
    if not chosen:
        raise StudyError(f"{spec.name}: has no point to confirm yet; `study run {spec.name}` finds some")
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
    """The points of a front with the largest hypervolume; where none has any, the nearest to it."""
    array = losses(best, spec)
    some = subset(array, corner, count)
    return [best[i] for i in (some if len(some) else np.argsort(-box(array, corner), kind="stable")[:count])]


def _exactly(config: Config, epochs: int) -> Config:
    """The configuration, trained for so many epochs and measured at their end only."""
    return replace(config, epochs=epochs, evaluate_every=epochs)


def _rivals(
    chosen: Sequence[Point], members: Sequence[Point], noise_: Floats, spec: StudySpec, corner: Floats
) -> list[Point]:
    """The best point of each trial that is not among `members` and may be as good, the largest box first."""
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
    """Standard deviation (2,) of a point's losses, in the objectives' units, as far as the search shows it.

    With several replicates it is that of their mean, pooled over the points. With one it is read off the
    curves, from how far a measurement lies off the line between its neighbours (variance 3/2 of one
    measurement's: Rice 1984, doi 10.1214/aos/1176346788): less than the whole, for it misses what a seed
    shifts for good.
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
