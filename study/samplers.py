"""Samplers by name, and the one that a study asks: it keys every ask, so order never matters (law 3)."""

import warnings
from collections.abc import Callable, Mapping
from math import floor
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from study.parts import SamplerName
from study.space import SearchSpace
from study.spec import StudySpec
from trainable.streams import derive

REDRAWS = 3
"""How often a configuration that the study already has is drawn again before it is accepted."""


def _tpe(seed: int) -> TPESampler:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Argument ``group``", ExperimentalWarning)
        return TPESampler(multivariate=True, group=True, seed=seed)


SAMPLERS: Mapping[SamplerName, Callable[[int], BaseSampler]] = {
    "tpe": _tpe,
    "random": RandomSampler,
}
"""Name → function (seed) → sampler. Also named in `study.parts.SamplerName`."""


class KeyedSampler(BaseSampler):
    """Draws the whole configuration of a trial from its number, the study's seed and the trials so far.

    First come the initial configurations; what they leave open is drawn at random. After them a share
    `explore` of the trials is drawn at random, the sharings taking turns; the sampler that the spec names
    draws the others, made anew for each. A configuration that the study already has is drawn again, `REDRAWS`
    times at most. A trial that was drawn in part (a kill came between) keeps that part.
    """

    def __init__(self, spec: StudySpec, space: SearchSpace) -> None:
        self._search = spec.search
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
        if (initial := self._space.initial(trial.number)) is not None:
            return self._draw(RandomSampler(self._seed(trial, 0)), optuna_study, trial, initial)
        turn = self._exploration(trial.number - len(self._search.initial))
        drawn: dict[str, Any] = {}
        for redraw in range(REDRAWS + 1):
            seed = self._seed(trial, redraw)
            if turn is None:
                drawn = self._draw(SAMPLERS[self._search.sampler](seed), optuna_study, trial, {})
            else:
                drawn = self._draw(RandomSampler(seed), optuna_study, trial, self._sharing(turn + redraw))
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

    def _seed(self, trial: FrozenTrial, redraw: int) -> int:
        return derive(self._search.seed, use=f"ask, redraw {redraw}", number=trial.number)

    def _exploration(self, ask: int) -> int | None:
        """The number of explorations before ask `ask` (from 0, initial ones aside); None if it is none."""
        before, after = floor(ask * self._search.explore), floor((ask + 1) * self._search.explore)
        return before if after > before else None

    def _sharing(self, turn: int) -> dict[str, Any]:
        """The sharing whose turn it is, where the sharing is searched."""
        match self._space.distributions.get("sharing"):
            case CategoricalDistribution(choices=choices):
                return {"sharing": choices[turn % len(choices)]}
        return {}

    def _draw(
        self,
        sampler: BaseSampler,
        optuna_study: optuna.Study,
        trial: FrozenTrial,
        pinned: Mapping[str, Any],
    ) -> dict[str, Any]:
        """One configuration by `sampler`, but for what is pinned and what the trial already has."""
        known = {**pinned, **trial.params}
        inferred = sampler.infer_relative_search_space(optuna_study, trial)
        together = {name: distribution for name, distribution in inferred.items() if name not in known}
        known = {**sampler.sample_relative(optuna_study, trial, together), **known}

        def ask(name: str, distribution: BaseDistribution) -> Any:
            if name in known:
                return known[name]
            return sampler.sample_independent(optuna_study, trial, name, distribution)

        return self._space.parameters(ask)

    def _repeats(self, drawn: Mapping[str, Any], optuna_study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether another trial has these parameters; where one is real, none has."""
        if any(isinstance(self._space.distributions[name], FloatDistribution) for name in drawn):
            return False
        others = optuna_study.get_trials(deepcopy=False)
        return any(other.params == drawn for other in others if other.number != trial.number)
