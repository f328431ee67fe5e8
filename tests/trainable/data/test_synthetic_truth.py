"""Generated ratings: they follow the stated truth, which beats popularity, in blocks of any size."""

from typing import Any

import numpy as np
import pytest

from trainable.contract import StudyError
from trainable.data import synthetic
from trainable.data.interactions import Fold
from trainable.data.splits import per_user
from trainable.data.synthetic import Truth, generate
from trainable.metrics import Ranking
from trainable.models.trivial import trivial


def truth_mrr(truth: Truth, fold: Fold) -> float:
    return Ranking(fold).metrics(truth.appeal)["mrr"]


def test_shape_counts_and_ids() -> None:
    ratings, truth = generate(users=7, items=9, rows=24, rank=2)
    assert (ratings.n_users, ratings.n_items, len(ratings)) == (7, 9, 24)
    assert np.bincount(ratings.users).tolist() == [4, 4, 4, 3, 3, 3, 3]
    assert len(set(zip(ratings.users.tolist(), ratings.items.tolist(), strict=True))) == 24
    assert (ratings.users.dtype, ratings.items.dtype, ratings.ratings.dtype) == (
        np.int32,
        np.int32,
        np.float32,
    )
    assert ratings.timestamps is not None
    assert sorted(ratings.timestamps.tolist()) == list(range(24))
    assert ratings.user_ids[0] == ratings.item_ids[0] == "1"
    assert truth.appeal(np.array([0, 3], np.int32)).shape == (2, 9)


def test_all_pairs_can_be_rated() -> None:
    ratings, _ = generate(users=3, items=4, rows=12)
    assert sorted(ratings.items.tolist()) == sorted([*range(4)] * 3)


def test_equal_seeds_give_equal_ratings_and_others_do_not() -> None:
    one, again, other = (generate(seed=seed)[0] for seed in (0, 0, 1))
    assert (one.ratings == again.ratings).all()
    assert (one.items == again.items).all()
    assert not (one.items == other.items).all()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = generate()
    monkeypatch.setattr(synthetic, "BLOCK_CELLS", 7 * 150)
    assert (generate()[0].items == whole.items).all()


def test_the_noise_variance_is_the_best_mse() -> None:
    ratings, truth = generate(users=1000, items=100, rows=50_000, noise_sd=0.5)
    error = ratings.ratings - truth.expected(ratings.users, ratings.items)
    assert truth.best_mse == 0.25
    # the mean of n squared normal errors has sd best_mse × √(2 / n)
    assert np.mean(error**2) == pytest.approx(0.25, abs=5 * 0.25 * np.sqrt(2 / 50_000))
    assert abs(error.mean()) < 5 * 0.5 / np.sqrt(50_000)
    assert abs(np.corrcoef(error, truth.expected(ratings.users, ratings.items))[0, 1]) < 5 / np.sqrt(50_000)


def test_without_noise_ratings_are_the_truth() -> None:
    ratings, truth = generate(noise_sd=0.0)
    np.testing.assert_allclose(ratings.ratings, truth.expected(ratings.users, ratings.items), rtol=1e-6)


def test_the_first_choice_follows_the_softmax_of_appeal() -> None:
    """One rating per user, many equal users: choice frequencies are exp s / Σ exp s."""
    n, appeal = 20_000, np.array([0.0, 1.0, -1.0, 2.0])
    alike: dict[str, Any] = {"user_tastes": np.zeros((n, 1)), "item_tastes": np.zeros((4, 1))}
    effects: dict[str, Any] = {"user_effects": np.zeros(n), "item_effects": np.zeros(4)}
    truth = Truth(noise_sd=0.0, popularity=appeal, **alike, **effects)
    chosen = np.concatenate(list(synthetic._choices(truth, np.ones(n, np.int64), np.random.default_rng(0))))
    expected = np.exp(appeal) / np.exp(appeal).sum()
    np.testing.assert_allclose(np.bincount(chosen) / n, expected, atol=5 * np.sqrt(0.25 / n))


def test_truth_beats_both_trivial_models_by_far() -> None:
    for seed in range(3):
        ratings, truth = generate(seed=seed)
        fold = per_user(ratings, 0).final
        floor = trivial(fold)
        assert truth_mrr(truth, fold) > 2 * floor.mrr
        assert truth.best_mse < 0.8 * floor.mse


@pytest.mark.parametrize(
    "sizes",
    [
        {"users": 1},
        {"items": 1},
        {"rank": 0},
        {"rows": 199},
        {"rows": 30_001},
        {"noise_sd": -1.0},
        {"noise_sd": float("nan")},
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes: dict[str, Any]) -> None:
    with pytest.raises(StudyError, match=r"synthetic: .* do not fit; use"):
        generate(**sizes)
