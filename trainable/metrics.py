"""The metrics, exact over the full catalogue. Faster versions in the engines are tested against this one.

A rank is 1 + the number of candidates with a higher score + half the number of others with the same score, so
a constant score ranks like a random order on average. All metrics are means in float64.
"""

from collections.abc import Callable
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainable.contract import StudyError, UserMetrics
from trainable.data.interactions import Fold, Interactions

Scores = Callable[[NDArray[np.int64]], NDArray[np.floating]]
"""Ranking scores (b, n_items) of every item for users (b,); larger ranks higher."""

USERS_AT_ONCE = 64
"""Users scored at a time: their scores fit into the cache, and no users × items matrix is needed."""


class NotFiniteError(ValueError):
    """A score or prediction is NaN or infinite, so there are no metrics."""


class Ranking:
    """The ranking task of a fold: ranks of each user's target items in the catalogue, train items last.

    `users` (u,) have at least one target item, `items` (t,) are their target items by user, and `starts`
    (u + 1,) bounds each user's part; `masked` and `masked_starts` are the same for their train items. Users
    without a target item are not counted. StudyError if there are no target items.
    """

    def __init__(self, fold: Fold) -> None:
        if not len(fold.target):
            raise StudyError(f"data: the {fold.name} part has no rows; at least one is needed")
        self.users = np.unique(fold.target.users).astype(np.int64)
        self.starts, self.items = _by_user(fold.target, self.users)
        self.masked_starts, self.masked = _by_user(fold.train, self.users)

    def ranks(self, scores: Scores) -> NDArray[np.float64]:
        """Rank (t,) of each of `items` for its user, from 1; NotFiniteError if a score is not finite."""
        blocks = range(0, len(self.users), USERS_AT_ONCE)
        return np.concatenate(
            [self._ranks(scores, a, min(a + USERS_AT_ONCE, len(self.users))) for a in blocks]
        )

    def _ranks(self, scores: Scores, first: int, last: int) -> NDArray[np.float64]:
        score = np.array(scores(self.users[first:last]))
        if not np.isfinite(score).all():
            raise NotFiniteError("a ranking score is not finite")
        rows, masked = parts(self.masked_starts, self.masked, first, last)
        score[rows, masked] = -np.inf
        rows, items = parts(self.starts, self.items, first, last)
        candidates, own = score[rows], score[rows, items][:, None]
        higher = np.count_nonzero(candidates > own, axis=1)
        same = np.count_nonzero(candidates == own, axis=1)
        return np.asarray(1 + higher + (same - 1) / 2)

    def averages(self, ranks: NDArray[np.float64]) -> dict[str, float]:
        """`mrr` and `mrr_all` of the ranks (t,) of `items`; NotFiniteError if one is NaN.

        `mrr` is the mean over users of 1/rank of the first target item. `mrr_all` is the mean over users of
        the mean of 1/rank over all target items, each ranked among the others.
        """
        first, mean = self.reciprocal(ranks)
        return {"mrr": float(first.mean()), "mrr_all": float(mean.mean())}

    def reciprocal(self, ranks: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """For each of `users` (u,), 1/rank of the first target item, and the mean of 1/rank over all of them.

        NotFiniteError if a rank is NaN.
        """
        if np.isnan(ranks).any():
            raise NotFiniteError("a target item has no rank: its user's scores are not finite")
        reciprocal = 1 / ranks
        first: NDArray[np.float64] = np.maximum.reduceat(reciprocal, self.starts[:-1])
        mean: NDArray[np.float64] = np.add.reduceat(reciprocal, self.starts[:-1]) / np.diff(self.starts)
        return first, mean

    def metrics(self, scores: Scores) -> dict[str, float]:
        """`mrr` and `mrr_all` of the scores; NotFiniteError if one is not finite."""
        return self.averages(self.ranks(scores))

    def by_user(
        self, ranks: NDArray[np.float64], predicted: ArrayLike, target: Interactions
    ) -> tuple[UserMetrics, ...]:
        """Contribution of each of `users` to the metrics, from the ranks (t,) of `items` and the ratings
        predicted for the rows (n,) of the target. NotFiniteError if a rank is NaN.
        """
        errors = np.subtract(predicted, target.ratings, dtype=np.float64) ** 2
        summed = np.bincount(target.users, weights=errors, minlength=target.n_users)[self.users]
        values = *self.reciprocal(ranks), summed, np.diff(self.starts)
        columns = (column.tolist() for column in (target.user_ids[self.users], *values))
        return tuple(UserMetrics(*row) for row in zip(*columns, strict=True))


def mean_squared_error(predicted: ArrayLike, ratings: ArrayLike) -> float:
    """Mean of (predicted − rating)² over pairs (n,), unclipped; NotFiniteError if it is not finite."""
    with np.errstate(over="ignore"):
        mean = float(np.mean(np.subtract(predicted, ratings, dtype=np.float64) ** 2))
    if not isfinite(mean):
        raise NotFiniteError("a predicted rating is not finite, or its square is not")
    return mean


def _by_user(rows: Interactions, users: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bounds (u + 1,) of each user's part, and the items (n,) in these parts."""
    known = np.isin(rows.users, users)
    order = np.lexsort((rows.items[known], rows.users[known]))
    bounds = np.searchsorted(rows.users[known][order], users)
    return np.append(bounds, len(order)), rows.items[known][order].astype(np.int64)


def parts(
    starts: NDArray[np.int64], values: NDArray[np.int64], first: int, last: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row, counted from `first`, and value of each entry in the parts of users first…last − 1."""
    counts = np.diff(starts[first : last + 1])
    return np.repeat(np.arange(last - first), counts), values[starts[first] : starts[last]]
