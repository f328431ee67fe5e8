"""Calibration by simulation: 95 % intervals cover in 93 to 97 % of cases, tests reject in at most 5 %.

The short form sees gross faults; the long form is what the report's "95 %" and "5 %" rest on. Errors are as
between seeds: few, paired, and not all normal.

The importance of a value speaks of the polynomial that the configurations can carry: where they are too few
for a curve, its share stays with what is not explained.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest
from numpy.random import Generator
from searches import known, search

from analysis.questions import weight
from analysis.questions.claim_cells import CELLS, Cells
from analysis.questions.claims import judge
from analysis.questions.confirmation import STATISTICS as OF_USERS
from analysis.questions.confirmation import USERS_FROM, outcomes
from analysis.questions.importance import importance
from analysis.stats import bootstrap, holm, paired, sign_flip_p, t_half_width
from analysis.tables import LOSSES, METRICS

FORMS = [
    pytest.param(1, id="short"),
    pytest.param(40, id="long", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
]
"""Factor for the number of simulated studies."""

ERRORS: dict[str, Callable[[Generator, tuple[int, ...]], np.ndarray]] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "uniform": lambda rng, shape: rng.uniform(-1, 1, size=shape),
    "heavy-tailed": lambda rng, shape: rng.standard_t(4, size=shape),
}


def studies(times: int, seed: int) -> Iterator[Generator]:
    """A random generator for each simulated study."""
    return (np.random.default_rng((seed, study)) for study in range(times))


def share(results: list[bool]) -> tuple[float, float]:
    """The share of true values, and three standard errors of a share of 5 %."""
    return float(np.mean(results)), 3 * (0.05 * 0.95 / len(results)) ** 0.5


def covers(results: list[bool]) -> bool:
    """True if an interval covers in 93 to 97 % of cases, within the error of the simulation."""
    found, slack = share(results)
    if len(results) > 2000:
        slack = 0.0
    return 0.93 - slack <= found <= 0.97 + slack


def errs(results: list[bool]) -> bool:
    """True if a test rejects in more than 5 % of cases, beyond the error of the simulation."""
    found, slack = share(results)
    return found > 0.05 + slack


@pytest.mark.parametrize("times", FORMS)
@pytest.mark.parametrize("errors", ERRORS)
@pytest.mark.parametrize("n", [3, 5, 8])
def test_t_intervals_of_paired_differences_cover_the_effect(n, errors, times):
    covered = []
    for rng in studies(1000 * times, n):
        shared, noise = rng.normal(size=n), ERRORS[errors](rng, (2, n))
        found = paired(0.3 + shared + noise[0], shared + noise[1], sentence="", scope="")
        covered.append(found.low <= 0.3 <= found.high)
    assert covers(covered)


@pytest.mark.parametrize("times", FORMS)
@pytest.mark.parametrize("errors", ERRORS)
@pytest.mark.parametrize("n", [6, 8, 10, 20])  # 20: drawn flips, not all
def test_sign_flips_reject_no_effect_seldom(n, errors, times):
    rejections = [sign_flip_p(ERRORS[errors](rng, (n,))) <= 0.05 for rng in studies(500 * times, n)]
    assert not errs(rejections)


@pytest.mark.parametrize("times", FORMS)
def test_prediction_intervals_cover_the_next_run(times):
    covered = []
    for rng in studies(1000 * times, 1):
        values = rng.normal(size=6)
        half = t_half_width(values[:5], predict=True)
        covered.append(abs(values[5] - values[:5].mean()) <= half)
    assert covers(covered)


def with_ratings(rng: Generator, users: int) -> np.ndarray:
    """Squared errors and ratings (users, 2): each user has an error of its own, 0.8 on average."""
    ratings = rng.geometric(0.1, size=users)
    return np.column_stack([rng.gamma(4, 0.2, size=users) * rng.gamma(ratings), ratings])


def normal_pairs(rng: Generator, count: int, correlation: float) -> np.ndarray:
    return rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], size=count)


def spearman_of(correlation: float) -> float:
    """Spearman's correlation of normal pairs (Pearson 1907)."""
    return float(6 / np.pi * np.arcsin(correlation / 2))


