"""The protocol of stopping rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from trainable.contract import Decision


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trial at an epoch, for a rule: losses in the objectives' order; smaller is better."""

    trial: int
    epoch: int
    losses: tuple[float, ...]


class Rule(Protocol):
    """A stopping rule: a pure function of the record."""

    def judges(self, epoch: int) -> bool:
        """True if the rule judges trials at `epoch`; at other epochs every trial continues."""
        ...

    def judge(
        self,
        reference: tuple[float, ...],
        rung: Sequence[Candidate],
        own: Sequence[Candidate],
        candidate: Candidate,
    ) -> Decision:
        """Decide with a reason if the candidate continues ("go") or not ("stop").

        `reference` has the losses of the reference point; `rung` the candidates judged at this epoch before
        this one, in the order of their judgements, also of trials that ended since; `own` the points of the
        candidate's trial at earlier epochs, in order. Every loss is finite.
        """
        ...
