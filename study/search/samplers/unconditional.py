"""What samplers without conditions need: every parameter, in the space and in each trial."""

from collections.abc import Iterable
from copy import copy
from itertools import count
from math import sqrt

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from study.search.space import SearchSpace, value_at

GOLDEN = (sqrt(5) - 1) / 2
"""Its multiples, modulo 1, lie as evenly as those of any number do."""


def open_parameters(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Every parameter that can take more than one value, conditional or not."""
    return {name: form for name, form in space.distributions.items() if not form.single()}


def whole(trials: Iterable[FrozenTrial], space: SearchSpace) -> list[FrozenTrial]:
    """The trials with a value for every parameter of the space.

    The one that a trial may lack is the weight, where nothing is shared. It changes nothing there (law 7),
    so what was measured is as true at any weight: each such trial stands at one of its own, and together
    they lie evenly over the range. All at one weight would leave the others looking untried.
    """
    shares = (number * GOLDEN % 1 for number in count(1))
    return [
        trial if trial.params.keys() >= space.distributions.keys() else _completed(trial, space, next(shares))
        for trial in trials
    ]


def _completed(trial: FrozenTrial, space: SearchSpace, share: float) -> FrozenTrial:
    lacking = {name: form for name, form in space.distributions.items() if name not in trial.params}
    completed = copy(trial)
    completed.params = trial.params | {name: value_at(share, form) for name, form in lacking.items()}
    completed.distributions = trial.distributions | lacking
    return completed
