"""Every distinct configuration once, in random order."""

from random import Random
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial

from study.search.distinct import Untried
from study.search.samplers.registry import Draw


class Grid(RandomSampler):
    """Draws an untried configuration, all equally likely.

    The order is random so that a small budget, and a rule that compares with earlier trials, have a fair
    sample of the grid.
    """

    def __init__(self, draw: Draw) -> None:
        super().__init__(draw.seed)
        self._draw = draw

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Values of an untried configuration; empty, hence random, if all were tried."""
        others = (other.params for other in study.get_trials(deepcopy=False) if other.number != trial.number)
        untried = Untried(self._draw.space.branches, others, {})
        return (untried.choose(Random(self._draw.seed))[1] or {}) if untried.counts else {}


make = Grid
