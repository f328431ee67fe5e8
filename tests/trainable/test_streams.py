import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainable.streams import derive, stream

KEYS = st.tuples(
    st.integers(0, 2**64),
    st.sampled_from(["initial ranking.users", "batches", "negatives"]),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)


def draw(key):
    seed, use, replicate, epoch = key
    return stream(seed, use=use, replicate=replicate, epoch=epoch).integers(0, 2**63, 4).tolist()


@given(KEYS, KEYS)
def test_streams_are_equal_exactly_when_their_keys_are(a, b):
    """No part of a key is ignored, and no two are summed."""
    assert (draw(a) == draw(b)) == (a == b)


def test_each_part_of_the_key_counts():
    keys = [(0, "a", 0, 0), (1, "a", 0, 0), (0, "b", 0, 0), (0, "a", 1, 0), (0, "a", 0, 1)]
    assert len({tuple(draw(k)) for k in keys}) == len(keys)


def test_order_of_use_never_matters():
    """Law 3. Catches a stream that is consumed in order from one generator."""
    forwards = [draw((0, "a", r, 0)) for r in range(5)]
    backwards = [draw((0, "a", r, 0)) for r in reversed(range(5))]
    assert forwards == backwards[::-1]


def test_no_global_generator_is_touched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    stream(0, use="a").normal(size=10)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_derived_seeds_differ_by_number_and_use():
    seeds = {derive(0, use=u, number=n) for u in ("sampler", "other") for n in range(1000)}
    assert len(seeds) == 2000
    assert all(0 <= s < 2**32 for s in seeds)


@pytest.mark.parametrize("key", [(-1, "a", 0, 0), (0, "a", -1, 0), (0, "a", 0, -1)])
def test_negative_keys_are_refused(key):
    with pytest.raises(ValueError, match="negative"):
        draw(key)
