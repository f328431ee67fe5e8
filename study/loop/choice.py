"""Choose the points that are trained again with fresh seeds, and those that are measured on the test set.

The search's values choose the points that are trained again on training data. The means over those fresh
seeds alone choose the points of the confirmation: the search did not select points by them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.front import box, hypervolume, knee, near, subset
from analysis.objective import Floats
from study.record.front import Front, front, losses
from study.record.rows import Point
from study.spec import StudySpec
from study.spec.sections import Confirm

FRESH_SHARE = 0.4
"""Largest share of a confirmation's training, in member-epochs, that its fresh-seed stage may take."""

ChosenPoints = Mapping[Point, str]
"""Points, each with the reason of its choice."""


@dataclass(frozen=True, slots=True)
class Searched:
    """The points of a search by its own values: the candidates, their front `best`, and the noise (2,) of
    their losses. `corner` (2,) is the reference point, as losses.
    """

    spec: StudySpec
    corner: Floats
    candidates: Sequence[Point]
    best: Front
    noise: Floats


def direct(searched: Searched, confirm: Confirm) -> dict[Point, str]:
    """Points to confirm without a fresh-seed stage: those of the front with the largest hypervolume, and half
    as many rivals.
    """
    members = _members(searched, confirm.points)
    rivals = _rivals(searched, members)[: confirm.points // 2]
    return dict.fromkeys(members, "on the front") | dict.fromkeys(rivals, "within the noise of the front")


def trained_again(searched: Searched, confirm: Confirm) -> dict[Point, str]:
    """Points to train again with fresh seeds: the last point of each trial on the search's front, and rivals.

    The trials of the knee, of the two ends, and of the point that `study pick --knee` takes are always
    chosen. The others follow by single-point hypervolume, those of the front first, each if it fits into
    `FRESH_SHARE` of the training of a confirmation without this stage.
    """
    spec, corner, best = searched.spec, searched.corner, searched.best
    last: dict[int, Point] = {}
    for p in best.points:
        last[p.trial] = max(last.get(p.trial, p), p, key=lambda some: some.epoch)
    needed = dict.fromkeys(p.trial for p in (*landmarks(best, spec, corner), *picked(best, spec, corner)))
    order = np.argsort(-box(losses(best.points, spec), corner), kind="stable").tolist()
    trials = needed | dict.fromkeys(best.points[i].trial for i in order)
    points = dict.fromkeys((last[n] for n in trials), "on the front")
    points |= dict.fromkeys(_rivals(searched, best.points), "within the noise of the front")
    left, taken = FRESH_SHARE * _cost(direct(searched, confirm), confirm.replicates), dict[Point, str]()
    for p, reason in points.items():
        if p.trial in needed or p.epoch * confirm.fresh <= left:
            taken[p] = reason
            left -= p.epoch * confirm.fresh
    return taken


def confirmed(searched: Searched, again: Sequence[Point], trained: int, confirm: Confirm) -> dict[Point, str]:
    """Points to confirm, by the points `again` with their means over fresh seeds.

    The knee and the ends of their front, and the point that `study pick --knee` takes, are always chosen.
    Then come points of the front, each the one that adds the largest hypervolume, while the training and the
    `trained` member-epochs of the fresh-seed stage fit into a confirmation without this stage. There are at
    most `confirm.points`.
    """
    spec, corner, replicates = searched.spec, searched.corner, confirm.replicates
    best = front(again, spec, corner)
    points = {p: f"{name} of the fresh-seed front" for p, name in landmarks(best, spec, corner).items()}
    known = {(p.trial, p.epoch): p for p in again}
    for p in picked(searched.best, spec, corner):
        if (taken := known.get((p.trial, p.epoch))) is not None:
            points.setdefault(taken, "`study pick --knee` takes it")
    points = dict([*points.items()][: confirm.points])
    left = _cost(direct(searched, confirm), replicates) - trained - _cost(points, replicates)
    while len(points) < confirm.points:
        fit = [p for p in best.points if p not in points and p.epoch * replicates <= left]
        volumes = [hypervolume(losses([*points, p], spec), corner) for p in fit]
        if not fit or max(volumes) <= hypervolume(losses([*points], spec), corner):
            break
        added = fit[int(np.argmax(volumes))]
        points[added] = "on the fresh-seed front"
        left -= added.epoch * replicates
    return points


def landmarks(best: Front, spec: StudySpec, corner: Floats) -> dict[Point, str]:
    """The knee and the two ends of the part of a front inside the reference point, by name.

    If no point is inside: the point nearest to the reference, and the ends of the whole front.
    """
    inside = [p for p, beats in zip(best.points, best.beats_trivial, strict=True) if beats]
    found: dict[Point, str] = {}
    if not inside:
        inside = list(best.points)
        found[inside[int(box(losses(inside, spec), corner).argmax())]] = "the point nearest to the reference"
    elif (row := knee(losses(inside, spec), corner)) is not None:
        found[inside[row]] = "the knee"
    for p, name in zip((inside[0], inside[-1]), spec.objectives, strict=True):
        found.setdefault(p, f"the best {name}")
    return found


def picked(best: Front, spec: StudySpec, corner: Floats) -> list[Point]:
    """The point that `study pick --knee` takes from the front; empty without a knee."""
    row = knee(losses(best.points, spec), corner)
    return [] if row is None else [best.points[row]]


def _cost(points: ChosenPoints, replicates: int) -> int:
    """Member-epochs of training these points."""
    return sum(p.epoch for p in points) * replicates


def _members(searched: Searched, count: int) -> list[Point]:
    """The `count` points of a front with the largest hypervolume; if that is 0, those nearest to `corner`."""
    best, corner = searched.best.points, searched.corner
    array = losses(best, searched.spec)
    some = subset(array, corner, count)
    return [best[i] for i in (some if len(some) else np.argsort(-box(array, corner), kind="stable")[:count])]


def _rivals(searched: Searched, members: Sequence[Point]) -> list[Point]:
    """The best point of each other trial that is within the noise of `members`.

    Sorted by single-point hypervolume, the largest first.
    """
    chosen, array = searched.candidates, losses(searched.candidates, searched.spec)
    within = near(array, losses(members, searched.spec), searched.noise)
    boxes = box(array, searched.corner)
    taken, rivals = {p.trial for p in members}, []
    for i in np.argsort(-boxes, kind="stable").tolist():
        if within[i] and chosen[i].trial not in taken:
            taken.add(chosen[i].trial)
            rivals.append(chosen[i])
    return rivals
