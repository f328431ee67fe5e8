from unittest.mock import ANY

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import RR
from scipy.stats import rankdata

from trainable.contract import StudyError, UserMetrics
from trainable.data.interactions import Fold, Interactions
from trainable.metrics import USERS_AT_ONCE, NotFiniteError, Ranking, mean_squared_error


def ratings_of(pairs, n_users, n_items):
    users, items = np.array(pairs, np.int32).reshape(-1, 2).T
    names = [np.arange(n).astype(str) for n in (n_users, n_items)]
    return Interactions(users, items, np.ones(len(users), np.float32), None, *names)


def make_fold(train, target, n_users, n_items):
    return Fold("test", ratings_of(train, n_users, n_items), ratings_of(target, n_users, n_items))


@st.composite
def cases(draw, *, ties=True):
    """A fold with every kind of user and shuffled rows, and scores: four values, or all distinct."""
    n_users, n_items = draw(st.integers(1, 9)), draw(st.integers(1, 12))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    part = random.choice(3, size=(n_users, n_items), p=random.dirichlet([1, 1, 1]))
    part[random.integers(n_users), random.integers(n_items)] = 2
    train, target = (random.permutation(np.argwhere(part == p)) for p in (1, 2))
    scores = random.permutation(n_users * n_items).reshape(n_users, n_items).astype(float)
    return make_fold(train, target, n_users, n_items), (scores % 4 if ties else scores), part


def oracle(scores, part):
    """The definition, by sorting: train items last, average ranks, users without targets left out."""
    first, every = [], []
    for score, kind in zip(scores, part, strict=True):
        if (kind == 2).any():
            ranks = rankdata(-np.where(kind == 1, -np.inf, score))[kind == 2]
            first.append(1 / ranks.min())
            every.append((1 / ranks).mean())
    return {"mrr": pytest.approx(np.mean(first)), "mrr_all": pytest.approx(np.mean(every))}


@given(cases())
def test_metrics_with_ties_equal_a_loop_over_sorted_ranks(case):
    """Ties use >, masks apply, means are over users, and each row belongs to its user."""
    fold, scores, part = case
    assert Ranking(fold).metrics(lambda users: scores[users]) == oracle(scores, part)


@settings(max_examples=30)
@given(cases(ties=False))
def test_first_hit_equals_ir_measures(case):
    fold, scores, part = case
    relevant = [ir_measures.Qrel(str(u), str(i), 1) for u, i in np.argwhere(part == 2)]
    run = [ir_measures.ScoredDoc(str(u), str(i), float(scores[u, i])) for u, i in np.argwhere(part != 1)]
    assert Ranking(fold).metrics(lambda users: scores[users]) == {
        "mrr": pytest.approx(ir_measures.calc_aggregate([RR], relevant, run)[RR]),
        "mrr_all": ANY,
    }


def test_more_users_than_a_block_are_asked_for_in_blocks():
    """There is no dense users × items matrix, and each block has its own targets."""
    random = np.random.default_rng(0)
    n_users, n_items = 3 * USERS_AT_ONCE + 1, 7
    part = random.integers(3, size=(n_users, n_items))
    scores = random.normal(size=part.shape)
    asked = []

    def scores_of(users):
        asked.append(len(users))
        return scores[users]

    fold = make_fold(np.argwhere(part == 1), np.argwhere(part == 2), n_users, n_items)
    assert Ranking(fold).metrics(scores_of) == oracle(scores, part)
    assert max(asked) <= USERS_AT_ONCE


def test_constant_scores_rank_in_the_middle_of_the_candidates():
    """4 items, 1 masked: each of the 3 candidates has rank 2, so neither order nor a tie helps a model."""
    ranking = Ranking(make_fold([(0, 1)], [(0, 2), (0, 3)], 1, 4))
    assert ranking.ranks(lambda users: np.zeros((1, 4))).tolist() == [2.0, 2.0]
    assert ranking.metrics(lambda users: np.zeros((1, 4))) == {"mrr": 0.5, "mrr_all": 0.5}


def test_first_hit_and_all_hits_are_two_metrics():
    ranking = Ranking(make_fold([], [(0, 0), (0, 3)], 1, 4))
    scores = np.array([[4.0, 3.0, 2.0, 1.0]])
    assert ranking.metrics(lambda users: scores) == {"mrr": 1.0, "mrr_all": (1 + 1 / 4) / 2}


def test_each_user_has_its_own_ranks_and_errors():
    """Two of three users, with rows out of order. Catches users by position, and a mean instead of a sum."""
    fold = make_fold([(1, 0)], [(2, 3), (0, 1), (2, 0)], 3, 4)
    ranks, predicted = np.array([2.0, 4.0, 1.0]), fold.target.ratings + np.array([1.0, -2.0, 3.0])
    assert Ranking(fold).by_user(ranks, predicted, fold.target) == (
        UserMetrics("0", 1 / 2, 1 / 2, 4.0, 1),
        UserMetrics("2", 1.0, (1 / 4 + 1) / 2, 1.0 + 9.0, 2),
    )


def test_users_without_target_items_are_excluded():
    ranking = Ranking(make_fold([(0, 0), (2, 1)], [(1, 0)], 4, 3))
    assert ranking.users.tolist() == [1]


def test_scores_are_left_as_they_were():
    scores = np.ones((1, 3))
    Ranking(make_fold([(0, 0)], [(0, 1)], 1, 3)).metrics(lambda users: scores)
    assert (scores == 1).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(bad):
    """A NaN is neither higher nor equal, so without a check it would rank first."""
    ranking = Ranking(make_fold([], [(0, 1)], 1, 3))
    with pytest.raises(NotFiniteError):
        ranking.metrics(lambda users: np.array([[1.0, bad, 0.0]]))


def test_a_part_without_rows_is_an_error_that_names_it():
    with pytest.raises(StudyError, match="test part has no rows"):
        Ranking(make_fold([(0, 0)], [], 1, 1))


def test_squared_errors_are_not_clipped():
    assert mean_squared_error([7.0, 1.0], [5.0, 1.0]) == 2.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_predictions_without_a_finite_error_are_refused(bad):
    with pytest.raises(NotFiniteError):
        mean_squared_error([1.0, bad], [1.0, 1.0])
