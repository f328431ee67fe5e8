"""Every distinct configuration once, in an order that is known before the study starts."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial

from study.samplers import Draw
from study.space import SearchSpace
from study.spec import StudySpec
from trainable.streams import stream


class Grid(RandomSampler):
    """Trial n takes configuration n."""

    def __init__(self, draw: Draw) -> None:
        super().__init__(draw.seed)
        self._point = grid_of(draw.spec)[draw.trial]

    def sample_relative(
        self,
        study: optuna.Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        """The values of this trial's configuration."""
        return dict(self._point)


@lru_cache(maxsize=8)
def grid_of(spec: StudySpec) -> tuple[Mapping[str, Any], ...]:
    """The parameters of each trial of a grid, by number: the initial ones, then all others once.

    The others are shuffled by the study's seed, so that a budget that ends early, and a rule that compares
    with earlier trials, see a fair part of the grid. What an initial configuration leaves open is what the
    first of them has that fits and is not yet taken; where all are, the study has one twice.
    """
    space = SearchSpace(spec)
    grid = space.grid()
    shuffled = [grid[i] for i in stream(spec.search.seed, use="grid").permutation(len(grid))]
    first: list[Mapping[str, Any]] = []
    for number in range(len(spec.search.initial)):
        fitting = [point for point in shuffled if _fits(point, number, space)]
        first.append(next((point for point in fitting if point not in first), fitting[0]))
    return (*first, *(point for point in shuffled if point not in first))


def _fits(point: Mapping[str, Any], number: int, space: SearchSpace) -> bool:
    """Whether a configuration has what initial configuration `number` names and can have."""
    named = space.initial(number) or {}
    wanted = space.parameters(lambda name, _: named.get(name))
    return all(value is None or (name in point and point[name] == value) for name, value in wanted.items())
