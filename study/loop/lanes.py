"""The lanes of one run, as last heard."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from study.record.ledger import Ledger
from trainable.contract import Held

LEASE_S = 60.0
"""A lane that has been silent for so long, or for ten of its longest epochs, has lost its trials."""

UNTIMED = 10
"""So many times as long where nobody knows yet how long its epochs are: the first may be long."""


@dataclass(slots=True)
class Seen:
    """A lane: its incarnation, its starts since it last got anywhere, the number it had made up before, its
    longest epoch, when it was last heard, whether its process is gone, the last incarnation of it that has
    trained an epoch, and the free slots that nothing was there for.

    `noted_s` is the longest epoch that is on record.
    """

    incarnation: int
    starts: int
    token: int
    longest_s: float
    at: float
    gone: bool = False
    proven: int = 0
    noted_s: float = 0.0
    unmet: int = 0


class Roster:
    """Who the lanes are, on record but for their silence, which is counted from when this began.

    `lease_s` bounds how long a silent lane keeps its trials, on `clock`, which must be monotonic.
    """

    def __init__(self, ledger: Ledger, lease_s: float, clock: Callable[[], float]) -> None:
        self._ledger = ledger
        self._lease_s = lease_s
        self._clock = clock
        self._lanes: dict[str, Seen] = {}
        self._called = clock()

    def __len__(self) -> int:
        return len(self._lanes)

    def __getitem__(self, lane: str) -> Seen:
        """What is known of a lane."""
        if lane not in self._lanes:
            seen = self._lanes[lane] = Seen(**self._ledger.lane(lane), at=self._clock())
            seen.noted_s = seen.longest_s
        return self._lanes[lane]

    @property
    def unmet(self) -> int:
        """Free slots that nothing was there for, of all lanes."""
        return sum(seen.unmet for seen in self._lanes.values())

    def hear(self, lane: str, held: Sequence[Held], *, further: bool) -> None:
        """A sign of life, with what the lane holds; `further` says that it got further than ever.

        What changes how long it may be silent is put on record: another referee must know.
        """
        seen = self[lane]
        seen.at, seen.gone = self._clock(), False
        seen.longest_s = max([seen.longest_s, *(h.epoch_s for h in held)])
        longer = seen.longest_s > max(2 * seen.noted_s, self._lease_s / 10)
        if (further and seen.starts) or longer:
            seen.starts = 0 if further else seen.starts
            self.note(lane)

    def lose(self, lane: str) -> None:
        """The lane's process is gone: its next one has `lease_s` to be heard, however long epochs are."""
        if lane in self._lanes:
            self[lane].at, self[lane].gone = self._clock(), True

    def clear(self, lane: str, *, proven: bool) -> None:
        """A lane's last start was lost to a trial: it is not its own fault. With `proven` it is as sound as
        it was before.
        """
        seen = self[lane]
        seen.starts = max(0, seen.starts - 1)
        seen.proven = seen.incarnation if proven else seen.proven

    @contextmanager
    def call(self) -> Iterator[None]:
        """While a call is answered: nobody else can be heard, and nobody's silence counts."""
        self._called = self._clock()
        try:
            yield
        finally:
            for seen in self._lanes.values():
                seen.at += self._clock() - self._called

    def sound(self, lane: str) -> bool:
        """Whether a lane has trained an epoch since it started."""
        seen = self[lane]
        return 0 < seen.incarnation == seen.proven

    @property
    def any_sound(self) -> bool:
        """Whether any lane has that is still heard of."""
        return any(self.sound(lane) and self.silence(lane) is None for lane in self._lanes)

    def note(self, lane: str) -> None:
        """Put what is known of a lane on record."""
        seen = self[lane]
        known = {name: getattr(seen, name) for name in ("incarnation", "starts", "token", "longest_s")}
        self._ledger.note_lane(lane, known)
        seen.noted_s = seen.longest_s

    def silence(self, lane: str) -> float | None:
        """Seconds that a lane was silent when the present call came, once that is too long; None before."""
        seen = self[lane]
        silent_s = self._called - seen.at
        if seen.gone:
            patience_s = self._lease_s
        elif seen.longest_s:
            patience_s = max(self._lease_s, 10 * seen.longest_s)
        else:
            patience_s = UNTIMED * self._lease_s
        return silent_s if silent_s > patience_s else None
