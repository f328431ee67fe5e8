"""SearchSpace: the space of a spec as Optuna distributions, and conversion of parameters to a Config.

The weight is a parameter only if tables are shared (law 7: otherwise it changes nothing under Adam), so the
sharing is always suggested first. A range on the logit scale is the Optuna parameter `logit(weight)`, uniform
on its own scale; every other parameter is in its own unit.
"""

from collections.abc import Callable, Mapping
from functools import partial
from math import exp, floor, log, log1p
from types import MappingProxyType
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import BaseTrial

from study.search.distinct import Branch, branches
from study.spec import StudySpec
from study.spec.domains import Form, Log, Logit, Range, Uniform, Whole
from study.spec.sections import Space
from trainable.contract import Config

Suggest = Callable[[str, BaseDistribution], Any]
"""A function (name, distribution) → value of an Optuna parameter."""

DIGITS = 13
"""Significant digits that survive conversion to the logit scale and back: 0.99 returns as 0.99."""


class SearchSpace:
    """Searched and fixed values of a study.

    `searched` names the searched values, the sharing first; `distributions` has their Optuna parameters in
    the same order.
    """

    def __init__(self, spec: StudySpec) -> None:
        names = sorted(Space.model_fields, key=lambda name: name != "sharing")
        self._forms: dict[str, Form] = {name: spec.form(name) for name in names}
        self._initial = spec.search.initial
        self._evaluate_every = spec.train.evaluate_every
        self.searched = tuple(n for n, form in self._forms.items() if isinstance(form, Range | tuple))
        self.distributions: Mapping[str, BaseDistribution] = MappingProxyType(
            {self._parameter(name): _distribution(self._forms[name]) for name in self.searched}
        )
        self.branches: Mapping[str, Branch] = {
            sharing: {self._parameter(name): branch[name] for name in self.searched if name in branch}
            for sharing, branch in branches(spec).items()
        }
        """Values of each Optuna parameter, by sharing."""

    def suggest(self, trial: BaseTrial) -> Config:
        """The Config of a trial; its sampler draws the parameters that are not on record."""
        return self.config(self.parameters(partial(_suggest, trial)), trial.number)

    def parameters(self, ask: Suggest) -> dict[str, Any]:
        """Parameters of one configuration, each from `ask`, without those that earlier values exclude."""
        chosen: dict[str, Any] = {}
        for name in self.searched:
            if self._has(chosen, name):
                parameter = self._parameter(name)
                chosen[parameter] = ask(parameter, self.distributions[parameter])
        return chosen

    def config(self, parameters: Mapping[str, Any], number: int) -> Config:
        """The Config of trial `number` with these parameters.

        Without a parameter for the weight, it is that of the initial configuration, or None.
        """
        values: dict[str, Any] = dict(self._forms)
        for name in self.searched:
            if (parameter := self._parameter(name)) in parameters:
                values[name] = self._decode(name, parameters[parameter])
            else:
                values[name] = self._initial[number].weight if number < len(self._initial) else None
        return Config(evaluate_every=self._evaluate_every, **values)

    def initial(self, number: int) -> dict[str, Any] | None:
        """Parameters that the initial configuration of trial `number` names; None if it has none."""
        if number >= len(self._initial):
            return None
        named = self._initial[number].model_dump(exclude_none=True)
        return {self._parameter(n): self._encode(n, named[n]) for n in self.searched if n in named}

    def sharing(self, parameters: Mapping[str, Any]) -> str:
        """The sharing of a configuration with these parameters."""
        return str(parameters.get("sharing", self._forms["sharing"]))

    def _has(self, chosen: Mapping[str, Any], name: str) -> bool:
        """True if a configuration with the values in `chosen` has a value of this name."""
        return name != "weight" or self.sharing(chosen) != "none"

    def _parameter(self, name: str) -> str:
        return f"logit({name})" if isinstance(self._forms[name], Logit) else name

    def _encode(self, name: str, value: Any) -> Any:
        """A value in its own unit as Optuna's parameter."""
        return _logit(value) if isinstance(self._forms[name], Logit) else value

    def _decode(self, name: str, value: Any) -> Any:
        """Optuna's parameter as the value in its own unit."""
        form = self._forms[name]
        if not isinstance(form, Logit):
            return value
        low, high = form.bounds
        return min(max(float(f"{_expit(value):.{DIGITS}g}"), low), high)


def _distribution(form: Form) -> BaseDistribution:
    match form:
        case Uniform(bounds=(low, high)):
            return FloatDistribution(low, high)
        case Log(bounds=(low, high)):
            return FloatDistribution(low, high, log=True)
        case Logit(bounds=(low, high)):
            return FloatDistribution(_logit(low), _logit(high))
        case Whole(bounds=(low, high)):
            return IntDistribution(int(low), int(high))
        case tuple():
            return CategoricalDistribution(form)
    raise TypeError(f"{form!r} is one value, not a domain to draw from")


def value_at(share: float, distribution: BaseDistribution) -> Any:
    """Quantile of a parameter's range: the value with `share`, in [0, 1), of the range below it."""
    match distribution:
        case FloatDistribution(low=low, high=high, log=True):
            return min(max(low * (high / low) ** share, low), high)
        case FloatDistribution(low=low, high=high):
            return min(low + (high - low) * share, high)
        case IntDistribution(low=low, high=high):
            return low + floor((high - low + 1) * share)
        case CategoricalDistribution(choices=choices):
            return choices[floor(len(choices) * share)]
    raise TypeError(f"{distribution!r} has no values in order")


def _suggest(trial: BaseTrial, name: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case FloatDistribution():
            return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
        case IntDistribution():
            return trial.suggest_int(name, distribution.low, distribution.high)
        case CategoricalDistribution():
            return trial.suggest_categorical(name, distribution.choices)
    raise TypeError(f"{name}: no trial can suggest a {type(distribution).__name__}")


def _logit(share: float) -> float:
    return log(share) - log1p(-share)


def _expit(logit: float) -> float:
    return 1 / (1 + exp(-logit)) if logit >= 0 else exp(logit) / (1 + exp(logit))
