"""Ratings, and the parts of them that a study trains on, chooses by, and reports."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Ids = np.ndarray[Any, np.dtypes.StringDType]
"""Original ids (n,), of variable length: one long id does not widen the others."""


def as_ids(values: Iterable[str] | NDArray[np.integer]) -> Ids:
    """Ids (n,) from texts or whole numbers."""
    texts = values.astype(np.dtypes.StringDType()) if isinstance(values, np.ndarray) else [*values]
    return cast(Ids, np.asarray(texts, dtype=np.dtypes.StringDType()))


@dataclass(frozen=True, eq=False)
class Interactions:
    """Ratings as arrays (n,), with users and items counted from 0 in a catalogue of original ids.

    `users` and `items` are int32 rows of `user_ids` and `item_ids`, `ratings` is float32 in the source's
    own unit, `timestamps` int64 (or None where the source has none). A catalogue may hold ids that no
    row uses.
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
        """Users in the catalogue."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Items in the catalogue."""
        return len(self.item_ids)

    def take(self, rows: NDArray[np.int64]) -> "Interactions":
        """The rows (m,) in the order given, over the same catalogue."""
        times = None if self.timestamps is None else self.timestamps[rows]
        return replace(
            self,
            users=self.users[rows],
            items=self.items[rows],
            ratings=self.ratings[rows],
            timestamps=times,
        )

    def __add__(self, other: "Interactions") -> "Interactions":
        """Both sets of rows, these first; the catalogues must be one and the same."""
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
    """What one training run sees: it learns from `train` and is measured on `target`.

    Train items are masked out of a user's ranking. `name` is the part that `target` is: "validation", "test".
    """

    name: str
    train: Interactions
    target: Interactions


@dataclass(frozen=True, eq=False)
class Split:
    """Three disjoint parts over one catalogue; validation chooses, test reports (law 8).

    With `has_validation` False (the course protocol "ps1") validation *is* the test set, and whatever
    shows a number must say so. `warnings` are sentences for the person who reads the results.
    """

    name: str
    train: Interactions
    validation: Interactions
    test: Interactions
    has_validation: bool = True
    warnings: tuple[str, ...] = ()

    @property
    def search(self) -> Fold:
        """Learn from train, measure on validation: all that a search ever sees."""
        return Fold("validation" if self.has_validation else "test", self.train, self.validation)

    @property
    def final(self) -> Fold:
        """Learn from train and validation, measure on test: opened once, by `confirm`."""
        train = self.train + self.validation if self.has_validation else self.train
        return Fold("test", train, self.test)
