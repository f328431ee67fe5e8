"""Ratings, and their parts for training, validation and test."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Ids = np.ndarray[Any, np.dtypes.StringDType]
"""Original ids (n,) of variable length: one long id does not widen the others."""


def as_ids(values: Iterable[str] | NDArray[np.integer]) -> Ids:
    """Ids (n,) from texts or whole numbers."""
    texts = values.astype(np.dtypes.StringDType()) if isinstance(values, np.ndarray) else [*values]
    return cast(Ids, np.asarray(texts, dtype=np.dtypes.StringDType()))


@dataclass(frozen=True, eq=False)
class Interactions:
    """Ratings as arrays (n,), with users and items counted from 0 in a catalogue of original ids.

    `users` and `items` are int32 rows of `user_ids` and `item_ids`; `ratings` is float32 in the unit of the
    source; `timestamps` is int64, or None if the source has none. A catalogue may hold ids that no row uses.
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    ratings: NDArray[np.float32]
    timestamps: NDArray[np.int64] | None
    user_ids: Ids
    item_ids: Ids

    def __len__(self) -> int:
        return len(self.users)

    @property
    def n_users(self) -> int:
        """Number of users in the catalogue."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of items in the catalogue."""
        return len(self.item_ids)

    def take(self, rows: NDArray[np.int64]) -> "Interactions":
        """Select rows (m,) in the given order, over the same catalogue."""
        times = None if self.timestamps is None else self.timestamps[rows]
        return replace(
            self,
            users=self.users[rows],
            items=self.items[rows],
            ratings=self.ratings[rows],
            timestamps=times,
        )

    def __add__(self, other: "Interactions") -> "Interactions":
        """Concatenate the rows of two sets over the same catalogue."""
        both_timed = self.timestamps is not None and other.timestamps is not None
        return replace(
            self,
            users=np.concatenate([self.users, other.users]),
            items=np.concatenate([self.items, other.items]),
            ratings=np.concatenate([self.ratings, other.ratings]),
            timestamps=np.concatenate([self.timestamps, other.timestamps]) if both_timed else None,
        )


@dataclass(frozen=True, eq=False)
class Fold:
    """A train/evaluation pair: a model learns from `train` and is measured on `target`.

    A user's train items are masked in the ranking. `name` is "validation" or "test", the part in `target`.
    """

    name: str
    train: Interactions
    target: Interactions


@dataclass(frozen=True, eq=False)
class Split:
    """Three disjoint parts over one catalogue; validation selects, test reports (law 8).

    If `has_validation` is False (the course protocol "ps1"), validation *is* the test set, and results must
    say so. `warnings` are sentences for readers of the results.
    """

    name: str
    train: Interactions
    validation: Interactions
    test: Interactions
    has_validation: bool = True
    warnings: tuple[str, ...] = ()

    @property
    def search(self) -> Fold:
        """The pair for the search: train on train, measure on validation."""
        return Fold("validation" if self.has_validation else "test", self.train, self.validation)

    @property
    def final(self) -> Fold:
        """The pair for the confirmation: train on train and validation, measure on test. Opened once."""
        train = self.train + self.validation if self.has_validation else self.train
        return Fold("test", train, self.test)
