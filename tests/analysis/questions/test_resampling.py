"""Draws of the confirmed points' means over seeds and users, against Student's interval and separate sums."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.questions.confirmation import confirmation
from analysis.questions.resampling import DRAWS, USERS_FROM, draws, other_seeds, other_users
from analysis.tables import Tables

SEEDS = 5
SEARCHED = {0: (0.30, 0.80), 1: (0.35, 0.85)}


def users(count, *, of_users=0.1, of_both=0.05, own=0.0, of_seed=0.002):
    """Users' values at two points over five seeds; `own` is the noise of a user at one point."""
    rng = np.random.default_rng(0)
    ratings = rng.integers(1, 30, size=count)
    common = of_users * rng.normal(size=count)
    rows = []
    for trial, (mrr, mse) in SEARCHED.items():
        alone = own * rng.normal(size=count)
        for replicate in range(SEEDS):
            noise = of_both * rng.normal(size=(2, count))
            rank = mrr + of_seed * replicate + common + alone + noise[0]
            error = mse - of_seed * replicate - common + alone + noise[1]
            rows.append(
                pd.DataFrame({"trial": trial, "epoch": 3, "replicate": replicate, "ratings": ratings,
                              "user": [f"u{i}" for i in range(count)], "reciprocal_rank": rank,
                              "reciprocal_rank_all": rank / 9, "squared_error": error * ratings})
            )  # fmt: skip
    return pd.concat(rows)


def metrics(table):
    """Each point's metrics by seed, as a study exports them."""
    for (trial, replicate), rows in table.groupby(["trial", "replicate"]):
        yield {"trial": int(trial), "epoch": 3, "replicate": int(replicate),
               "mrr": rows["reciprocal_rank"].mean(), "mrr_all": rows["reciprocal_rank_all"].mean(),
               "mse": rows["squared_error"].sum() / rows["ratings"].sum()}  # fmt: skip


@pytest.fixture
def drawn(study):
    """The draws of a study with these users' values, and what they are drawn around."""

    def made(table, *, objectives=("mrr", "mse"), keep=lambda row: True):
        searched = [
            {"trial": t, "replicate": 0, "epoch": 3, "mrr": mrr, "mse": mse}
            for t, (mrr, mse) in SEARCHED.items()
        ]
        again = [row for row in metrics(table) if keep(row)]
        folder = study([{"trial": t} for t in SEARCHED], searched, again, objectives=list(objectives),
                       reference={"mrr": 0.274, "mrr_all": 0.01, "mse": 0.871})  # fmt: skip
        table.to_parquet(folder / "tables" / "users.parquet", index=False)
        tables = Tables.load(folder)
        found = confirmation(tables)
        return draws(tables, found), found

    return made


def test_without_users_intervals_are_students(drawn):
    made, found = drawn(users(USERS_FROM - 1))
    assert made.over == "seeds"
    assert made.losses.shape == (DRAWS, 2, 2)
    assert made.halves == pytest.approx(found.halves, rel=0.08)
    assert made.means == pytest.approx(found.means * [-1, 1])


def test_differences_of_points_are_students_too():
    """The moves have the seeds in common, so each sum of columns has the interval of its own values."""
    rng = np.random.default_rng(1)
    losses = rng.normal(size=(6, 4)) + rng.normal(size=(6, 1))
    weights = np.array([1.0, -1.0, 0.5, -2.0])
    low, high = np.quantile(other_seeds(losses, rng) @ weights, [0.025, 0.975])
    expected = stats.t.ppf(0.975, 5) * stats.sem(losses @ weights)
    assert (-low, high) == pytest.approx((expected, expected), rel=0.08)


def test_users_add_their_own_part_of_the_variance_once(drawn):
    """By separate sums: variance of the users' means less that of the seeds' noise in them."""
    table = users(400, own=0.08)
    made, _ = drawn(table)
    assert made.over == "users and seeds"
    expected = []
    for trial in SEARCHED:
        wide = table[table["trial"] == trial].pivot(
            index="user", columns="replicate", values="reciprocal_rank"
        )
        over_seeds = wide.mean(axis=1)
        left = wide.sub(over_seeds, axis=0).sub(wide.mean(axis=0) - wide.to_numpy().mean(), axis=1)
        both = (left.to_numpy() ** 2).sum() / ((SEEDS - 1) * 399) / SEEDS
        scale = (SEEDS - 1) / (SEEDS - 3)  # of a Student's t with 4 degrees of freedom
        expected.append((over_seeds.var(ddof=1) - both) / 400 + scale * wide.mean(axis=0).var(ddof=1) / SEEDS)
    measured = np.sort(made.losses[:, :, 0].var(axis=0))
    assert measured == pytest.approx(np.sort(expected), rel=0.1)


def test_noise_of_users_that_points_share_leaves_their_difference(drawn):
    made, _ = drawn(users(400, of_users=0.5, of_both=0.001))
    alone, between = made.losses[:, 0].std(axis=0), (made.losses[:, 0] - made.losses[:, 1]).std(axis=0)
    assert (between < 0.02 * alone).all()


def test_users_with_many_ratings_weigh_more_in_the_mse():
    """Influences of a ratio of sums: half of the users have one rating, the others a hundred."""
    ratings = np.repeat([1.0, 100.0], 200)
    rng = np.random.default_rng(0)
    errors = ratings * rng.gamma(4, 0.25, size=400)
    influence = (errors - errors.sum() / ratings.sum() * ratings) / ratings.mean()
    moves = other_users(np.broadcast_to(influence[:, None], (5, 400, 1)), rng)
    chosen = rng.integers(0, 400, size=(4000, 400))
    resampled = errors[chosen].sum(axis=1) / ratings[chosen].sum(axis=1)
    assert moves.std() == pytest.approx(resampled.std(), rel=0.08)


def test_as_many_users_again_make_the_interval_narrower(drawn):
    few, many = (drawn(users(n, of_both=1e-4, of_seed=0.0))[0].losses[:, 0, 0].std() for n in (200, 3200))
    assert few / many == pytest.approx(4, rel=0.25)


def test_equal_points_are_equal_in_every_draw(drawn):
    table = users(300)
    one = table[table["trial"] == 0]
    made, _ = drawn(pd.concat([one, one.assign(trial=1)]))
    assert (made.losses[:, 0] == made.losses[:, 1]).all()


def test_points_without_every_seed_and_single_seeds_have_no_draws(drawn):
    table = users(300)
    made, found = drawn(table, keep=lambda row: (row["trial"], row["replicate"]) != (1, 4))
    assert found.points["trial"].iloc[made.rows].tolist() == [0]
    assert drawn(table, keep=lambda row: row["replicate"] == 0)[0] is None


def test_users_without_test_items_count_in_no_mean(drawn):
    table = users(300)
    empty = table.assign(user=table["user"] + "x", reciprocal_rank=np.nan, squared_error=0.0, ratings=0)
    with_empty, without = drawn(pd.concat([table, empty]))[0], drawn(table)[0]
    assert with_empty.losses.std(axis=0) == pytest.approx(without.losses.std(axis=0), rel=0.1)


@pytest.mark.parametrize("objectives", [("mrr_all", "mse"), ("mse", "mrr")])
def test_every_objective_has_users(drawn, objectives):
    assert drawn(users(300), objectives=objectives)[0].over == "users and seeds"
