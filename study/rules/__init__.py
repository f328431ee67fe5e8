"""Stopping rules: who goes on after a measurement. A new rule is one file and one line in `RULES`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from trainable.contract import Decision

RULES = {
    "never": "study.rules.never:judge",
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trial at an epoch, as a rule sees it: its losses, smaller is better, in the objectives' order."""

    trial: int
    epoch: int
    losses: tuple[float, ...]


class Rule(Protocol):
    """A pure function of what is on record.

    `reference` holds the losses of the reference point; `history` gives the candidates that were recorded
    at the same epoch before this one, in their order. The decision is "go" or "stop".
    """

    def __call__(
        self,
        reference: tuple[float, ...],
        history: Callable[[], Sequence[Candidate]],
        candidate: Candidate,
    ) -> Decision:
        """What becomes of the candidate, with the reason."""
        ...


def rule(name: str) -> Rule:
    """The rule called `name`; the spec has checked that there is one."""
    module, _, attribute = RULES[name].partition(":")
    return cast(Rule, getattr(import_module(module), attribute))
