"""The sampler of every study. It keys each draw, so the order of asks does not matter (law 3)."""

from collections.abc import Collection, Mapping
from copy import copy
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from study.search.distinct import Untried
from study.search.origin import explored
from study.search.samplers.registry import Draw, sampler
from study.search.space import SearchSpace
from study.spec import StudySpec
from study.spec.sections import SamplerName
from trainable.streams import derive

REDRAWS = 3
"""Redraws of a sampler that repeats a trial, before an untried configuration is chosen."""

RANDOM_REDRAWS = 100
"""Limit of random redraws of real numbers: a range of two neighbouring doubles has no third value."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A trial to draw, without its parameters, and the parameters of all other trials."""

    study: optuna.Study
    trial: FrozenTrial
    others: Mapping[int, Mapping[str, Any]]

    @property
    def tried(self) -> Collection[Mapping[str, Any]]:
        """The parameters that no draw may repeat."""
        return self.others.values()


class KeyedSampler(BaseSampler):
    """Draws the whole configuration of a trial from its number, the study's seed and the other trials.

    The initial configurations come first; values that they leave open are drawn at random. Then a share
    `explore` of the trials is drawn at random, with the sharings in turn; the sampler of the spec, a new one
    each time, draws the others. No configuration is drawn twice: a sampler that repeats one draws again, at
    most `REDRAWS` times, and then an untried one is chosen at random. A trial repeats another only after all
    configurations were tried.

    A trial that was partly drawn before a kill keeps its values, and the rest is drawn again. Values that
    depend on no other trial are the same as before.
    """

    def __init__(self, spec: StudySpec, space: SearchSpace) -> None:
        self._spec = spec
        self._space = space

    def infer_relative_search_space(
        self, _optuna_study: optuna.Study, _trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All parameters, which are drawn together."""
        return dict(self._space.distributions)

    def sample_relative(
        self, optuna_study: optuna.Study, trial: FrozenTrial, _search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Parameters of the trial's configuration, by Optuna's names."""
        trials = optuna_study.get_trials(deepcopy=False)
        others = {other.number: other.params for other in trials if other.number != trial.number}
        ask = Pending(optuna_study, _undrawn(trial), others)
        drawn = self._drawn(ask)
        if not trial.params:
            return drawn
        drawn = self._draw("random", 0, ask, {**drawn, **trial.params})
        return drawn if drawn not in ask.tried else self._new("random", ask, trial.params) or drawn

    def _drawn(self, ask: Pending) -> dict[str, Any]:
        """Draw all parameters of a trial."""
        search, number = self._spec.search, ask.trial.number
        if (named := self._space.initial(number)) is not None and (opened := self._opened(ask, named)):
            return opened
        turn = explored(search, number)
        if named is not None:
            drawn = self._new("random", ask, {})
        elif turn is not None:
            drawn = self._new("random", ask, self._turn(turn, ask))
        else:
            drawn = self._new(search.sampler, ask, {})
        return drawn or self._draw("random", 0, ask, {})

    def _opened(self, ask: Pending, named: Mapping[str, Any]) -> dict[str, Any] | None:
        """Draw an initial configuration; None if every configuration with the `named` values was tried.

        Without sharing it may repeat the parameters of an initial one with a different weight.
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

    def _new(self, name: SamplerName, ask: Pending, pinned: Mapping[str, Any]) -> dict[str, Any] | None:
        """Draw an untried configuration with the `pinned` values; None if there is none."""
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
        """RuntimeError: `sample_relative` draws every parameter of the study."""
        raise RuntimeError(
            f"{optuna_study.study_name}, trial {trial.number}: {param_name!r} over {param_distribution} "
            f"is not in the space of this study, {', '.join(self._space.distributions)}"
        )

    def _turn(self, turn: int, ask: Pending) -> dict[str, Any]:
        """The next sharing, in turn, among those with untried configurations; empty if it is fixed."""
        sharings = [*Untried(self._space.branches, ask.tried, {}).counts]
        searched = "sharing" in self._space.distributions and sharings
        return {"sharing": sharings[turn % len(sharings)]} if searched else {}

    def _draw(
        self, name: SamplerName, redraw: int, ask: Pending, pinned: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Draw one configuration with the sampler `name`; `pinned` values are kept."""
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
    """A copy of the trial without parameters."""
    blank = copy(trial)
    blank.distributions = {}
    blank.params = {}
    return blank
