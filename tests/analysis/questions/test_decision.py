"""Statements on confirmed points: closed forms, and the same answers from separate code."""

from itertools import combinations, pairwise

import numpy as np
import pytest

from analysis import attainment, front
from analysis.questions import decision
from analysis.questions.resampling import DrawnMeans
from analysis.stats import corrected

CORNER = np.array([1.0, 1.0])


def around(means, sd, *, count=4000, seed=0, common=0.0):
    """Draws of losses around means (n, 2)."""
    rng = np.random.default_rng(seed)
    means = np.asarray(means, dtype=float)
    moves = sd * rng.normal(size=(count, *means.shape)) + common * rng.normal(size=(count, 1, 2))
    return DrawnMeans(np.arange(len(means)), means, means + moves, CORNER, "seeds")


def random_draws(count=200, points=7):
    rng = np.random.default_rng(4)
    return rng.uniform(0, 1.2, size=(count, points, 2)).round(1)  # with ties


def test_two_points_far_apart_are_certain():
    traded, _ = decision.probabilities(around([[0.1, 0.9], [0.9, 0.1]], 0.01))
    beaten, knee = decision.probabilities(around([[0.1, 0.1], [0.9, 0.9]], 0.01))
    assert traded.tolist() == [1, 1]
    assert beaten.tolist() == knee.tolist() == [1, 0]


def test_two_points_of_one_mean_are_symmetric():
    """Each dominates the other in a quarter of the draws: in both losses."""
    shares, knee = decision.probabilities(around([[0.5, 0.5], [0.5, 0.5]], 0.1, count=40_000))
    assert shares == pytest.approx([0.75, 0.75], abs=0.01)
    assert knee == pytest.approx([0.25, 0.25], abs=0.01)


def test_two_identical_points_share_everything():
    drawn = around([[0.5, 0.5]], 0.1)
    twice = DrawnMeans(
        np.arange(2), np.repeat(drawn.means, 2, axis=0), np.repeat(drawn.losses, 2, axis=1), CORNER, ""
    )
    shares, knee = decision.probabilities(twice)
    assert shares.tolist() == [1, 1]
    assert knee.tolist() == [0.5, 0.5]
    assert decision.distinguishable(twice) == [0]


def test_each_draw_has_the_front_the_knee_and_the_volume_of_separate_code():
    losses = random_draws()
    lost, knees, volumes = (
        decision.dominated(losses), decision.knees(losses, CORNER), decision.volumes(losses, CORNER)
    )  # fmt: skip
    for each, gone, knee, volume in zip(losses, lost, knees, volumes, strict=True):
        assert (~gone).tolist() == front.non_dominated(each).tolist()
        assert volume == pytest.approx(front.hypervolume(each, CORNER))
        row = front.knee(each, CORNER)
        assert knee.tolist() == [row is not None and bool((point == each[row]).all()) for point in each]


def test_levels_reached_are_those_of_the_attainment_surface():
    """Half of the draws attain all that lies beyond the surface of the median, and nothing else."""
    losses = random_draws(count=41)
    corners = attainment.surface(list(losses), 21)
    bounds = np.unique(losses[..., 1])
    median = np.median(decision.reached(losses, bounds, bounded=1), axis=0)
    for bound, least in zip(bounds, median, strict=True):
        beyond = corners[corners[:, 1] <= bound, 0]
        assert least == (beyond.min() if len(beyond) else np.inf)


def test_statistics_without_a_choice_keep_their_percentiles():
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(40_000, 1))
    assert corrected(draws, np.zeros(1))[:, 0] == pytest.approx([-1.96, 0, 1.96], abs=0.05)


def test_the_best_of_two_equals_is_corrected_towards_them():
    """The larger of two estimates lies above the truth, and draws around them lie above the estimate."""
    estimates = np.array([0.5, 0.5])
    draws = (estimates + np.random.default_rng(0).normal(size=(4000, 2))).max(axis=1)
    low, median, high = corrected(draws[:, None], estimates.max(keepdims=True))[:, 0]
    assert low < median < 0.5 < np.median(draws) < high


def test_infinite_draws_are_ordered_last():
    draws = np.concatenate([np.zeros(500), np.full(500, np.inf)])[:, None]
    assert corrected(draws, np.zeros(1))[2, 0] == np.inf


def test_a_wider_bound_never_reaches_less():
    drawn = around(np.random.default_rng(1).uniform(size=(6, 2)), 0.1)
    ends = decision.attained(drawn, np.linspace(0, 1, 50), bounded=0)
    assert (np.sort(ends, axis=0) == ends).all()
    finite = np.where(np.isfinite(ends), ends, 9.0)
    assert (np.diff(finite, axis=1) <= 0).all()


def test_choices_far_apart_are_distinguishable_and_neighbours_are_not():
    ends = [[0.1, 0.9], [0.5, 0.5], [0.9, 0.1]]
    assert decision.distinguishable(around(ends, 0.02)) == [0, 1, 2]
    assert len(decision.distinguishable(around([*ends, [0.51, 0.49]], 0.02))) == 3
    assert len(decision.distinguishable(around([[0.5, 0.5], [0.501, 0.499]], 0.02))) == 1


def test_noise_that_points_share_does_not_hide_their_difference():
    near = [[0.50, 0.50], [0.52, 0.48]]
    assert len(decision.distinguishable(around(near, 0.001, common=0.2))) == 2
    assert len(decision.distinguishable(around(near, 0.2))) == 1


def test_a_dominated_point_is_no_choice():
    assert decision.distinguishable(around([[0.1, 0.9], [0.9, 0.1], [0.95, 0.95]], 0.01)) == [0, 1]


def test_each_rate_of_exchange_has_its_best_point():
    rng = np.random.default_rng(2)
    drawn = around(rng.uniform(size=(8, 2)), 0.05)
    found = decision.exchanges(drawn)
    assert found[0].low == 0
    assert found[-1].high == np.inf
    assert all(one.high == other.low for one, other in pairwise(found))
    for one in found:
        for rate in np.linspace(one.low, min(one.high, 50), 7)[1:-1]:
            assert (drawn.means @ [1, rate]).argmin() == one.row
            assert 0 <= one.probability <= 1


def test_the_best_point_for_a_rate_is_certain_far_from_the_others():
    (one,) = decision.exchanges(around([[0.1, 0.1], [0.9, 0.9]], 0.01))
    assert (one.row, one.probability) == (0, 1)
    first, second = decision.exchanges(around([[0.1, 0.9], [0.9, 0.1]], 1e-6))
    assert first.high == second.low == pytest.approx(1)


def test_a_group_wins_if_its_hypervolume_is_surely_the_largest():
    means = [[0.1, 0.4], [0.4, 0.1], [0.5, 0.6]]
    assert decision.winner(around(means, 0.01), ["items", "items", "none"]) == "items"
    assert decision.winner(around([[0.4, 0.4], [0.4, 0.4]], 0.1), ["items", "none"]) is None
    assert decision.winner(around(means, 0.01), ["items"] * 3) is None
    assert decision.winner(around([[2.0, 2.0], [3.0, 3.0]], 0.01), ["items", "none"]) is None


def test_links_hold_for_every_pair_of_a_chain():
    drawn = around([[i / 10, (9 - i) / 10] for i in range(10)], 0.01)
    chain = decision.distinguishable(drawn)
    assert len(chain) == 10
    for one, other in combinations(chain, 2):
        assert (drawn.means[one] - drawn.means[other]).prod() < 0
