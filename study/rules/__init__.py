"""Stopping rules: who goes on after a measurement. A new rule is one file and one line in `RULES`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from study.parts import RuleName, Stopping
from trainable.contract import Decision

RULES: Mapping[RuleName, str] = {
    "never": "study.rules.never:Never",
    "median": "study.rules.median:Median",
    "pareto-asha": "study.rules.pareto_asha:ParetoAsha",
}
"""Name → "module:function", a function (stopping) → Rule. Also named in `study.parts.RuleName`."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trial at an epoch, as a rule sees it: its losses, smaller is better, in the objectives' order."""

    trial: int
    epoch: int
    losses: tuple[float, ...]


class Rule(Protocol):
    """A pure function of what is on record."""

    def judges(self, epoch: int) -> bool:
        """Whether there is a rung at `epoch`: elsewhere every trial goes on unasked."""
        ...

    def judge(
        self,
        reference: tuple[float, ...],
        rung: Sequence[Candidate],
        own: Sequence[Candidate],
        candidate: Candidate,
    ) -> Decision:
        """Whether the candidate goes on ("go") or not ("stop"), and why.

        `reference` holds the losses of the reference point; `rung` the candidates judged at this epoch
        before this one, in the order of their judgements, whatever became of them since; `own` the points
        of the candidate's trial at earlier epochs, in order. Every loss is finite.
        """
        ...


def rule(stopping: Stopping) -> Rule:
    """The rule that a spec names, with its numbers; the spec has checked that there is one."""
    module, _, attribute = RULES[stopping.rule].partition(":")
    make = cast(Callable[[Stopping], Rule], getattr(import_module(module), attribute))
    return make(stopping)
