"""Training rows and negatives of an epoch: the same for every trial, in every engine."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainable.data.interactions import Interactions
from trainable.streams import stream


@dataclass(frozen=True, slots=True)
class EpochDraw:
    """Shuffled training rows of one epoch, with a negative item for each; all (n,)."""

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    negatives: NDArray[np.int64]
    ratings: NDArray[np.float32]


def draw(train: Interactions, *, seed: int, replicate: int, epoch: int) -> EpochDraw:
    """Draw `epoch` (1-based), keyed by (seed, replicate, epoch) alone, not by trial or batch size.

    Negatives are uniform over the whole catalogue; a user's own items are not excluded.
    """
    n = len(train)
    order = stream(seed, use="batches", replicate=replicate, epoch=epoch).permutation(n)
    negatives = stream(seed, use="negatives", replicate=replicate, epoch=epoch).integers(
        train.n_items, size=n
    )
    users, items = train.users[order].astype(np.int64), train.items[order].astype(np.int64)
    return EpochDraw(users, items, negatives, train.ratings[order])
