"""Rules that split ratings into train, validation and test.

Every rating is in exactly one part (ps1 has no validation part). Within a part, rows keep the order of the
source, unless a rule says otherwise.
"""

import re
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trainable.contract import StudyError
from trainable.data.interactions import Fold, Ids, Interactions, Split, as_ids
from trainable.streams import stream

TRAIN, VALIDATION, TEST = 0, 1, 2

PS1_SEED = 123
PS1_ROWS_PER_ID = 10
ROW = re.compile("[1-9][0-9]{0,8}")


def per_user(ratings: Interactions, seed: int) -> Split:
    """Split each user's ratings 80/10/10 at random; 10 % is rounded and at least one.

    All ratings of a user with one or two are in train. Rows are sorted by user and item; neither parts nor
    order depend on the order of the source. StudyError if no user has three ratings.
    """
    ratings = ratings.take(np.lexsort((ratings.items, ratings.users)))
    chance = stream(seed, use="split").random(len(ratings))
    place, total = _places(ratings.users, chance)
    tenth = np.where(total < 3, 0, np.maximum(1, (total + 5) // 10))
    part = np.select([place < tenth, place < 2 * tenth], [TEST, VALIDATION], TRAIN)
    return _split("per-user", ratings, part, _few(total))


def leave_last(ratings: Interactions, seed: int) -> Split:  # noqa: ARG001  (nothing is drawn)
    """Put each user's last rating into test, the one before into validation; ties keep the source's order.

    All ratings of a user with one or two are in train. StudyError without timestamps, or if no user has three
    ratings.
    """
    place, total = _places(ratings.users, _times("leave-last", ratings))
    from_end = total - 1 - place
    part = np.select([total < 3, from_end == 0, from_end == 1], [TRAIN, TEST, VALIDATION], TRAIN)
    return _split("leave-last", ratings, part, _few(total))


def by_time(ratings: Interactions, seed: int) -> Split:  # noqa: ARG001  (nothing is drawn)
    """Put the first 80 % of all ratings into train, the next 10 % into validation, the last 10 % into test.

    Ties keep the source's order. Warns of users that are measured without training data. StudyError without
    timestamps.
    """
    n = len(ratings)
    part = np.empty(n, dtype=np.int64)
    part[np.argsort(_times("by-time", ratings), kind="stable")] = np.repeat(
        [TRAIN, VALIDATION, TEST], np.diff([0, n * 8 // 10, n * 9 // 10, n])
    )
    split = _split("by-time", ratings, part)
    return replace(split, warnings=(*_cold(split.search), *_cold(split.final)))


def ps1(ratings: Interactions, seed: int) -> Split:  # noqa: ARG001  (the protocol fixes its own)
    """Split by the course protocol: `RandomState(123)` shuffles the rows; 95 % are train, the rest is test.

    There is no validation part. As in the course code, ids are the row numbers of the tables, so catalogues
    run from the unused id "0" to the largest: item 0 is drawn as a negative and ranked as a candidate. Rows
    stay shuffled. StudyError unless ids are integers from 1 without large gaps.
    Source: CS330, XCS330, multi-task recommender on MovieLens-100K.
    """
    users, user_ids = _ids_as_rows("user", ratings.users, ratings.user_ids)
    items, item_ids = _ids_as_rows("item", ratings.items, ratings.item_ids)
    raw = Interactions(users, items, ratings.ratings, ratings.timestamps, user_ids, item_ids)
    order = np.arange(len(raw))
    np.random.RandomState(PS1_SEED).shuffle(order)
    end = len(raw) * 95 // 100
    train, test = raw.take(order[:end]), raw.take(order[end:])
    _require("ps1", train=train, test=test)
    warning = "ps1 has no validation part: validation metrics are measured on the test set"
    return Split("ps1", train, test, test, has_validation=False, warnings=(warning,))


def _places(
    users: NDArray[np.int32], key: NDArray[np.generic]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each row (n,), its rank among its user's rows by ascending key, from 0, and the number of these."""
    order = np.lexsort((key, users))
    counts = np.bincount(users)
    starts = np.cumsum(counts) - counts
    place = np.empty(len(users), dtype=np.int64)
    place[order] = np.arange(len(users)) - starts[users[order]]
    return place, counts[users]


def _split(
    name: str, ratings: Interactions, part: NDArray[np.int64], warnings: tuple[str, ...] = ()
) -> Split:
    train, validation, test = (
        ratings.take(np.flatnonzero(part == label)) for label in (TRAIN, VALIDATION, TEST)
    )
    _require(name, train=train, validation=validation, test=test)
    return Split(name, train, validation, test, warnings=warnings)


def _require(name: str, **parts: Interactions) -> None:
    for part, rows in parts.items():
        if len(rows) == 0:
            raise StudyError(
                f"data.split: {name!r} leaves the {part} part empty; give more ratings, or another split"
            )


def _few(total: NDArray[np.int64]) -> tuple[str, ...]:
    """Warn of users with too few ratings to be measured; `total` (n,) is the count of each row's user."""
    users = int((total == 1).sum() + (total == 2).sum() // 2)
    return (f"{users} users have one or two ratings: these are used in training only",) if users else ()


def _cold(fold: Fold) -> tuple[str, ...]:
    measured = np.unique(fold.target.users)
    cold = len(np.setdiff1d(measured, fold.train.users))
    if cold == 0:
        return ()
    return (f"{cold} of {len(measured)} {fold.name} users are cold: they have no training data",)


def _times(name: str, ratings: Interactions) -> NDArray[np.int64]:
    if ratings.timestamps is None:
        raise StudyError(f"data.split: {name!r} needs timestamps and these ratings have none; use per-user")
    return ratings.timestamps


def _ids_as_rows(name: str, rows: NDArray[np.int32], ids: Ids) -> tuple[NDArray[np.int32], Ids]:
    """Rows and catalogue in which row k is id k, from 0 to the largest id."""
    unlike = next((i for i in ids.tolist() if not ROW.fullmatch(i)), None)
    if unlike is not None:
        raise StudyError(
            f"data.split: 'ps1' uses ids as rows of a table, and {name} {unlike!r} is not an integer from 1 "
            "to 999999999; use per-user"
        )
    numbers = ids.astype(np.int64)
    largest = int(numbers.max())
    if largest > PS1_ROWS_PER_ID * len(ids):
        raise StudyError(
            f"data.split: 'ps1' uses ids as rows of a table, and {len(ids)} {name}s with ids up to {largest} "
            "leave most of it empty; use per-user"
        )
    return numbers.astype(np.int32)[rows], as_ids(np.arange(largest + 1))
