"""Importance against closed forms: what is put into a search comes out of it."""

import numpy as np
import pandas as pd
import pytest
from searches import CURVE, LEVELS, SLOPES, SPACE, known, search

from analysis import text
from analysis.errors import AnalysisError
from analysis.questions.importance import importance, responses
from analysis.questions.importance_basis import varied
from analysis.questions.importance_fit import SHAPES, polynomials
from analysis.report.sections.importance import matters


def shares(found):
    return {share.names: share.share for share in found.shares}


@pytest.mark.parametrize("learned", [False, True])
def test_without_noise_the_shares_are_exact_wherever_the_configurations_lie(learned):
    tables = search(np.random.default_rng(0), 400, 0.0, learned=learned)
    for found, truth in zip(importance(tables), (known(0.0).mrr, known(0.0).mse), strict=True):
        made = shares(found)
        assert found.chosen.r2 == pytest.approx(1)
        assert found.unexplained == pytest.approx(0, abs=1e-9)
        assert set(truth) <= set(made)
        for key, share in made.items():
            assert share == pytest.approx(truth.get(key, 0.0), abs=1e-9)
        assert sum(made.values()) == pytest.approx(1)


def test_effects_are_mean_differences_along_a_value():
    """Exact without noise, and flat where a value only acts in a pair."""
    mrr, mse = importance(search(np.random.default_rng(0), 400, 0.0))
    along = np.linspace(-1, 1, 33)
    slope = np.mean([SLOPES[way] for way in ("users", "items", "both")])
    level, bent = np.mean(list(LEVELS.values())), CURVE * (along**2 - 1 / 3)
    for found, truth in (
        (
            mrr,
            {"weight": slope * along, "learning_rate": bent, "weight_decay": 0 * along},
        ),
        (mse, {"weight": 0 * along, "learning_rate": 0 * along, "weight_decay": 0 * along}),
    ):
        effects = {effect.name: effect for effect in found.effects}
        assert set(effects) == {*truth, "sharing"}
        levels = [LEVELS[way] - level for way in effects["sharing"].levels]
        assert effects["sharing"].effect == pytest.approx(levels)
        for name, expected in truth.items():
            assert effects[name].effect == pytest.approx(expected, abs=1e-9)
    levels = {effect.name: effect.levels for effect in mrr.effects}
    assert levels["sharing"] == tuple(SPACE["sharing"])
    assert (levels["weight"][0], levels["weight"][-1]) == (pytest.approx(0.5), pytest.approx(0.9997))
    assert levels["learning_rate"][16] == pytest.approx((5e-4 * 6e-3) ** 0.5)


def curved(rng, count, *, learned):
    """A search whose MRR falls off on both sides of a weight decay, as no polynomial does; its function."""
    tables = search(rng, count, 0.0, learned=learned)

    def mrr(trials):
        decay = np.log10(trials["weight_decay"]) + 1
        rate = np.log(trials["learning_rate"] / 5e-4) / np.log(12)
        return np.exp(-2 * decay**2) + 0.3 * rate + 0.2 * (trials["sharing"] == "both")

    noise = 0.08 * rng.normal(size=count)
    tables.points["mrr"] = mrr(tables.trials) + noise
    return tables, mrr


def main_shares(values, trials, noise):
    """Shares of single values by means within ten bins of a value: separate code, no polynomial."""
    made = {}
    for name in ("weight_decay", "learning_rate", "sharing"):
        column = trials[name]
        bins = column if name == "sharing" else pd.qcut(column, 10, labels=False)
        groups = values.groupby(bins)
        within = groups.var().mean() / (len(values) / groups.ngroups)
        made[name,] = (groups.mean().var(ddof=0) - within) / (values.var(ddof=0) + noise**2)
    return made


def test_shares_of_a_search_are_those_of_uniformly_random_configurations():
    """The polynomial's degree is chosen: straight lines give the weight decay no share at all."""
    rng = np.random.default_rng(7)
    tables, function = curved(rng, 70, learned=True)
    (found, _) = importance(tables)
    uniform = search(np.random.default_rng(8), 4000, 0.0).trials
    truth = main_shares(function(uniform), uniform, 0.08)
    few = search(np.random.default_rng(9), 200, 0.0).trials
    rough = main_shares(function(few), few, 0.08)
    assert found.chosen.shape.alone >= 2
    straight = max(tried.r2 for tried in found.tried if tried.shape.alone == 1)
    assert straight < 0.4 < 0.8 < found.chosen.r2
    intervals = {share.names: (share.low, share.high) for share in found.shares}
    assert truth["weight_decay",] > 0.5
    for name, share in truth.items():
        low, high = intervals[name]
        assert low - 0.03 <= share <= high + 0.03
        assert rough[name] == pytest.approx(share, abs=0.15)


def test_leave_one_out_chooses_and_its_errors_are_those_of_fits_without_the_configuration():
    """Each configuration is left out in turn, and the polynomial fitted anew to the others."""
    rng = np.random.default_rng(3)
    tables = search(rng, 60, 0.5)
    found, best = varied(tables, tables.trials), importance(tables)[0]
    values = tables.points["mrr"].to_numpy()
    r2 = []
    for polynomial, tried in zip(polynomials(found), best.tried, strict=True):
        design, errors = polynomial.design, np.empty(60)
        for row in range(60):
            others = np.arange(60) != row
            fitted = np.linalg.lstsq(design[others], values[others], rcond=None)[0]
            errors[row] = values[row] - design[row] @ fitted
        alone = np.array([values[row] - np.delete(values, row).mean() for row in range(60)])
        r2.append(1 - (errors**2).sum() / (alone**2).sum())
        assert tried.r2 == pytest.approx(r2[-1])
    assert best.chosen == best.tried[int(np.argmax(r2))]


def test_the_section_names_the_polynomial_its_misfit_and_draws_every_effect():
    tables = search(np.random.default_rng(2), 120, 0.3)
    found, section = importance(tables), matters(tables)
    answers = [block.text for block in section.blocks if getattr(block, "kind", "") == "answer"]
    for each, answer in zip(found, answers, strict=True):
        missed = str(text.percent(1 - each.chosen.r2))
        assert f"Fitted: a polynomial of {each.chosen.shape}; it misses {missed}" in answer
    figures = {block.name: block for block in section.blocks if block.form == "drawing"}
    assert len(figures["effects"].figure.axes) == 2 * 4
    grids = {block.caption: block for block in section.blocks if block.form == "grid"}
    (tried,) = (grid for caption, grid in grids.items() if caption.startswith("The polynomials"))
    assert len(tried.rows) == len(found[0].tried)
    (data,) = (grid for caption, grid in grids.items() if caption.startswith("Effect of each"))
    assert len(data.rows) == 3 * 5 + 4


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


def test_fewer_configurations_determine_less():
    fewest = [search(np.random.default_rng(2), count, 0.3) for count in (30, 60, 120)]
    tried = [len(importance(tables)[0].tried) for tables in fewest]
    assert tried[0] < tried[-1] == len(SHAPES)
    assert tried == sorted(tried)


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
