"""The lanes of one run, as last heard."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from study.ledger import Ledger
from trainable.contract import Measurement

LEASE_S = 60.0
"""A lane that has been silent for so long, or for ten of its longest epochs, has lost its trials."""


@dataclass(slots=True)
class Seen:
    """A lane: its incarnation, its starts without a measurement, when it was last heard, its longest epoch,
    and the free slots that nothing was there for.
    """

    incarnation: int
    starts: int
    at: float
    longest_s: float = 0.0
    unmet: int = 0


class Roster:
    """Who the lanes are. Incarnations and starts are on record; silence is counted from when this began.

    `lease_s` bounds how long a silent lane keeps its trials, on `clock`, which must be monotonic.
    """

    def __init__(self, ledger: Ledger, lease_s: float, clock: Callable[[], float]) -> None:
        self._ledger = ledger
        self._lease_s = lease_s
        self._clock = clock
        self._lanes: dict[str, Seen] = {}

    def __len__(self) -> int:
        return len(self._lanes)

    def __getitem__(self, lane: str) -> Seen:
        """What is known of a lane."""
        if lane not in self._lanes:
            self._lanes[lane] = Seen(**self._ledger.lane(lane), at=self._clock())
        return self._lanes[lane]

    @property
    def unmet(self) -> int:
        """Free slots that nothing was there for, of all lanes."""
        return sum(seen.unmet for seen in self._lanes.values())

    def hear(self, lane: str, measurements: Sequence[Measurement]) -> None:
        """A sign of life, with what the lane measured in its last epoch."""
        seen = self[lane]
        seen.at = self._clock()
        if measurements:
            seen.longest_s = max(seen.longest_s, sum(m.wall_s for m in measurements))
            if seen.starts:
                seen.starts = 0
                self.note(lane)

    def note(self, lane: str) -> None:
        """Put what is known of a lane on record."""
        seen = self[lane]
        self._ledger.note_lane(lane, {"incarnation": seen.incarnation, "starts": seen.starts})

    def silence(self, lane: str) -> float | None:
        """Seconds that a lane has been silent, once that is too long; None before."""
        seen = self[lane]
        silent_s = self._clock() - seen.at
        return silent_s if silent_s > max(self._lease_s, 10 * seen.longest_s) else None
