"""A trial without an end, as the Referee knows it: who trains it, how far it is, and what befell it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from study.record.rows import Holder
from trainable.contract import Config, FaultKind

TAKEN_UP = 3
"""Times in a row that a trial is taken up from a checkpoint no further than before; then it starts again."""

STARTS: Mapping[FaultKind, int] = {"lane": 10, "deadly": 3, "memory": 3, "error": 3}
"""Starts of a trial that may end in each kind of fault; the last of them fails it.

"deadly" is a lane that had trained others since it started, and was lost with this trial, a suspect, as the
one newcomer in it; the last time with nothing else in it.

A number that is not finite fails it at once: the same key would give it again.
"""

BLAME: Mapping[FaultKind, str] = {
    "lane": "its lane was lost",
    "deadly": "it killed its lane",
    "memory": "it did not fit into memory",
    "error": "its training raised an error",
}

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


def next_tried(waiting: Mapping[int, Running], free: int, *, alone: bool) -> list[int]:
    """The suspects among `waiting` whose turn it is, `free` at most: of those that were lost least, half, and
    in the end one; the last time, one that the lane has `alone`.
    """
    last = STARTS["deadly"] - 1
    suspects = {
        number: (trial.alone, trial.losses)
        for number, trial in waiting.items()
        if trial.suspect and (alone or trial.faults.get("deadly", 0) < last)
    }
    if not suspects:
        return []
    least = min(suspects.values())
    alike = [number for number, losses in suspects.items() if losses == least]
    return alike[: 1 if least[0] else max(1, len(alike) // 2)][:free]
