"""Distances of fronts to the best known, and attainment surfaces of several runs; smaller is better.

An adapter for moocore like `front`: it refuses NaN and infinity, and takes no directions (law 6). Distances
are in the losses' own units; scale losses of different units first.
"""

from collections.abc import Sequence
from math import inf

import moocore
import numpy as np
from numpy.typing import ArrayLike

from analysis.errors import AnalysisError
from analysis.front import finite, fitting, non_dominated
from analysis.objective import Floats


def pooled(fronts: Sequence[ArrayLike]) -> Floats:
    """The distinct non-dominated rows (k, m) of all fronts (n_i, m) together, by first loss.

    AnalysisError on NaN or infinity, no front, or fronts of different m.

    >>> pooled([[[1, 4], [3, 3]], [[2, 2], [1, 4]]])
    array([[1., 4.],
           [2., 2.]])
    """
    rows = np.unique(np.vstack(_alike(fronts)), axis=0)
    return rows[non_dominated(rows)]


def scaled(losses: ArrayLike, target: ArrayLike, reference: ArrayLike) -> Floats:
    """Losses (n, m) as shares: 0 at the best of target (k, m) in that objective, 1 at the reference (m,).

    AnalysisError on NaN or infinity, or a reference that is not worse than the best of the target.

    >>> scaled([[2, 30]], [[1, 20], [3, 10]], [5, 50])
    array([[0.25, 0.5 ]])
    """
    points, goals = _pair(losses, target)
    corner, best = fitting(goals, reference), goals.min(axis=0)
    if not (best < corner).all():
        raise AnalysisError(f"the reference {corner.tolist()} must be worse than the best, {best.tolist()}")
    shares: Floats = (points - best) / (corner - best)
    return shares


def epsilon(losses: ArrayLike, target: ArrayLike) -> float:
    """Additive ε: the amount by which losses (n, m) must fall to weakly dominate each row of target (k, m).

    Negative if they may rise, infinite without rows. AnalysisError on NaN or infinity, or an empty target.
    Source: Zitzler et al. 2003 (doi 10.1109/TEVC.2003.810758).

    >>> epsilon([[1, 4], [3, 3]], [[1, 4], [2, 2]])
    1.0
    """
    points, goals = _pair(losses, target)
    return float(moocore.epsilon_additive(points, ref=goals)) if len(points) else inf


def igd_plus(losses: ArrayLike, target: ArrayLike) -> float:
    """Mean distance from each row of target (k, m) to the region that losses (n, m) dominate.

    0 if all of the target is weakly dominated, infinite without rows. AnalysisError on NaN or infinity, or an
    empty target. Source: Ishibuchi et al. 2015 (doi 10.1007/978-3-319-15892-1_8).

    >>> igd_plus([[1, 4], [3, 3]], [[1, 4], [2, 3]])
    0.5
    """
    points, goals = _pair(losses, target)
    return float(moocore.igd_plus(points, ref=goals)) if len(points) else inf


def surface(fronts: Sequence[ArrayLike], runs: int) -> Floats:
    """Corners (k, m), by first loss, of the region that at least `runs` of the fronts (n_i, m) attain.

    m is 2 or 3. A front attains all that one of its rows weakly dominates; without rows it attains nothing.
    If fewer than `runs` fronts have rows there are no corners. 1 gives the best case, half of the fronts the
    median, all the worst. AnalysisError on NaN or infinity, fronts of different m, or `runs` below 1 or above
    the number of fronts. Source: Grunert da Fonseca et al. 2001 (doi 10.1007/3-540-44719-9_15).

    >>> surface([[[1, 3]], [[2, 2]], [[3, 1]]], 2)
    array([[2., 3.],
           [3., 2.]])
    """
    alike = _alike(fronts)
    if not 1 <= runs <= len(alike):
        raise AnalysisError(f"a surface needs 1 to {len(alike)} runs; not {runs}")
    filled = [points for points in alike if len(points)]
    if runs > len(filled):
        return np.empty((0, alike[0].shape[1]))
    sets = np.repeat(np.arange(len(filled)), [len(points) for points in filled])
    percentile = 100 * (runs - 0.5) / len(filled)
    corners = moocore.eaf(np.vstack(filled), sets, percentiles=[percentile])[:, :-1]
    return np.unique(corners, axis=0)


def _alike(fronts: Sequence[ArrayLike]) -> list[Floats]:
    """Fronts as finite floats, all of one width."""
    alike = [finite(front) for front in fronts]
    widths = sorted({points.shape[1] for points in alike})
    if len(widths) != 1:
        raise AnalysisError(f"fronts must share their objectives; not {len(fronts)} of widths {widths}")
    return alike


def _pair(losses: ArrayLike, target: ArrayLike) -> tuple[Floats, Floats]:
    """Losses and target as finite floats of one width."""
    points, goals = _alike([losses, target])
    if not len(goals):
        raise AnalysisError("the target has no rows; pool fronts that have some")
    return points, goals
