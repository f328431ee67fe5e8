"""The confirmed points on the test set: values, non-dominated points, and shifts from the search.

Intervals here are over seeds; `resampling` adds the users, and `decision` compares the points.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis import text
from analysis.front import non_dominated
from analysis.objective import Floats, Objective, to_losses
from analysis.stats import Finding, separate, t_half_width
from analysis.tables import Tables

Beats = Literal["yes", "unsure", "no"]


@dataclass(frozen=True, slots=True)
class Earlier:
    """Values (n, seeds, 2) of the goals of the same points on `split`, before the test set was opened.

    NaN where a seed is missing. They selected the points. `fresh` is False for the search's own values, and
    True for values with fresh seeds.
    """

    values: Floats
    split: str
    fresh: bool


@dataclass(frozen=True, slots=True)
class ConfirmedFront:
    """Points of the search on the test set, sorted by the mean in the first goal, best first.

    `points` has a row for each: trial and epoch, configuration, the search's values, and `seeds`, the number
    of seeds. `values` (n, seeds, 2) holds the goals of the seeds `replicates`, NaN where one is missing, and
    `reference` (2,) those of the trivial models. `shifts` has for each goal the mean on test minus that of
    `earlier`, over the points with every seed; it is empty if there are none.
    """

    goals: tuple[Objective, Objective]
    points: pd.DataFrame
    values: Floats
    replicates: NDArray[np.int64]
    reference: Floats
    earlier: Earlier
    shifts: tuple[Finding, ...]

    @property
    def before(self) -> Floats:
        """Means (n, 2) of the goals in `earlier`."""
        return np.asarray(np.nanmean(self.earlier.values, axis=1))

    def place(self, point: "pd.Series[Any] | None") -> int | None:
        """Row of a point of the search among the confirmed points; None if it is not one of them."""
        if point is None:
            return None
        same = (self.points["trial"] == point["trial"]) & (self.points["epoch"] == point["epoch"])
        return int(same.to_numpy().argmax()) if same.any() else None

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
        replicates=np.array(seeds, dtype=np.int64),
        reference=np.array([reference[name] for name in tables.names], dtype=np.float64),
        earlier=before,
        shifts=_shifts(tables.goals, values, before),
    )


def earlier(tables: Tables, index: pd.MultiIndex) -> Earlier:
    """The values of points, by trial and epoch, with fresh seeds; in the search if some point has none."""
    fresh = index.isin(pd.MultiIndex.from_frame(tables.fresh[["trial", "epoch"]])).all()
    rows = tables.fresh if fresh else tables.measurements
    rows = rows[rows["trial"].isin(index.get_level_values("trial"))]
    wide = rows.pivot(index=["trial", "epoch"], columns="replicate", values=tables.names).reindex(index)
    values = [wide[name].to_numpy(dtype=np.float64) for name in tables.names]
    return Earlier(np.stack(values, axis=2), tables.split, fresh=bool(fresh))


def _shifts(goals: tuple[Objective, Objective], values: Floats, before: Earlier) -> tuple[Finding, ...]:
    """The mean on test minus that before, for each goal: means over points, a value for each seed."""
    whole = np.isfinite(values).all(axis=(1, 2)) & np.isfinite(before.values).all(axis=(1, 2))
    if not whole.any():
        return ()
    scope = f"{text.count(int(whole.sum()), 'point')}, {before.split} to test"
    again, first = values[whole].mean(axis=0), before.values[whole].mean(axis=0)
    where = f"with fresh seeds on {before.split}" if before.fresh else "in the search"
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
