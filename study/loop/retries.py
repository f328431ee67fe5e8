"""Running trials as the referee tracks them: holder, progress, faults; limits and order of their retries."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from study.loop.events import Event, Notify
from study.loop.lanes import LaneRegistry
from study.record.ledger import Ledger
from study.record.rows import Holder, TrialRecord
from trainable.contract import Config, Decision, Fault, FaultKind, Held, Lease

STARTS: Mapping[FaultKind, int] = {"lane": 10, "deadly": 3, "memory": 3, "error": 3}
"""Number of faults of each kind that fails a trial. A lost lane counts since the trial's last progress: a
trial that resumes from checkpoints may lose any number of lanes.

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
    newcomer in one of them, which was sound. `further` is true if this attempt has reached a new epoch.
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
    further: bool = False

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
            self.further = False
        self.holder, self.epoch = holder, 0


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


@dataclass(frozen=True, slots=True)
class Turn:
    """Trials that a lane starts: those of `numbers`, then new ones until there are `most`.

    A `busy` lane trains others. If it gets no trial and no lane is sound, it starts the quarantined `spare`.
    """

    numbers: list[int]
    most: int
    busy: bool
    spare: int | None = None


def next_turn(present: Sequence[Running], waiting: Mapping[int, Running], free: int, *, sound: bool) -> Turn:
    """The turn of a lane that trains `present` and has `free` slots.

    Quarantined trials have their first epoch in a sound lane if there is one; no other newcomers are in it,
    so the loss of the lane counts against them alone.
    """
    if any(trial.quarantined for trial in present):
        return Turn([], 0, busy=True)
    together, slots, numbers = [*present], len(present) + free, list[int]()
    for number, trial in sorted(waiting.items(), key=lambda entry: entry[1].lost):
        may = len(together) < most_together(slots, [*together, trial])
        if trial.attempt and not trial.quarantined and may:
            together.append(trial)
            numbers.append(number)
    most = max(most_together(slots, together) - len(together), 0) + len(numbers)
    if sound and not numbers and not any(trial.newcomer for trial in together):
        tried = next_tried(waiting, most, alone=not together)
        if tried:
            return Turn(tried, len(tried), busy=bool(together))
    quarantined = [n for n, trial in waiting.items() if trial.quarantined]
    if quarantined and not sound:
        most = min(most, max(len(numbers), not together))  # one trial is enough to prove the lane
    new = [n for n, trial in waiting.items() if not trial.attempt]
    numbers += new[: most - len(numbers)]
    lone = quarantined if most and not together else []
    spare = min(lone, key=lambda n: waiting[n].losses, default=None)
    return Turn(numbers, most, busy=bool(together), spare=spare)


