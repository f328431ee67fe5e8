"""Calibration by simulation: 95 % intervals cover in 93 to 97 % of cases, tests reject in at most 5 %.

The short form sees gross faults; the long form is what the report's "95 %" and "5 %" rest on. `pytest -m long
-s` prints the shares that docs/statements.md lists. Errors are as between seeds: few, paired, and not all
normal.

The importance of a value speaks of the polynomial that leave-one-out chooses: where the configurations are
too few for a curve, its share stays with what is not explained.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest
from numpy.random import Generator
from searches import CURVE, LEVELS, SLOPES, SPACE, known, search

from analysis.questions import sharing, weight
from analysis.questions.claim_cells import CELLS, Cells
from analysis.questions.claims import judge
from analysis.questions.importance import importance
from analysis.questions.resampling import USERS_FROM
from analysis.stats import bootstrap, holm, paired, separate, sign_flip_p, t_half_width
from analysis.tables import LOSSES, METRICS, Tables

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
    """The share of true values, which is printed, and three standard errors of a share of 5 %."""
    found, error = float(np.mean(results)), (0.05 * 0.95 / len(results)) ** 0.5
    print(f"{found:.3f} ± {error:.3f} of {len(results):,}")
    return found, 3 * error


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
        lambda rows: float(rows[:, 0].sum() / rows[:, 1].sum()),
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
@pytest.mark.parametrize("learned", [False, True])
def test_bands_of_effects_cover_the_effects(learned, times, monkeypatch):
    """Each search chooses its polynomials anew; with `learned` a sampler has preferred part of the range."""
    monkeypatch.setattr("analysis.questions.importance.BOOTSTRAP_SAMPLES", 400)
    slope, level = np.mean([SLOPES[way] for way in SPACE["sharing"][1:]]), np.mean(list(LEVELS.values()))
    said = []
    for rng in studies(15 * times, 8):
        for found, ranks in zip(importance(search(rng, 120, 1.0, learned=learned)), (1, 0), strict=True):
            for effect in found.effects:
                along = np.linspace(-1, 1, len(effect.levels))
                truth = {
                    "sharing": np.array([LEVELS.get(way, 0.0) - level for way in effect.levels]),
                    "weight": ranks * slope * along,
                    "learning_rate": ranks * CURVE * (along**2 - 1 / 3),
                    "weight_decay": 0 * along,
                }[effect.name]
                inside = (np.array(effect.low) <= truth) & (truth <= np.array(effect.high))
                said.append(bool(inside[rng.integers(len(inside))]))
    assert covers(said)


@pytest.mark.parametrize("times", FORMS)
def test_trends_at_equal_epochs_cover_the_trend_where_a_rule_stops_trials(times, monkeypatch):
    """A quarter of the trials, the best after nine epochs, goes on to 81, where all of them are better."""
    monkeypatch.setattr("analysis.stats.BOOTSTRAP_SAMPLES", 400)
    said = []
    for rng in studies(40 * times, 9):
        pairs = normal_pairs(rng, 80, 0.4)
        trials = pd.DataFrame({"trial": np.arange(80.0), "weight": pairs[:, 0], "sharing": "both"})
        go_on = pairs[:, 1] >= np.quantile(pairs[:, 1], 0.75)
        trials["state"] = np.where(go_on, "completed", "stopped")
        early = trials[["trial"]].assign(epoch=9.0, mrr=pairs[:, 1], mse=-pairs[:, 1])
        points = pd.concat([early, early[go_on].assign(epoch=81.0, mrr=5 + rng.normal(size=go_on.sum()))])
        tables, nothing = search(rng, 5, 0.0), pd.DataFrame()
        study = Tables(tables.manifest, trials, points, *[nothing] * 4)
        equal = weight.equal_epochs(study)
        trend = weight.trends(study, equal.points)[0]
        said.append(equal.epochs == 9 and trend.low <= spearman_of(0.4) <= trend.high)
    assert covers(said)


def measured_twice(rng: Generator, points: int, seeds: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The values of the best points of forty by one search's seed, on test and before with fresh seeds.

    A seed has noise that is common to all points, and noise of each point; test values are 0.1 higher.
    """
    truth = rng.normal(size=40)
    noise = [rng.normal(size=(1, n)) + rng.normal(size=(40, n)) for n in (*seeds, 1)]
    best = np.argsort(truth + noise[2][:, 0])[-points:]
    return (truth[best, None] + noise[0][best] + 0.1), truth[best, None] + noise[1][best]


@pytest.mark.parametrize("times", FORMS)
@pytest.mark.parametrize("seeds", [(5, 4), (5, 2), (3, 5)])
def test_shifts_from_fresh_seeds_to_test_cover_the_shift_of_selected_points(seeds, times):
    """The search's own seed selects the points, and is not among those compared."""
    said = []
    for rng in studies(1000 * times, sum(seeds)):
        after, before = measured_twice(rng, 8, seeds)
        found = separate(after.mean(axis=0), before.mean(axis=0), sentence="", scope="")
        said.append(found.low <= 0.1 <= found.high)
    assert covers(said)


@pytest.mark.parametrize("times", FORMS)
@pytest.mark.parametrize("errors", ["normal", "heavy-tailed"])
@pytest.mark.parametrize("seeds", [(5, 1), (8, 1), (4, 3)])
def test_shifts_cover_the_shift_if_one_side_has_one_seed(seeds, errors, times):
    """As a constant, that one value would leave the shift out in many studies.

    A single value is not a mean, so bounded errors are covered more often than in 97 % of studies.
    """
    said, constant = [], []
    for rng in studies(1000 * times, seeds[0]):
        after, before = (0.1 + ERRORS[errors](rng, (seeds[0],))), ERRORS[errors](rng, (seeds[1],))
        found = separate(after, before, sentence="", scope="")
        said.append(found.low <= 0.1 <= found.high)
        constant.append(abs(after.mean() - before.mean() - 0.1) <= t_half_width(after))
    assert covers(said)
    assert seeds[1] > 1 or np.mean(constant) < 0.75


@pytest.mark.parametrize("times", FORMS)
def test_ways_of_sharing_that_do_not_differ_are_seldom_called_different(times, monkeypatch):
    """Twenty random configurations of which each keeps the best of its epochs, and each way its front."""
    monkeypatch.setattr("analysis.questions.sharing.PERMUTATIONS", 199)
    said = []
    for rng in studies(60 * times, 10):
        owner, labels = np.repeat(np.arange(20), 10), np.array(["none", "users", "items", "both"] * 5)
        losses = rng.normal(size=(20, 2))[owner] + 0.5 * rng.normal(size=(200, 2))
        inside = (losses < 0.5).all(axis=1)
        p = sharing._permutation_p(labels, owner[inside], losses[inside], np.array([0.5, 0.5]))
        said.append(p <= 0.05)
    assert not errs(said)


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
