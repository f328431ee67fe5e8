"""The lanes of one run: state and silence of each."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from study.record.ledger import Ledger
from trainable.contract import Held

LEASE_S = 60.0
"""A lane loses its trials after this silence, or ten of its longest epochs if that is longer."""

UNTIMED = 10
"""Factor on `LEASE_S` before a lane's first epoch, which may be long."""


@dataclass(slots=True)
class LaneEntry:
    """State of a lane: its incarnation, its starts since its last progress, the token that it chose before it
    had a number, its longest epoch, the time of its last call, `gone` after its process has ended, `proven`
    as the last incarnation that trained an epoch, and `unmet` as its free slots that got no trial.

    `noted_s` is the longest epoch on record.
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


class LaneRegistry:
    """The lanes of a run. All but their silence is on record; silence counts from the start of this object.

    A silent lane keeps its trials for `lease_s` on `clock`, which must be monotonic.
    """

    def __init__(self, ledger: Ledger, lease_s: float, clock: Callable[[], float]) -> None:
        self._ledger = ledger
        self._lease_s = lease_s
        self._clock = clock
        self._lanes: dict[str, LaneEntry] = {}
        self._called = clock()

    def __len__(self) -> int:
        return len(self._lanes)

    def __getitem__(self, lane: str) -> LaneEntry:
        """The state of a lane, from the record at first use."""
        if lane not in self._lanes:
            seen = self._lanes[lane] = LaneEntry(**self._ledger.lane(lane), at=self._clock())
            seen.noted_s = seen.longest_s
        return self._lanes[lane]

    @property
    def unmet(self) -> int:
        """Free slots of all lanes that got no trial."""
        return sum(seen.unmet for seen in self._lanes.values())

    def start(self, lane: str, *, token: int) -> None:
        """Give a new incarnation to a lane that has started with this token; `note` records it."""
        seen = self[lane]
        seen.token = token
        seen.incarnation += 1
        seen.starts += 1

    def update(self, lane: str, held: Sequence[Held], *, further: bool) -> None:
        """Note a call of a lane, with the trials that it holds; `further` says that it has made progress.

        Changes to the permitted silence are recorded, because the next referee needs them.
        """
        seen = self[lane]
        seen.at, seen.gone = self._clock(), False
        seen.longest_s = max([seen.longest_s, *(h.epoch_s for h in held)])
        longer = seen.longest_s > max(2 * seen.noted_s, self._lease_s / 10)
        if (further and seen.starts) or longer:
            seen.starts = 0 if further else seen.starts
            self.note(lane)

    def lose(self, lane: str) -> None:
        """Note that the lane's process has ended; the next one has `lease_s` to call, whatever its epochs."""
        if lane in self._lanes:
            self[lane].at, self[lane].gone = self._clock(), True

    def clear(self, lane: str, *, proven: bool) -> None:
        """Do not count a lane's last start, which a trial has killed. With `proven` the lane stays sound."""
        seen = self[lane]
        seen.starts = max(0, seen.starts - 1)
        seen.proven = seen.incarnation if proven else seen.proven

    @contextmanager
    def call(self) -> Iterator[None]:
        """Context of answering a call: no other lane can call meanwhile, so silence does not count."""
        self._called = self._clock()
        try:
            yield
        finally:
            for seen in self._lanes.values():
                seen.at += self._clock() - self._called

    def sound(self, lane: str) -> bool:
        """True if a lane has trained an epoch since it started."""
        seen = self[lane]
        return 0 < seen.incarnation == seen.proven

    @property
    def any_sound(self) -> bool:
        """True if a lane that is not too long silent is sound."""
        return any(self.sound(lane) and self.silence(lane) is None for lane in self._lanes)

    def note(self, lane: str) -> None:
        """Record the state of a lane."""
        seen = self[lane]
        known = {name: getattr(seen, name) for name in ("incarnation", "starts", "token", "longest_s")}
        self._ledger.note_lane(lane, known)
        seen.noted_s = seen.longest_s

    def silence(self, lane: str) -> float | None:
        """Seconds of a lane's silence at the present call if that is too long, else None."""
        seen = self[lane]
        silent_s = self._called - seen.at
        if seen.gone:
            patience_s = self._lease_s
        elif seen.longest_s:
            patience_s = max(self._lease_s, 10 * seen.longest_s)
        else:
            patience_s = UNTIMED * self._lease_s
        return silent_s if silent_s > patience_s else None
