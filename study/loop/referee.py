"""The Referee decides which trials run, stop and start again. It has no dependency on Ray.

All its state except quarantines can be read again from the Ledger, so it may die between any two calls.
`exchange` reconciles a lane with the record: a trial that is leased to the lane but not held starts again, a
trial that is held but no longer leased is dropped. Repeating a call changes nothing.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Lock

from study.loop.budget import Spent, out_of_time, spent_out
from study.loop.events import Event, Notify, ignore_event
from study.loop.judge import Judge
from study.loop.lanes import LEASE_S, LaneEntry, LaneRegistry
from study.loop.plateau import Plateau
from study.loop.retries import BLAME, STARTS, TAKEN_UP, Running, most_together, next_tried
from study.record.front import reference, stands_for
from study.record.ledger import Ledger
from study.record.rows import Holder
from study.search.distinct import Tried
from study.spec.domains import largest
from trainable.contract import Answer, Config, Decision, Fault, Held, LaneReport, Lease, Measurement

FRUITLESS_STARTS = 8
"""Starts of a lane in a row without a measurement or a larger epoch of a trial; one more ends the study."""

ASKS_PATIENCE_S = 1.0
"""With prefetching: limit of the time that an idle lane with a lease waits for further draws."""

RECORD_LOOK_S = 0.5
"""Interval of checks that this run still has the study and was not asked to stop."""


class Referee:
    """Answers the lanes of one run of one study.

    `run` is the open row that `Ledger.claim` made. A silent lane keeps its trials for `lease_s` on `clock`,
    which must be monotonic. With `prefetch` the caller draws trials in advance: while `wanting`, it calls
    `reserve`, `draw` and `begin`; a lane waits for a draw only if it has nothing to train. `notify` is called
    with each event.
    """

    def __init__(
        self,
        ledger: Ledger,
        run: int,
        *,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.monotonic,
        prefetch: bool = False,
        notify: Notify = ignore_event,
    ) -> None:
        self.ledger = ledger
        self.spec = ledger.spec
        self.run = run
        self._clock = clock
        self._corner = reference(ledger.baseline, self.spec)
        self._replicates = self.spec.search.replicates
        self._registry = LaneRegistry(ledger, lease_s, clock)
        self._prefetch = prefetch
        self._notify = notify
        self._reserved = 0
        self._nothing_left = False
        self._drawing = Lock()
        self._looked = float("-inf")
        driven = ledger.runs()
        self._wall_before = sum(r.wall_s for r in driven)
        clocked = any(r.run == run and r.began is not None for r in driven)
        self._opened = clock() if clocked else None
        self.over: str | None = None
        self._lost = False
        self._plateau = Plateau.of(ledger)
        self._resume()

    def _resume(self) -> None:
        """Read the record: repair interrupted writes, count spent resources, and find running trials."""
        self.ledger.tell_cut_off()
        records = self.ledger.records()
        self._begun = len(records)
        self._trained = sum(r.epochs for r in records) * self._replicates
        self._running: dict[int, Running] = {}
        self._tried = Tried()
        again: dict[int, int] = {}
        for record in records:
            config = record.config
            if record.state == "running":
                config = config or self.ledger.settle(record.trial)
                trial = self._running[record.trial] = Running(config, record.attempt, record.holder)
                trial.faults, trial.retries = dict(record.faults), list(record.retries)
                trial.losses, trial.alone = trial.lost, "deadly" in trial.faults
                if trial.losses and (points := self.ledger.points(trial=record.trial)):
                    trial.reached = points[-1].epoch
            if config is not None and (earlier := self._try(record.trial, config)) is not None:
                again[record.trial] = earlier
        self._judge = Judge(self.ledger, self._corner)
        for said in self._judge.stopped():
            if said.decision.trial in self._running:
                self._end(said.decision, said.epoch)
        for number in sorted(self._running.keys() & again.keys()):
            self._repeated(number, again[number])

    # --- the one call ----------------------------------------------------------------------------------

    def exchange(self, report: LaneReport) -> Answer:
        """Record measurements; return decisions on held trials and leases for free slots, or a park."""
        lane, incarnation, held, measurements = (
            report.lane,
            report.incarnation,
            report.held,
            report.measurements,
        )
        with self._registry.call():
            seen = self._registry[lane]
            new = incarnation < 1 and incarnation != seen.token
            if incarnation > 0 and incarnation != seen.incarnation:
                return _refusal(incarnation, held, f"incarnation {incarnation} of this lane was replaced")
            self._look()
            if self._lost:
                return _refusal(incarnation, held, "another run has the study")
            if self._opened is None:  # the first lane of this run
                self.ledger.start_clock(self.run)
                self._opened = self._clock()
            if new:
                self._register(lane, seen, incarnation)
            self.ledger.record([m for m in measurements if self._leased(m.trial, lane) and not m.not_finite])
            self._registry.update(lane, held, further=self._further(lane, held) or bool(measurements))
            holder = Holder(self.run, lane, seen.incarnation)
            decisions = [self._settle(holder, h, measurements) for h in held]
            leases: list[Lease] = []
            if self.over is None:
                before = [n for n in self._unheld(lane, held) if self._running[n].holder != holder]
                self._lane_lost(lane, before, f"lane {lane} started again")
                if seen.starts > FRUITLESS_STARTS:
                    self._end_study(f"failed: lane {lane} started {seen.starts} times without progress")
            if self.over is None:
                free = report.free + sum(
                    d.verdict != "go" and h.fault is None for d, h in zip(decisions, held, strict=True)
                )
                leases = self._leases(holder, held, max(free, 0))
            if not self._running and not self._reserved:
                self._rest()
            if new:  # last, so that a start does not count if the database fails
                self._registry.note(lane)
            over = self.over is not None
            idle = not leases and not any(d.verdict == "go" for d in decisions)
            return Answer(seen.incarnation, tuple(decisions), tuple(leases), park=idle or over, over=over)

    def _rest(self) -> None:
        """End the study if its budget is spent; call it when no trial runs.

        If the record has more trials than this referee knows, a killed referee drew them: read it again.
        """
        words = spent_out(self.spec, self._spent())
        if words is not None and self.ledger.begun() != self._begun:
            self._resume()
        elif words is not None:
            self._end_study(words)

    def _end_study(self, words: str) -> None:
        """End the study with a reason; later calls change nothing."""
        if self.over is None:
            self.over = words
            self._notify(Event(what="over", words=words))

    # --- prefetching -----------------------------------------------------------------------------------

    @property
    def wanting(self) -> bool:
        """True if a trial should be drawn now, for an empty slot or for the next one that a lane frees.

        Quarantined trials do not count as waiting, because they cannot start in every slot.
        """
        self._look()
        if self.over is not None or spent_out(self.spec, self._spent()) is not None:
            return False
        waiting = self._reserved + sum(t.holder is None and not t.quarantined for t in self._running.values())
        return waiting < self._registry.unmet + len(self._registry)

    def reserve(self) -> None:
        """Count a trial as begun before it is drawn, with the largest number of epochs of the space."""
        self._begun += 1
        self._reserved += 1

    def draw(self) -> tuple[int, Config]:
        """Draw and record a new trial; return its number and configuration. May run beside an exchange.

        Draws are serial, because each depends on all before it (law 3).
        """
        with self._drawing:
            began = self._clock()
            number, config = self.ledger.ask()
        self._notify(Event(what="asked", trial=number, seconds=self._clock() - began))
        return number, config

    def begin(self, number: int, config: Config) -> None:
        """Add a drawn trial, for the next lane with a free slot.

        A trial that repeats another shows that no configuration is left, and ends at once.
        """
        self._reserved -= 1
        self._running[number] = Running(config, attempt=0, holder=None)
        if (earlier := self._try(number, config)) is not None:
            self._nothing_left = True
            self._repeated(number, earlier)

    def _try(self, number: int, config: Config) -> int | None:
        """The earlier trial with this configuration, or None; always None in a confirmation."""
        return None if self.ledger.plan is not None else self._tried.add(number, config)

    def _repeated(self, number: int, earlier: int) -> None:
        """End a trial that has the configuration of an earlier one."""
        reason = f"the same configuration as trial {earlier}; each is trained once"
        self._end(Decision(number, "stop", reason), 0)

    def close(self) -> None:
        """Close the record."""
        self.ledger.close()

    # --- lanes -----------------------------------------------------------------------------------------

    def lose(self, lane: str) -> None:
        """Note that a lane's process has ended. Its trials wait `lease_s` for its next process."""
        self._registry.lose(lane)

    def _register(self, lane: str, seen: LaneEntry, token: int) -> None:
        """Give a new incarnation to a lane that has started."""
        seen.token = token
        seen.incarnation += 1
        seen.starts += 1
        self._notify(Event(what="lane started", lane=lane, incarnation=seen.incarnation))

    def _look(self) -> None:
        """Check every `RECORD_LOOK_S` that this run still has the study and was not asked to stop."""
        if self._clock() - self._looked < RECORD_LOOK_S:
            return
        self._looked = self._clock()
        if self.over is not None:
            return
        if not self.ledger.owned(self.run):
            self._lost = True
            self._end_study("failed: another run of this study took it over")
        elif self.ledger.stop_requested(self.run):
            self._end_study("stopped on request")

    def _further(self, lane: str, held: Sequence[Held]) -> bool:
        """Update the largest epochs of held trials; True if one has grown."""
        further = False
        for h in held:
            trial = self._running.get(h.trial)
            if trial is not None and self._leased(h.trial, lane) and h.epoch > trial.reached:
                trial.reached, further = h.epoch, True
        return further

    # --- held trials -----------------------------------------------------------------------------------

    def _settle(self, holder: Holder, held: Held, measurements: Sequence[Measurement]) -> Decision:
        """Decide about one held trial; an end is recorded before it is answered."""
        trial = self._running.get(held.trial)
        if trial is None or not self._leased(held.trial, holder.lane) or trial.attempt != held.attempt:
            return Decision(held.trial, "drop", "no longer leased to this lane")
        if held.fault is not None:
            return self._faulted(held.trial, held.fault)
        if trial.holder != holder:
            trial.resume(held.epoch)
            if trial.taken > TAKEN_UP:
                words = f"lane {holder.lane} keeps starting again at epoch {held.epoch} without progress"
                return self._faulted(held.trial, Fault("lane", words))
        elif held.epoch > trial.epoch:
            self._registry[holder.lane].proven = holder.incarnation
        trial.epoch = held.epoch
        now = [m for m in measurements if m.trial == held.trial and m.epoch == held.epoch]
        late = out_of_time(self.spec, self._spent())
        decision = self._judge.verdict(held, trial.config, now, late=late)
        if decision.verdict == "drop":
            trial.holder = None
        elif decision.verdict != "go":
            self._end(decision, held.epoch)
        elif trial.holder != holder:
            trial.holder = holder
            self.ledger.lease(held.trial, trial.config, holder, attempt=trial.attempt)
        return decision

    def _faulted(self, number: int, fault: Fault) -> Decision:
        """Record a trial's fault; it starts again, or fails if it had too many."""
        trial = self._running[number]
        times = trial.faults[fault.kind] = trial.faults.get(fault.kind, 0) + 1
        reason = f"{BLAME[fault.kind]}, failure {times} of {STARTS[fault.kind]}: {fault.words}"
        self._take_back(number, reason)
        if times < STARTS[fault.kind]:
            return Decision(number, "drop", reason)
        decision = Decision(number, "fail", reason)
        self._end(decision, trial.epoch)
        return decision

    def _take_back(self, number: int, reason: str) -> None:
        """Release a trial's lease and record the reason."""
        trial = self._running[number]
        lane, trial.holder = trial.lane, None
        trial.retries.append(reason)
        self.ledger.take_back(number, trial.faults, trial.retries, attempt=trial.attempt)
        self._notify(Event(what="went back", lane=lane, trial=number, attempt=trial.attempt, words=reason))

    def _lane_lost(self, lane: str, numbers: Sequence[int], words: str) -> None:
        """Take back these trials of a lost lane. The loss counts as a fault of the newcomers among them, or
        of all if none is a newcomer.
        """
        newcomers = [n for n in numbers if self._running[n].newcomer]
        for number in numbers:
            trial = self._running[number]
            if newcomers and number not in newcomers:
                self._take_back(number, f"its lane was lost with newcomers in it: {words}")
                continue
            sound = trial.holder is not None and trial.holder.incarnation == self._registry[lane].proven
            alone = newcomers == [number] and sound
            poison = alone and trial.quarantined
            if trial.newcomer:
                trial.losses, trial.alone = trial.losses + 1, trial.alone or alone
            decision = self._faulted(number, Fault("deadly" if poison else "lane", words))
            if poison:
                self._registry.clear(lane, proven=decision.verdict == "fail")

    def _end(self, decision: Decision, epochs: int) -> None:
        """Record a trial's end, with the point that stands for it.

        If an earlier attempt trained more than `epochs`, its number of epochs is recorded.
        """
        points = self.ledger.points(trial=decision.trial)
        epochs = max([epochs, *(p.epoch for p in points)])
        points = [] if decision.verdict == "fail" else points
        if self.spec.train.candidates == "last":
            points = points[-1:] if decision.verdict == "complete" else []
        point = stands_for(points, self.spec, self._corner)
        self.ledger.end(decision.trial, decision.verdict, decision.reason, epochs=epochs, point=point)
        self._trained += epochs * self._replicates
        self._plateau.end(points)
        trial = self._running.pop(decision.trial)
        self._notify(
            Event(
                what="ended",
                lane=trial.lane,
                trial=decision.trial,
                attempt=trial.attempt,
                epoch=epochs,
                verdict=decision.verdict,
                words=decision.reason,
            )
        )

    # --- leases ----------------------------------------------------------------------------------------

    def _leased(self, number: int, lane: str) -> bool:
        trial = self._running.get(number)
        return trial is not None and trial.holder is not None and trial.holder.lane == lane

    def _unheld(self, lane: str, held: Sequence[Held]) -> list[int]:
        """Trials that are leased to a lane but not held by it."""
        names = {(h.trial, h.attempt) for h in held if h.fault is None}
        return [n for n, t in self._running.items() if t.lane == lane and (n, t.attempt) not in names]

    def _leases(self, holder: Holder, held: Sequence[Held], free: int) -> list[Lease]:
        """Leases for the holder: its trials that it no longer holds, waiting trials, then new ones."""
        lost = self._unheld(holder.lane, held)
        self._expire()
        if out_of_time(self.spec, self._spent()) is not None:
            for number in lost + [n for n, trial in self._running.items() if trial.holder is None]:
                self._end_out_of_time(number)
            return []
        for number in lost[free:]:  # the lane has fewer slots than before
            self._running[number].holder = None
        again = [self._again(number, holder) for number in lost[:free]]
        return again + self._turns(holder, free - len(again))

    def _turns(self, holder: Holder, free: int) -> list[Lease]:
        """Up to `free` leases of waiting or new trials. Quarantined trials have their first epoch in a sound
        lane if there is one; no other newcomers are in it, so the loss of the lane counts against them alone.
        """
        seen = self._registry[holder.lane]
        seen.unmet = 0
        together = [trial for trial in self._running.values() if trial.lane == holder.lane]
        if any(trial.quarantined for trial in together):
            return []
        slots, sound = len(together) + free, self._registry.sound(holder.lane)
        waiting = {n: trial for n, trial in self._running.items() if trial.holder is None}
        leases: list[Lease] = []
        for number in sorted(waiting, key=lambda n: waiting[n].lost):
            trial = waiting[number]
            if (
                trial.attempt
                and not trial.quarantined
                and len(together) < most_together(slots, [*together, trial])
            ):
                together.append(trial)
                leases.append(self._again(number, holder))
        free = max(most_together(slots, together) - len(together), 0) + len(leases)
        if sound and not leases and not any(trial.newcomer for trial in together):
            tried = next_tried(waiting, free, alone=not together)
            if tried:
                return [self._again(number, holder) for number in tried]
        quarantined = [n for n, trial in waiting.items() if trial.quarantined]
        if quarantined and not sound:
            free = min(free, max(len(leases), not together))  # one trial is enough to prove the lane
        new = [n for n, trial in waiting.items() if not trial.attempt]
        leases += [self._again(number, holder) for number in new[: free - len(leases)]]
        self._draw_for(holder, leases, free, busy=bool(together))
        if quarantined and free and not together and not leases and not self._registry.any_sound:
            return [self._again(min(quarantined, key=lambda n: waiting[n].losses), holder)]
        seen.unmet = free - len(leases)
        return leases

    def _draw_for(self, holder: Holder, leases: list[Lease], free: int, *, busy: bool) -> None:
        """Draw trials until there are `free` leases; with prefetching, a `busy` lane does not wait."""
        began = self._clock()
        while len(leases) < free and spent_out(self.spec, self._spent()) is None:
            if self._prefetch and (busy or (leases and self._clock() - began > ASKS_PATIENCE_S)):
                break
            self.reserve()
            number, config = self.draw()
            self.begin(number, config)
            if number in self._running:
                leases.append(self._again(number, holder))

    def _again(self, number: int, holder: Holder) -> Lease:
        """Lease a trial: its next attempt, or this attempt again if the answer with its lease was lost."""
        trial = self._running[number]
        trial.begin(holder)
        self._notify(Event(what="leased", lane=holder.lane, trial=number, attempt=trial.attempt))
        return self.ledger.lease(number, trial.config, holder, attempt=trial.attempt)

    def _expire(self) -> None:
        """Take back the trials of silent lanes, and of lanes of earlier runs."""
        leased: dict[str, list[int]] = {}
        for number, trial in self._running.items():
            if trial.holder is not None and trial.holder.run != self.run:
                trial.holder = None
            elif trial.holder is not None:
                leased.setdefault(trial.holder.lane, []).append(number)
        for lane, numbers in leased.items():
            silent_s = self._registry.silence(lane)
            if silent_s is not None:
                self._lane_lost(lane, numbers, f"lane {lane} silent for {silent_s:.0f} s")

    def _end_out_of_time(self, number: int) -> None:
        """End a trial without a holder at its last epoch on record, because no time is left."""
        points = self.ledger.points(trial=number)
        why = "its lane was lost" if self._running[number].attempt else "no lane had started it"
        reason = f"{out_of_time(self.spec, self._spent()) or 'no time left'}; {why}"
        self._end(Decision(number, "stop", reason), points[-1].epoch if points else 0)

    def _spent(self) -> Spent:
        """Resources used, and promised to running trials."""
        promised = sum(t.config.epochs for t in self._running.values())
        promised = (promised + self._reserved * largest(self.spec.form("epochs"))) * self._replicates
        wall_s = self._wall_before + (0.0 if self._opened is None else self._clock() - self._opened)
        spent = Spent(self._begun, self._trained + promised, wall_s, self._plateau.reached)
        if self.ledger.plan is not None:
            return spent
        untried = 0 if self._nothing_left else self._tried.left(self.spec, self._begun) - self._reserved
        return replace(spent, tried=len(self._tried), untried=untried)


def _refusal(incarnation: int, held: Sequence[Held], reason: str) -> Answer:
    """The answer to a replaced lane, or to a lane of a replaced run: drop every trial and end."""
    return Answer(incarnation, tuple(Decision(h.trial, "drop", reason) for h in held), park=True, over=True)
