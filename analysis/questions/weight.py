"""The trade-off of the goals by λ, over the points that represent configurations."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.objective import Floats
from analysis.stats import BOOTSTRAP_FROM, bootstrap
from analysis.tables import SHARINGS, Tables

BINS = 8
"""Most groups of rising λ, of equal size, whose medians are shown; fewer if they would be small."""

CLOSED_FORM_FROM = 2000
"""From this number of configurations the interval has a closed form: a bootstrap would take minutes."""

IN_A_BIN = 5
"""Configurations that a group needs."""


@dataclass(frozen=True, slots=True)
class Trend:
    """Spearman's rank correlation of a goal with λ under one way of sharing, and its 95 % interval."""

    sharing: str
    goal: str
    configurations: int
    correlation: float
    low: float
    high: float


def representative_points(tables: Tables) -> pd.DataFrame:
    """The points that represent configurations; those that share something need a λ."""
    points = tables.evaluated[tables.evaluated["stands"]]
    return points[(points["sharing"] == "none") | points["weight"].notna()]


def trends(tables: Tables) -> list[Trend]:
    """The trend of each goal under each way of sharing something with 30 configurations or more.

    The interval is a bootstrap interval over configurations, or for very many the closed form (`_many`). It
    describes the configurations of this search.
    """
    points, found = representative_points(tables), []
    for way in SHARINGS[1:]:
        rows = points[points["sharing"] == way]
        if len(rows) < BOOTSTRAP_FROM or rows["weight"].nunique() < BINS:
            continue
        for goal in tables.names:
            if rows[goal].nunique() > 1:
                pairs = rows[["weight", goal]].to_numpy(dtype=np.float64)
                interval = _many(pairs) if len(pairs) >= CLOSED_FORM_FROM else bootstrap(pairs, spearman)
                found.append(Trend(way, goal, len(rows), spearman(pairs), *interval))
    return found


def _many(pairs: Floats) -> tuple[float, float]:
    """Ends of the 95 % interval of Spearman's correlation of many pairs (n, 2), by Fisher's z.

    Source: Bonett & Wright 2000 (doi 10.1007/BF02294183), the variance (1 + r²/2) / (n − 3).
    """
    r = spearman(pairs)
    middle = np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12))
    half = 1.959964 * np.sqrt((1 + r * r / 2) / (len(pairs) - 3))
    return float(np.tanh(middle - half)), float(np.tanh(middle + half))


def spearman(pairs: Floats) -> float:
    """Rank correlation of the two columns of pairs (n, 2), ties at their mean rank; 0 where one is constant.

    >>> spearman(np.array([[1.0, 5.0], [2.0, 7.0], [3.0, 6.0]]))
    0.5
    """
    one, two = (_ranks(column) - (len(column) + 1) / 2 for column in pairs.T)
    spread = float(np.sqrt((one @ one) * (two @ two)))
    return float(one @ two) / spread if spread > 0 else 0.0


def _ranks(values: Floats) -> Floats:
    """Ranks (n,) from 1, ties at their mean rank, as from `scipy.stats.rankdata`.

    A bootstrap ranks a hundred values thousands of times; most of SciPy's time would be call overhead.
    """
    rising = np.sort(values)
    first, last = (np.searchsorted(rising, values, side=side) for side in ("left", "right"))
    ranks: Floats = (first + last + 1) / 2
    return ranks


def medians(weights: Floats, values: Floats) -> Floats:
    """Medians (k, 2) of λ and of values over groups (n,) of rising λ; none below ten configurations."""
    groups = min(BINS, len(weights) // IN_A_BIN)
    if groups < 2:
        return np.empty((0, 2))
    order = np.argsort(weights, kind="stable")
    return np.array(
        [[np.median(weights[rows]), np.median(values[rows])] for rows in np.array_split(order, groups)]
    )
