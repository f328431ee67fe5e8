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
    """A trial takes an untried configuration, all of them equally likely.

    A budget that ends early, and a rule that compares with earlier trials, see a fair sample of the grid.
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
        """The values of this trial's configuration; empty, so that they are drawn, where all were tried."""
        others = (other.params for other in study.get_trials(deepcopy=False) if other.number != trial.number)
        untried = Untried(self._draw.space.branches, others, {})
        return (untried.choose(Random(self._draw.seed))[1] or {}) if untried.counts else {}
