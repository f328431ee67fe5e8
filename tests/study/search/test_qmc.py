"""Sobol' points have low discrepancy, independent of earlier asks."""

from collections import Counter

import numpy as np
import pytest
from asking import go_on, new_study, reopened, run, spec_with
from scipy.stats import qmc

from trainable.contract import SHARINGS, Config

QMC = ("search.sampler=qmc",)
REAL = ("space.sharing=both", "space.dim=16", "space.weight_decay={ log = [1e-2, 1.0] }")


def shares(configs: list[Config], *overrides: str) -> np.ndarray:
    """The configurations as shares of the three real ranges."""
    logits = np.array([np.log(c.ranking_weight / (1 - c.ranking_weight)) for c in configs])
    rates = np.log([c.learning_rate for c in configs])
    decays = np.log([c.weight_decay for c in configs])
    bounds = [(0.0, np.log(0.9997 / 0.0003)), tuple(np.log([5e-4, 6e-3])), tuple(np.log([1e-2, 1.0]))]
    columns = [
        (v - low) / (high - low) for v, (low, high) in zip((logits, rates, decays), bounds, strict=True)
    ]
    return np.clip(np.stack(columns, axis=1), 0, 1)


@pytest.mark.parametrize("trials", [50, 64])
def test_asks_have_a_lower_discrepancy_than_any_random_ones(trials: int) -> None:
    chance = [
        qmc.discrepancy(shares(run(spec_with(*REAL, "search.sampler=random", f"search.seed={seed}"), trials)))
        for seed in range(10)
    ]
    assert qmc.discrepancy(shares(run(spec_with(*REAL, *QMC), trials))) < min(chance) / 2


def test_every_parameter_is_even_choices_and_whole_numbers_too() -> None:
    """Of 64 points, each lies in its own 64th of a range, and a choice of 4 has 16."""
    configs = run(spec_with(*QMC, "space.dim={ int = [1, 64] }", "space.batch_size=[1, 2]"), 64)
    assert Counter(c.sharing for c in configs) == dict.fromkeys(SHARINGS, 16)
    assert Counter(c.batch_size for c in configs) == {1: 32, 2: 32}
    assert sorted(c.dim for c in configs) == list(range(1, 65))
    rates = np.log([c.learning_rate for c in configs])
    rates = (rates - np.log(5e-4)) / np.log(6e-3 / 5e-4)
    assert sorted((rates * 64).astype(int)) == list(range(64))


def test_the_weight_is_even_within_each_sharing() -> None:
    """Of a power of 4 of points, a choice of 4 leaves a net of a quarter of them."""
    configs = run(spec_with(*QMC), 256)
    for sharing in SHARINGS[1:]:
        weights = np.array([c.weight for c in configs if c.sharing == sharing])
        places = np.log(weights / (1 - weights)) / np.log(0.9997 / 0.0003)
        assert (
            qmc.discrepancy(places[:, None]) < qmc.discrepancy(np.random.default_rng(0).random((64, 1))) / 4
        )


def test_a_point_depends_on_its_number_alone() -> None:
    configs = run(spec_with(*QMC), 12)
    optuna_study, space = new_study(spec_with("search.sampler=random", "search.seed=5"))
    others = go_on(optuna_study, space, 11)
    assert others != configs[:11]
    assert go_on(*reopened(spec_with(*QMC), optuna_study.trials), 1) == configs[11:]


def test_the_sequence_begins_after_the_initial_configurations() -> None:
    initial = "search.initial=[{ sharing = 'both' }, { sharing = 'none' }]"
    assert run(spec_with(*QMC, initial), 10)[2:] == run(spec_with(*QMC), 8)


def test_a_small_space_is_not_left_at_its_first_repeat() -> None:
    small = ("space.weight=0.9", "space.learning_rate=1e-3", "space.dim=[8, 16]")
    assert len(set(run(spec_with(*QMC, *small), 8))) > 6
