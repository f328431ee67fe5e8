"""The metrics, exact over the full catalogue. Faster versions elsewhere are tested against this one.

A rank is 1 + the number of candidates scored higher + half the number of others scored the same, so a
constant score ranks like a random order on average. All metrics are means in float64.
"""

from collections.abc import Callable
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainable.contract import StudyError
from trainable.data.interactions import Fold

Scores = Callable[[NDArray[np.int64]], NDArray[np.floating]]
"""Ranking scores (b, n_items) of every item for users (b,); larger is nearer to the top."""

BLOCK = 64
"""Users scored at a time: their scores stay in the cache, and no users × items matrix is ever held."""


class NotFiniteError(ValueError):
    """A score or prediction is NaN or infinite, so there is nothing to measure."""


class Ranking:
    """The ranking task of a fold: each user's target items among the catalogue, train items last.

    `users` (u,) have at least one target item, `items` (t,) are their target items user by user, and
    `starts` (u + 1,) bounds each user's part. `excluded` counts the catalogue's other users: no
    metric knows them. StudyError where no user has a target item.
    """

    def __init__(self, fold: Fold) -> None:
        self.n_items = fold.target.n_items
        self.users, self.starts, self.items = _by_user(fold.target.users, fold.target.items)
        if not len(self.users):
            raise StudyError(f"data: the {fold.name} part has no rows; there must be at least one to rank")
        self.excluded = fold.target.n_users - len(self.users)
        known = np.isin(fold.train.users, self.users)
        seen, starts, masked = _by_user(fold.train.users[known], fold.train.items[known])
        self.masked = masked
        bounds = np.zeros(len(self.users) + 1, np.int64)
        bounds[1 + np.searchsorted(self.users, seen)] = np.diff(starts)
        self.masked_starts = bounds.cumsum()

    def ranks(self, scores: Scores) -> NDArray[np.float64]:
        """Rank (t,) of each of `items` for its user, from 1; NotFiniteError where a score is not finite."""
        blocks = range(0, len(self.users), BLOCK)
        return np.concatenate([self._ranks(scores, a, min(a + BLOCK, len(self.users))) for a in blocks])

    def _ranks(self, scores: Scores, first: int, last: int) -> NDArray[np.float64]:
        score = np.array(scores(self.users[first:last]))
        if not np.isfinite(score).all():
            raise NotFiniteError("a ranking score is not finite")
        rows, masked = _rows(self.masked_starts, self.masked, first, last)
        score[rows, masked] = -np.inf
        rows, items = _rows(self.starts, self.items, first, last)
        candidates, own = score[rows], score[rows, items][:, None]
        higher = np.count_nonzero(candidates > own, axis=1)
        same = np.count_nonzero(candidates == own, axis=1)
        return np.asarray(1 + higher + (same - 1) / 2)

    def averages(self, ranks: NDArray[np.float64]) -> dict[str, float]:
        """`mrr` and `mrr_all` of the ranks (t,) of `items`; NotFiniteError where one is NaN.

        `mrr` is the mean over users of 1/rank of the first target item. `mrr_all` is the mean over users
        of the mean of 1/rank over all target items, which stay in each other's way.
        """
        if np.isnan(ranks).any():
            raise NotFiniteError("a target item has no rank: its user's scores are not finite")
        reciprocal = 1 / ranks
        first = np.maximum.reduceat(reciprocal, self.starts[:-1])
        mean = np.add.reduceat(reciprocal, self.starts[:-1]) / np.diff(self.starts)
        return {"mrr": float(first.mean()), "mrr_all": float(mean.mean())}

    def metrics(self, scores: Scores) -> dict[str, float]:
        """`mrr` and `mrr_all` of the scores; NotFiniteError where one is not finite."""
        return self.averages(self.ranks(scores))


def mean_squared_error(predicted: ArrayLike, ratings: ArrayLike) -> float:
    """Mean of (predicted − rating)² over pairs (n,), unclipped; NotFiniteError where it is not finite."""
    with np.errstate(over="ignore"):
        mean = float(np.mean(np.subtract(predicted, ratings, dtype=np.float64) ** 2))
    if not isfinite(mean):
        raise NotFiniteError("a predicted rating is not finite, or its square is not")
    return mean


def _by_user(
    users: NDArray[np.int32], items: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The distinct users (u,), the bounds (u + 1,) of each one's part, and the items (n,) in these parts."""
    order = np.lexsort((items, users))
    distinct, counts = np.unique(users, return_counts=True)
    starts = np.concatenate([[0], counts.cumsum()]).astype(np.int64)
    return distinct.astype(np.int64), starts, items[order].astype(np.int64)


def _rows(
    starts: NDArray[np.int64], values: NDArray[np.int64], first: int, last: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The values of parts first…last − 1, and the part each belongs to, counted from `first`."""
    counts = np.diff(starts[first : last + 1])
    return np.repeat(np.arange(last - first), counts), values[starts[first] : starts[last]]
