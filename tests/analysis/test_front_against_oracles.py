"""Fronts and hypervolumes against brute force and paretoset, on random points with ties."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from paretoset import paretoset

from analysis.errors import AnalysisError
from analysis.front import (
    GrowingFront,
    box,
    contributions,
    hypervolume,
    inside,
    knee,
    near,
    non_dominated,
    ranks,
    spread,
    subset,
)


def grids(columns: int):
    """Points on a coarse grid: ties and equal rows are common, and sums are exact."""
    return arrays(np.float64, st.tuples(st.integers(1, 12), st.just(columns)), elements=st.integers(-4, 6))


def clouds(columns: int):
    return arrays(
        np.float64,
        st.tuples(st.integers(1, 12), st.just(columns)),
        elements=st.floats(-2, 2, allow_subnormal=False),
    )


two_or_three = st.sampled_from([2, 3])
points = two_or_three.flatmap(lambda m: grids(m) | clouds(m))


def dominates(a, b) -> bool:
    return bool((a <= b).all() and (a < b).any())


def cells_below(losses, reference) -> float:
    """Hypervolume by inclusion and exclusion of nothing: the grid that the coordinates cut."""
    inside = losses[(losses < reference).all(axis=1)]
    axes = [np.unique(np.append(inside[:, j], reference[j])) for j in range(losses.shape[1])]
    total = 0.0
    for low in itertools.product(*[range(len(axis) - 1) for axis in axes]):
        corner = np.array([axis[i] for axis, i in zip(axes, low, strict=True)])
        if (inside <= corner).all(axis=1).any():
            total += float(np.prod([axis[i + 1] - axis[i] for axis, i in zip(axes, low, strict=True)]))
    return total


@given(points)
def test_non_dominated_rows_are_dominated_by_no_row(losses):
    brute = np.array([not any(dominates(other, row) for other in losses) for row in losses])
    np.testing.assert_array_equal(non_dominated(losses), brute)
    np.testing.assert_array_equal(non_dominated(losses), paretoset(losses, distinct=False))


@given(points)
def test_a_rank_is_how_often_one_must_peel(losses):
    left, brute = np.arange(len(losses)), np.zeros(len(losses), dtype=int)
    while len(left):
        best = np.array([not any(dominates(losses[j], losses[i]) for j in left) for i in left])
        left = left[~best]
        brute[left] += 1
    np.testing.assert_array_equal(ranks(losses), brute)


@given(points)
def test_equal_rows_share_their_fate(losses):
    doubled = np.concatenate([losses, losses])
    np.testing.assert_array_equal(non_dominated(doubled), np.tile(non_dominated(losses), 2))


@given(points)
def test_hypervolume_counts_the_cells_below_the_reference(losses):
    reference = np.full(losses.shape[1], 1.0)
    assert hypervolume(losses, reference) == pytest.approx(cells_below(losses, reference), abs=1e-9)


@given(points, st.integers(0, 4))
def test_a_growing_front_has_the_hypervolume_of_all_its_rows(losses, size):
    reference = np.full(losses.shape[1], 1.0)
    front = GrowingFront(reference)
    for end in range(0, len(losses) + 1, size + 1):
        front.add(losses[end : end + size + 1])
        assert front.hypervolume == pytest.approx(hypervolume(losses[: end + size + 1], reference), abs=1e-9)


@given(points)
def test_contribution_is_the_hypervolume_lost_without_the_row(losses):
    reference = np.full(losses.shape[1], 2.0)
    whole = hypervolume(losses, reference)
    without = [hypervolume(np.delete(losses, i, axis=0), reference) for i in range(len(losses))]
    np.testing.assert_allclose(contributions(losses, reference), whole - np.array(without), atol=1e-7)


@given(points)
def test_box_is_the_hypervolume_of_a_row_alone_where_it_lies_inside(losses):
    reference = np.full(losses.shape[1], 1.0)
    alone = np.array([hypervolume(row[None], reference) for row in losses])
    inside = (losses <= reference).all(axis=1)
    np.testing.assert_allclose(box(losses, reference)[inside], alone[inside], atol=1e-12)
    assert (box(losses, reference)[~inside] < 0).all()


@given(points, st.floats(0, 3), st.integers(0, 2))
def test_box_never_falls_when_a_loss_does(losses, gain, column):
    better = losses.copy()
    better[:, column % losses.shape[1]] -= gain
    reference = np.full(losses.shape[1], 0.5)
    assert (box(better, reference) >= box(losses, reference)).all()


def test_box_outside_is_relative_to_the_reference_and_plain_at_zero():
    np.testing.assert_allclose(box([[-0.15, 1.0], [0.0, 0.5]], [-0.3, 0.8]), [-0.75, -1.0])
    np.testing.assert_allclose(box([[0.25, -1.0]], [0.0, 0.0]), [-0.25])


def test_no_points():
    empty = np.empty((0, 2))
    assert non_dominated(empty).shape == (0,)
    assert hypervolume(empty, [1, 1]) == 0.0
    assert contributions(empty, [1, 1]).shape == box(empty, [1, 1]).shape == (0,)


def test_a_point_on_the_reference_adds_nothing():
    assert hypervolume([[1.0, 0.0]], [1.0, 1.0]) == 0.0
    assert contributions([[1.0, 0.0], [0.0, 0.0]], [1.0, 1.0]).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("measure", [hypervolume, contributions, box])
def test_non_finite_losses_and_references_are_refused(measure, bad):
    with pytest.raises(AnalysisError, match="finite; 1 of 2 rows are not, first 1"):
        measure([[0.0, 0.0], [bad, 0.0]], [1.0, 1.0])
    with pytest.raises(AnalysisError, match="reference point must be finite"):
        measure([[0.0, 0.0]], [1.0, bad])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("measure", [non_dominated, ranks])
def test_non_finite_losses_have_no_front(measure, bad):
    with pytest.raises(AnalysisError, match="finite"):
        measure([[0.0, bad]])


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(AnalysisError, match=r"shape \(n, m\)"):
        non_dominated([1.0, 2.0])
    with pytest.raises(AnalysisError, match="2 values"):
        hypervolume([[1.0, 2.0]], [1.0])


pairs = grids(2) | clouds(2)


@given(pairs, st.integers(1, 6))
def test_the_best_subset_has_the_largest_hypervolume_of_all_of_its_size(losses, count):
    reference = np.full(2, 1.5)
    chosen = subset(losses, reference, count)
    every = itertools.combinations(range(len(losses)), min(count, len(losses)))
    largest = max(cells_below(losses[list(rows)], reference) for rows in every)
    assert cells_below(losses[chosen], reference) == pytest.approx(largest, abs=1e-9)


@given(pairs, st.integers(1, 12))
def test_a_subset_is_of_distinct_front_rows_inside_and_as_many_as_there_are(losses, count):
    reference = np.full(2, 1.5)
    chosen = subset(losses, reference, count)
    front = losses[non_dominated(losses) & (losses < reference).all(axis=1)]
    assert len(chosen) == min(count, len(np.unique(front, axis=0)))
    assert (np.diff(losses[chosen, 0]) > 0).all()
    assert (np.diff(losses[chosen, 1]) < 0).all()
    assert all((losses[:i] != losses[i]).any(axis=1).all() for i in chosen)


def test_a_subset_of_a_long_front_is_better_than_a_greedy_one():
    first = np.sort(np.random.default_rng(2).random(400))
    losses = np.column_stack([first, 1 - np.sqrt(first)])
    greedy = []
    for _ in range(8):
        gains = [hypervolume(losses[[*greedy, i]], [1, 1]) for i in range(400)]
        greedy.append(int(np.argmax(gains)))
    assert hypervolume(losses[subset(losses, [1, 1], 8)], [1, 1]) > hypervolume(losses[greedy], [1, 1])


def test_subset_refuses_three_objectives_and_no_count():
    with pytest.raises(AnalysisError, match="2 objectives; not 3"):
        subset([[1.0, 2.0, 3.0]], [4.0, 4.0, 4.0], 1)
    with pytest.raises(AnalysisError, match="1 or more; not 0"):
        subset([[1.0, 2.0]], [4.0, 4.0], 0)


@given(points, st.floats(0, 2), st.lists(st.integers(0, 11), max_size=4))
def test_near_rows_minus_noise_are_dominated_by_no_chosen_row(losses, noise, picked):
    chosen = losses[[row for row in picked if row < len(losses)]]
    margin = np.full(losses.shape[1], noise)
    brute = [not any(dominates(row, other - margin) for row in chosen) for other in losses]
    np.testing.assert_array_equal(near(losses, chosen, margin), brute)


@given(points, st.floats(0, 2))
def test_the_front_is_near_itself(losses, noise):
    front = losses[non_dominated(losses)]
    assert near(front, front, np.full(losses.shape[1], noise)).all()


@pytest.mark.parametrize(
    ("noise", "match"), [([0.1], "2 values"), ([-0.1, 0.1], "negative"), ([np.nan, 0.1], "finite")]
)
def test_near_refuses_bad_noise(noise, match):
    with pytest.raises(AnalysisError, match=f"the noise must .*{match}"):
        near([[1.0, 2.0]], [[1.0, 2.0]], noise)


# --- the knee --------------------------------------------------------------------------------------------


NONE_INSIDE = (-1e6, -1e6)
"""A reference that no row is below, so the whole front counts."""


def distance_below(point, start, end) -> float:
    """Distance of a point below the line that falls from start to end, by the cross product."""
    along, to = end - start, point - start
    return float(along[1] * to[0] - along[0] * to[1]) / float(np.hypot(*along))


@given(grids(2) | clouds(2))
def test_the_knee_is_the_point_of_the_front_farthest_below_the_line_between_its_ends(losses):
    """Scales are those of the front; dominated points and a front that bends the other way have no knee."""
    found = knee(losses, NONE_INSIDE)
    front = np.unique(losses[non_dominated(losses)], axis=0)
    if len(front) == 1:
        assert found is not None
        assert (losses[found] == front[0]).all()
        return
    scaled = (front - front.min(axis=0)) / np.ptp(front, axis=0)
    below = [distance_below(point, scaled[0], scaled[-1]) for point in scaled]
    if found is None:
        assert max(below) < 1e-6
    else:
        place = (front == losses[found]).all(axis=1).argmax()
        assert below[place] == pytest.approx(max(below), abs=1e-6)
        assert below[place] > 0
        assert 0 < place < len(front) - 1


@given(grids(2), st.sampled_from([0.5, 2.0, 4.0]), st.integers(-9, 9))
def test_the_knee_knows_no_unit_no_zero_and_no_dominated_point(losses, unit, zero):
    worse = np.concatenate([losses, losses.max(axis=0, keepdims=True) + 3])
    assert knee(worse * [unit, 1] + [0, zero], NONE_INSIDE) == knee(losses, NONE_INSIDE)


@pytest.mark.parametrize(
    ("losses", "found"),
    [
        (np.empty((0, 2)), None),
        ([[1, 2]], 0),
        ([[5, 5], [1, 2], [1, 2]], 1),
        ([[0, 1], [1, 0]], None),
        ([[0, 1], [0, 1], [1, 0]], None),
        ([[0, 2], [1, 1], [2, 0]], None),
        ([[0, 4], [1, 1], [1, 1], [4, 0]], 1),
        ([[0, 4], [1, 2], [2, 1], [4, 0]], 1),
    ],
    ids=["none", "one", "one twice", "two", "two and one again", "straight", "knee twice", "two as far"],
)
def test_the_knee_where_there_is_little_to_bend(losses, found):
    assert knee(losses, NONE_INSIDE) == knee(losses, [99, 99]) == found


def test_a_knee_is_that_of_two_losses():
    with pytest.raises(AnalysisError, match="a knee needs two losses; not 3"):
        knee([[1, 2, 3]], [9, 9, 9])


@given(points, st.integers(2, 6), st.data())
def test_a_spread_has_the_ends_and_leaves_no_gap_wider_than_those_it_keeps(losses, count, data):
    """Greedy farthest points (Gonzalez 1985): no row left out is farther from the chosen than they are from
    one another.
    """
    chosen = spread(losses, count)
    distinct = np.unique(losses, axis=0)
    assert len(chosen) == min(count, len(distinct))
    assert len(np.unique(losses[chosen], axis=0)) == len(chosen)
    np.testing.assert_array_equal(losses[chosen[0]], distinct[0])
    if len(distinct) > 1:
        np.testing.assert_array_equal(losses[chosen[1]], distinct[-1])
    shares = losses / np.where(np.ptp(losses, axis=0) > 0, np.ptp(losses, axis=0), 1.0)
    apart = np.linalg.norm(shares[chosen][:, None] - shares[None], axis=2)
    gap = apart.min(axis=0).max()
    assert all(apart[:place, chosen[place]].min() >= gap for place in range(2, len(chosen)))

    wanted = data.draw(arrays(np.bool_, len(losses)))
    first = spread(losses, count, first=wanted)
    np.testing.assert_array_equal(first[:2], chosen[:2])
    kept = len(np.unique(losses[np.union1d(np.flatnonzero(wanted), chosen[:2])], axis=0))
    assert (
        len(np.unique(losses[np.intersect1d(np.flatnonzero(wanted), first)], axis=0)) >= min(kept, count) - 2
    )


def test_a_spread_of_one_is_refused():
    with pytest.raises(AnalysisError, match="count of 2 or more"):
        spread([[1, 2]], 1)


@given(grids(2), st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_the_knee_is_that_of_the_part_inside_the_reference(losses, reference):
    """Catches a scale that an end outside the reference sets, and a knee outside it."""
    rows = np.flatnonzero([a < reference[0] and b < reference[1] for a, b in losses])
    found = knee(losses, reference)
    if len(rows):
        alone = knee(losses[rows], NONE_INSIDE)
        assert found == (None if alone is None else rows[alone])
        assert inside(losses, reference).sum() == len(rows)
    else:
        assert found == knee(losses, NONE_INSIDE)


def test_an_end_that_loses_to_the_reference_does_not_scale_the_knee():
    """Beside the far end the first objective hardly counts, and the row before it would be the knee."""
    losses = [[0.0, 1.0], [0.1, 0.5], [0.5, 0.2], [0.9, 0.1], [9.0, 0.0]]
    assert knee(losses, NONE_INSIDE) == 3
    assert knee(losses, [1.0, 2.0]) == 1
