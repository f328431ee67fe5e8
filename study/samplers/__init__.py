"""Samplers by name, and the one that a study asks: it keys every ask, so order never matters (law 3).

A new sampler is one file and one line in `SAMPLERS`.
"""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from importlib import import_module
from math import floor
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from study.parts import SamplerName
from study.space import SearchSpace
from study.spec import StudySpec
from trainable.streams import derive

REDRAWS = 3
"""How often a configuration that the study already has is drawn again before it is accepted."""

SAMPLERS: Mapping[SamplerName, str] = {
    "tpe": "study.samplers.tpe:tpe",
    "nsga2": "study.samplers.nsga2:Nsga2",
    "gp": "study.samplers.gp:Gp",
    "qmc": "study.samplers.qmc:Qmc",
    "random": "study.samplers.chance:chance",
    "grid": "study.samplers.grid:Grid",
}
"""Name → "module:function", a function (draw) → sampler. Also named in `study.parts.SamplerName`."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One drawing of one trial's configuration: all that a sampler may know beside the trials so far."""

    spec: StudySpec
    space: SearchSpace
    trial: int
    redraw: int

    @property
    def seed(self) -> int:
        """The seed of this drawing alone."""
        return derive(self.spec.search.seed, use=f"ask, redraw {self.redraw}", number=self.trial)


def sampler(name: SamplerName, draw: Draw) -> BaseSampler:
    """The sampler called `name`, made for one drawing."""
    module, _, attribute = SAMPLERS[name].partition(":")
    return cast(Callable[[Draw], BaseSampler], getattr(import_module(module), attribute))(draw)


class KeyedSampler(BaseSampler):
    """Draws the whole configuration of a trial from its number, the study's seed and the trials so far.

    First come the initial configurations; what they leave open is drawn at random, or by the grid where it
    is one. After them a share `explore` of the trials is drawn at random, the sharings taking turns; the
    sampler that the spec names draws the others, made anew for each. A configuration that the study already
    has is drawn again, `REDRAWS` times at most. A trial that was drawn in part (a kill came between) is drawn
    as it was, from the beginning, and keeps that part: what depends on no other trial is what it would have
    been.
    """

    def __init__(self, spec: StudySpec, space: SearchSpace) -> None:
        self._spec = spec
        self._space = space

    def infer_relative_search_space(
        self, _optuna_study: optuna.Study, _trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Every parameter: they are drawn together."""
        return dict(self._space.distributions)

    def sample_relative(
        self, optuna_study: optuna.Study, trial: FrozenTrial, _search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The parameters of the trial's configuration, by Optuna's names."""
        drawn = self._drawn(optuna_study, _undrawn(trial))
        if not trial.params:
            return drawn
        return self._draw("random", 0, optuna_study, _undrawn(trial), {**drawn, **trial.params})

    def _drawn(self, optuna_study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        """What a trial is drawn that has nothing yet."""
        search = self._spec.search
        if (initial := self._space.initial(trial.number)) is not None:
            opener: SamplerName = "grid" if search.sampler == "grid" else "random"
            return self._draw(opener, 0, optuna_study, trial, initial)
        turn = self._exploration(trial.number - len(search.initial))
        drawn: dict[str, Any] = {}
        for redraw in range(REDRAWS + 1):
            if turn is None:
                drawn = self._draw(search.sampler, redraw, optuna_study, trial, {})
            else:
                drawn = self._draw("random", redraw, optuna_study, trial, self._sharing(turn + redraw))
            if not self._repeats(drawn, optuna_study, trial):
                break
        return drawn

    def sample_independent(
        self,
        optuna_study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Nothing: a parameter that was not drawn with the others is none of this study's; RuntimeError."""
        raise RuntimeError(
            f"{optuna_study.study_name}, trial {trial.number}: {param_name!r} over {param_distribution} "
            f"is not in the space of this study, {', '.join(self._space.distributions)}"
        )

    def _exploration(self, ask: int) -> int | None:
        """The number of explorations before ask `ask` (from 0, initial ones aside); None if it is none."""
        explore = self._spec.search.explore
        before, after = floor(ask * explore), floor((ask + 1) * explore)
        return before if after > before else None

    def _sharing(self, turn: int) -> dict[str, Any]:
        """The sharing whose turn it is, where the sharing is searched."""
        match self._space.distributions.get("sharing"):
            case CategoricalDistribution(choices=choices):
                return {"sharing": choices[turn % len(choices)]}
        return {}

    def _draw(
        self,
        name: SamplerName,
        redraw: int,
        optuna_study: optuna.Study,
        trial: FrozenTrial,
        pinned: Mapping[str, Any],
    ) -> dict[str, Any]:
        """One configuration by the sampler `name`, but for what is pinned."""
        drawer = sampler(name, Draw(self._spec, self._space, trial.number, redraw))
        known = dict(pinned)
        inferred = drawer.infer_relative_search_space(optuna_study, trial)
        together = {p: distribution for p, distribution in inferred.items() if p not in known}
        known = {**drawer.sample_relative(optuna_study, trial, together), **known}

        def ask(parameter: str, distribution: BaseDistribution) -> Any:
            if parameter in known:
                return known[parameter]
            return drawer.sample_independent(optuna_study, trial, parameter, distribution)

        return self._space.parameters(ask)

    def _repeats(self, drawn: Mapping[str, Any], optuna_study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether an earlier trial has these parameters; where one is real, none has."""
        if any(isinstance(self._space.distributions[name], FloatDistribution) for name in drawn):
            return False
        others = optuna_study.get_trials(deepcopy=False)
        return any(other.params == drawn for other in others if other.number < trial.number)


def _undrawn(trial: FrozenTrial) -> FrozenTrial:
    """The trial as it was before anything was drawn for it."""
    blank = copy(trial)
    blank.distributions = {}
    blank.params = {}
    return blank
