"""Intervals over users, on made-up tables of users."""

import numpy as np
import pandas as pd
import pytest

from analysis.questions.confirmation import intervals
from analysis.report.sections.confirmed import confirmed
from analysis.stats import bootstrap
from analysis.tables import Tables

SEARCHED = [{"trial": 0, "replicate": 0, "epoch": 3, "mrr": 0.3, "mse": 0.9}]
AGAIN = [
    {"trial": 0, "epoch": 3, "replicate": seed, "mrr": 0.31 + 0.01 * seed, "mse": 0.9} for seed in (0, 1)
]


@pytest.fixture
def written(study):
    """A study with a confirmed point of two seeds, and these users' values in the second."""

    def made(users, objectives=("mrr", "mse")):
        folder = study([{"trial": 0}], SEARCHED, AGAIN, objectives=list(objectives),
                       reference={"mrr": 0.274, "mrr_all": 0.05, "mse": 0.871})  # fmt: skip
        users.to_parquet(folder / "tables" / "users.parquet", index=False)
        return Tables.load(folder)

    return made


def users(count=200, seeds=2):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"user": [f"u{i}" for i in range(count)], "trial": 0, "epoch": 3})
    table["ratings"] = rng.integers(1, 30, size=count)
    return pd.concat(
        [
            table.assign(replicate=seed, reciprocal_rank=1 / rng.integers(1, 9, size=count),
                         reciprocal_rank_all=1 / rng.integers(9, 99, size=count),
                         squared_error=table["ratings"] * rng.uniform(0.5, 1.5, size=count))
            for seed in range(seeds)
        ]
    )  # fmt: skip


def test_a_user_counts_once_with_the_mean_over_seeds(written):
    table = users()
    tables = written(table)
    ends = intervals(tables, tables.confirmed.head(1))
    means = table.groupby("user")[["reciprocal_rank", "squared_error", "ratings"]].mean()
    expected = bootstrap(means["reciprocal_rank"].to_numpy(), np.mean)
    assert tuple(ends["mrr"][0]) == pytest.approx(expected)
    low, high = ends["mse"][0]
    assert low < means["squared_error"].sum() / means["ratings"].sum() < high


def test_users_with_many_ratings_weigh_more_in_the_mse(written):
    """Half of the users have one rating that is far off, the others a hundred that are right."""
    table = users(seeds=1).sort_values("user").assign(squared_error=0.0, ratings=100)
    table.iloc[:100, table.columns.get_loc("squared_error")] = 4.0
    table.iloc[:100, table.columns.get_loc("ratings")] = 1
    low, high = intervals(written(table), pd.DataFrame({"trial": [0.0], "epoch": [3.0]}))["mse"][0]
    assert low < 4 / 101 < high < 0.1


def test_as_many_users_again_make_the_interval_narrower(written):
    points = pd.DataFrame({"trial": [0.0], "epoch": [3.0]})
    few, many = (np.ptp(intervals(written(users(n)), points)["mrr"][0]) for n in (200, 3200))
    assert few / many == pytest.approx(4, rel=0.25)


def test_too_few_users_and_other_points_have_none(written):
    ends = intervals(written(users(199)), pd.DataFrame({"trial": [0.0, 7.0], "epoch": [3.0, 3.0]}))
    assert np.isnan(ends["mrr"]).all()


def test_the_report_shows_both_intervals_where_there_are_users(written):
    def columns(tables):
        return [c for block in confirmed(tables).blocks for c in getattr(block, "columns", ())]

    assert {"MRR (first hit), 95 % over users", "MSE, 95 % over users"} <= set(columns(written(users())))
    other = columns(written(users(), objectives=("mrr_all", "mse")))
    assert {"MRR (all test items), 95 % over users", "MSE, 95 % over users"} <= set(other)
    assert not any("over users" in column for column in columns(written(users().head(0))))
