"""What a stopping rule is: a pure function of the measurements on record."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from trainable.contract import Decision


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
