"""Statements on confirmed points whose truth is known: noisy values choose the points, fresh ones judge them.

The points are the best of four times as many by the values of one seed. The same users and other seeds then
measure them again. Over these studies each interval covers the truth in 93 to 97 % of cases.
"""

from collections import defaultdict

import numpy as np
import pytest
from confirmations import REFERENCE, Noise, measured, simulated

from analysis.questions import decision

FORMS = [
    pytest.param(60, id="short"),
    pytest.param(3000, id="long", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
]
"""Simulated studies."""

NOISES = {
    "users and seeds": Noise(),
    "mostly seeds": Noise(user=0.1, user_of_point=0.1, both=0.1, seed_of_point=0.04),
    "mostly users": Noise(user_of_point=1.0, both=0.3, seed=0.005, seed_of_point=0.005),
}

TOO_SURE = 0.15
"""Limit of what a probability of being the knee is too large by: docs/statements.md and the report say so."""

BOUNDS = np.linspace(0.1, 0.9, 9)


def judged(rng, noise):
    """Yield the kind of each statement on a simulated study, and the share of it that is true."""
    study = simulated(rng, noise=noise)
    drawn, truth = study.drawn, study.truth
    covered = np.abs(truth - drawn.means) <= drawn.halves
    yield "values of a point", covered.mean()
    for row in np.flatnonzero(decision.knees(study.before[None], REFERENCE)[0]):
        yield "values at the knee", covered[row].mean()
    low, _, high = decision.hypervolume_interval(drawn)
    (volume,) = decision.volumes(truth[None], REFERENCE)
    yield "hypervolume", low <= volume <= high
    for bounded in (0, 1):
        low, median, high = decision.attained(drawn, BOUNDS, bounded=bounded)
        reached = decision.reached(truth[None], BOUNDS, bounded=bounded)[0]
        shown = np.isfinite(median)
        if shown.any():
            yield "value within a bound", ((low <= reached) & (reached <= high))[shown].mean()


@pytest.mark.parametrize("times", FORMS)
@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_intervals_cover_the_truth_of_points_that_noise_chose(noise, times):
    shares_of = defaultdict(list)
    for study in range(times):
        for kind, share in judged(np.random.default_rng((11, study)), noise):
            shares_of[kind].append(share)
    slack = 0.0 if times > 2000 else 3 * (0.05 * 0.95 / times) ** 0.5
    assert len(shares_of) == 4
    for kind, shares in shares_of.items():
        print(f"{kind}: {np.mean(shares):.3f}")
        assert 0.93 - slack <= np.mean(shares) <= 0.97 + slack, kind


@pytest.mark.parametrize("times", FORMS)
@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_a_probability_is_no_promise_that_points_do_not_keep(noise, times):
    """Of points with a high probability, about as many or more are non-dominated; the knee of another
    measurement is nearly as likely as stated.
    """
    stated, true = defaultdict(list), defaultdict(list)
    for study in range(times):
        rng = np.random.default_rng((12, study))
        made = simulated(rng, noise=noise)
        again = measured(rng, made.truth, 5, 250, noise).means
        truths = ~decision.dominated(made.truth[None])[0], decision.knees(again[None], REFERENCE)[0]
        for kind, shares, truth in zip(
            ("front", "knee"), decision.probabilities(made.drawn), truths, strict=True
        ):
            stated[kind] += shares.tolist()
            true[kind] += truth.tolist()
    front, on_front = np.array(stated["front"]), np.array(true["front"])
    for least in (0.5, 0.8, 0.95):
        assert on_front[front >= least].mean() >= front[front >= least].mean() - 0.03
    knee, at_knee = np.array(stated["knee"]), np.array(true["knee"])
    assert knee.mean() == pytest.approx(at_knee.mean(), abs=0.02)
    for low, high in ((0.2, 0.4), (0.4, 0.6), (0.6, 1.0)):
        some = (knee >= low) & (knee < high)
        print(f"knee {low:g} to {high:g}: {knee[some].mean():.3f} {at_knee[some].mean():.3f} of {some.sum()}")
        slack = 3 * 0.5 / max(some.sum(), 1) ** 0.5
        assert at_knee[some].mean() == pytest.approx(knee[some].mean(), abs=TOO_SURE + slack)


@pytest.mark.parametrize("times", FORMS)
def test_equals_are_seldom_called_distinguishable_or_winners(times):
    """The worst cases: points of one mean, and two groups of one hypervolume."""
    chains, wins = [], []
    truth = np.full((6, 2), 0.5)
    for study in range(times):
        rng = np.random.default_rng((13, study))
        drawn = measured(rng, truth, 5, 250, Noise())
        chains.append(len(decision.distinguishable(drawn)) > 1)
        wins.append(decision.winner(drawn, ["items"] * 3 + ["none"] * 3) is not None)
    slack = 3 * (0.05 * 0.95 / times) ** 0.5
    assert np.mean(chains) <= 0.05 + slack
    assert np.mean(wins) <= 0.05 + slack
