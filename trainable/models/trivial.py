"""The two trivial models that every front has to beat."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainable.data.interactions import Fold, Interactions
from trainable.metrics import Ranking, mean_squared_error

DAMPING = 5.0
"""Pseudo-ratings of zero offset in the average of each bias; LensKit's usual value."""

ERROR_TOLERANCE = 1e-12
"""Share of the mean squared rating; a smaller error is rounding."""


@dataclass(frozen=True, slots=True)
class Trivial:
    """Metrics of ranking by popularity, and of the damped user-and-item bias model."""

    mrr: float
    mrr_all: float
    mse: float


def trivial(fold: Fold) -> Trivial:
    """Popularity's `mrr` and `mrr_all`, and the bias model's `mse`: trained on train, measured on the target.

    On MovieLens-100K split per user, over four splits: test MRR .28–.31 (all target items .051–.060),
    MSE .88–.90.
    """
    popularity = np.bincount(fold.train.items, minlength=fold.train.n_items).astype(np.float64)
    ranking = Ranking(fold).metrics(lambda users: np.tile(popularity, (len(users), 1)))
    predicted = bias_model(fold.train, fold.target.users, fold.target.items)
    return Trivial(**ranking, mse=mean_squared_error(predicted, fold.target.ratings))


def unbeatable(trivial: Trivial, fold: Fold) -> tuple[str, ...]:
    """Warn of each trivial model that no model can beat on this fold, because it makes no error.

    If all ratings are equal, for example, the mean squared error is 0 up to rounding, and so is every
    hypervolume.
    """
    nothing = "so no model beats both trivial models, and every hypervolume is 0"
    warnings = [
        f"popularity ranks every {fold.name} item first ({name} 1), {nothing} with {name}"
        for name in ("mrr", "mrr_all")
        if getattr(trivial, name) == 1.0
    ]
    if trivial.mse <= ERROR_TOLERANCE * float(np.square(fold.target.ratings, dtype=np.float64).mean()):
        warnings.append(f"the bias model predicts every {fold.name} rating exactly, {nothing}")
    return tuple(warnings)


def bias_model(
    train: Interactions, users: NDArray[np.int32], items: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Predicted ratings (n,) of pairs: mean rating + item's bias + user's bias.

    A bias is the sum of residuals of the previous terms over (count + damping), items first; 0 without
    ratings. Ekstrand et al. 2011, "Collaborative filtering recommender systems", 2.1.
    """
    left = train.ratings.astype(np.float64)
    mean = float(left.mean())
    left -= mean
    item = _biases(train.items, left, train.n_items)
    left -= item[train.items]
    user = _biases(train.users, left, train.n_users)
    return np.asarray(mean + item[items] + user[users])


def _biases(groups: NDArray[np.int32], left: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    sums, counts = np.bincount(groups, left, minlength=n), np.bincount(groups, minlength=n)
    return np.asarray(sums / (counts + DAMPING))
