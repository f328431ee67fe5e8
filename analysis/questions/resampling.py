"""The means of the confirmed points as other seeds and other users might have given them.

A parametric bootstrap over seeds and users. Seeds and users are common to all points, so each draw has all
points together, and comparisons stay paired. Resampling five seeds would give intervals that are too narrow,
and resampling both seeds and users counts their interaction three times (Owen 2007, doi 10.1214/07-AOAS122).
So the seeds vary as Student's t and the users by their own share of the variance, and the sum has each part
of the variance once.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from analysis.objective import Floats, to_losses
from analysis.questions.confirmation import ConfirmedFront
from analysis.tables import Tables

DRAWS = 4000

USERS_FROM = 200
"""Users that an interval over users needs. With 100 users of very different numbers of ratings, an interval
for the MSE covers the truth in less than 93 % of cases (as in tests/analysis/questions/test_calibration.py).
"""

USER_PARTS: dict[str, tuple[str, str | None]] = {
    "mrr": ("reciprocal_rank", None),
    "mrr_all": ("reciprocal_rank_all", None),
    "mse": ("squared_error", "ratings"),
}
"""Metric → the columns of `users` whose sums it divides; without the second, it is a mean over users."""


@dataclass(frozen=True, slots=True)
class DrawnMeans:
    """The losses of the confirmed points that have every seed, and draws of them.

    `rows` (n,) are their places among the confirmed points, `means` (n, 2) their losses, `losses` (b, n, 2)
    the draws, and `reference` (2,) the losses of the trivial models. `over` names the parts that vary.
    """

    rows: NDArray[np.intp]
    means: Floats
    losses: Floats
    reference: Floats
    over: str

    @property
    def halves(self) -> Floats:
        """Half the width (n, 2) of the 95 % interval of each mean."""
        return np.quantile(np.abs(self.losses - self.means), 0.95, axis=0)


def draws(tables: Tables, found: ConfirmedFront) -> DrawnMeans | None:
    """Draws of the points that have every seed, the same every time; None with one seed or no such point.

    Users vary too if their values are exported and there are 200 or more; else the seeds alone.
    """
    rows = np.flatnonzero(np.isfinite(found.values).all(axis=(1, 2)))
    seeds = len(found.replicates)
    if seeds < 2 or not len(rows):
        return None
    by_seed = found.values[rows].swapaxes(0, 1)
    losses = to_losses(by_seed.reshape(-1, 2), found.goals).reshape(seeds, -1)
    rng = np.random.default_rng(0)
    moves, over = other_seeds(losses, rng), "seeds"
    if (influences := _influences(tables, found, rows)) is not None:
        moves, over = moves + other_users(influences, rng), "users and seeds"
    means = losses.mean(axis=0)
    _, first, same = np.unique(
        found.values[rows].reshape(len(rows), -1), axis=0, return_index=True, return_inverse=True
    )
    return DrawnMeans(
        rows=rows,
        means=means.reshape(-1, 2),
        losses=(means + moves).reshape(DRAWS, -1, 2)[:, first[same]],  # equal points stay equal
        reference=to_losses(found.reference, found.goals),
        over=over,
    )


def other_seeds(losses: Floats, rng: Generator) -> Floats:
    """Moves (b, k) of the means of losses (seeds, k), so that each sum of columns has Student's interval."""
    seeds = len(losses)
    scale = np.sqrt((seeds - 1) / rng.chisquare(seeds - 1, size=(DRAWS, 1)))
    mixed = rng.normal(size=(DRAWS, seeds)) @ (losses - losses.mean(axis=0))
    moves: Floats = scale * mixed / sqrt(seeds * (seeds - 1))
    return moves


def other_users(influences: Floats, rng: Generator) -> Floats:
    """Normal moves (b, k) of means over users, from each user's influence (seeds, users, k) on each mean.

    The variance is that of the users' means over the seeds, without the part that is due to the seeds: the
    moves of `other_seeds` have it already.
    """
    seeds, users, columns = influences.shape
    common = influences.mean(axis=0)
    own = (influences - common).reshape(-1, columns)
    by_users = common.T @ common / (users * (users - 1))
    by_both = own.T @ own / (seeds * (seeds - 1) * users * (users - 1))
    sizes, directions = np.linalg.eigh(by_users - by_both)
    root = (directions * np.sqrt(sizes.clip(min=0.0))) @ directions.T
    moves: Floats = rng.normal(size=(DRAWS, columns)) @ root
    return moves


def _influences(tables: Tables, found: ConfirmedFront, rows: NDArray[np.intp]) -> Floats | None:
    """Influence (seeds, users, 2 × points) of each user on the losses; None without enough users."""
    table = tables.users
    codes, known = pd.factorize(table["user"])
    if len(known) < USERS_FROM:
        return None
    keys = ["trial", "epoch"]
    points = pd.MultiIndex.from_frame(found.points.iloc[rows][keys])
    point = points.get_indexer(pd.MultiIndex.from_frame(table[keys]))
    seed = pd.Index(found.replicates).get_indexer(pd.Index(table["replicate"]))
    used = (point >= 0) & (seed >= 0)
    at, shape = (point[used], seed[used], codes[used]), (len(rows), len(found.replicates), len(known))
    influences = []
    for goal in found.goals:
        above, below = USER_PARTS[goal.name]
        top = table[above].to_numpy(np.float64)[used]
        bottom = np.ones(len(top)) if below is None else table[below].to_numpy(np.float64)[used]
        there = np.isfinite(top) & np.isfinite(bottom)
        tops, bottoms = np.zeros(shape), np.zeros(shape)
        tops[at], bottoms[at] = np.where(there, top, 0.0), np.where(there, bottom, 0.0)
        total = bottoms.sum(axis=2, keepdims=True)
        if not total.all():
            return None
        ratio = tops.sum(axis=2, keepdims=True) / total
        influences.append(goal.sign * (tops - ratio * bottoms) * (len(known) / total))
    return np.stack(influences, axis=3).transpose(1, 2, 0, 3).reshape(*shape[1:], -1)
