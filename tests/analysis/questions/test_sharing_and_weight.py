"""Matched differences, what each way of sharing attains, and trends along λ, where the answers are known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from searches import search

from analysis.figures.weight import trade
from analysis.front import hypervolume
from analysis.questions.sharing import attained, fronts, matched
from analysis.questions.weight import medians, spearman, trends
from analysis.report.sections.sharing import UNMATCHED, sharing
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
    assert sharing(tables).blocks[0].text == UNMATCHED
    assert matched(Tables.load(grid(study, replicates=1))) == []
    folder = grid(study, sharings=("users",))
    assert matched(Tables.load(folder)) == []
    assert (
        sharing(Tables.load(folder)).blocks[0].text.startswith("Sharing is not compared: every point shares")
    )


def test_each_way_of_sharing_counts_its_own_points(search):
    tables = Tables.load(search)
    for way in attained(tables):
        points = tables.evaluated[tables.evaluated["sharing"] == way.sharing]
        assert way.configurations == way.tries == 3
        assert way.hypervolume == way.equal == hypervolume(tables.losses(points), [-0.274, 0.871])
        assert way.on_front == points["front"].sum()
    assert sum(way.on_front for way in attained(tables)) == len(tables.front)


def test_more_configurations_are_held_against_as_many(study):
    """Three configurations of which one is good: one taken at random is good in a third of cases."""
    trials = [{"trial": t, "sharing": "both" if t else "none"} for t in range(4)]
    measured = [
        {"trial": t, "replicate": 0, "epoch": 1, "mrr": 0.4 if t == 1 else 0.2, "mse": 0.8} for t in range(4)
    ]
    none, both = attained(Tables.load(study(trials, measured)))
    assert (none.tries, both.tries, both.low) == (1, 1, 0)
    assert both.equal == pytest.approx(both.hypervolume / 3, rel=0.4)


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
    tables.trials["epoch"] = 5.0
    found = {(trend.sharing, trend.goal): trend for trend in trends(tables)}
    counts = tables.trials["sharing"].value_counts()
    assert {way for way, _ in found} == {w for w in ("users", "items", "both") if counts[w] >= 30}
    assert all(trend.low < trend.correlation < trend.high for trend in found.values())
    assert found["items", "mrr"].low > 0.4


def test_medians_follow_the_weight():
    assert medians(np.arange(9.0), np.arange(9.0)).shape == (0, 2)
    line = medians(np.arange(40.0)[::-1], -np.arange(40.0)[::-1])
    np.testing.assert_allclose(line[:, 0], -line[:, 1])
    assert len(line) == 8


def test_one_weight_is_no_trade(study):
    folder = study([{"trial": 0}], [{"trial": 0, "replicate": 0, "epoch": 1, "mrr": 0.3, "mse": 0.8}])
    (block,) = weight(Tables.load(folder)).blocks
    assert block.text == "λ is not compared: where tables are shared, the study has 1 value of λ."


@pytest.mark.parametrize(("count", "joined"), [(3, False), (20, True)])
def test_caption_mentions_lines_only_if_drawn(study, count, joined):
    """Medians need ten configurations of one way of sharing."""
    trials = [{"trial": t, "sharing": "both", "weight": 0.5 + t / 50} for t in range(count)]
    measured = [
        {"trial": t, "replicate": 0, "epoch": 1, "mrr": 0.3, "mse": 0.8 + t / 100} for t in range(count)
    ]
    drawing = trade(Tables.load(study(trials, measured)))
    lines = [line for axes in drawing.figure.axes for line in axes.lines if len(set(line.get_xdata())) > 2]
    assert bool(lines) == joined
    assert ("lines join" in drawing.caption) == joined
    (legend,) = drawing.figure.legends
    assert (legend.get_lines()[0].get_linewidth() > 0) == joined
