"""Fronts and hypervolumes of losses (n, m), smaller is better: an adapter for moocore.

Every function refuses NaN and infinity, which moocore accepts, and takes no directions (law 6).
"""

from typing import cast

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import AnalysisError
from analysis.objective import Floats

STRAIGHT = 1e-9
"""A front that bulges by less than this share of its range is straight up to rounding."""


def non_dominated(losses: ArrayLike) -> NDArray[np.bool_]:
    """Mask (n,) of the rows of losses (n, m) that no row dominates; equal rows are all kept.

    AnalysisError on NaN or infinity.

    >>> non_dominated([[1, 2], [2, 1], [2, 2], [1, 2]])
    array([ True,  True, False,  True])
    """
    return cast(NDArray[np.bool_], moocore.is_nondominated(finite(losses), keep_weakly=True))


def ranks(losses: ArrayLike) -> NDArray[np.int64]:
    """Non-dominated rank (n,) of the rows of losses (n, m): 0 for non-dominated rows, 1 for rows that only
    those dominate, and so on; equal rows have equal ranks.

    AnalysisError on NaN or infinity.

    >>> ranks([[1, 2], [2, 1], [2, 2], [1, 2], [3, 3]])
    array([0, 0, 1, 0, 2])
    """
    return cast(NDArray[np.int64], moocore.pareto_rank(finite(losses)).astype(np.int64))


def hypervolume(losses: ArrayLike, reference: ArrayLike) -> float:
    """Volume that losses (n, m) dominate up to reference (m,), in the product of the objectives' units.

    A row that is not below the reference in every objective adds nothing; no rows give 0.0.
    AnalysisError on NaN or infinity.

    >>> hypervolume([[1, 2], [2, 1], [9, 0]], [3, 3])
    3.0
    """
    points, corner = finite(losses), fitting(losses, reference)
    inside = points[(points < corner).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=corner)) if len(inside) else 0.0


class GrowingFront:
    """The front of losses (n, m) that come in batches, and its `hypervolume` up to the reference (m,).

    The hypervolume is computed again only after a batch with a row that no earlier row reaches.
    """

    def __init__(self, reference: Floats) -> None:
        self._reference = reference
        self._rows: Floats = np.empty((0, len(reference)))
        self.hypervolume = 0.0

    def add(self, losses: Floats) -> float:
        """Add losses (n, m); return the hypervolume."""
        reached = np.all(self._rows[None] <= losses[:, None], axis=2).any(axis=1)
        if not reached.all():
            both = np.vstack([self._rows, losses])
            self._rows = both[non_dominated(both)]
            self.hypervolume = hypervolume(self._rows, self._reference)
        return self.hypervolume


def growing(losses: Floats, owners: Floats, order: Floats, reference: Floats) -> Floats:
    """Hypervolume (n,) after each of the trials `order` (n,), of losses (m, 2) that `owners` (m,) measured.

    >>> growing(np.array([[1.0, 2], [2, 1]]), np.array([0, 1]), np.array([1, 7, 0]), np.array([3, 3]))
    array([2., 2., 3.])
    """
    inside = (losses < reference).all(axis=1)  # only these can add to it
    losses, owners = losses[inside], owners[inside]
    front, rows = GrowingFront(reference), np.argsort(owners, kind="stable")
    starts, ends = (np.searchsorted(owners, order, side=side, sorter=rows) for side in ("left", "right"))
    volumes = [front.add(losses[rows[start:end]]) for start, end in zip(starts, ends, strict=True)]
    return np.array(volumes, dtype=np.float64)


def contributions(losses: ArrayLike, reference: ArrayLike) -> Floats:
    """Hypervolume (n,) that losses (n, m) would lose without each row; 0 for each of equal rows.

    AnalysisError on NaN or infinity.

    >>> contributions([[1, 2], [2, 1], [9, 0]], [3, 3])
    array([1., 1., 0.])
    """
    points, corner = finite(losses), fitting(losses, reference)
    inside = (points < corner).all(axis=1)
    lost = np.zeros(len(points))
    if inside.any():
        lost[inside] = moocore.hv_contributions(points[inside], ref=corner, ignore_dominated=False)
    return lost


