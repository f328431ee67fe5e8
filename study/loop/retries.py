"""Running trials as the referee tracks them: holder, progress, faults; limits and order of their retries."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from study.record.rows import Holder
from trainable.contract import Config, FaultKind

TAKEN_UP = 3
"""Limit of restores in a row from a checkpoint without progress; after that the trial starts again."""

STARTS: Mapping[FaultKind, int] = {"lane": 10, "deadly": 3, "memory": 3, "error": 3}
"""Number of faults of each kind that fails a trial.

"deadly" is the loss of a sound lane, one that had trained another trial since it started, while this
quarantined trial was its only newcomer; the last time its only trial.

A non-finite number fails a trial at once: its random streams would repeat it.
"""

BLAME: Mapping[FaultKind, str] = {
    "lane": "its lane was lost",
    "deadly": "it killed its lane",
    "memory": "it did not fit into memory",
    "error": "its training raised an error",
}

FORGIVEN = 1
"""Losses of a lane before a newcomer in it is quarantined: nodes are lost for other reasons too."""

OFTEN = 5
"""Losses of a trial's lane after which each further one halves the number of trials beside it: it may be a
poison trial that kills lanes after its first epoch.
"""


@dataclass(slots=True)
class Running:
    """A running trial: its holder (None without a lease), its attempt, the epoch of this attempt, the largest
    epoch of any attempt, and its faults by kind and in words.

    `losses` counts the lanes that were lost while it was a newcomer; `alone` is true if it was the only
    newcomer in one of them, which was sound. `taken` counts restores in a row of this attempt from a
    checkpoint no further than `taken_at`.
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
        """The name of the lane that trains it, or None."""
        return None if self.holder is None else self.holder.lane

    @property
    def newcomer(self) -> bool:
        """True if no attempt has completed an epoch."""
        return self.reached == 0

    @property
    def quarantined(self) -> bool:
        """True if it is quarantined: it may be a poison trial that kills its lane in the first epoch."""
        return self.newcomer and (self.alone or self.losses > FORGIVEN)

    @property
    def lost(self) -> int:
        """Number of its lost lanes."""
        return self.faults.get("lane", 0)

    def begin(self, holder: Holder) -> None:
        """Start it on `holder`: a new attempt, unless `holder` has the lease of this one already."""
        if self.holder != holder:
            self.attempt += 1
            self.taken = self.taken_at = 0
        self.holder, self.epoch = holder, 0

    def resume(self, epoch: int) -> None:
        """Note that its lane has started again and restored it from a checkpoint at `epoch`."""
        self.taken = self.taken + 1 if epoch <= self.taken_at else 1
        self.taken_at = epoch


def most_together(slots: int, trials: Collection[Running]) -> int:
    """Number of trials that a lane with these slots and trials may train together."""
    lost = max((trial.lost for trial in trials), default=0)
    return min(slots, max(1, slots >> max(0, lost - OFTEN + 1)))


def next_tried(waiting: Mapping[int, Running], free: int, *, alone: bool) -> list[int]:
    """Quarantined trials among `waiting` to try next, at most `free`: half of those with the fewest losses,
    to isolate the poison trial by bisection. The last try of a trial is in a lane without others (`alone`).
    """
    last = STARTS["deadly"] - 1
    quarantined = {
        number: (trial.alone, trial.losses)
        for number, trial in waiting.items()
        if trial.quarantined and (alone or trial.faults.get("deadly", 0) < last)
    }
    if not quarantined:
        return []
    least = min(quarantined.values())
    alike = [number for number, losses in quarantined.items() if losses == least]
    return alike[: 1 if least[0] else max(1, len(alike) // 2)][:free]
