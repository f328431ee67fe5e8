"""Samplers by name. A new sampler is one file and one line in `SAMPLERS`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from optuna.samplers import BaseSampler

from study.search.space import SearchSpace
from study.spec import StudySpec
from study.spec.sections import SamplerName
from trainable.streams import derive

SAMPLERS: Mapping[SamplerName, str] = {
    "tpe": "study.search.samplers.tpe:tpe",
    "nsga2": "study.search.samplers.nsga2:Nsga2",
    "gp": "study.search.samplers.gp:Gp",
    "qmc": "study.search.samplers.qmc:Qmc",
    "random": "study.search.samplers.random:chance",
    "grid": "study.search.samplers.grid:Grid",
}
"""Name → "module:function", a function (draw) → sampler. Also named in `study.spec.sections.SamplerName`."""


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
    module, _, attribute = SAMPLERS[name].partition(":")
    return cast(Callable[[Draw], BaseSampler], getattr(import_module(module), attribute))(draw)