def box(losses: ArrayLike, reference: ArrayLike) -> Floats:
    """Single-point hypervolume (n,) of each row of losses (n, m) with reference (m,); negative outside it.

    Outside the reference it is minus the sum of the objectives' excess, as a share of |reference| (as it is
    if the reference is 0). So it never falls when a loss falls, and a search can order points by it.
    AnalysisError on NaN or infinity.

    >>> box([[1, 2], [3, 1], [4, 6]], [3, 3]).round(3)
    array([ 2.   ,  0.   , -1.333])
    """
    points, corner = finite(losses), fitting(losses, reference)
    lack = np.maximum(points - corner, 0.0) / np.where(corner == 0.0, 1.0, np.abs(corner))
    volume = np.maximum(corner - points, 0.0).prod(axis=1)
    signed: Floats = np.where((points <= corner).all(axis=1), volume, -lack.sum(axis=1))
    return signed


def subset(losses: ArrayLike, reference: ArrayLike, count: int) -> NDArray[np.intp]:
    """Indices (k,) of the `count` rows of losses (n, 2) with the largest joint hypervolume, by first loss.

    Fewer if fewer add to it: a dominated row, or one that is not below the reference in both objectives, is
    never chosen, and of equal rows only the first may be.
    AnalysisError on NaN or infinity, more than two objectives, or a count below 1.
    Source: Bringmann, Friedrich & Klitzke 2014 (GECCO); Kuhn et al. 2016: exact, by dynamic programming over
    the sorted front, O(n² count) as written here.

    >>> subset([[8, 0], [7, 1], [2, 2], [1, 7], [0, 8], [2, 2]], [10, 10], 3)
    array([4, 2, 0])
    """
    points, corner = finite(losses), fitting(losses, reference)
    if points.shape[1] != 2:
        raise AnalysisError(f"the best subset needs 2 objectives; not {points.shape[1]}")
    if count < 1:
        raise AnalysisError(f"a subset needs a count of 1 or more; not {count}")
    first = np.unique(points, axis=0, return_index=True)[1]
    distinct = points[first]
    rows = first[non_dominated(distinct) & (distinct < corner).all(axis=1)]
    return rows[_best(corner[0] - points[rows, 0], corner[1] - points[rows, 1], count)]


def spread(losses: ArrayLike, count: int, *, first: ArrayLike | None = None) -> NDArray[np.intp]:
    """Indices (k,) of `count` rows of losses (n, m) far from one another, the two ends by first loss first.

    The row farthest from the chosen ones comes next; each loss is scaled by its range. Rows of the mask
    `first` (n,) come before all others. Returns fewer indices if fewer rows are distinct.
    AnalysisError on NaN or infinity, or a count below 2. Gonzalez 1985, doi 10.1016/0304-3975(85)90224-5.

    >>> spread([[0, 8], [1, 7], [2, 6], [4, 4], [7, 1], [8, 0]], 3)
    array([0, 5, 3])
    """
    points = finite(losses)
    if count < 2:
        raise AnalysisError(f"a spread needs a count of 2 or more; not {count}")
    if not len(points):
        return np.zeros(0, dtype=np.intp)
    ranges = np.ptp(points, axis=0)
    shares = points / np.where(ranges > 0, ranges, 1.0)
    order = np.lexsort(points.T[::-1])
    chosen: list[int] = []
    gaps = np.full(len(points), np.inf)

    def choose(row: int) -> None:
        chosen.append(row)
        np.minimum(gaps, np.linalg.norm(shares - shares[row], axis=1), out=gaps)

    choose(int(order[0]))
    if gaps[order[-1]] > 0:
        choose(int(order[-1]))
    everything = np.ones(len(points), dtype=np.bool_)
    for pool in (np.zeros_like(everything) if first is None else np.asarray(first), everything):
        while len(chosen) < count and (within := np.where(pool, gaps, 0.0)).max() > 0:
            choose(int(within.argmax()))
    return np.array(chosen, dtype=np.intp)


def near(losses: ArrayLike, chosen: ArrayLike, noise: ArrayLike) -> NDArray[np.bool_]:
    """Mask (n,) of the rows of losses (n, m) that, improved by noise (m,), no row of chosen (k, m) dominates.

    Rows equal to a chosen row are in the mask; with no chosen row, all are.
    AnalysisError on NaN or infinity, or negative noise.

    >>> near([[1, 2], [2, 2.2], [2.5, 2.5]], [[1, 2], [2, 1]], [0.3, 0.3])
    array([ True,  True, False])
    """
    points, margin = finite(losses), fitting(losses, noise, what="the noise")
    if (margin < 0).any():
        raise AnalysisError(f"the noise must not be negative; not {margin.tolist()}")
    better, within = points - margin, np.ones(len(points), dtype=np.bool_)
    for row in finite(chosen):
        within &= (better < row).any(axis=1) | (better == row).all(axis=1)
    return within


