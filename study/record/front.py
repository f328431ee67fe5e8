"""Convert a study's points to losses, select its candidates, and compute its front."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from analysis.front import box, hypervolume, non_dominated
from analysis.objective import Floats, objectives, to_losses
from study.record.rows import Baseline, Point, TrialRecord, TrialSummary
from study.search.distinct import repeats
from study.spec import StudySpec

PointKey = tuple[int, int]
"""Trial and epoch of a point."""


@dataclass(frozen=True, slots=True)
class Front:
    """The non-dominated candidates, sorted by the first objective's loss, and their hypervolume.

    `beats_trivial` is true for points that beat the trivial models in both objectives.
    """

    points: tuple[Point, ...]
    hypervolume: float
    beats_trivial: tuple[bool, ...]


def losses(points: Sequence[Point], spec: StudySpec) -> Floats:
    """Losses (n, 2) of points, in the order of the spec's objectives; smaller is better."""
    values = [*map(attrgetter(*spec.objectives), points)]
    return to_losses(np.reshape(values, (-1, len(spec.objectives))), objectives(spec.objectives))


def reference(baseline: Baseline, spec: StudySpec) -> Floats:
    """Losses (2,) of the reference point: those of the trivial models."""
    return to_losses([baseline.reference[name] for name in spec.objectives], objectives(spec.objectives))


def stands_for(points: Sequence[Point], spec: StudySpec, corner: Floats) -> Point | None:
    """Point with the largest single-point hypervolume, the first of equals; None if there are no points."""
    return points[int(box(losses(points, spec), corner).argmax())] if points else None


def candidates(
    points: Sequence[Point], trials: Mapping[int, TrialRecord | TrialSummary], spec: StudySpec
) -> list[Point]:
    """Points that the front may choose; `trials` has the trial of every point.

    With candidates = "every" each measured epoch of a trial that did not fail; with "last" the last epoch of
    each completed trial. No other measurement counts (law 4). Each point occurs once: of trials with the same
    configuration, as in old records, the first keeps it.
    """
    return _once(_eligible(points, trials, spec), repeats(trials))


def _eligible(
    points: Sequence[Point], trials: Mapping[int, TrialRecord | TrialSummary], spec: StudySpec
) -> list[Point]:
    """The candidates before repeated configurations are removed."""
    if spec.train.candidates == "every":
        return [p for p in points if trials[p.trial].state != "failed"]
    ended = {n: t.epochs for n, t in trials.items() if t.state == "completed"}
    return [p for p in points if ended.get(p.trial) == p.epoch]


def repeated(
    points: Sequence[Point], trials: Mapping[int, TrialRecord | TrialSummary], chosen: Iterable[Point]
) -> dict[PointKey, PointKey]:
    """Points that repeat the configuration and epochs of another → the point that counts: the `chosen` one,
    else that of the first trial. Empty except in old records.
    """
    again = repeats(trials)
    if not again:
        return {}
    first: dict[PointKey, PointKey] = {}
    for p in (*chosen, *points):
        first.setdefault((again.get(p.trial, p.trial), p.epoch), (p.trial, p.epoch))
    counts = {(p.trial, p.epoch): first[again.get(p.trial, p.trial), p.epoch] for p in points}
    return {key: kept for key, kept in counts.items() if key != kept}


def _once(points: list[Point], again: Mapping[int, int]) -> list[Point]:
    """The points without those that repeat the configuration and epochs of an earlier one."""
    if not again:
        return points
    first: dict[PointKey, Point] = {}
    for point in points:
        first.setdefault((again.get(point.trial, point.trial), point.epoch), point)
    return [*first.values()]


def front(points: Sequence[Point], spec: StudySpec, corner: Floats) -> Front:
    """Front of `points`, with equal ones all kept, and its hypervolume to the reference point `corner`."""
    array = losses(points, spec)
    mask = non_dominated(array)
    best = sorted(np.flatnonzero(mask).tolist(), key=lambda i: tuple(array[i]))
    beats = tuple(bool((array[i] < corner).all()) for i in best)
    return Front(tuple(points[i] for i in best), hypervolume(array[mask], corner), beats)