STATISTICS = {
    "mean of users' reciprocal ranks": (
        lambda rng: 1 / (1 + rng.geometric(0.3, size=USERS_FROM)),
        lambda rows: float(rows.mean()),
        float(sum(0.3 * 0.7 ** (k - 1) / (1 + k) for k in range(1, 400))),
    ),
    "MSE over users with one rating to many": (
        lambda rng: with_ratings(rng, USERS_FROM),
        OF_USERS["mse"][1],
        0.8,
    ),
    "rank correlation over configurations": (
        lambda rng: normal_pairs(rng, 100, 0.5),
        weight.spearman,
        spearman_of(0.5),
    ),
}


@pytest.mark.parametrize("times", FORMS)
@pytest.mark.parametrize("name", STATISTICS)
def test_bootstrap_intervals_cover_the_statistic_of_the_population(name, times, monkeypatch):
    monkeypatch.setattr("analysis.stats.BOOTSTRAP_SAMPLES", 400)
    draw, statistic, truth = STATISTICS[name]
    covered = []
    for rng in studies(60 * times, 2):
        low, high = bootstrap(draw(rng), statistic)
        covered.append(low <= truth <= high)
    assert covers(covered)


@pytest.mark.parametrize("times", FORMS)
@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_intervals_of_the_rank_correlation_of_very_many_cover_it(correlation, times):
    covered = []
    for rng in studies(50 * times, 4):
        low, high = weight._many(normal_pairs(rng, weight.CLOSED_FORM_FROM, correlation))
        covered.append(low <= spearman_of(correlation) <= high)
    assert covers(covered)


@pytest.mark.parametrize("times", FORMS)
@pytest.mark.parametrize(("errors", "variance"), [("normal", 1.0), ("heavy-tailed", 2.0)])
def test_importance_intervals_cover_the_shares_and_no_effect_has_none(errors, variance, times, monkeypatch):
    """120 configurations, much of their variance noise, are enough for every term that is in the truth."""
    monkeypatch.setattr("analysis.questions.importance.BOOTSTRAP_SAMPLES", 400)
    cover, reject = [], []
    for rng in studies(15 * times, 5):
        tables = search(rng, 120, variance**-0.5, errors=ERRORS[errors])
        for found, truth in zip(importance(tables), (known(1.0).mrr, known(1.0).mse), strict=True):
            for one in found.shares:
                if one.names in truth:
                    cover.append(one.low <= truth[one.names] <= one.high)
                else:
                    reject.append(one.low > 0)
    assert covers(cover)
    assert not errs(reject)


@pytest.mark.parametrize("times", FORMS)
@pytest.mark.parametrize("errors", ERRORS)
def test_of_claims_where_nothing_differs_any_is_seldom_decided(errors, times):
    """The three together, over eight seeds."""
    wrong = []
    for rng in studies(50 * times, 6):
        table = {
            cell: pd.DataFrame(ERRORS[errors](rng, (8, 6)), columns=[*LOSSES, *METRICS]) for cell in CELLS
        }
        claims = judge([Cells(table, "mrr", epochs=1, scope="")])[0]
        wrong.append(any(claim.verdict != "undecided" for claim in claims))
    assert not errs(wrong)


@pytest.mark.parametrize("times", FORMS)
def test_holm_over_a_family_without_effects_rejects_any_seldom(times):
    """Twelve comparisons of eight seeds; uncorrected, some of them would reject in 43 % of studies."""
    families = [[sign_flip_p(row) for row in rng.normal(size=(12, 8))] for rng in studies(60 * times, 3)]
    assert np.mean([min(family) <= 0.05 for family in families]) > 0.3
    assert not errs([bool((holm(family) <= 0.05).any()) for family in families])


@pytest.mark.parametrize("times", FORMS)
@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_a_point_on_the_edge_of_being_dominated_seldom_stays(seeds, times):
    """The worst case: as good as another point in both objectives, so neither better in any."""
    wrong = []
    for rng in studies(1000 * times, seeds):
        noise = rng.normal(size=(2, seeds, 2)) + rng.normal(size=(seeds, 2))
        wrong.append(outcomes(noise)[0] == "stays")
    assert not errs(wrong)


@pytest.mark.parametrize("times", FORMS)
@pytest.mark.parametrize("others", [1, 6])
def test_a_point_on_the_edge_of_the_front_is_seldom_called_dominated(others, times):
    """The worst case: every other point is as good in one objective and far better in the other."""
    means = np.vstack([[0.0, 0.0], np.tile([0.0, -50.0], (others, 1))])
    wrong = []
    for rng in studies(1000 * times, others):
        losses = means[:, None] + rng.normal(size=(others + 1, 5, 2)) * [1.0, 2.0]
        wrong.append(outcomes(losses)[0] == "dominated")
    assert not errs(wrong)
