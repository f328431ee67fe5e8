"""TPE, NSGA-II and GP beat random sampling significantly, also with a conditional weight."""

import numpy as np
import pytest
from asking import go_on, new_study, reopened, run, spanned, spec_with
from scipy.stats import ttest_1samp

from study.search.samplers.unconditional import whole

SEEDS = range(8)
RANDOM = ("search.sampler=random", "search.explore=0")


@pytest.mark.long
@pytest.mark.parametrize(("sampler", "trials"), [("tpe", 60), ("nsga2", 100)])
def test_the_hypervolume_grows_faster_than_at_random(sampler: str, trials: int) -> None:
    """At equal trials the 99 % t interval of the difference over seeds lies above 0."""
    gains = [
        spanned(
            run(spec_with(f"search.sampler={sampler}", "search.explore=0", f"search.seed={seed}"), trials)
        )
        - spanned(run(spec_with(*RANDOM, f"search.seed={seed}"), trials))
        for seed in SEEDS
    ]
    assert ttest_1samp(gains, 0).confidence_interval(0.99).low > 0


@pytest.mark.long
def test_a_gaussian_process_gains_more_than_any_random_continuation() -> None:
    """Of the same 14 trials: a p below .01."""
    optuna_study, space = new_study(spec_with(*RANDOM))
    begun = go_on(optuna_study, space, 14)
    modelled = go_on(*reopened(spec_with("search.sampler=gp", "search.explore=0"), optuna_study.trials), 4)
    lucky = [
        go_on(*reopened(spec_with(*RANDOM, f"search.seed={s}"), optuna_study.trials), 4)
        for s in range(1, 101)
    ]
    assert spanned(begun + modelled) > max(spanned(begun + configs) for configs in lucky)


def test_a_trial_that_shares_nothing_stands_at_a_weight_of_its_own() -> None:
    """A true observation there (law 7); together they lie evenly, whatever else they have."""
    spec = spec_with(*RANDOM, "space.weight={ uniform = [0.0, 1.0] }")
    optuna_study, space = new_study(spec)
    go_on(optuna_study, space, 200)
    shown = whole(optuna_study.trials, space)
    assert all(trial.params.keys() == space.distributions.keys() for trial in shown)
    pairs = list(zip(optuna_study.trials, shown, strict=True))
    assert all(after == before for before, after in pairs if before.params["sharing"] != "none")
    alone = [(before, after) for before, after in pairs if before.params["sharing"] == "none"]
    assert all(after.values == before.values and "weight" not in before.params for before, after in alone)
    weights = sorted(after.params["weight"] for _, after in alone)
    assert np.abs(np.array(weights) - (np.arange(len(weights)) + 0.5) / len(weights)).max() < 2 / len(weights)


def test_what_another_sampler_drew_may_be_a_parent() -> None:
    """The best trial by far is an initial one; NSGA-II's children resemble it."""
    best = "search.initial=[{ weight = 0.99, sharing = 'items', learning_rate = 2e-3, dim = 8 }]"
    configs = run(spec_with("search.sampler=nsga2", "search.explore=0", best), 40)
    before, after = configs[1:10], configs[10:]
    for likeness in (lambda c: c.sharing == "items", lambda c: c.dim < 16):
        assert np.mean([*map(likeness, after)]) > 2 * np.mean([*map(likeness, before)])
