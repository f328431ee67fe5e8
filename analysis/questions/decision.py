"""Statements on the confirmed points that a decision needs, from draws over seeds and users.

A probability is a share of the draws. The best of several noisy values looks better than it is, so its median
is corrected for this choice (`stats.corrected`), and so are the ends of the hypervolume's interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.front import STRAIGHT
from analysis.objective import Floats
from analysis.questions.resampling import DrawnMeans
from analysis.stats import SIGNIFICANCE, corrected

CREDIBLE = 0.5
"""Probability of being non-dominated with which a point counts as a choice."""


def dominated(losses: Floats) -> NDArray[np.bool_]:
    """Mask (b, n) of the points that another point dominates, for each draw of losses (b, n, 2).

    >>> dominated(np.array([[[1, 2], [2, 1], [2, 2], [1, 2]]]))
    array([[False, False,  True, False]])
    """
    lost = np.zeros(losses.shape[:2], dtype=np.bool_)
    for other in losses.swapaxes(0, 1):
        better, worse = other[:, None] < losses, other[:, None] > losses
        lost |= better.any(axis=2) & ~worse.any(axis=2)
    return lost


def knees(losses: Floats, reference: Floats) -> NDArray[np.bool_]:
    """Mask (b, n) of the knee for each draw of losses (b, n, 2) with reference (2,), as `analysis.front.knee`
    defines it; equal points are all kept, and a draw without a knee has none.

    >>> knees(np.array([[[0, 4], [1, 1], [4, 0]], [[0, 4], [3, 3], [4, 0]]]), np.array([5, 5]))
    array([[False,  True, False],
           [False, False, False]])
    """
    front = ~dominated(losses)
    inside = front & (losses < reference).all(axis=2)
    front = np.where(inside.any(axis=1, keepdims=True), inside, front)
    low = np.where(front[..., None], losses, np.inf).min(axis=1, keepdims=True)
    high = np.where(front[..., None], losses, -np.inf).max(axis=1, keepdims=True)
    spans = np.where(high > low, high - low, 1.0)
    below = np.where(front, 1.0 - ((losses - low) / spans).sum(axis=2), 0.0)
    chosen: NDArray[np.bool_] = (below > STRAIGHT) & (below == below.max(axis=1, keepdims=True))
    return chosen


def volumes(losses: Floats, reference: Floats) -> Floats:
    """Hypervolume (b,) of each draw of losses (b, n, 2) with reference (2,).

    >>> volumes(np.array([[[1.0, 2], [2, 1], [9, 0]]]), np.array([3.0, 3]))
    array([3.])
    """
    within = np.minimum(losses, reference)
    order = within[..., 0].argsort(axis=1)
    first, second = (np.take_along_axis(within[..., i], order, axis=1) for i in (0, 1))
    heights = reference[1] - np.minimum.accumulate(second, axis=1)
    widths = np.diff(first, axis=1, append=reference[0])
    summed: Floats = (widths * heights).sum(axis=1)
    return summed


def reached(losses: Floats, bounds: Floats, *, bounded: int) -> Floats:
    """The least loss (b, k) of points that are within a bound (k,) in the other loss, by draw (b, n, 2).

    `bounded` is the column of the bound. Infinite if no point is within it.

    >>> reached(np.array([[[1.0, 4], [2, 3]]]), np.array([3.0, 4.0]), bounded=1)
    array([[2., 1.]])
    """
    least = np.full((len(losses), len(bounds)), np.inf)
    for point in losses.swapaxes(0, 1):
        within = point[:, bounded, None] <= bounds
        np.minimum(least, np.where(within, point[:, 1 - bounded, None], np.inf), out=least)
    return least


def attained(drawn: DrawnMeans, bounds: Floats, *, bounded: int) -> Floats:
    """Low end, median and high end (3, k) of the least loss within each rising bound (k,) in the other loss.

    Over all bounds, these are the attainment surfaces of 2.5, 50 and 97.5 % of the draws; the median is
    corrected for the choice of the best. Infinite where no point need be within the bound.
    """
    samples = reached(drawn.losses, bounds, bounded=bounded)
    median = corrected(samples, reached(drawn.means[None], bounds, bounded=bounded)[0])[1]
    samples.sort(axis=0)
    low, high = (samples[round(share * (len(samples) - 1))] for share in (0.025, 0.975))
    ends = np.stack([low, np.clip(median, low, high), high])
    return np.minimum.accumulate(ends, axis=1)  # a wider bound never reaches less


def hypervolume_interval(drawn: DrawnMeans) -> Floats:
    """Low end, median and high end (3,) of the hypervolume, corrected for the choice of the front."""
    (means,) = volumes(drawn.means[None], drawn.reference)
    return corrected(volumes(drawn.losses, drawn.reference)[:, None], np.array([means]))[:, 0]


def probabilities(drawn: DrawnMeans) -> tuple[Floats, Floats]:
    """Probability (n,) that each point is non-dominated, and (n,) that it is the knee of another measurement.

    Another measurement, of other users with other seeds, has noise of its own: two draws are added. Of the
    draws alone, the share in which a point is the knee is too sure, because the same noise made it the knee.
    Equal points share the probability of being the knee.
    """
    again = drawn.losses + np.roll(drawn.losses - drawn.means, 1, axis=0)
    chosen = knees(again, drawn.reference)
    shares = chosen / np.maximum(chosen.sum(axis=1, keepdims=True), 1)
    return 1.0 - dominated(drawn.losses).mean(axis=0), shares.mean(axis=0)


def distinguishable(drawn: DrawnMeans) -> list[int]:
    """The longest chain of points, best first loss first, that are different choices.

    Each is better than the next in the first loss and worse in the second, with a probability of 1 − .05/k,
    for k + 1 points; so in 95 % of cases all links of a chain are true. A point counts if it is more likely
    non-dominated than not. A chain of one point says that no two can be distinguished.
    """
    likely = np.flatnonzero(1.0 - dominated(drawn.losses).mean(axis=0) >= CREDIBLE)
    order = likely[drawn.means[likely, 0].argsort(kind="stable")]
    enough = 1.0 - SIGNIFICANCE / max(len(order) - 1, 1)
    chains: list[list[int]] = []
    for place, row in enumerate(order.tolist()):
        differences = drawn.losses[:, order[:place]] - drawn.losses[:, [row]]
        traded = (differences[..., 0] < 0) & (differences[..., 1] > 0)
        linked = np.flatnonzero(traded.mean(axis=0) >= enough)
        chains.append([*max((chains[i] for i in linked), key=len, default=[]), row])
    return max(chains, key=len, default=[])


def winner(drawn: DrawnMeans, groups: Sequence[str]) -> str | None:
    """The group whose points have the largest hypervolume in 1 − .05/k of the draws, for k groups, or None.

    `groups` (n,) names the group of each point. None if there is only one group.
    """
    names = sorted(set(groups))
    if len(names) < 2:
        return None
    each = np.array([volumes(drawn.losses[:, np.array(groups) == name], drawn.reference) for name in names])
    for name, own in zip(names, each, strict=True):
        largest = (own >= each.max(axis=0)) & (own > 0)
        if largest.mean() >= 1.0 - SIGNIFICANCE / len(names):
            return name
    return None


@dataclass(frozen=True, slots=True)
class RateRange:
    """The best point by first loss + rate × second loss, for rates from `low` to `high`.

    `probability` is that of being the best at the middle of these rates (geometric; of an open end, half the
    bound or twice the bound).
    """

    row: int
    low: float
    high: float
    probability: float


def exchanges(drawn: DrawnMeans) -> list[RateRange]:
    """The best point for each rate of exchange between the losses, by rising rate.

    >>> means = np.array([[0.0, 4.0], [1.0, 1.0], [4.0, 0.0]])
    >>> drawn = DrawnMeans(np.arange(3), means, means[None], np.array([5.0, 5.0]), "seeds")
    >>> [(one.row, one.low, one.high) for one in exchanges(drawn)]
    [(0, 0.0, 0.3333333333333333), (1, 0.3333333333333333, 3.0), (2, 3.0, inf)]
    """
    row, low, found = int(np.lexsort(drawn.means.T[::-1])[0]), 0.0, []
    while True:
        gains, costs = (drawn.means[row, 1] - drawn.means[:, 1]), (drawn.means[:, 0] - drawn.means[row, 0])
        rates = np.full(len(gains), np.inf)
        np.divide(costs, gains, out=rates, where=gains > 0)
        high = float(rates.min())
        found.append(RateRange(row, low, high, _best(drawn, row, low, high)))
        if not np.isfinite(high):
            return found
        tied = np.flatnonzero(rates == high)
        row, low = int(tied[drawn.means[tied, 1].argmin()]), high


def _best(drawn: DrawnMeans, row: int, low: float, high: float) -> float:
    """The probability that a point is the best at the middle of a range of rates."""
    if np.isfinite(high):
        rate = (low * high) ** 0.5 if low > 0 else high / 2
    else:
        rate = 2 * low if low > 0 else 1.0
    sums = drawn.losses @ np.array([1.0, rate])
    return float((sums[:, row] <= sums.min(axis=1)).mean())