def inside(losses: ArrayLike, reference: ArrayLike) -> NDArray[np.bool_]:
    """Mask (n,) of the rows of losses (n, m) below reference (m,) in every loss; all True if there are none.

    AnalysisError on NaN or infinity.

    >>> inside([[1, 2], [9, 0]], [3, 3]), inside([[9, 0]], [3, 3])
    (array([ True, False]), array([ True]))
    """
    points = finite(losses)
    within = np.asarray((points < fitting(points, reference)).all(axis=1), dtype=np.bool_)
    return within if within.any() else np.ones_like(within)


def knee(losses: ArrayLike, reference: ArrayLike) -> int | None:
    """Row of losses (n, 2) at the knee of the front, where it bulges most; None without a knee.

    Only the part of the front inside the reference (2,) counts, or all of it if none is inside. The knee is
    the row farthest below the straight line between the two ends of that part, each loss measured as a share
    of its range over it; the first of equals. One distinct point is its own knee; two points, a straight
    front and one that bends the other way have none.
    AnalysisError on NaN or infinity, or without exactly two losses. Das 1999, doi 10.1007/BF01195985.

    >>> knee([[0, 4], [1, 1], [3, 0.5], [4, 0]], [5, 5])
    1
    >>> print(knee([[0, 4], [3, 3], [4, 0]], [5, 5]))
    None
    """
    points = finite(losses)
    if points.shape[1] != 2:
        raise AnalysisError(f"a knee needs two losses; not {points.shape[1]}")
    rows = np.flatnonzero(non_dominated(points))
    rows = rows[inside(points[rows], reference)] if len(rows) else rows
    front = points[rows]
    if not len(rows):
        return None
    spans = np.ptp(front, axis=0)
    if not spans.any():
        return int(rows[0])
    below = 1.0 - ((front - front.min(axis=0)) / spans).sum(axis=1)
    return int(rows[below.argmax()]) if below.max() > STRAIGHT else None


def _best(widths: Floats, heights: Floats, count: int) -> NDArray[np.intp]:
    """Positions, ascending, of the `count` boxes to the reference with the largest union; all if fewer.

    Boxes are sorted by falling width, so heights rise. best[i] is the largest area of the number of boxes
    chosen so far that ends with box i; a further box j adds its area above box i.
    """
    size = min(count, len(widths))
    best, came_from = widths * heights, np.zeros((size, len(widths)), dtype=np.intp)
    for chosen in range(1, size):
        longer = np.full(len(widths), -np.inf)
        for j in range(chosen, len(widths)):
            areas = best[:j] + widths[j] * (heights[j] - heights[:j])
            came_from[chosen, j] = areas.argmax()
            longer[j] = areas[came_from[chosen, j]]
        best = longer
    path = np.zeros(size, dtype=np.intp)
    for chosen in reversed(range(size)):
        path[chosen] = best.argmax() if chosen == size - 1 else came_from[chosen + 1, path[chosen + 1]]
    return path


def finite(losses: ArrayLike) -> Floats:
    """Losses as floats (n, m). AnalysisError if they are not finite or have another shape."""
    points = np.asarray(losses, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] == 0:
        raise AnalysisError(f"losses must have shape (n, m), one row a point; not {points.shape}")
    if not np.isfinite(points).all():
        rows = np.flatnonzero(~np.isfinite(points).all(axis=1))
        raise AnalysisError(
            f"losses must be finite; {len(rows)} of {len(points)} rows are not, first {rows[0]}"
        )
    return points


def fitting(losses: ArrayLike, values: ArrayLike, *, what: str = "the reference point") -> Floats:
    """Values as finite floats (m,), one for each column of the losses; else AnalysisError."""
    corner = np.asarray(values, dtype=np.float64)
    columns = np.shape(losses)[-1]
    if corner.shape != (columns,):
        raise AnalysisError(f"{what} must have {columns} values; not shape {corner.shape}")
    if not np.isfinite(corner).all():
        raise AnalysisError(f"{what} must be finite; not {corner.tolist()}")
    return corner
