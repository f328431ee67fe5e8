"""The optimism of a search's front: its points measured again on the same data with fresh seeds.

The search chose these points by their values there, so they are better by luck than in truth. The fresh seeds
chose nothing: their means estimate the points without this bias.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis import text
from analysis.front import hypervolume, non_dominated
from analysis.objective import Floats, Objective, to_losses
from analysis.stats import Finding, paired
from analysis.tables import Tables


@dataclass(frozen=True, slots=True)
class Optimism:
    """Points of the search's front that have every fresh seed, sorted by the first goal in the search.

    `points` has a row for each, with the search's values; `values` (n, seeds, 2) holds the goals with fresh
    seeds, `reference` (2,) those of the trivial models. `front` counts all points of the front. `shifts` has
    for each goal the difference of the fresh means from the search's values, over the points, seed by seed.
    """

    goals: tuple[Objective, Objective]
    points: pd.DataFrame
    values: Floats
    reference: Floats
    front: int
    shifts: tuple[Finding, ...]

    @property
    def means(self) -> Floats:
        """Means (n, 2) of the goals over the fresh seeds."""
        return np.array(self.values.mean(axis=1), dtype=np.float64)

    @property
    def before(self) -> Floats:
        """The goals (n, 2) in the search."""
        return self.points[[goal.name for goal in self.goals]].to_numpy(dtype=np.float64)

    @property
    def staying(self) -> NDArray[np.bool_]:
        """Mask (n,) of the points whose fresh means no other of these points dominates."""
        return non_dominated(to_losses(self.means, self.goals))

    @property
    def volumes(self) -> tuple[float, float]:
        """Hypervolume of these points by the search's values, and by their means over fresh seeds.

        The second is still too large in expectation, by the noise of the means.
        """
        corner = to_losses(self.reference, self.goals)
        before, again = (
            hypervolume(to_losses(each, self.goals), corner) for each in (self.before, self.means)
        )
        return before, again


def optimism(tables: Tables) -> Optimism | None:
    """The points of the front that were measured again with fresh seeds; None if there are none.

    Points without a finite value for every seed are left out.
    """
    rows = tables.fresh.merge(tables.front[["trial", "epoch"]], on=["trial", "epoch"])
    if not len(rows):
        return None
    seeds = sorted(tables.fresh["replicate"].unique())
    wide = rows.pivot(index=["trial", "epoch"], columns="replicate", values=tables.names)
    wide = wide.reindex(columns=pd.MultiIndex.from_product([tables.names, seeds]))
    wide = wide[np.isfinite(wide.to_numpy(dtype=np.float64)).all(axis=1)]
    points = tables.front.merge(wide.index.to_frame(index=False), on=["trial", "epoch"])
    if not len(points):
        return None
    found = wide.loc[pd.MultiIndex.from_frame(points[["trial", "epoch"]])]
    values = np.stack([found[name][seeds].to_numpy(dtype=np.float64) for name in tables.names], axis=2)
    return Optimism(
        goals=tables.goals,
        points=points,
        values=values,
        reference=tables.reference,
        front=len(tables.front),
        shifts=_shifts(tables, points, values),
    )


def _shifts(tables: Tables, points: pd.DataFrame, values: Floats) -> tuple[Finding, ...]:
    """The difference of fresh means and search for each goal: means over points, seed by seed.

    The search's values are those of one front, so they are constants: the interval is for the expected values
    of its points under other seeds.
    """
    again, before = values.mean(axis=0), points[tables.names].to_numpy(dtype=np.float64).mean(axis=0)
    return tuple(
        paired(
            again[:, i],
            np.full(len(again), before[i]),
            sentence=f"{goal.label}: {text.fixed(float(again[:, i].mean()), goal.decimals)} with fresh seeds "
            f"against {text.fixed(float(before[i]), goal.decimals)} in the search",
            scope=f"{text.count(len(points), 'point')}, {tables.split}",
        )
        for i, goal in enumerate(tables.goals)
    )
