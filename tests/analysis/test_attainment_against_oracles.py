"""Distances to a front and attainment surfaces against brute force, on random points with ties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analysis.attainment import epsilon, igd_plus, pooled, scaled, surface
from analysis.errors import AnalysisError


def points(columns: int, least: int = 0):
    """Points on a coarse grid: ties and equal rows are common, and sums are exact."""
    shape = st.tuples(st.integers(least, 6), st.just(columns))
    return arrays(np.float64, shape, elements=st.integers(-3, 5))


widths = st.sampled_from([2, 3])
pairs = widths.flatmap(lambda m: st.tuples(points(m, 1), points(m, 1)))
runs = widths.flatmap(lambda m: st.lists(points(m), min_size=1, max_size=5))


def attains(front, spot) -> bool:
    return bool((front <= spot).all(axis=1).any())


@given(runs)
def test_pooled_front_attains_exactly_what_any_front_attains(fronts):
    together, best = np.vstack(fronts), pooled(fronts)
    assert len(np.unique(best, axis=0)) == len(best)
    for spot in together:
        assert attains(best, spot)
    for i, row in enumerate(best):
        assert attains(together, row)
        assert not attains(np.delete(best, i, axis=0), row)


@given(pairs)
def test_epsilon_is_the_least_shift_that_reaches_every_target(pair):
    losses, target = pair
    brute = max(min((row - goal).max() for row in losses) for goal in target)
    assert epsilon(losses, target) == pytest.approx(brute)
    assert all(attains(losses - epsilon(losses, target), goal) for goal in target)


@given(pairs)
def test_igd_plus_is_the_mean_distance_to_the_dominated_region(pair):
    losses, target = pair
    brute = np.mean([min(np.linalg.norm(np.maximum(row - goal, 0)) for row in losses) for goal in target])
    assert igd_plus(losses, target) == pytest.approx(brute)


@given(runs)
def test_no_distance_from_the_pooled_front_to_itself_and_none_below_it(fronts):
    best = pooled(fronts)
    if len(best):
        assert epsilon(best, best) == igd_plus(best, best) == 0.0
        for front in fronts:
            assert epsilon(front, best) >= 0.0
            assert igd_plus(front, best) >= 0.0


@given(runs, st.data())
def test_surface_is_attained_by_at_least_the_given_number_of_runs(fronts, data):
    least = data.draw(st.integers(1, len(fronts)))
    corners = surface(fronts, least)
    axes = np.unique(np.vstack([*fronts, np.zeros((1, fronts[0].shape[1]))]))
    for spot in np.stack(np.meshgrid(*[axes] * fronts[0].shape[1]), axis=-1).reshape(-1, fronts[0].shape[1]):
        attained = sum(attains(front, spot) for front in fronts) >= least
        assert attains(corners, spot) == attained
    assert len(pooled([corners])) == len(corners)


def test_one_run_gives_its_front_and_the_best_case_is_the_pooled_front():
    rng = np.random.default_rng(0)
    fronts = [rng.random((9, 2)) for _ in range(7)]
    np.testing.assert_array_equal(surface(fronts[:1], 1), pooled(fronts[:1]))
    np.testing.assert_array_equal(surface(fronts, 1), pooled(fronts))


def test_a_run_that_found_nothing_attains_nothing():
    found, nothing = np.array([[1.0, 2.0]]), np.empty((0, 2))
    assert surface([found, nothing], 1).tolist() == [[1.0, 2.0]]
    assert surface([found, nothing], 2).shape == (0, 2)
    assert epsilon(nothing, found) == igd_plus(nothing, found) == np.inf


@given(pairs)
def test_scaled_losses_are_shares_of_the_way_from_best_to_reference(pair):
    losses, target = pair
    best, reference = target.min(axis=0), np.full(target.shape[1], 6.0)
    np.testing.assert_allclose(best + scaled(losses, target, reference) * (reference - best), losses)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "measure",
    [epsilon, igd_plus, lambda a, b: epsilon(b, a), lambda a, b: igd_plus(b, a), lambda a, b: pooled([a, b]),
     lambda a, b: surface([a, b], 1), lambda a, b: scaled(a, b, [9.0, 9.0])],
)  # fmt: skip
def test_non_finite_losses_are_refused(measure, bad):
    with pytest.raises(AnalysisError, match="finite"):
        measure([[0.0, bad]], [[1.0, 1.0]])


def test_unfit_fronts_are_refused():
    with pytest.raises(AnalysisError, match=r"widths \[2, 3\]"):
        epsilon([[1.0, 2.0]], [[1.0, 2.0, 3.0]])
    with pytest.raises(AnalysisError, match="not 0 of widths"):
        pooled([])
    with pytest.raises(AnalysisError, match="the target has no rows"):
        igd_plus([[1.0, 2.0]], np.empty((0, 2)))
    with pytest.raises(AnalysisError, match="must be worse than the best"):
        scaled([[1.0, 2.0]], [[1.0, 2.0]], [1.0, 3.0])
    for least in (0, 3):
        with pytest.raises(AnalysisError, match=f"1 to 2 runs; not {least}"):
            surface([[[1.0, 2.0]], [[2.0, 1.0]]], least)
