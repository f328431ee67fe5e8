import numpy as np
import pytest

from trainable.data.interactions import Fold, Interactions
from trainable.models.trivial import DAMPING, bias_model, trivial, unbeatable


def ratings_of(rows, n_users, n_items):
    users, items, ratings = np.array(rows, float).T
    names = [np.arange(n).astype(str) for n in (n_users, n_items)]
    return Interactions(
        users.astype(np.int32), items.astype(np.int32), ratings.astype(np.float32), None, *names
    )


def test_popularity_ranks_by_train_counts():
    """Item 1 has two train ratings, item 0 one, item 2 none; user 2 has no train items and target item 0."""
    fold = Fold("test", ratings_of([(0, 1, 3), (1, 1, 3), (0, 0, 3)], 3, 3), ratings_of([(2, 0, 3)], 3, 3))
    found = trivial(fold)
    assert (found.mrr, found.mrr_all) == (0.5, 0.5)


def test_biases_are_damped_means_of_residuals():
    """Two ratings by hand: mean 3, item offsets ±2/(1 + damping), users a damped part of the residual."""
    train = ratings_of([(0, 0, 5), (1, 1, 1)], 3, 3)
    item = 2 / (1 + DAMPING)
    user = (2 - item) / (1 + DAMPING)
    users, items = np.array([0, 1, 2, 0]), np.array([0, 1, 2, 2])
    predicted = bias_model(train, users, items)
    assert predicted == pytest.approx([3 + item + user, 3 - item - user, 3, 3 + user])


def test_much_data_recovers_the_true_biases():
    random = np.random.default_rng(0)
    user, item = random.normal(0, 0.5, 200), random.normal(0, 0.5, 150)
    pairs = np.argwhere(np.ones((200, 150)))
    truth = 3 + user[pairs[:, 0]] + item[pairs[:, 1]]
    ratings = truth + random.normal(0, 0.5, len(pairs))
    rows = random.permutation(np.column_stack([pairs, ratings]))
    train, target = ratings_of(rows[:25_000], 200, 150), ratings_of(rows[25_000:], 200, 150)
    assert trivial(Fold("test", train, target)).mse == pytest.approx(0.25, rel=0.05)


def test_an_exact_trivial_model_gives_a_warning():
    """The error of equal ratings is rounding; one different rating makes it real."""
    seen, wanted = [(0, 0, 3.3), (1, 1, 3.3), (0, 1, 3.3)], [(2, 0, 3.3), (1, 0, 3.3)]
    equal = Fold("test", ratings_of(seen, 3, 3), ratings_of(wanted, 3, 3))
    (warning,) = unbeatable(trivial(equal), equal)
    assert warning.startswith("the bias model predicts every test rating exactly")
    differs = Fold("test", ratings_of(seen, 3, 3), ratings_of([*wanted[1:], (2, 0, 3.4)], 3, 3))
    assert unbeatable(trivial(differs), differs) == ()
    first = Fold("test", ratings_of([(0, 1, 3), (1, 1, 2), (1, 0, 4)], 3, 2), ratings_of([(2, 1, 1)], 3, 2))
    assert unbeatable(trivial(first), first)[0].startswith("popularity ranks every test item first (mrr 1)")
