"""The sampler that a study asks: it keys every ask, so order never matters (law 3)."""

from collections.abc import Collection, Mapping
from copy import copy
from dataclasses import dataclass, replace
from math import floor
from random import Random
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from study.search.distinct import Untried
from study.search.samplers.registry import Draw, sampler
from study.search.space import SearchSpace
from study.spec import StudySpec
from study.spec.sections import SamplerName
from trainable.streams import derive

REDRAWS = 3
"""Redraws of a sampler that repeats a trial; then an untried configuration is chosen."""

RANDOM_REDRAWS = 100
"""Random redraws of real numbers: a range between two neighbouring doubles has no third number."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A trial to be drawn, without its parameters, and the parameters of all other trials."""

    study: optuna.Study
    trial: FrozenTrial
    others: Mapping[int, Mapping[str, Any]]

    @property
    def tried(self) -> Collection[Mapping[str, Any]]:
        """The parameters that no draw may repeat."""
        return self.others.values()


class KeyedSampler(BaseSampler):
    """Draws the whole configuration of a trial from its number, the study's seed and the other trials.

    First come the initial configurations; what they leave open is drawn at random. After them a share
    `explore` of the trials is drawn at random, the sharings taking turns; the sampler that the spec names
    draws the others, made anew for each. No configuration is drawn twice: a sampler that repeats one draws
    again, `REDRAWS` times at most, and then one of the untried is chosen at random. Only where none is left
    does a trial repeat another.

    A trial that a kill left drawn in part is drawn again from the beginning and keeps that part. Values that
    depend on no other trial come out the same.
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
        trials = optuna_study.get_trials(deepcopy=False)
        others = {other.number: other.params for other in trials if other.number != trial.number}
        ask = Ask(optuna_study, _undrawn(trial), others)
        drawn = self._drawn(ask)
        if not trial.params:
            return drawn
        drawn = self._draw("random", 0, ask, {**drawn, **trial.params})
        return drawn if drawn not in ask.tried else self._new("random", ask, trial.params) or drawn

    def _drawn(self, ask: Ask) -> dict[str, Any]:
        """The parameters of a trial that has none yet."""
        search, number = self._spec.search, ask.trial.number
        if (named := self._space.initial(number)) is not None and (opened := self._opened(ask, named)):
            return opened
        turn = self._exploration(number - len(search.initial))
        if named is not None:
            drawn = self._new("random", ask, {})
        elif turn is not None:
            drawn = self._new("random", ask, self._turn(turn, ask))
        else:
            drawn = self._new(search.sampler, ask, {})
        return drawn or self._draw("random", 0, ask, {})

    def _opened(self, ask: Ask, named: Mapping[str, Any]) -> dict[str, Any] | None:
        """An initial configuration; None where every configuration with the `named` values was tried.

        Where nothing is shared it may repeat the parameters of an initial one that names another weight.
        """
        if (drawn := self._new("random", ask, named)) is not None:
            return drawn
        initial = self._spec.search.initial
        weight = initial[ask.trial.number].weight
        if weight is None or "weight" not in self._space.searched:
            return None
        same = {n: p for n, p in ask.others.items() if n < len(initial) and initial[n].weight == weight}
        drawn = self._new("random", replace(ask, others=same), named)
        return drawn if drawn is not None and self._space.sharing(drawn) == "none" else None

    def _new(self, name: SamplerName, ask: Ask, pinned: Mapping[str, Any]) -> dict[str, Any] | None:
        """An untried configuration with the `pinned` values; None where there is none."""
        needed = pinned.keys() if "sharing" not in pinned and len(self._space.branches) > 1 else set()
        for redraw in range(REDRAWS + 1):
            drawn = self._draw(name, redraw, ask, pinned)
            if drawn not in ask.tried and needed <= drawn.keys():
                return drawn
        untried = Untried(self._space.branches, ask.tried, pinned)
        if not untried.counts:
            return None
        chance = Random(derive(self._spec.search.seed, use="untried", number=ask.trial.number))
        sharing, values = untried.choose(chance)
        if values is not None:
            return values
        if "sharing" in self._space.distributions:
            pinned = {**pinned, "sharing": sharing}
        draws = (self._draw("random", redraw, ask, pinned) for redraw in range(REDRAWS + 1, RANDOM_REDRAWS))
        return next((drawn for drawn in draws if drawn not in ask.tried), None)

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

    def _turn(self, turn: int, ask: Ask) -> dict[str, Any]:
        """The sharing whose turn it is among those with untried configurations, where it is searched."""
        sharings = [*Untried(self._space.branches, ask.tried, {}).counts]
        searched = "sharing" in self._space.distributions and sharings
        return {"sharing": sharings[turn % len(sharings)]} if searched else {}

    def _draw(self, name: SamplerName, redraw: int, ask: Ask, pinned: Mapping[str, Any]) -> dict[str, Any]:
        """One configuration by the sampler `name`, but for what is pinned."""
        drawer = sampler(name, Draw(self._spec, self._space, ask.trial.number, redraw))
        known = dict(pinned)
        inferred = drawer.infer_relative_search_space(ask.study, ask.trial)
        together = {p: distribution for p, distribution in inferred.items() if p not in known}
        known = {**drawer.sample_relative(ask.study, ask.trial, together), **known}

        def value(parameter: str, distribution: BaseDistribution) -> Any:
            if parameter in known:
                return known[parameter]
            return drawer.sample_independent(ask.study, ask.trial, parameter, distribution)

        return self._space.parameters(value)


def _undrawn(trial: FrozenTrial) -> FrozenTrial:
    """The trial as it was before anything was drawn for it."""
    blank = copy(trial)
    blank.distributions = {}
    blank.params = {}
    return blank
