"""Sobol' points: a low-discrepancy sequence over the whole space, for any number of trials."""

from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial
from scipy.stats.qmc import Sobol

from study.search.samplers.registry import Draw
from study.search.space import value_at
from trainable.streams import stream


class Qmc(RandomSampler):
    """Ask n takes point n of one scrambled Sobol' sequence (Owen 1998), with a dimension for each parameter.

    A choice divides its dimension into equal parts; without sharing the dimension of the weight is unused.
    Optuna's QMCSampler draws choices at random, omits conditional parameters, and counts its points in the
    record, in the order of asks. A redraw takes point n of another scrambling.
    """

    def __init__(self, draw: Draw) -> None:
        super().__init__(draw.seed)
        search, self._distributions = draw.spec.search, draw.space.distributions
        scrambling = stream(search.seed, use="Sobol' scrambling", epoch=draw.redraw)
        sequence = Sobol(len(self._distributions), rng=scrambling)
        if (point := draw.trial - len(search.initial)) > 0:
            sequence.fast_forward(point)
        self._shares = sequence.random(1)[0].tolist()

    def sample_relative(
        self,
        study: optuna.Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        """The values at the point's coordinates."""
        forms = self._distributions.items()
        return {name: value_at(share, form) for share, (name, form) in zip(self._shares, forms, strict=True)}


make = Qmc
