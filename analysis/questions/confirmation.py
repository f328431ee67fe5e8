"""The confirmed points on the test set: values, non-dominated points, and shifts from the search.

The fresh seeds are common to all points, so points are compared by their differences within a seed. The seed
is the unit of replication: intervals are over seeds, only those of `intervals` are over users.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis import text
from analysis.front import non_dominated
from analysis.objective import Floats, Objective, to_losses
from analysis.stats import SIGNIFICANCE, Finding, above, bootstrap, separate, t_half_width
from analysis.tables import Tables

USERS_FROM = 200
"""Users that an interval needs. With 100 users of very different numbers of ratings, an interval for the MSE
covers the truth in less than 93 % of cases (measured as in tests/analysis/questions/test_calibration.py)."""

STATISTICS: Mapping[str, tuple[tuple[str, ...], Callable[[Floats], float]]] = {
    "mrr": (("reciprocal_rank",), lambda rows: float(rows[:, 0].mean())),
    "mrr_all": (("reciprocal_rank_all",), lambda rows: float(rows[:, 0].mean())),
    "mse": (("squared_error", "ratings"), lambda rows: float(rows[:, 0].sum() / rows[:, 1].sum())),
}
"""Metric → the columns of `users` that it needs, and its value from those rows."""

PointOutcome = Literal["stays", "undecided", "dominated"]

Beats = Literal["yes", "unsure", "no"]


@dataclass(frozen=True, slots=True)
class Earlier:
    """Values (n, seeds, 2) of the goals of the same points on `split`, before the test set was opened.

    NaN where a seed is missing. `selected` is True if these values selected the points.
    """

    values: Floats
    split: str
    selected: bool


@dataclass(frozen=True, slots=True)
class ConfirmedFront:
    """Points of the search on the test set, sorted by the mean in the first goal, best first.

    `points` has a row for each: trial and epoch, configuration, the search's values, and `seeds`, the number
    of seeds. `values` (n, seeds, 2) holds the goals, NaN where a seed is missing, and `reference` (2,) those
    of the trivial models. `shifts` has for each goal the mean on test minus that of `earlier`, over the
    points with every seed; it is empty if there are none.
    """

    goals: tuple[Objective, Objective]
    points: pd.DataFrame
    values: Floats
    reference: Floats
    earlier: Earlier
    shifts: tuple[Finding, ...]

    @property
    def means(self) -> Floats:
        """Means (n, 2) of the goals over the seeds."""
        return np.array(np.nanmean(self.values, axis=1), dtype=np.float64)

    @property
    def halves(self) -> Floats:
        """Half the width (n, 2) of Student's 95 % interval for each mean; infinite for one seed."""
        return np.array([[t_half_width(v[np.isfinite(v)]) for v in point.T] for point in self.values])

    @property
    def non_dominated(self) -> NDArray[np.bool_]:
        """Mask (n,) of the points whose means are non-dominated."""
        return non_dominated(to_losses(self.means, self.goals))

    @property
    def times(self) -> NDArray[np.int64]:
        """The number (n,) of seeds in which each point is non-dominated among the points with that seed."""
        times = np.zeros(len(self.points), dtype=np.int64)
        for values in self.values.swapaxes(0, 1):
            there = np.flatnonzero(np.isfinite(values).all(axis=1))
            times[there] += non_dominated(to_losses(values[there], self.goals))
        return times

    @property
    def outcomes(self) -> list[PointOutcome]:
        """The outcome of each point (n,) over all seeds; see the function `outcomes`."""
        losses = to_losses(self.values.reshape(-1, len(self.goals)), self.goals)
        return outcomes(losses.reshape(self.values.shape))

    @property
    def beats_trivial(self) -> list[Beats]:
        """For each point (n,), "yes" if its intervals beat both trivial models, "no" if one is worse."""
        gains = to_losses(self.reference, self.goals) - to_losses(self.means, self.goals)
        low, high = (gains - self.halves).min(axis=1), (gains + self.halves).min(axis=1)
        return ["yes" if a > 0 else "no" if b < 0 else "unsure" for a, b in zip(low, high, strict=True)]


