"""Samplers by name. A new sampler is one file and one name in `SamplerName`."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import get_args

from optuna.samplers import BaseSampler

from study.search.space import SearchSpace
from study.spec import StudySpec
from study.spec.sections import SamplerName
from trainable.streams import derive

SAMPLERS: tuple[SamplerName, ...] = get_args(SamplerName)
"""Names of the samplers. The module of that name beside this one has `make`, a function (draw) → sampler."""


@dataclass(frozen=True, slots=True)
class Draw:
    """The key of one draw: all that a sampler may use beside the earlier trials."""

    spec: StudySpec
    space: SearchSpace
    trial: int
    redraw: int

    @property
    def seed(self) -> int:
        """The seed of this draw."""
        return derive(self.spec.search.seed, use=f"ask, redraw {self.redraw}", number=self.trial)


def sampler(name: SamplerName, draw: Draw) -> BaseSampler:
    """Make the sampler `name` for one draw."""
    make: Callable[[Draw], BaseSampler] = import_module(f"{__package__}.{name}").make
    return make(draw)
