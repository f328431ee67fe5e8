"""Optuna studies without a record, whose trials are measured by a formula: for tests of samplers."""

from collections.abc import Sequence

import numpy as np
import optuna

from analysis.front import hypervolume, non_dominated
from study.search.samplers.keyed import KeyedSampler
from study.search.space import SearchSpace
from study.spec import StudySpec
from trainable.contract import Config

BASE = """
name = "base"
[data]
source = "synthetic"
[space]
weight = { logit = [0.5, 0.9997] }
learning_rate = { log = [5e-4, 6e-3] }
dim = { int = [8, 64] }
[budget]
trials = 3
"""
LISTS = ("space.weight=[0.5, 0.9, 0.99]", "space.learning_rate=[1e-3, 2e-3]", "space.dim=[16, 32]")
"""The same space as lists: 2 × 2 × (1 + 3 × 3) configurations."""

REFERENCE = np.array([-0.2, 1.2])


def spec_with(*overrides: str) -> StudySpec:
    return StudySpec.from_text(BASE, where="base", overrides=overrides)


def losses(config: Config) -> tuple[float, float]:
    """A trade-off in λ, best with shared items and learning rate 2e-3; dim has little effect."""
    off = np.log(config.learning_rate / 2e-3) ** 2 / 4 + config.dim / 6400
    logit = np.log(config.ranking_weight / (1 - config.ranking_weight))
    reached = {"none": 0.2, "users": 0.1, "items": 1.0, "both": 0.5}[config.sharing]
    mrr = 0.25 + 0.2 * reached * np.exp(-((logit - 6) ** 2) / 8)
    mse = 1.1 - 0.3 * reached * np.exp(-((logit - 2) ** 2) / 8)
    return off - mrr, off + mse


def new_study(spec: StudySpec) -> tuple[optuna.Study, SearchSpace]:
    space = SearchSpace(spec)
    optuna_study = optuna.create_study(directions=["minimize"] * 2, sampler=KeyedSampler(spec, space))
    return optuna_study, space


def go_on(optuna_study: optuna.Study, space: SearchSpace, trials: int) -> list[Config]:
    """The next configurations, each measured before the next ask."""
    configs = []
    for _ in range(trials):
        trial = optuna_study.ask()
        configs.append(space.suggest(trial))
        optuna_study.tell(trial, losses(configs[-1]))
    return configs


def run(spec: StudySpec, trials: int) -> list[Config]:
    return go_on(*new_study(spec), trials)


def reopened(spec: StudySpec, trials: Sequence[optuna.trial.FrozenTrial]) -> tuple[optuna.Study, SearchSpace]:
    """A new study with these trials on record."""
    optuna_study, space = new_study(spec)
    optuna_study.add_trials(trials)
    return optuna_study, space


def spanned(configs: Sequence[Config]) -> float:
    """Hypervolume of the configurations."""
    array = np.array([losses(config) for config in configs])
    return hypervolume(array[non_dominated(array)], REFERENCE)