def confirmation(tables: Tables) -> ConfirmedFront | None:
    """The confirmed points of a study; None if no point was measured again.

    Seeds with a goal that is not finite are left out, and points without any other seed.
    """
    rows = tables.confirmed[np.isfinite(tables.confirmed[tables.names].to_numpy()).all(axis=1)]
    if not len(rows):
        return None
    keys, seeds = ["trial", "epoch"], sorted(rows["replicate"].unique())
    wide = rows.pivot(index=keys, columns="replicate", values=tables.names)
    values = np.stack([wide[name][seeds].to_numpy(dtype=np.float64) for name in tables.names], axis=2)
    order = np.lexsort(to_losses(np.nanmean(values, axis=1), tables.goals).T[::-1])
    values, index = values[order], wide.index[order]
    configured = tables.trials[["trial", "weight", "sharing", *tables.configured]]
    points = index.to_frame(index=False).merge(tables.points, on=keys).merge(configured, on="trial")
    points["seeds"] = np.isfinite(values).all(axis=2).sum(axis=1)
    reference = tables.manifest["confirmation"]["reference"]
    before = earlier(tables, index)
    return ConfirmedFront(
        goals=tables.goals,
        points=points,
        values=values,
        reference=np.array([reference[name] for name in tables.names], dtype=np.float64),
        earlier=before,
        shifts=_shifts(tables.goals, values, before),
    )


def earlier(tables: Tables, index: pd.MultiIndex) -> Earlier:
    """The values of points, by trial and epoch, in the search: a value for each of its replicates."""
    rows = tables.measurements
    rows = rows[rows["trial"].isin(index.get_level_values("trial"))]
    wide = rows.pivot(index=["trial", "epoch"], columns="replicate", values=tables.names).reindex(index)
    values = [wide[name].to_numpy(dtype=np.float64) for name in tables.names]
    return Earlier(np.stack(values, axis=2), tables.split, selected=True)


def outcomes(losses: Floats) -> list[PointOutcome]:
    """Outcome of each point (n,) of losses (n, r, m), NaN where a replicate is missing.

    "stays": it is better than every other point in some objective; "dominated": some other point is better in
    every objective; else "undecided". A point is not compared with points that equal it in every replicate.
    "stays" and "dominated" are each wrong in at most 5 % of cases. The tests are one-sided t tests of
    differences by replicate. Where all tests must reject, p is the largest (Berger 1982, intersection-union);
    where one is enough, p is the smallest times the number of tests (Bonferroni).
    """
    n, _, m = losses.shape
    differences = losses[:, None] - losses[None]
    worse, better = above(differences), above(-differences)
    others = (differences != 0).any(axis=(2, 3)) & ~np.eye(n, dtype=np.bool_)
    p_dominated = np.where(others, worse.max(axis=2), 1.0).min(axis=1, initial=1.0) * (n - 1)
    p_stays = np.where(others, better.min(axis=2) * m, 0.0).max(axis=1, initial=0.0)
    return [
        "stays" if stay <= SIGNIFICANCE else "dominated" if lost <= SIGNIFICANCE else "undecided"
        for stay, lost in zip(p_stays, p_dominated, strict=True)
    ]


def _shifts(goals: tuple[Objective, Objective], values: Floats, before: Earlier) -> tuple[Finding, ...]:
    """The mean on test minus that before, for each goal: means over points, a value for each seed."""
    whole = np.isfinite(values).all(axis=(1, 2)) & np.isfinite(before.values).all(axis=(1, 2))
    if not whole.any():
        return ()
    scope = f"{text.count(int(whole.sum()), 'point')}, {before.split} to test"
    again, first = values[whole].mean(axis=0), before.values[whole].mean(axis=0)
    where = "in the search" if before.selected else f"on {before.split}"
    return tuple(
        separate(
            again[:, i],
            first[:, i],
            sentence=f"{goal.label}: {text.fixed(float(again[:, i].mean()), goal.decimals)} on test against "
            f"{text.fixed(float(first[:, i].mean()), goal.decimals)} {where}",
            scope=scope,
        )
        for i, goal in enumerate(goals)
    )


def intervals(tables: Tables, points: pd.DataFrame) -> dict[str, Floats]:
    """For each goal, the ends (n, 2) of the points' 95 % intervals over users.

    Each user counts with the mean over the point's seeds, so the interval does not cover other seeds. NaN
    where a point has fewer than 200 users.
    """
    columns = sorted({column for name in tables.names for column in STATISTICS[name][0]})
    by_user = tables.users.groupby(["trial", "epoch", "user"])[columns].mean()
    rows = dict(iter(by_user.groupby(level=["trial", "epoch"])))
    ends: dict[str, Floats] = {}
    for name in tables.names:
        parts, statistic = STATISTICS[name]
        ends[name] = np.full((len(points), 2), np.nan)
        for place, key in enumerate(zip(points["trial"], points["epoch"], strict=True)):
            users = rows[key][list(parts)].dropna().to_numpy(np.float64) if key in rows else np.empty((0, 1))
            if len(users) >= USERS_FROM:
                ends[name][place] = bootstrap(users, statistic)
    return ends
