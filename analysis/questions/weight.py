"""The trade-off of the goals by λ, over configurations that were trained for equally many epochs.

The points that represent configurations would not do: a stopping rule ends trials at epochs that depend on
their values, and each objective is best after another number of epochs.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.objective import Floats
from analysis.stats import BOOTSTRAP_FROM, bootstrap
from analysis.tables import SHARINGS, Tables

BINS = 8
"""Groups of rising λ, of equal size, whose medians are shown; a trend needs as many values of λ."""

CLOSED_FORM_FROM = 2000
"""From this number of configurations the interval has a closed form: a bootstrap would take minutes."""


@dataclass(frozen=True, slots=True)
class Trend:
    """Spearman's rank correlation of a goal with λ under one way of sharing, and its 95 % interval."""

    sharing: str
    goal: str
    configurations: int
    correlation: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """True if the interval lies above or below 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class EqualEpochs:
    """Points (n rows) of ended trials after the same `epochs`, with their trial's λ and sharing.

    `lacking` counts the ended trials without a point there.
    """

    epochs: int
    points: pd.DataFrame
    lacking: int


def equal_epochs(tables: Tables) -> EqualEpochs:
    """The points of completed and stopped trials after the most epochs that all were trained for.

    If trials are measured at different epochs, it is the epoch with the most measured trials among those that
    all reached, the last of equals. Points that are not finite are left out, and trials that share
    something without a λ. No points and 0 epochs if no trial has ended.
    """
    ended = tables.trials.loc[tables.trials["state"].isin(("completed", "stopped"))]
    points = tables.points[tables.points["trial"].isin(ended["trial"])]
    reached = points.groupby("trial")["epoch"].max()
    common = points[points["epoch"] <= reached.min()]
    measured = common.groupby("epoch")["trial"].nunique()
    epoch = measured.index[measured == measured.max()].max() if len(measured) else 0
    rows = common[common["epoch"] == epoch].merge(ended[["trial", "weight", "sharing"]], on="trial")
    finite = np.isfinite(rows[tables.names].to_numpy(dtype=np.float64)).all(axis=1)
    kept = rows[finite & ((rows["sharing"] == "none") | rows["weight"].notna()).to_numpy(dtype=np.bool_)]
    return EqualEpochs(int(epoch), kept.reset_index(drop=True), len(reached) - len(rows))


def trends(tables: Tables, points: pd.DataFrame) -> list[Trend]:
    """The trend of each goal over points at equal epochs, under each way of sharing something.

    That needs 30 configurations and eight values of λ. The interval is a bootstrap interval over
    configurations, or for very many the closed form (`_many`). It describes those of this search.
    """
    found = []
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
    """Medians (8, 2) of λ and of values (n,) over groups of rising λ."""
    order = np.argsort(weights, kind="stable")
    return np.array(
        [[np.median(weights[rows]), np.median(values[rows])] for rows in np.array_split(order, BINS)]
    )
