"""Matched differences, what each way of sharing attains, and trends along λ, where the answers are known."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from searches import search

from analysis.figures.weight import trade
from analysis.front import hypervolume
from analysis.questions.sharing import attained, fronts, matched, untuned
from analysis.questions.weight import equal_epochs, medians, spearman, trends
from analysis.report.sections.sharing import NOT_UNTUNED, TUNED, UNMATCHED, sharing
from analysis.report.sections.weight import weight
from analysis.tables import Tables


def grid(study, replicates=4, sharings=("none", "users", "both"), rates=(0.001, 0.01), **changes):
    """Every sharing with every λ and learning rate; the MRR of a seed grows by .1 where users are shared."""
    gains = {"none": 0.0, "users": 0.1, "both": 0.02}
    trials, measured = [], []
    for way in sharings:
        for at in (0.5, 0.9) if way != "none" else (None,):
            for rate in rates:
                trial = len(trials)
                trials.append({"trial": trial, "sharing": way, "weight": at, "learning_rate": rate})
                measured += [
                    {"trial": trial, "replicate": seed, "epoch": epoch, "mse": 0.9 + 0.01 * epoch,
                     "mrr": 0.3 + gains[way] * (1 + seed) * (1 + rate * 100) * epoch}
                    for seed in range(replicates) for epoch in (1, 2)
                ]  # fmt: skip
    return study(trials, measured, **changes)


def test_differences_are_means_over_matched_configurations_by_seed_and_weight(study):
    found = matched(Tables.load(grid(study)))
    assert len(found) == 3 * 2 * 2
    (users,) = [
        f for f in found
        if f.sentence.startswith("MRR (first hit), λ = 0.50") and f.sentence.endswith("0.3000 (nothing)")
        and "shared: users)" in f.sentence
    ]  # fmt: skip
    by_seed = [0.1 * (1 + seed) * np.mean([1.1, 2.0]) * 2 for seed in range(4)]
    assert users.effect == pytest.approx(np.mean(by_seed))
    assert users.high - users.low == pytest.approx(2 * stats.t.ppf(0.975, 3) * stats.sem(by_seed))
    assert users.n == 4
    assert users.scope == "validation, after 2 epochs, 2 matched configurations"


def test_seeds_that_a_matched_trial_lacks_do_not_count(study):
    folder = grid(study)
    path = folder / "tables" / "measurements.parquet"
    rows = pd.read_parquet(path)
    rows[(rows["trial"] != 0) | (rows["replicate"] < 3)].to_parquet(path, index=False)
    assert {f.n for f in matched(Tables.load(folder)) if "nothing" in f.sentence} == {3}


def test_only_configurations_equal_in_all_else_are_matched(study, search):
    assert matched(Tables.load(search)) == []
    tables = Tables.load(search)
    assert UNMATCHED in said(sharing(tables))
    assert matched(Tables.load(grid(study, replicates=1))) == []
    folder = grid(study, sharings=("users",))
    assert matched(Tables.load(folder)) == []
    assert (
        sharing(Tables.load(folder)).blocks[0].text.startswith("Sharing is not compared: every point shares")
    )


def test_each_way_of_sharing_counts_its_own_points(search):
    tables = Tables.load(search)
    for way in attained(tables, tables.evaluated):
        points = tables.evaluated[tables.evaluated["sharing"] == way.sharing]
        assert way.configurations == way.tries == 3
        assert way.hypervolume == way.equal == hypervolume(tables.losses(points), [-0.274, 0.871])
        assert way.on_front == points["front"].sum()
    assert sum(way.on_front for way in attained(tables, tables.evaluated)) == len(tables.front)


def test_more_configurations_are_held_against_as_many(study):
    """Three configurations of which one is good: one taken at random is good in a third of cases."""
    trials = [{"trial": t, "sharing": "both" if t else "none"} for t in range(4)]
    measured = [
        {"trial": t, "replicate": 0, "epoch": 1, "mrr": 0.4 if t == 1 else 0.2, "mse": 0.8} for t in range(4)
    ]
    tables = Tables.load(study(trials, measured))
    none, both = attained(tables, tables.evaluated)
    assert (none.tries, both.tries, both.low) == (1, 1, 0)
    assert both.equal == pytest.approx(both.hypervolume / 3, rel=0.4)


def origins(study, origins, sharings, values):
    """A study of one epoch with these origins, ways of sharing, and MRR; MSE is 0.8."""
    trials = [
        {"trial": t, "origin": origin, "sharing": way}
        for t, (origin, way) in enumerate(zip(origins, sharings, strict=True))
    ]
    measured = [
        {"trial": t, "replicate": 0, "epoch": 1, "mrr": mrr, "mse": 0.8} for t, mrr in enumerate(values)
    ]
    return Tables.load(study(trials, measured))


def test_only_configurations_that_no_result_influenced_compare_ways_of_sharing(study):
    """The sampler's and the user's own make `both` look far better; the random ones do not."""
    kinds = ["initial", "tpe", "tpe", "nsga2", "gp", "explore", "explore", "random", "qmc", "grid", "unknown"]
    ways = ["both"] * 5 + ["both", "none", "none", "both", "none", "both"]
    values = [0.5, 0.5, 0.5, 0.5, 0.5, 0.30, 0.31, 0.32, 0.33, 0.29, 0.6]
    found = untuned(origins(study, kinds, ways, values))
    none, both = found.ways
    assert (none.sharing, none.configurations, both.sharing, both.configurations) == ("none", 3, "both", 2)
    assert none.hypervolume == pytest.approx((0.32 - 0.274) * (0.871 - 0.8))
    assert both.hypervolume == pytest.approx((0.33 - 0.274) * (0.871 - 0.8))


def test_the_p_value_is_the_share_of_permutations_that_differ_as_much(study):
    """All 70 ways to choose which four of eight trials share nothing, with hypervolumes written out."""
    values = np.array([0.30, 0.31, 0.325, 0.34, 0.35, 0.29, 0.36, 0.37])
    ways = ["none"] * 4 + ["both"] * 4
    found = untuned(origins(study, ["explore"] * 8, ways, values))

    def gap(chosen):
        rest = [i for i in range(8) if i not in chosen]
        return abs(values[list(chosen)].max() - values[rest].max())

    gaps = [gap(chosen) for chosen in combinations(range(8), 4)]
    exact = np.mean(np.array(gaps) >= gap((0, 1, 2, 3)) - 1e-12)
    assert found.p == pytest.approx(exact, abs=0.05)
    assert found.p == untuned(origins(study, ["explore"] * 8, ways, values)).p


def test_the_section_compares_untuned_configurations_or_says_that_there_are_none(study):
    kinds, ways = ["explore"] * 12, ["none", "both"] * 6
    values = [0.30 + 0.001 * t if t % 2 else 0.40 + 0.001 * t for t in range(12)]
    section = sharing(origins(study, kinds, ways, values))
    answer = section.blocks[0].text
    assert answer.startswith("Among configurations that the sampler did not tune, the ways of sharing differ")
    assert "p = 0.0" in answer
    assert "6 configurations of each, by shared tables: nothing 0.00966; users and items 0.00263" in answer
    assert TUNED in said(section)
    for kind in ("tpe", "unknown"):
        section = sharing(origins(study, [kind] * 12, ways, values))
        assert section.blocks[0].text == NOT_UNTUNED
        assert TUNED in said(section)
    alike = sharing(origins(study, kinds, ways, [0.3 + 0.01 * (t // 2) for t in range(12)]))
    assert "the ways of sharing do not differ clearly (permutation test, p = 1.000)" in said(alike)


def test_fronts_by_sharing_hold_the_front(search):
    tables = Tables.load(search)
    rows = pd.concat(fronts(tables).values())
    assert set(tables.front.index) <= set(rows.index)


@pytest.mark.parametrize("ties", [False, True])
def test_the_rank_correlation_is_spearmans(ties):
    pairs = np.random.default_rng(0).normal(size=(40, 2))
    pairs = pairs.round(0) if ties else pairs
    assert spearman(pairs) == pytest.approx(stats.spearmanr(*pairs.T).statistic)
    assert spearman(np.column_stack([pairs[:, 0], np.ones(40)])) == 0


def test_trends_need_thirty_configurations():
    tables = search(np.random.default_rng(0), 160, 0.1)
    found = {(t.sharing, t.goal): t for t in trends(tables, equal_epochs(tables).points)}
    counts = tables.trials["sharing"].value_counts()
    assert {way for way, _ in found} == {w for w in ("users", "items", "both") if counts[w] >= 30}
    assert all(trend.low < trend.correlation < trend.high for trend in found.values())
    assert found["items", "mrr"].low > 0.4


def test_medians_follow_the_weight():
    line = medians(np.arange(40.0)[::-1], -np.arange(40.0)[::-1])
    np.testing.assert_allclose(line[:, 0], -line[:, 1])
    assert len(line) == 8


def test_one_weight_is_no_trade(study):
    folder = study([{"trial": 0}], [{"trial": 0, "replicate": 0, "epoch": 1, "mrr": 0.3, "mse": 0.8}])
    (block,) = weight(Tables.load(folder)).blocks
    assert block.text == "λ is not compared: where tables are shared, the study has 1 value of λ."


def drawn(tables):
    """The figure, and for each panel the number of lines that join medians."""
    equal = equal_epochs(tables)
    drawing = trade(tables, equal, trends(tables, equal.points))
    panels = drawing.figure.axes
    return drawing, [sum(len(set(line.get_xdata())) > 2 for line in axes.lines) for axes in panels]


def said(section):
    return " ".join(getattr(block, "text", "") for block in section.blocks)


@pytest.mark.parametrize(("count", "lines"), [(3, [0, 0]), (29, [0, 0]), (30, [0, 1])])
def test_a_line_is_drawn_only_where_the_text_tells_a_trend(study, count, lines):
    """MSE rises with λ and MRR does not; both need thirty configurations."""
    trials = [{"trial": t, "sharing": "both", "weight": 0.3 + t / 50} for t in range(count)]
    measured = [
        {"trial": t, "replicate": 0, "epoch": 1, "mrr": 0.3 + 0.01 * (t % 2), "mse": 0.8 + t / 100}
        for t in range(count)
    ]
    tables = Tables.load(study(trials, measured))
    drawing, found = drawn(tables)
    assert found == lines
    assert ("lines join" in drawing.caption) == any(lines)
    (legend,) = drawing.figure.legends
    assert (legend.get_lines()[0].get_linewidth() > 0) == any(lines)
    text = said(weight(tables))
    assert ("MRR (first hit) no clear trend; MSE +1.00 [+1.00, +1.00]" in text) == any(lines)
    assert ("No trend is estimated" in text) != any(lines)


def stopped_by_weight(study):
    """Forty trials that learn alike, whatever λ; a rule has stopped those of small λ after nine epochs."""
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.1, 0.9, size=40)
    trials = [
        {"trial": t, "sharing": "both", "weight": w, "state": "completed" if w > 0.5 else "stopped"}
        for t, w in enumerate(weights)
    ]
    noise = 0.01 * rng.normal(size=(40, 2))
    measured = [
        {"trial": t, "replicate": 0, "epoch": e,
         "mrr": 0.3 + 0.002 * e + noise[t, 0], "mse": 0.9 - 0.002 * e + noise[t, 1]}
        for t, w in enumerate(weights) for e in ((3, 9, 27, 81) if w > 0.5 else (3, 9))
    ]  # fmt: skip
    return Tables.load(study(trials, measured)), weights, noise


def test_trends_compare_equal_epochs_so_stopping_does_not_make_one(study):
    tables, weights, noise = stopped_by_weight(study)
    standing = tables.evaluated[tables.evaluated["stands"]]
    assert stats.spearmanr(standing["weight"], standing["mrr"]).statistic > 0.7
    equal = equal_epochs(tables)
    assert (equal.epochs, len(equal.points), equal.lacking) == (9, 40, 0)
    for trend, column in zip(trends(tables, equal.points), noise.T, strict=True):
        assert trend.correlation == pytest.approx(stats.spearmanr(weights, column).statistic)
        assert not trend.clear
    assert drawn(tables)[1] == [0, 0]
    text = said(weight(tables))
    assert "MRR (first hit) no clear trend; MSE no clear trend" in text
    assert "after 9 epochs; every ended trial was trained for as many or more" in text


def test_trials_measured_at_other_epochs_are_counted(study):
    """One is measured every second epoch, one runs, one failed: only the first two ended ones count."""
    trials = [{"trial": t, "weight": 0.5 + t / 10, "state": state} for t, state in enumerate(
        ["completed", "completed", "stopped", "running", "failed"])]  # fmt: skip
    epochs = [(2, 4, 6), (1, 2, 3, 4, 5), (3,), (1,), (1,)]
    measured = [
        {"trial": t, "replicate": 0, "epoch": e, "mrr": 0.3, "mse": 0.8}
        for t, those in enumerate(epochs) for e in those
    ]  # fmt: skip
    equal = equal_epochs(Tables.load(study(trials, measured)))
    assert (equal.epochs, equal.points["trial"].tolist(), equal.lacking) == (3, [1, 2], 1)
    nothing = equal_epochs(Tables.load(study(trials[3:], [])))
    assert (nothing.epochs, len(nothing.points), nothing.lacking) == (0, 0, 0)
