import numpy as np
import pytest
from scipy.stats import chisquare

from trainable.contract import NEGATIVES
from trainable.data.interactions import Interactions
from trainable.engines.draws import DrawKey, Draws, UnseenItems

N, ITEMS = 5000, 10


def make_train():
    random = np.random.default_rng(0)
    users, items = np.arange(N, dtype=np.int32), random.integers(ITEMS, size=N).astype(np.int32)
    names = [np.arange(n).astype(str) for n in (N, ITEMS)]
    return Interactions(users, items, (items % 5).astype(np.float32), None, *names)


TRAIN = make_train()


def draw_at(seed=0, replicate=0, epoch=1, negatives="all"):
    return Draws(TRAIN, seed=seed).at(DrawKey(replicate, epoch, negatives))


@pytest.mark.parametrize("negatives", NEGATIVES)
def test_every_row_is_drawn_once_with_its_item_and_rating(negatives):
    drawn = draw_at(negatives=negatives)
    assert sorted(drawn.users) == list(range(N))
    np.testing.assert_array_equal(drawn.items, TRAIN.items[drawn.users])
    np.testing.assert_array_equal(drawn.ratings, TRAIN.ratings[drawn.users])


def test_negatives_are_uniform_over_the_catalogue():
    """Independent of the user's items: counts are within 5 standard deviations of N / ITEMS."""
    counts = np.bincount(draw_at().negatives, minlength=ITEMS)
    assert len(counts) == ITEMS
    assert np.abs(counts - N / ITEMS).max() < 5 * np.sqrt(N / ITEMS)


@pytest.mark.parametrize("negatives", NEGATIVES)
@pytest.mark.parametrize("key", ["seed", "replicate", "epoch"])
def test_order_and_negatives_depend_on_each_part_of_the_key(key, negatives):
    """No part of the key is missing from the stream."""
    here, there = draw_at(negatives=negatives), draw_at(**{key: 2}, negatives=negatives)
    assert (here.users != there.users).any()
    assert (here.negatives != there.negatives).any()
    again = draw_at(negatives=negatives)
    np.testing.assert_array_equal(here.users, again.users)
    np.testing.assert_array_equal(here.negatives, again.negatives)


def test_the_order_of_rows_is_the_same_for_all_kinds_of_negatives():
    """Trials with different kinds of negatives are paired."""
    np.testing.assert_array_equal(draw_at(negatives="unseen").users, draw_at().users)


# --- unseen items ----------------------------------------------------------------------------------------

RATED = np.random.default_rng(1).random((40, 12)) < np.linspace(0, 1, 40)[:, None]
"""Mask (users, items), from a user without ratings to one who has rated every item."""


def rated(mask):
    """Training rows with the items of a mask, some of them twice, in any order."""
    rows = np.argwhere(mask)
    rows = np.random.default_rng(2).permutation(np.concatenate([rows, rows[::3]])).astype(np.int32)
    names = [np.arange(n).astype(str) for n in mask.shape]
    return Interactions(rows[:, 0], rows[:, 1], np.ones(len(rows), np.float32), None, *names)


class Ranks:
    """In the place of a random generator: the given ranks, if they are below the bounds."""

    def __init__(self, ranks, bounds):
        self.ranks, self.bounds = ranks, bounds

    def integers(self, bounds):
        np.testing.assert_array_equal(bounds, self.bounds)
        return self.ranks


def test_ranks_are_the_unseen_items_in_order():
    """Each unseen item has one rank, and no rated item has one."""
    assert RATED[-1].all()
    assert not RATED[0].any()
    free = ~RATED | RATED.all(1, keepdims=True)
    users, items = np.nonzero(free)
    ranks = np.cumsum(free, 1)[users, items] - 1
    order = np.random.default_rng(3).permutation(len(users))
    chance = Ranks(ranks[order], free.sum(1)[users[order]])
    found = UnseenItems(rated(RATED)).by_rank(users[order], chance)
    np.testing.assert_array_equal(found, items[order])


@pytest.mark.parametrize("mask_bits", [0, 512])
def test_negatives_are_uniform_over_the_unseen_items(mask_bits, monkeypatch):
    """After redraws, too; over all items for a user who has rated every one."""
    monkeypatch.setattr("trainable.engines.draws.MASK_BITS", mask_bits)
    draws = Draws(rated(RATED), seed=0)
    drawn = [draws.at(DrawKey(0, epoch, "unseen")) for epoch in range(1, 401)]
    counts = np.zeros(RATED.shape, np.int64)
    np.add.at(
        counts, tuple(np.concatenate([getattr(d, n) for d in drawn]) for n in ("users", "negatives")), 1
    )
    free = ~RATED | RATED.all(1, keepdims=True)
    assert not counts[~free].any()
    tested = [user for user in range(len(RATED)) if RATED[user].any() and free[user].sum() > 1]
    assert len(tested) > 30
    assert len(RATED) - 1 in tested
    assert min(chisquare(counts[user, free[user]]).pvalue for user in tested) > 0.01 / len(tested)
