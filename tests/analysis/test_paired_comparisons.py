"""t intervals, exact sign-flip tests, the bootstrap and Holm's correction against scipy and closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.errors import AnalysisError
from analysis.stats import bootstrap, holm, paired, sign_flip_p, t_half_width


def compare(first, second):
    return paired(first, second, sentence="a against b", scope="made up")


@pytest.mark.parametrize("n", [2, 5, 9])
def test_effect_and_interval_are_students(n):
    rng = np.random.default_rng(n)
    first, second = rng.normal(size=n), rng.normal(size=n)
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    found = compare(first, second)
    assert found.effect == pytest.approx((first - second).mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.n == n


@pytest.mark.parametrize("n", [4, 7, 9])
def test_sign_flip_p_is_scipys_exact_one(n):
    differences = np.random.default_rng(n).normal(0.3, 1, size=n)
    exact = stats.permutation_test((differences,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(differences) == pytest.approx(exact.pvalue)


@pytest.mark.parametrize(("n", "smallest"), [(1, 1.0), (5, 0.0625), (6, 0.03125), (8, 0.0078125)])
def test_smallest_p_and_exploratory_below_six_pairs(n, smallest):
    found = compare(np.arange(1, n + 1), np.zeros(n))
    assert found.p == smallest
    assert found.exploratory == (n < 6)


def test_many_pairs_are_drawn_and_repeat():
    differences = np.random.default_rng(0).normal(0.35, 1, size=30)
    p = sign_flip_p(differences)
    assert p == sign_flip_p(differences)
    assert p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, rel=0.15)


def test_no_difference_has_p_one_and_no_direction():
    found = compare([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert (found.p, found.direction, found.low, found.high) == (1.0, 0, 0.0, 0.0)


def test_one_pair_says_nothing():
    found = compare([1.0], [0.0])
    assert (found.low, found.high, found.direction) == (-math.inf, math.inf, 0)


def test_prediction_interval_covers_the_next_value():
    draws = np.random.default_rng(5).normal(size=(4000, 6))
    covered = [abs(d[5] - d[:5].mean()) <= t_half_width(d[:5], confidence=0.9, predict=True) for d in draws]
    assert np.mean(covered) == pytest.approx(0.9, abs=0.015)


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], [1.0, 2.0]), ([np.nan], [1.0])])
def test_unpaired_values_are_refused(first, second):
    with pytest.raises(AnalysisError, match="pairs"):
        compare(first, second)


def test_the_bootstrap_of_a_mean_of_many_is_near_the_normal_interval():
    values = np.random.default_rng(1).exponential(size=900)
    half = 1.96 * values.std(ddof=1) / 30
    assert bootstrap(values, np.mean) == pytest.approx((values.mean() - half, values.mean() + half), rel=0.02)
    assert bootstrap(values, np.mean) == bootstrap(values, np.mean)


def test_the_bootstrap_draws_whole_rows():
    """The two columns of a row stay together, whatever is drawn."""
    x = np.random.default_rng(2).normal(size=50)
    low, high = bootstrap(np.column_stack([x, 2 * x]), lambda rows: float(np.corrcoef(rows.T)[0, 1]))
    assert low == pytest.approx(1.0)
    assert high == pytest.approx(1.0)


@pytest.mark.parametrize("values", [np.zeros(29), np.append(np.zeros(40), np.nan), np.float64(1.0)])
def test_bootstrap_refuses_few_or_non_finite_rows(values):
    with pytest.raises(AnalysisError, match="30 rows or more"):
        bootstrap(values, np.mean)


def test_a_statistic_that_fails_is_refused():
    with pytest.raises(AnalysisError, match="statistic that is finite"):
        bootstrap(np.arange(30.0), lambda rows: math.nan)


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0.001, 0.2))
def test_holm_rejects_step_by_step(p_values, level):
    """The smallest against α / k, the next against α / (k − 1), until one is not rejected."""
    rejected, left = set(), sorted(range(len(p_values)), key=lambda i: p_values[i])
    while left and p_values[left[0]] * len(left) <= level:
        rejected.add(left.pop(0))
    assert set(np.flatnonzero(holm(p_values) <= level)) == rejected


@pytest.mark.parametrize("bad", [[0.1, math.nan], [1.2], [-0.1], [[0.1]]])
def test_holm_refuses_values_outside_0_and_1(bad):
    with pytest.raises(AnalysisError, match="within 0 and 1"):
        holm(bad)
