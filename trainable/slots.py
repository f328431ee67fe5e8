"""A lane's slots: their content, and their number, which is given or found by measurement."""

from dataclasses import dataclass
from typing import Literal

from trainable.contract import Held, Lease
from trainable.engines.engine import Member

GAIN = 1.1
"""Least gain in trials per second for which a doubled number of slots is kept."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A trial in training: its lease, and its number of epochs. Its replicates train side by side."""

    lease: Lease
    epoch: int = 0

    @property
    def members(self) -> tuple[Member, ...]:
        """One engine member for each replicate."""
        return tuple(Member(self.lease.trial, r, self.lease.config) for r in self.lease.replicates)

    @property
    def held(self) -> Held:
        """The slot as reported in an exchange."""
        return Held(self.lease.trial, self.lease.attempt, self.epoch)


class Slots:
    """The number of slots. With "auto" it starts at the engine's `at_once`, and doubles while that makes the
    lane faster, if the engine stacks members.

    The second epoch with all slots full is timed: the first one compiles, allocates and records graphs.
    """

    def __init__(self, asked: int | Literal["auto"], *, at_once: int, stacks: bool) -> None:
        self._searching = asked == "auto" and stacks
        self.count = at_once if asked == "auto" else asked
        self._full = 0
        self._before: float | None = None

    def trained(self, trials: int, wall_s: float, *, room: bool) -> None:
        """Adjust the number after an epoch of `trials` in `wall_s`; `room`: memory for twice as many."""
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
        """Halve the number, to at least one, and stop doubling."""
        self.count = max(1, self.count // 2)
        self._searching = False
