"""The point of a front that is picked: equal to brute force; a clear error if there is none."""

import numpy as np
import pytest
from formula import SPEC
from hypothesis import given
from hypothesis import strategies as st

from study.record.front import front
from study.record.rows import Point
from study.results.pick import choose
from study.spec import StudySpec
from trainable.contract import StudyError

VALUES = [(0.2, 0.04, 0.80), (0.3, 0.06, 0.82), (0.4, 0.02, 0.95), (0.1, 0.09, 0.99)]
"""(mrr, mrr_all, mse) of points that are on the front of some two of these, and dominated in others."""


OUTSIDE = np.full(2, -1e9)
"""A reference point that no point beats."""


def spec(*objectives: str) -> StudySpec:
    return StudySpec.from_text(SPEC, where="test", overrides=[f"objectives={list(objectives)}"])


def front_of(values, spec) -> tuple[Point, ...]:
    """The front of points with these values, numbered as they come."""
    points = [Point(trial, 1, *row) for trial, row in enumerate(values)]
    return front(points, spec, np.zeros(2)).points


def chosen(values, objectives, **asked) -> Point:
    asks = spec(*objectives)
    return choose(front_of(values, asks), asks, OUTSIDE, **asked)


tenths = st.integers(1, 9).map(lambda n: n / 10)
points = st.lists(st.tuples(tenths, tenths, tenths), min_size=1, max_size=12)


@given(points, tenths)
def test_below_a_bound_on_mse_the_best_ranking_is_picked(values, bound):
    within = [mrr for mrr, _, mse in values if mse <= bound]
    if within:
        found = chosen(values, ("mrr", "mse"), max_mse=bound).metrics
        assert (found["mrr"], found["mse"] <= bound) == (max(within), True)
    else:
        with pytest.raises(StudyError, match=f"the best has {min(mse for _, _, mse in values)}"):
            chosen(values, ("mrr", "mse"), max_mse=bound)


@given(points, tenths)
def test_above_a_bound_on_mrr_the_smallest_mse_is_picked(values, bound):
    within = [mse for mrr, _, mse in values if mrr >= bound]
    if within:
        found = chosen(values, ("mrr", "mse"), min_mrr=bound).metrics
        assert (found["mse"], found["mrr"] >= bound) == (min(within), True)
    else:
        with pytest.raises(StudyError, match=f"the best has {max(mrr for mrr, _, _ in values)}"):
            chosen(values, ("mrr", "mse"), min_mrr=bound)


@pytest.mark.parametrize(
    ("objectives", "asked", "trial"),
    [
        (("mrr", "mse"), {"knee": True}, 1),
        (("mse", "mrr"), {"min_mrr": 0.31}, 2),
        (("mrr_all", "mse"), {"min_mrr": 0.05}, 1),
        (("mrr_all", "mse"), {"max_mse": 2.0}, 3),
        (("mrr", "mrr_all"), {"min_mrr": 0.2}, 1),
        (("mrr_all", "mrr"), {"min_mrr": 0.35}, 2),
    ],
)
def test_options_use_the_objectives_of_the_study(objectives, asked, trial):
    """`--min-mrr` bounds `mrr_all` in a study of `mrr_all`, in its direction."""
    assert chosen(VALUES, objectives, **asked).trial == trial


def test_of_equal_points_the_first_is_picked():
    twice = [VALUES[2], VALUES[1], VALUES[1], VALUES[0]]
    for asked in ({"knee": True}, {"max_mse": 0.82}, {"min_mrr": 0.3}):
        assert chosen(twice, ("mrr", "mse"), **asked).trial == 1


@pytest.mark.parametrize(
    ("objectives", "asked", "message"),
    [
        (("mrr", "mse"), {}, "exactly one of --knee, --max-mse X and --min-mrr X"),
        (("mrr", "mse"), {"knee": True, "min_mrr": 0.1}, "exactly one of"),
        (("mrr", "mse"), {"max_mse": 0.0, "min_mrr": 0.0}, "exactly one of"),
        (("mrr", "mrr_all"), {"max_mse": 1.0}, "has the objectives mrr and mrr_all; use --knee or --min-mrr"),
        (("mrr", "mse"), {"max_mse": float("nan")}, "--max-mse: nan is not a bound; use a finite number"),
        (("mrr", "mse"), {"max_mse": 0.5}, "--max-mse: .* mse of 0.5 or better; the best has 0.8$"),
        (("mrr_all", "mse"), {"min_mrr": 0.5}, "--min-mrr: .* mrr_all of 0.5 or better; .* has 0.09$"),
    ],
)
def test_impossible_picks_are_refused(objectives, asked, message):
    with pytest.raises(StudyError, match=message):
        chosen(VALUES, objectives, **asked)


def test_the_knee_is_inside_the_reference_and_a_bound_may_leave_it():
    values = [(0.25, 0, 0.70), (0.30, 0, 0.80), (0.34, 0, 0.81), (0.36, 0, 0.85), (0.40, 0, 1.20)]
    asks, corner = spec("mrr", "mse"), np.array([-0.26, 0.9])
    front = front_of(values, asks)
    assert choose(front, asks, corner, knee=True).trial == 2
    assert choose(front, asks, OUTSIDE, knee=True).trial == 3
    assert choose(front, asks, corner, min_mrr=0.38).trial == 4
    with pytest.raises(StudyError, match="none of its 2 points that beat the trivial models lies below"):
        choose(front_of([values[0], values[1], values[3]], asks), asks, corner, knee=True)


def test_empty_front_and_front_without_a_knee_are_refused():
    with pytest.raises(
        StudyError, match=r"no knee: none of its 2 points lies below the line .* use --max-mse"
    ):
        chosen([VALUES[0], VALUES[2]], ("mrr", "mse"), knee=True)
    with pytest.raises(StudyError, match="the front is empty, nothing is measured yet"):
        chosen([], ("mrr", "mse"), knee=True)
