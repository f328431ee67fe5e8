"""The commands that export points of the front: `study pick` with the shortest bound that finds them.

`study pick` takes the best point by one objective among the points of the front within a bound on the other:
MSE from above or, if MSE is no objective, MRR from below. It uses the study's own values.
"""

import shlex
from decimal import ROUND_CEILING, Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from analysis.front import knee
from analysis.objective import WHOLE, Objective, objectives, to_losses
from analysis.tables import Tables

BOUNDS = {"mse": "--max-mse", "mrr": "--min-mrr", "mrr_all": "--min-mrr"}
"""The option that bounds an objective; of two with the same option, it bounds the first in this table."""

PointId = tuple[float, float]
"""A point by its trial and epoch."""


def boundable(tables: Tables) -> list[Objective]:
    """The goals that `study pick` can bound, MSE first."""
    goals = {BOUNDS[g.name]: g for name in reversed(BOUNDS) for g in tables.goals if g.name == name}
    return list(reversed(goals.values()))


def commands(tables: Tables) -> dict[PointId, str]:
    """The command that exports each point of the front.

    Points with equal values have the same command, which exports the first of them.
    """
    goal, front = boundable(tables)[0], tables.front
    losses = to_losses(front[[goal.name]].to_numpy(dtype=np.float64), [goal])[:, 0]
    by_loss = {
        loss: bounded(tables, goal, goal.sign * shortest(loss, limit, goal.decimals))
        for loss, limit in pairwise([*np.unique(losses).tolist(), np.inf])
    }
    keys = zip(front["trial"].tolist(), front["epoch"].tolist(), strict=True)
    return dict(zip(keys, map(by_loss.__getitem__, losses.tolist()), strict=True))


def bounded(tables: Tables, goal: Objective, bound: Decimal) -> str:
    """The command for the best point by the other goal, among those with this goal within the bound."""
    return f"study pick {shlex.quote(tables.manifest['name'])} {BOUNDS[goal.name]} {bound}"


def within(tables: Tables, goal: Objective, bound: Decimal) -> "pd.Series[Any] | None":
    """The point that the command of `bounded` takes; None if no point is within the bound."""
    losses = tables.losses(tables.front)
    column = tables.goals.index(goal)
    rows = np.flatnonzero(losses[:, column] <= goal.sign * float(bound))
    return tables.front.iloc[rows[losses[rows, 1 - column].argmin()]] if len(rows) else None


def kneed(tables: Tables) -> "pd.Series[Any] | None":
    """The point that `study pick NAME --knee` takes; None if the front has no knee."""
    goals = objectives(tables.manifest["objectives"])
    losses = to_losses(tables.front[[goal.name for goal in goals]].to_numpy(dtype=np.float64), goals)
    corner = to_losses([tables.manifest["reference"][goal.name] for goal in goals], goals)
    order = np.lexsort(losses.T[::-1])
    row = knee(losses[order], corner)
    return None if row is None else tables.front.iloc[order[row]]


def shortest(low: float, high: float, decimals: int) -> Decimal:
    """The number with the fewest decimals, `decimals` or more, that is at least `low` and below `high`."""
    written = Decimal(repr(float(low)))  # the exact value of the float 0.00001 is above 0.00001
    if abs(low) >= WHOLE:
        return written
    for places in range(decimals, 16):
        rounded = written.quantize(Decimal(1).scaleb(-places), ROUND_CEILING)
        if low <= float(rounded) < high:
            return rounded
    return written
