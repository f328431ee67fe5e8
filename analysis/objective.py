"""The objectives: names, labels, units and directions. Directions are defined only here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import AnalysisError

Floats = NDArray[np.float64]

WHOLE = 2.0**53
"""From this value on a float has no fractional part and is written with an exponent."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A metric that a study optimises: its name, label, unit, direction and number of decimals."""

    name: str
    label: str
    unit: str
    larger_is_better: bool
    decimals: int

    @property
    def sign(self) -> int:
        """−1 if larger is better, else 1: value × sign is the loss, loss × sign the value."""
        return -1 if self.larger_is_better else 1


OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("mrr", "MRR (first hit)", "1/rank", larger_is_better=True, decimals=3),
        Objective("mrr_all", "MRR (all test items)", "1/rank", larger_is_better=True, decimals=4),
        Objective("mse", "MSE", "rating steps²", larger_is_better=False, decimals=3),
    )
}


def written(value: float, decimals: int = 4) -> str:
    """Text of `value` with `decimals` decimals; of a large value with an exponent.

    >>> written(0.31274), written(-2.5e37)
    ('0.3127', '-2.5000e+37')
    """
    return f"{value:.{decimals}{'f' if abs(value) < WHOLE else 'e'}}"


def objectives(names: Sequence[str]) -> tuple[Objective, ...]:
    """The objectives with these names, in that order.

    AnalysisError if a name is unknown or repeated, or there are none.

    >>> [objective.label for objective in objectives(["mrr", "mse"])]
    ['MRR (first hit)', 'MSE']
    """
    allowed = f"use some of {', '.join(OBJECTIVES)}, each once"
    for name in names:
        if name not in OBJECTIVES:
            raise AnalysisError(f"objectives: {name!r} is not known; {allowed}")
    if not names or len(set(names)) < len(names):
        raise AnalysisError(f"objectives: {list(names)} is empty or repeats a name; {allowed}")
    return tuple(OBJECTIVES[name] for name in names)


def to_losses(values: ArrayLike, objectives: Sequence[Objective]) -> Floats:
    """Losses (n, m) of `values` (n, m) or, for one point, (m,): smaller is better from here on.

    AnalysisError if the number of columns is not that of the objectives.

    >>> to_losses([[0.3, 0.9]], [OBJECTIVES["mrr"], OBJECTIVES["mse"]])
    array([[-0.3,  0.9]])
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim not in (1, 2) or array.shape[-1] != len(objectives):
        raise AnalysisError(f"values of shape {array.shape} do not fit {len(objectives)} objectives")
    return array * np.array([objective.sign for objective in objectives], dtype=np.float64)


def from_losses(losses: ArrayLike, objectives: Sequence[Objective]) -> Floats:
    """The values (n, m) of losses (n, m): the inverse of `to_losses`, exact to the bit."""
    return to_losses(losses, objectives)
