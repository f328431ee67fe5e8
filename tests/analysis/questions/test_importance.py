"""Importance against closed forms: what is put into a search comes out of it."""

import numpy as np
import pandas as pd
import pytest
from searches import SPACE, known, search

from analysis.objective import AnalysisError
from analysis.questions.importance import importance, responses
from analysis.questions.importance_basis import varied
from analysis.report.sections.importance import matters


def shares(found):
    return {share.names: share.share for share in found.shares}


@pytest.mark.parametrize("learned", [False, True])
def test_without_noise_the_shares_are_exact_wherever_the_configurations_lie(learned):
    tables = search(np.random.default_rng(0), 400, 0.0, learned=learned)
    for found, truth in zip(importance(tables), (known(0.0).mrr, known(0.0).mse), strict=True):
        made = shares(found)
        assert found.terms == 38
        assert found.r2 == pytest.approx(1)
        assert found.unexplained == pytest.approx(0, abs=1e-9)
        for key, share in made.items():
            assert share == pytest.approx(truth.get(key, 0.0), abs=1e-9)
        assert sum(made.values()) == pytest.approx(1)


def test_a_total_is_a_value_with_all_its_pairs():
    (found, _), truth = importance(search(np.random.default_rng(0), 400, 0.0)), known(0.0).mrr
    totals = {total.names: total.share for total in found.totals}
    assert totals["weight",] == pytest.approx(truth["weight",] + truth["weight", "sharing"])
    assert totals["sharing",] == pytest.approx(truth["sharing",] + truth["weight", "sharing"])


def test_noise_stays_unexplained_and_adds_no_signal():
    """Over many searches the shares are right on average: what noise adds to a square is taken off."""
    made = [importance(search(np.random.default_rng(seed), 80, 1.0))[0] for seed in range(60)]
    truth = known(1.0).mrr
    assert np.mean([f.unexplained for f in made]) == pytest.approx(1 - sum(truth.values()), abs=0.04)
    for key in (("sharing",), ("weight",), ("learning_rate",)):
        assert np.mean([shares(f)[key] for f in made]) == pytest.approx(truth[key], abs=0.03)
    assert np.median([shares(f)["weight_decay",] for f in made]) < 0.01


def test_columns_are_orthonormal_over_the_range():
    """Every configuration of a fine grid once: means 0, mean squares 1 where the value acts, products 0."""
    along = (np.arange(60) + 0.5) / 60
    weight = 1 / (1 + np.exp(-np.log(0.9997 / 0.0003) * along))
    rows = [(way, w, r) for way in SPACE["sharing"] for w in weight for r in 5e-4 * 12**along]
    trials = pd.DataFrame(rows, columns=["sharing", "weight", "learning_rate"])
    trials.loc[trials["sharing"] == "none", "weight"] = np.nan
    found = varied(search(np.random.default_rng(0), 5, 0.0), trials)
    columns = np.hstack([column for factor in found.factors for column in factor.columns])
    parts = np.concatenate([[f.part] * c.shape[1] for f in found.factors for c in f.columns])
    assert [f.part for f in found.factors] == [0.75, 1.0, 1.0]
    np.testing.assert_allclose(columns.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(columns.T @ columns / len(trials), np.diag(parts), atol=5e-3)


def test_a_weight_where_nothing_is_shared_changes_nothing():
    tables = search(np.random.default_rng(1), 100, 0.3)
    before = importance(tables)
    rows = tables.trials["sharing"] == "none"
    tables.trials.loc[rows, "weight"] = np.linspace(0.01, 0.99, int(rows.sum()))
    assert importance(tables) == before


def test_configurations_outside_the_range_are_left_out():
    tables = search(np.random.default_rng(1), 100, 0.3)
    tables.trials.loc[3, "learning_rate"] = 0.1
    assert importance(tables)[0].trials == 99


def test_fewer_configurations_are_asked_for_less():
    terms = [importance(search(np.random.default_rng(2), count, 0.3))[0].terms for count in (60, 120, 200)]
    assert terms == [12, 21, 38]


def stopped(tables):
    """Half of the trials stopped after two epochs, the others at their best after five."""
    tables.trials.loc[::2, ["state", "epochs"]] = "stopped", 2.0
    early = tables.points.assign(epoch=2.0, mrr=tables.points["mrr"] - 1, mse=tables.points["mse"] + 1)
    late = tables.points[tables.points["trial"] % 2 == 1]
    object.__setattr__(tables, "points", pd.concat([early, late]))
    return early.set_index("trial")


@pytest.mark.parametrize("candidates", ["every", "last"])
def test_stopped_trials_count_and_all_are_compared_at_equal_epochs(candidates):
    tables = search(np.random.default_rng(3), 60, 0.3)
    tables.manifest["spec"]["train"] = {"candidates": candidates}
    early = stopped(tables)
    epochs, best = responses(tables)
    assert epochs == 2
    pd.testing.assert_frame_equal(best, early[["mrr", "mse"]], check_names=False)
    text = " ".join(getattr(block, "text", "") for block in matters(tables).blocks)
    assert "(30 stopped early)" in text


@pytest.mark.parametrize(("candidates", "expected"), [("every", 0.5), ("last", 0.2)])
def test_response_is_the_best_value_or_the_last(candidates, expected):
    tables = search(np.random.default_rng(3), 40, 0.3)
    tables.manifest["spec"]["train"] = {"candidates": candidates}
    points = [
        tables.points.assign(epoch=epoch, mrr=mrr) for epoch, mrr in ((1.0, 0.1), (2.0, 0.5), (5.0, 0.2))
    ]
    object.__setattr__(tables, "points", pd.concat(points))
    assert set(responses(tables)[1]["mrr"]) == {expected}


def without_space(tables):
    del tables.manifest["spec"]["space"]


def all_equal(tables):
    tables.points["mrr"] = 0.25


def few(tables):
    object.__setattr__(tables, "points", tables.points.head(29))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (without_space, "no range that was searched"),
        (all_equal, "MRR (first hit) is the same for all configurations"),
        (few, "needs 30 configurations or more within the searched range, not 29"),
    ],
)
def test_section_gives_the_reason_without_importance(change, why):
    tables = search(np.random.default_rng(4), 80, 0.3)
    change(tables)
    with pytest.raises(AnalysisError) as error:
        importance(tables)
    assert why in str(error.value)
    (block,) = matters(tables).blocks
    assert block.text == f"Importance is not estimated: {error.value}."


def test_configurations_that_are_all_alike_are_too_few():
    tables = search(np.random.default_rng(4), 80, 0.3)
    tables.trials["learning_rate"] = 1e-3
    with pytest.raises(AnalysisError, match="too alike"):
        importance(tables)


def test_poor_fit_is_reported_instead_of_shares():
    tables = search(np.random.default_rng(5), 60, 20.0)
    found = importance(tables)
    assert not any(each.readable for each in found)
    texts = [getattr(block, "text", "") for block in matters(tables).blocks]
    assert texts[:2] == ["MRR (first hit): the fit is too poor.", "MSE: the fit is too poor."]
