"""Generated ratings with a known truth: the best model, and its best possible error.

User u and item i have tastes p_u and q_i (rank,), normal and scaled so that t_ui = p_u·q_i has variance 1,

    appeal   s_ui = popularity_i + 1.5 t_ui                 decides which items a user rates
    rating   r_ui = 3.5 + a_u + b_i + 0.6 t_ui + noise

A user's items are drawn one by one without replacement with probability ∝ exp s_ui (Plackett–Luce, by the
Gumbel trick). So no model has an expected MSE below the noise variance, s ranks a user's items by their
probability to be rated, and both tasks depend on the same tastes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainable.contract import StudyError
from trainable.data.interactions import Interactions, as_ids
from trainable.data.registry import Known
from trainable.streams import stream

MEAN_RATING = 3.5
POPULARITY_SD = 1.0
APPEAL_OF_TASTE = 1.5
USER_EFFECT_SD = 0.4
ITEM_EFFECT_SD = 0.4
RATING_OF_TASTE = 0.6

BLOCK_CELLS = 1 << 21
"""User × item cells at a time: bounds memory for any number of users."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The model behind the ratings: tastes (users, rank) and (items, rank), effects (users,) and (items,)."""

    noise_sd: float
    user_tastes: NDArray[np.float64]
    item_tastes: NDArray[np.float64]
    popularity: NDArray[np.float64]
    user_effects: NDArray[np.float64]
    item_effects: NDArray[np.float64]

    @property
    def best_mse(self) -> float:
        """The noise variance: the truth's expected MSE, which no model can beat."""
        return self.noise_sd**2

    def appeal(self, users: NDArray[np.int32]) -> NDArray[np.float64]:
        """Ranking scores s_ui (m, items) of the truth for users (m,)."""
        return self.popularity + APPEAL_OF_TASTE * (self.user_tastes[users] @ self.item_tastes.T)

    def expected(self, users: NDArray[np.int32], items: NDArray[np.int32]) -> NDArray[np.float64]:
        """Ratings (m,) of user-item pairs without noise."""
        taste = (self.user_tastes[users] * self.item_tastes[items]).sum(axis=1)
        effects = self.user_effects[users] + self.item_effects[items]
        return np.asarray(MEAN_RATING + effects + RATING_OF_TASTE * taste)


def synthetic() -> Interactions:
    """The default ratings: 200 users, 150 items, 6,000 rows, always the same."""
    return generate()[0]


def known() -> Mapping[str, Known]:
    """The description of this source, by name."""
    about = "low-rank truth with known noise: 200 users, 150 items, 6,000 ratings"
    return {"synthetic": Known("synthetic", about, terms="none", path=None)}


def generate(
    *,
    users: int = 200,
    items: int = 150,
    rows: int = 6000,
    rank: int = 4,
    noise_sd: float = 0.7,
    seed: int = 0,
) -> tuple[Interactions, Truth]:
    """Generate ratings, sorted by user, and their truth. Every user has rows / users of them, or one more.

    Ids count from "1". Timestamps are a random permutation. Run time grows with users × items, memory with
    rows. StudyError for inconsistent sizes.
    """
    if min(users, items) < 2 or rank < 1 or not users <= rows <= users * items or not noise_sd >= 0:
        raise StudyError(
            f"synthetic: {users} users, {items} items, {rows} rows, rank {rank}, noise sd {noise_sd} do not "
            "fit; use at least 2 users and items, rows from users to users × items, rank from 1, sd from 0"
        )
    truth = _truth(users, items, rank, noise_sd, stream(seed, use="synthetic truth"))
    counts = np.full(users, rows // users)
    counts[: rows % users] += 1
    user_rows = np.repeat(np.arange(users, dtype=np.int32), counts)
    item_rows = np.concatenate(list(_choices(truth, counts, stream(seed, use="synthetic choices"))))
    draw = stream(seed, use="synthetic ratings")
    noise = draw.normal(0.0, noise_sd, rows)
    ratings = Interactions(
        users=user_rows,
        items=item_rows,
        ratings=(truth.expected(user_rows, item_rows) + noise).astype(np.float32),
        timestamps=draw.permutation(rows).astype(np.int64),
        user_ids=as_ids(np.arange(1, users + 1)),
        item_ids=as_ids(np.arange(1, items + 1)),
    )
    return ratings, truth


def _truth(users: int, items: int, rank: int, noise_sd: float, draw: np.random.Generator) -> Truth:
    return Truth(
        noise_sd=noise_sd,
        user_tastes=draw.normal(0.0, rank**-0.5, (users, rank)),
        item_tastes=draw.normal(0.0, 1.0, (items, rank)),
        popularity=draw.normal(0.0, POPULARITY_SD, items),
        user_effects=draw.normal(0.0, USER_EFFECT_SD, users),
        item_effects=draw.normal(0.0, ITEM_EFFECT_SD, items),
    )


def _choices(
    truth: Truth, counts: NDArray[np.int64], draw: np.random.Generator
) -> Iterator[NDArray[np.int32]]:
    """Yield the items that users chose, in order of user, for a block of users at a time."""
    users, items, most = len(counts), len(truth.popularity), int(counts.max())
    size = max(1, BLOCK_CELLS // items)
    for start in range(0, users, size):
        block = np.arange(start, min(start + size, users), dtype=np.int32)
        keys = truth.appeal(block)
        keys += draw.gumbel(size=keys.shape)
        best = np.argpartition(-keys, most - 1, axis=1)[:, :most]
        best = np.take_along_axis(best, np.argsort(-np.take_along_axis(keys, best, axis=1), axis=1), axis=1)
        yield best[np.arange(most) < counts[block, None]].astype(np.int32)
