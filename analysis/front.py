"""Fronts and hypervolumes of losses (n, m), smaller is better: the one adapter on moocore.

Every function refuses NaN and infinity, which moocore lets pass, and takes no directions (law 6).
"""

from typing import cast

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.objective import AnalysisError, Floats


def non_dominated(losses: ArrayLike) -> NDArray[np.bool_]:
    """Mask (n,) of the rows of losses (n, m) that no row dominates; equal rows are all kept.

    AnalysisError on NaN or infinity.

    >>> non_dominated([[1, 2], [2, 1], [2, 2], [1, 2]])
    array([ True,  True, False,  True])
    """
    points = _points(losses)
    if not len(points):
        return np.zeros(0, dtype=np.bool_)
    return cast(NDArray[np.bool_], moocore.is_nondominated(points, keep_weakly=True))


def hypervolume(losses: ArrayLike, reference: ArrayLike) -> float:
    """Volume that losses (n, m) dominate up to reference (m,), in the product of the objectives' units.

    A row that is not below the reference in every objective adds nothing; no rows give 0.0.
    AnalysisError on NaN or infinity.

    >>> hypervolume([[1, 2], [2, 1], [9, 0]], [3, 3])
    3.0
    """
    points, corner = _points(losses), _corner(losses, reference)
    inside = points[(points < corner).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=corner)) if len(inside) else 0.0


def contributions(losses: ArrayLike, reference: ArrayLike) -> Floats:
    """What the hypervolume of losses (n, m) would lose without each row (n,); 0 for each of equal rows.

    AnalysisError on NaN or infinity.

    >>> contributions([[1, 2], [2, 1], [9, 0]], [3, 3])
    array([1., 1., 0.])
    """
    points, corner = _points(losses), _corner(losses, reference)
    inside = (points < corner).all(axis=1)
    lost = np.zeros(len(points))
    if inside.any():
        lost[inside] = moocore.hv_contributions(points[inside], ref=corner, ignore_dominated=False)
    return lost


def box(losses: ArrayLike, reference: ArrayLike) -> Floats:
    """Volume (n,) of the box that each row of losses (n, m) spans to reference (m,), alone; signed.

    Outside the reference it is minus the sum of what each objective lacks, as a share of |reference| (as it
    is where the reference is 0). So it never falls when a loss does: it orders points as a search needs it.
    AnalysisError on NaN or infinity.

    >>> box([[1, 2], [3, 1], [4, 6]], [3, 3]).round(3)
    array([ 2.   ,  0.   , -1.333])
    """
    points, corner = _points(losses), _corner(losses, reference)
    lack = np.maximum(points - corner, 0.0) / np.where(corner == 0.0, 1.0, np.abs(corner))
    volume = np.maximum(corner - points, 0.0).prod(axis=1)
    signed: Floats = np.where((points <= corner).all(axis=1), volume, -lack.sum(axis=1))
    return signed


def _points(losses: ArrayLike) -> Floats:
    """The losses as finite floats (n, m)."""
    points = np.asarray(losses, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] == 0:
        raise AnalysisError(f"losses must have shape (n, m), one row a point; not {points.shape}")
    if not np.isfinite(points).all():
        rows = np.flatnonzero(~np.isfinite(points).all(axis=1))
        raise AnalysisError(
            f"losses must be finite; {len(rows)} of {len(points)} rows are not, first {rows[0]}"
        )
    return points


def _corner(losses: ArrayLike, reference: ArrayLike) -> Floats:
    """The reference point as finite floats (m,), as many as the losses have columns."""
    corner = np.asarray(reference, dtype=np.float64)
    columns = np.shape(losses)[-1]
    if corner.shape != (columns,):
        raise AnalysisError(f"the reference point must have {columns} values; not shape {corner.shape}")
    if not np.isfinite(corner).all():
        raise AnalysisError(f"the reference point must be finite; not {corner.tolist()}")
    return corner
