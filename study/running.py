"""A trial without an end, as the Referee knows it: who trains it, how far it is, and what befell it."""

from dataclasses import dataclass, field

from study.record import Holder
from trainable.contract import Config, FaultKind

FORGIVEN = 1
"""Losses of a lane that make no suspect of a newcomer in it: nodes go."""

OFTEN = 5
"""Losses of a lane that make a suspect of what was trained well before: something kills it on the way."""


@dataclass(slots=True)
class Running:
    """Who trains it (None while nobody does), which attempt, how far, and how far any attempt has come; what
    made it start again, by kind and in words.

    `losses` counts the lanes that were lost while it was a newcomer, `taken` how often in a row it was taken
    up from a checkpoint no further than `taken_at`.
    """

    config: Config
    attempt: int
    holder: Holder | None
    epoch: int = 0
    reached: int = 0
    faults: dict[FaultKind, int] = field(default_factory=dict)
    retries: list[str] = field(default_factory=list)
    losses: int = 0
    taken: int = 0
    taken_at: int = 0

    @property
    def lane(self) -> str | None:
        """The name of the lane that trains it."""
        return None if self.holder is None else self.holder.lane

    @property
    def newcomer(self) -> bool:
        """Whether no attempt has come through an epoch."""
        return self.reached == 0

    @property
    def suspect(self) -> bool:
        """Whether it may be what kills its lanes."""
        return (self.newcomer and self.losses > FORGIVEN) or self.faults.get("lane", 0) >= OFTEN

    def take_up(self, epoch: int) -> None:
        """Its lane was started again and has it from a checkpoint, at `epoch`."""
        self.taken = self.taken + 1 if epoch <= self.taken_at else 1
        self.taken_at = epoch
