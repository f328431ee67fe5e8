"""Training rows and negatives of an epoch: the same for every trial, in every engine."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainable.contract import Negatives
from trainable.data.interactions import Interactions
from trainable.streams import stream

MASK_BITS = 512
"""Largest size of a mask of rated items (users × items), in bits per rating: more memory is not worth it."""

ITEM_REDRAWS = 3
"""Times that an item which the user has rated is drawn again, before it is drawn by its rank."""


@dataclass(frozen=True, slots=True)
class EpochDraw:
    """Shuffled training rows of one epoch, with a negative item for each; all (n,)."""

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    negatives: NDArray[np.int64]
    ratings: NDArray[np.float32]


class DrawKey(NamedTuple):
    """The key of a draw, beside the study's seed; epochs count from 1."""

    replicate: int
    epoch: int
    negatives: Negatives = "all"


class Draws:
    """The draws of training rows, one for each key, independent of trial and batch size."""

    def __init__(self, train: Interactions, *, seed: int) -> None:
        self._train, self._seed = train, seed

    def at(self, key: DrawKey) -> EpochDraw:
        """The draw of a key.

        Negatives are uniform over the whole catalogue, or with "unseen" over the items that the user has not
        rated.
        """
        train, numbers = self._train, {"replicate": key.replicate, "epoch": key.epoch}
        order = stream(self._seed, use="batches", **numbers).permutation(len(train))
        users, items = train.users[order].astype(np.int64), train.items[order].astype(np.int64)
        chance = stream(self._seed, use="negatives", **numbers)
        if key.negatives == "all":
            negatives = chance.integers(train.n_items, size=len(train))
        else:
            negatives = self._unseen.draw(users, chance)
        return EpochDraw(users, items, negatives, train.ratings[order])

    @cached_property
    def _unseen(self) -> "UnseenItems":
        return UnseenItems(self._train)


class UnseenItems:
    """The items that each user has not rated in the training rows; all items for a user who has rated all.

    An item is drawn from the catalogue, and again while the user has rated it. After `ITEM_REDRAWS`, and
    without a mask, it is drawn by its rank among the user's unseen items, from 0: of the user's rated items
    s_0 < s_1 < …, s_j has s_j − j unseen ones below it, so the item of rank r is r plus the number of j with
    s_j − j ≤ r. Sorted with their users, these differences are searched for all rows at once.
    """

    def __init__(self, train: Interactions) -> None:
        self._n_items = train.n_items
        pairs = np.unique(train.users.astype(np.int64) * train.n_items + train.items)
        counts = np.bincount(pairs // train.n_items, minlength=train.n_users)
        some = counts < train.n_items
        pairs = pairs[some[pairs // train.n_items]]
        users, items = np.divmod(pairs, train.n_items)
        self._counts = counts * some
        self._starts = np.cumsum(self._counts) - self._counts
        self._below = users * train.n_items + items - (np.arange(len(pairs)) - self._starts[users])
        self._mask: NDArray[np.uint8] | None = None
        if train.n_users * train.n_items <= MASK_BITS * len(train):
            self._mask = np.zeros(train.n_users * train.n_items // 8 + 1, np.uint8)
            np.add.at(self._mask, pairs >> 3, np.left_shift(1, pairs & 7).astype(np.uint8))

    def draw(self, users: NDArray[np.int64], chance: np.random.Generator) -> NDArray[np.int64]:
        """An unseen item (n,) for each of the users (n,), uniform and independent."""
        if self._mask is None:
            return self.by_rank(users, chance)
        drawn = chance.integers(self._n_items, size=len(users))
        again = np.flatnonzero(_bits(self._mask, users * self._n_items + drawn))
        for _ in range(ITEM_REDRAWS):
            drawn[again] = chance.integers(self._n_items, size=len(again))
            again = again[_bits(self._mask, users[again] * self._n_items + drawn[again]) > 0]
        drawn[again] = self.by_rank(users[again], chance)
        return drawn

    def by_rank(self, users: NDArray[np.int64], chance: np.random.Generator) -> NDArray[np.int64]:
        """The same as `draw`, without rejecting an item."""
        ranks = chance.integers(self._n_items - self._counts[users])
        passed = np.searchsorted(self._below, users * self._n_items + ranks, side="right")
        return ranks + passed - self._starts[users]


def _bits(mask: NDArray[np.uint8], at: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The bits (n,) of a mask at these positions; 0 if a bit is not set."""
    found: NDArray[np.uint8] = mask[at >> 3] & np.left_shift(1, at & 7).astype(np.uint8)
    return found
