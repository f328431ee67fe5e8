"""Means and spreads of confirmed points on the test set, over their fresh seeds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from statistics import fmean, stdev

from study.record.front import PointKey
from study.record.reader import Reader
from trainable.contract import METRICS, Measurement


@dataclass(frozen=True, slots=True)
class Tested:
    """A point on the test set: means and sample standard deviations of its metrics over `replicates` fresh
    seeds; the deviations are None for one seed.
    """

    replicates: int
    metrics: Mapping[str, float]
    spreads: Mapping[str, float | None]

    def as_dict(self) -> dict[str, float | None]:
        """The metrics by name, each with its `_sd`, and `replicates`."""
        spreads = {f"{name}_sd": self.spreads[name] for name in METRICS}
        return {**self.metrics, **spreads, "replicates": self.replicates}


def confirmed(ledger: Reader, same: Mapping[PointKey, PointKey]) -> Reader | None:
    """The confirmation of a search, its points renamed by `same`: a repeated trial in an old plan becomes the
    trial that the search's tables use.
    """
    confirmation = ledger.confirmation()
    if confirmation is not None and confirmation.plan is not None and same:
        calls = [same.get((p.trial, p.epoch), (p.trial, p.epoch)) for p in confirmation.plan.points]
        points = zip(confirmation.plan.points, calls, strict=True)
        named = tuple(replace(p, trial=trial, epoch=epoch) for p, (trial, epoch) in points)
        confirmation.plan = replace(confirmation.plan, points=named)
    return confirmation


def tested(confirmation: Reader | None) -> dict[tuple[int, int], Tested]:
    """Confirmed points by their trial and epoch in the search, from the seeds measured so far.

    Seeds with a non-finite metric are omitted, as are points without any other seed.
    """
    if confirmation is None or confirmation.plan is None:
        return {}
    seeds: dict[int, list[Measurement]] = {}
    for measured in confirmation.measurements():
        if all(isfinite(getattr(measured, name)) for name in METRICS):
            seeds.setdefault(measured.trial, []).append(measured)
    points = confirmation.plan.points
    return {(points[n].trial, points[n].epoch): _tested(measured) for n, measured in seeds.items()}


def _tested(seeds: list[Measurement]) -> Tested:
    values = {name: [float(getattr(seed, name)) for seed in seeds] for name in METRICS}
    return Tested(
        replicates=len(seeds),
        metrics={name: fmean(some) for name, some in values.items()},
        spreads={name: stdev(some) if len(some) > 1 else None for name, some in values.items()},
    )
