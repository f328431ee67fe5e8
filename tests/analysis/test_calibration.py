"""Calibration by simulation: 95 % intervals cover in 93 to 97 % of cases, tests reject in at most 5 %.

The short form sees gross faults; the long form is what the report's "95 %" and "5 %" rest on. Errors are as
between seeds: few, paired, and not all normal.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.random import Generator

from analysis.compare import bootstrap, holm, paired, sign_flip_p, t_half_width
from analysis.confirmation import outcomes

FORMS = [
    pytest.param(1, id="short"),
    pytest.param(40, id="long", marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
]
"""How many times as many studies are simulated."""

ERRORS: dict[str, Callable[[Generator, tuple[int, ...]], np.ndarray]] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "uniform": lambda rng, shape: rng.uniform(-1, 1, size=shape),
    "heavy-tailed": lambda rng, shape: rng.standard_t(4, size=shape),
}


def studies(times: int, seed: int) -> Iterator[Generator]:
    """A random generator for each simulated study."""
    return (np.random.default_rng((seed, study)) for study in range(times))


def share(said: list[bool]) -> tuple[float, float]:
    """How often it was so, and three standard errors of that at 5 %."""
    return float(np.mean(said)), 3 * (0.05 * 0.95 / len(said)) ** 0.5


def covers(said: list[bool]) -> bool:
    """Whether an interval covers in 93 to 97 % of cases, as far as few cases can tell."""
    found, slack = share(said)
    if len(said) > 2000:
        slack = 0.0
    return 0.93 - slack <= found <= 0.97 + slack


def errs(said: list[bool]) -> bool:
    """Whether a test rejects in more than 5 % of cases, beyond what chance makes of 5 %."""
    found, slack = share(said)
    return found > 0.05 + slack


@pytest.mark.parametrize("times", FORMS)
@pytest.mark.parametrize("errors", ERRORS)
@pytest.mark.parametrize("n", [3, 5, 8])
def test_t_intervals_of_paired_differences_cover_the_effect(n, errors, times):
    said = []
    for rng in studies(1000 * times, n):
        shared, noise = rng.normal(size=n), ERRORS[errors](rng, (2, n))
        found = paired(0.3 + shared + noise[0], shared + noise[1], sentence="", scope="")
        said.append(found.low <= 0.3 <= found.high)
    assert covers(said)


@pytest.mark.parametrize("times", FORMS)
@pytest.mark.parametrize("errors", ERRORS)
@pytest.mark.parametrize("n", [6, 8, 10])
def test_sign_flips_reject_no_effect_seldom(n, errors, times):
    said = [sign_flip_p(ERRORS[errors](rng, (n,))) <= 0.05 for rng in studies(500 * times, n)]
    assert not errs(said)


@pytest.mark.parametrize("times", FORMS)
def test_prediction_intervals_cover_the_next_run(times):
    said = []
    for rng in studies(1000 * times, 1):
        values = rng.normal(size=6)
        half = t_half_width(values[:5], predict=True)
        said.append(abs(values[5] - values[:5].mean()) <= half)
    assert covers(said)


STATISTICS = {
    "mean of users' reciprocal ranks": (
        lambda rng: 1 / (1 + rng.geometric(0.3, size=200)),
        lambda rows: float(rows.mean()),
        float(sum(0.3 * 0.7 ** (k - 1) / (1 + k) for k in range(1, 400))),
    ),
    "correlation over trials": (
        lambda rng: rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], size=100),
        lambda rows: float(np.corrcoef(rows.T)[0, 1]),
        0.5,
    ),
}


@pytest.mark.parametrize("times", FORMS)
@pytest.mark.parametrize("name", STATISTICS)
def test_bootstrap_intervals_cover_the_statistic_of_the_population(name, times, monkeypatch):
    monkeypatch.setattr("analysis.compare.DRAWS", 400)
    draw, statistic, truth = STATISTICS[name]
    said = []
    for rng in studies(60 * times, 2):
        low, high = bootstrap(draw(rng), statistic)
        said.append(low <= truth <= high)
    assert covers(said)


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
    said = []
    for rng in studies(1000 * times, seeds):
        noise = rng.normal(size=(2, seeds, 2)) + rng.normal(size=(seeds, 2))
        said.append(outcomes(noise)[0] == "stays")
    assert not errs(said)


@pytest.mark.parametrize("times", FORMS)
@pytest.mark.parametrize("others", [1, 6])
def test_a_point_on_the_edge_of_the_front_is_seldom_called_dominated(others, times):
    """The worst case: every other point is as good in one objective and far better in the other."""
    means = np.vstack([[0.0, 0.0], np.tile([0.0, -50.0], (others, 1))])
    said = []
    for rng in studies(1000 * times, others):
        losses = means[:, None] + rng.normal(size=(others + 1, 5, 2)) * [1.0, 2.0]
        said.append(outcomes(losses)[0] == "dominated")
    assert not errs(said)
