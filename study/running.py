"""A trial without an end, as the Referee knows it: who trains it, how far it is, and what befell it."""

from collections.abc import Collection
from dataclasses import dataclass, field

from study.record import Holder
from trainable.contract import Config, FaultKind

FORGIVEN = 1
"""Losses of a lane that make no suspect of a newcomer in it: nodes go."""

OFTEN = 5
"""Losses of a lane from which on a trial is given half as many neighbours with each: one of them may be what
kills lanes, later than in its first epoch.
"""


@dataclass(slots=True)
class Running:
    """Who trains it (None while nobody does), which attempt, how far, and how far any attempt has come; what
    made it start again, by kind and in words.

    `losses` counts the lanes that were lost while it was a newcomer; `alone` says whether it was the one
    newcomer in one of them, which had just trained others. `taken` is how often in a row this attempt was
    taken up from a checkpoint no further than `taken_at`.
    """

    config: Config
    attempt: int
    holder: Holder | None
    epoch: int = 0
    reached: int = 0
    faults: dict[FaultKind, int] = field(default_factory=dict)
    retries: list[str] = field(default_factory=list)
    losses: int = 0
    alone: bool = False
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
        """Whether it may be what kills its lanes at once."""
        return self.newcomer and (self.alone or self.losses > FORGIVEN)

    @property
    def lost(self) -> int:
        """How often its lane was lost."""
        return self.faults.get("lane", 0)

    def begin(self, holder: Holder) -> None:
        """`holder` starts it: another attempt, where it has not got this one already."""
        if self.holder != holder:
            self.attempt += 1
            self.taken = self.taken_at = 0
        self.holder, self.epoch = holder, 0

    def take_up(self, epoch: int) -> None:
        """Its lane was started again and has it from a checkpoint, at `epoch`."""
        self.taken = self.taken + 1 if epoch <= self.taken_at else 1
        self.taken_at = epoch


def most(slots: int, trials: Collection[Running]) -> int:
    """How many a lane with so many slots trains together that trains these."""
    lost = max((trial.lost for trial in trials), default=0)
    return min(slots, max(1, slots >> max(0, lost - OFTEN + 1)))
