import numpy as np
import pytest

from trainable.data.interactions import Interactions
from trainable.engines.draws import draw

N, ITEMS = 5000, 10


def make_train():
    random = np.random.default_rng(0)
    users, items = np.arange(N, dtype=np.int32), random.integers(ITEMS, size=N).astype(np.int32)
    names = [np.arange(n).astype(str) for n in (N, ITEMS)]
    return Interactions(users, items, (items % 5).astype(np.float32), None, *names)


TRAIN = make_train()


def draw_at(seed=0, replicate=0, epoch=1):
    return draw(TRAIN, seed=seed, replicate=replicate, epoch=epoch)


def test_every_row_is_drawn_once_with_its_item_and_rating():
    drawn = draw_at()
    assert sorted(drawn.users) == list(range(N))
    np.testing.assert_array_equal(drawn.items, TRAIN.items[drawn.users])
    np.testing.assert_array_equal(drawn.ratings, TRAIN.ratings[drawn.users])


def test_negatives_are_uniform_over_the_catalogue():
    """Independent of the user's items: counts are within 5 standard deviations of N / ITEMS."""
    counts = np.bincount(draw_at().negatives, minlength=ITEMS)
    assert len(counts) == ITEMS
    assert np.abs(counts - N / ITEMS).max() < 5 * np.sqrt(N / ITEMS)


@pytest.mark.parametrize("key", ["seed", "replicate", "epoch"])
def test_order_and_negatives_depend_on_each_part_of_the_key(key):
    """No part of the key is missing from the stream."""
    here, there = draw_at(), draw_at(**{key: 2})
    assert (here.users != there.users).any()
    assert (here.negatives != there.negatives).any()
    again = draw_at()
    np.testing.assert_array_equal(here.users, again.users)
    np.testing.assert_array_equal(here.negatives, again.negatives)
