"""Stopping rules by name. A new rule is one file and one name in `RuleName`."""

from collections.abc import Callable
from importlib import import_module
from typing import get_args

from study.loop.rules.rule import Rule
from study.spec.sections import RuleName, Stopping

RULES: tuple[RuleName, ...] = get_args(RuleName)
"""Names of the rules. The module of that name ("_" for "-") has `make`, a function (stopping) → Rule."""


def rule(stopping: Stopping) -> Rule:
    """Make the rule of a spec, which has checked its name."""
    module = import_module(f"{__package__}.{stopping.rule.replace('-', '_')}")
    make: Callable[[Stopping], Rule] = module.make
    return make(stopping)