class RunningTrials(dict[int, Running]):
    """The running trials of a study, by number: leases them, takes them back and chooses the next to start.

    `end` records a trial's end; `notify` is called with each event.
    """

    def __init__(
        self,
        ledger: Ledger,
        registry: LaneRegistry,
        *,
        end: Callable[[Decision, int], None],
        notify: Notify,
    ) -> None:
        super().__init__()
        self._ledger = ledger
        self._registry = registry
        self._end = end
        self._notify = notify

    def restore(self, record: TrialRecord) -> Config:
        """Add a trial that runs on record; return its configuration."""
        config = record.config or self._ledger.settle(record.trial)
        trial = self[record.trial] = Running(config, record.attempt, record.holder)
        trial.faults, trial.retries = dict(record.faults), list(record.retries)
        trial.losses, trial.alone = trial.lost, "deadly" in trial.faults
        if trial.attempt and (points := self._ledger.points(trial=record.trial)):
            trial.epoch = trial.reached = points[-1].epoch
        return config

    def leased(self, number: int, lane: str) -> bool:
        """True if the trial is leased to this lane."""
        trial = self.get(number)
        return trial is not None and trial.lane == lane

    def unheld(self, lane: str, held: Sequence[Held]) -> list[int]:
        """Trials that are leased to a lane but not held by it."""
        names = {(h.trial, h.attempt) for h in held if h.fault is None}
        return [n for n, t in self.items() if t.lane == lane and (n, t.attempt) not in names]

    def advance(self, lane: str, held: Sequence[Held]) -> bool:
        """Update the largest epochs of held trials; True if one has grown."""
        further = False
        for h in held:
            trial = self.get(h.trial)
            if trial is not None and trial.lane == lane and h.epoch > trial.reached:
                trial.reached, trial.further, further = h.epoch, True, True
        return further

    def trained(self, number: int, epoch: int) -> bool:
        """Note the epoch of a held trial; True if its lane has trained it since, False if it resumed it."""
        trial = self[number]
        before, trial.epoch = trial.epoch, epoch
        if before == 0 and epoch > 1:
            about = Event(what="resumed", lane=trial.lane, trial=number, attempt=trial.attempt, epoch=epoch)
            self._notify(about)
            return False
        return epoch > before

    def turn(self, lane: str, free: int) -> Turn:
        """The trials that a lane with `free` slots starts next."""
        present = [trial for trial in self.values() if trial.lane == lane]
        waiting = {n: trial for n, trial in self.items() if trial.holder is None}
        return next_turn(present, waiting, free, sound=self._registry.sound(lane))

    def lease(self, number: int, holder: Holder) -> Lease:
        """Lease a trial: its next attempt, or this attempt again if the answer with its lease was lost."""
        trial = self[number]
        trial.begin(holder)
        self._notify(Event(what="leased", lane=holder.lane, trial=number, attempt=trial.attempt))
        return self._ledger.lease(number, trial.config, holder, attempt=trial.attempt)

    def faulted(self, number: int, fault: Fault) -> Decision:
        """Record a trial's fault; it starts again, or fails if it had too many."""
        trial = self[number]
        times = trial.faults[fault.kind] = trial.faults.get(fault.kind, 0) + 1
        reason = f"{BLAME[fault.kind]}, failure {times} of {STARTS[fault.kind]}: {fault.words}"
        self._take_back(number, reason)
        if times < STARTS[fault.kind]:
            return Decision(number, "drop", reason)
        decision = Decision(number, "fail", reason)
        self._end(decision, trial.epoch)
        return decision

    def give_back(self, number: int) -> Decision:
        """Release a trial whose lane leaves; another lane resumes it. It is no fault."""
        self._take_back(number, "its lane leaves: Ray takes the node away")
        return Decision(number, "drop", "given back")

    def _take_back(self, number: int, reason: str) -> None:
        """Release a trial's lease and record the reason."""
        trial = self[number]
        lane, trial.holder = trial.lane, None
        trial.retries.append(reason)
        self._ledger.take_back(number, trial.faults, trial.retries, attempt=trial.attempt)
        self._notify(Event(what="went back", lane=lane, trial=number, attempt=trial.attempt, words=reason))

    def lane_lost(self, lane: str, numbers: Sequence[int], words: str) -> None:
        """Take back these trials of a lost lane. The loss counts as a fault of the newcomers among them, or
        of all if none is a newcomer.
        """
        newcomers = [n for n in numbers if self[n].newcomer]
        for number in numbers:
            trial = self[number]
            if newcomers and number not in newcomers:
                self._take_back(number, f"its lane was lost with newcomers in it: {words}")
                continue
            sound = trial.holder is not None and trial.holder.incarnation == self._registry[lane].proven
            alone = newcomers == [number] and sound
            poison = alone and trial.quarantined
            if trial.newcomer:
                trial.losses, trial.alone = trial.losses + 1, trial.alone or alone
            if trial.further:
                trial.faults.pop("lane", None)
            decision = self.faulted(number, Fault("deadly" if poison else "lane", words))
            if poison:
                self._registry.clear(lane, proven=decision.verdict == "fail")

    def expire(self, run: int) -> None:
        """Take back the trials of silent lanes, and of lanes of runs before `run`."""
        leased: dict[str, list[int]] = {}
        for number, trial in self.items():
            if trial.holder is not None and trial.holder.run != run:
                trial.holder = None
            elif trial.holder is not None:
                leased.setdefault(trial.holder.lane, []).append(number)
        for lane, numbers in leased.items():
            silent_s = self._registry.silence(lane)
            if silent_s is not None:
                self.lane_lost(lane, numbers, f"lane {lane} silent for {silent_s:.0f} s")
