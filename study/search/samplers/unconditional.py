"""Help for samplers that do not support conditional parameters: give every trial every parameter."""

from collections.abc import Iterable
from copy import copy
from itertools import count
from math import sqrt

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from study.search.space import SearchSpace, value_at

GOLDEN = (sqrt(5) - 1) / 2
"""The golden ratio: its multiples modulo 1 are the most even ones."""


def open_parameters(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Distributions of the parameters with more than one value, conditional or not."""
    return {name: form for name, form in space.distributions.items() if not form.single()}


def whole(trials: Iterable[FrozenTrial], space: SearchSpace) -> list[FrozenTrial]:
    """The trials, each with a value for every parameter of the space.

    Only the weight can be missing, if nothing is shared. There it changes nothing (law 7), so a measurement
    holds for every weight. Each such trial gets a weight of its own, evenly over the range: with one weight
    for all, the sampler would take the other weights for untried.
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
