"""What lies in a lane's slots, and how many there are: as many as asked for, or found by measurement."""

from dataclasses import dataclass
from typing import Literal

from trainable.contract import Held, Lease
from trainable.engines.engine import Member

GAIN = 1.1
"""What twice the slots must bring in members an epoch, a second, to be kept."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A trial in training: its lease, and the epochs behind it. Its replicates train side by side."""

    lease: Lease
    epoch: int = 0

    @property
    def members(self) -> tuple[Member, ...]:
        """One engine member a replicate."""
        return tuple(Member(self.lease.trial, r, self.lease.config) for r in self.lease.replicates)

    @property
    def held(self) -> Held:
        """The slot as the exchange names it."""
        return Held(self.lease.trial, self.lease.attempt, self.epoch)


class Slots:
    """A number of slots. With "auto" it is what the engine trains at once, and where the engine stacks it
    doubles while that makes the lane faster.

    A number of slots is judged by its second full epoch: the first one compiles, allocates and records.
    """

    def __init__(self, asked: int | Literal["auto"], *, at_once: int, stacks: bool) -> None:
        self._searching = asked == "auto" and stacks
        self.count = at_once if asked == "auto" else asked
        self._full = 0
        self._before: float | None = None

    def trained(self, trials: int, wall_s: float, *, room: bool) -> None:
        """Hear that an epoch of so many trials took so long, and whether twice as many would find memory."""
        if not self._searching or trials < self.count:
            return
        self._full += 1
        if self._full < 2:
            return
        speed = trials / wall_s
        if self._before is not None and speed < GAIN * self._before:
            self.count //= 2
            self._searching = False
        elif room:
            self.count, self._full, self._before = 2 * self.count, 0, speed
        else:
            self._searching = False

    def halve(self) -> None:
        """Half as many from now on, one at least, and never more again."""
        self.count = max(1, self.count // 2)
        self._searching = False
