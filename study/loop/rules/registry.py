"""Stopping rules by name. A new rule is one file and one line in `RULES`."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import cast

from study.loop.rules.rule import Rule
from study.spec.sections import RuleName, Stopping

RULES: Mapping[RuleName, str] = {
    "never": "study.loop.rules.never:Never",
    "median": "study.loop.rules.median:Median",
    "pareto-asha": "study.loop.rules.pareto_asha:ParetoAsha",
}
"""Name → "module:function", a function (stopping) → Rule. Also named in `study.spec.sections.RuleName`."""


def rule(stopping: Stopping) -> Rule:
    """Make the rule of a spec, which has checked its name."""
    module, _, attribute = RULES[stopping.rule].partition(":")
    make = cast(Callable[[Stopping], Rule], getattr(import_module(module), attribute))
    return make(stopping)
