"""Members, their training and the comparison of results: shared by the tests of engines."""

import numpy as np

from trainable.contract import Config
from trainable.data.interactions import Fold, Interactions
from trainable.engines.engine import Member
from trainable.engines.registry import engine

SEED = 7
USERS, ITEMS, ROWS = 12, 15, 90
COLD_USER = USERS - 1

CONFIG = Config(
    weight=0.7,
    sharing="users",
    learning_rate=0.01,
    weight_decay=0.1,
    ranking_loss="one-minus-sigmoid",
    batch_size=16,
    dim=4,
    hidden=5,
    epochs=9,
)


def make_fold(n_users, n_items, n_train, n_target):
    """Random rows; the last user has none, so its parameters are not trained."""
    random = np.random.default_rng(0)
    pairs = random.choice((n_users - 1) * n_items, n_train + n_target, replace=False)
    users, items = (pairs // n_items).astype(np.int32), (pairs % n_items).astype(np.int32)
    ratings = random.integers(1, 6, len(pairs)).astype(np.float32)
    names = [np.arange(n).astype(str) for n in (n_users, n_items)]
    rows = Interactions(users, items, ratings, None, *names)
    return Fold("validation", rows.take(np.arange(n_train)), rows.take(np.arange(n_train, len(rows))))


FOLD = make_fold(USERS, ITEMS, ROWS, 20)


def new_engine(name, *, fold=FOLD, seed=SEED, dtype="float64"):
    return engine(name, fold, seed=seed, device="cpu", threads=1, dtype=dtype)


def members_of(*configs, replicate=0):
    return [Member(trial, replicate, config) for trial, config in enumerate(configs)]


def numbers(result):
    """A result without its wall time."""
    return result.epoch, result.ranking_loss, result.rating_loss, dict(result.metrics or {})


def train(running, members, epochs):
    return [{m: numbers(r) for m, r in running.epoch(members).items()} for _ in range(epochs)]


def alone(start, member, epochs, **options):
    running = start(**options)
    running.join(member)
    return [found[member] for found in train(running, [member], epochs)], running.state(member)


def assert_same(running, found, expected):
    """Check equality: bit for bit if the engine is deterministic, else within its tolerance."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name in expected:
            assert_same(running, found[name], expected[name])
    elif isinstance(expected, (list, tuple)):
        for one, other in zip(found, expected, strict=True):
            assert_same(running, one, other)
    elif running.deterministic:
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, rtol=running.tolerance, atol=running.tolerance)
