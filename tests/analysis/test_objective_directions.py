"""Directions are stated once: losses are minimised, and nothing is lost on the way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analysis.errors import AnalysisError
from analysis.objective import OBJECTIVES, from_losses, objectives, to_losses

names = st.lists(st.sampled_from(list(OBJECTIVES)), min_size=1, unique=True)


@given(names, st.data())
def test_losses_give_their_values_back(chosen, data):
    values = data.draw(arrays(np.float64, (3, len(chosen)), elements=st.floats(-1e9, 1e9)))
    goals = objectives(chosen)
    np.testing.assert_array_equal(from_losses(to_losses(values, goals), goals), values)


@pytest.mark.parametrize(
    ("name", "better", "worse"), [("mrr", 0.4, 0.3), ("mrr_all", 0.06, 0.02), ("mse", 0.8, 0.9)]
)
def test_better_values_are_smaller_losses(name, better, worse):
    losses = to_losses([[better], [worse]], objectives([name]))
    assert losses[0, 0] < losses[1, 0]


def test_one_point_keeps_its_shape():
    assert to_losses([0.3, 0.9], objectives(["mrr", "mse"])).tolist() == [-0.3, 0.9]


@pytest.mark.parametrize("given_names", [["mrr", "rmse"], ["mse", "mse"], []])
def test_names_that_are_unknown_doubled_or_missing_are_refused(given_names):
    with pytest.raises(AnalysisError, match="use some of mrr, mrr_all, mse, each once"):
        objectives(given_names)


def test_columns_must_fit_the_objectives():
    with pytest.raises(AnalysisError, match=r"\(1, 3\) do not fit 2"):
        to_losses([[1.0, 2.0, 3.0]], objectives(["mrr", "mse"]))
