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
from study.loop.lanes import LEASE_S, LaneRegistry
from study.loop.plateau import Plateau
from study.loop.retries import Running, RunningTrials
from study.record.front import reference, stands_for
from study.record.ledger import Ledger
from study.record.rows import Holder
from study.search.distinct import Tried
from study.spec.domains import largest
from trainable.contract import Answer, Config, Decision, Held, LaneReport, Lease, Measurement

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
        self._running = RunningTrials(ledger, self._registry, end=self._end, notify=notify)
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
        self._running.clear()
        self._tried = Tried()
        again: dict[int, int] = {}
        for record in records:
            config = record.config
            if record.state == "running":
                config = self._running.restore(record)
            if config is not None and (earlier := self._try(record.trial, config)) is not None:
                again[record.trial] = earlier
        self._judge = Judge(self.ledger, self._corner)
        for judgement in self._judge.stopped():
            if judgement.decision.trial in self._running:
                self._end(judgement.decision, judgement.epoch)
        for number in sorted(self._running.keys() & again.keys()):
            self._repeated(number, again[number])

    # --- the one call ----------------------------------------------------------------------------------

    def exchange(self, report: LaneReport) -> Answer:
        """Record measurements; return decisions on held trials and leases for free slots, or a park."""
        with self._registry.call():
            lane, incarnation = report.lane, report.incarnation
            seen = self._registry[lane]
            new = incarnation < 1 and incarnation != seen.token
            if incarnation > 0 and incarnation != seen.incarnation:
                return _refusal(report, f"incarnation {incarnation} of this lane was replaced")
            self._look()
            if self._lost:
                return _refusal(report, "another run has the study")
            if self._opened is None:  # the first lane of this run
                self.ledger.start_clock(self.run)
                self._opened = self._clock()
            if new:
                self._registry.start(lane, token=incarnation)
                self._notify(Event(what="lane started", lane=lane, incarnation=seen.incarnation))
            leased = [m for m in report.measurements if self._running.leased(m.trial, lane)]
            self.ledger.record([m for m in leased if not m.not_finite])
            further = self._running.advance(lane, report.held) or bool(report.measurements)
            self._registry.update(lane, report.held, further=further)
            holder = Holder(self.run, lane, seen.incarnation)
            decisions = [self._settle(holder, h, report.measurements) for h in report.held]
            if self.over is None:
                self._started_again(holder, report.held)
            leases: list[Lease] = []
            if report.leaving:
                decisions = [self._running.give_back(d.trial) if d.verdict == "go" else d for d in decisions]
                self._registry[lane].unmet = 0
            elif self.over is None:
                leases = self._leases(holder, report, decisions)
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

    def _started_again(self, holder: Holder, held: Sequence[Held]) -> None:
        """Take back trials that the lane's last start has lost; too many fruitless starts end the study."""
        lane = holder.lane
        before = [n for n in self._running.unheld(lane, held) if self._running[n].holder != holder]
        self._running.lane_lost(lane, before, f"lane {lane} started again")
        if (starts := self._registry[lane].starts) > FRUITLESS_STARTS:
            self._end_study(f"failed: lane {lane} started {starts} times without progress")

    # --- held trials -----------------------------------------------------------------------------------

    def _settle(self, holder: Holder, held: Held, measurements: Sequence[Measurement]) -> Decision:
        """Decide about one held trial; an end is recorded before it is answered."""
        trial = self._running.get(held.trial)
        if trial is None or trial.holder != holder or trial.attempt != held.attempt:
            return Decision(held.trial, "drop", "no longer leased to this lane")
        if held.fault is not None:
            return self._running.faulted(held.trial, held.fault)
        if self._running.trained(held.trial, held.epoch):
            self._registry[holder.lane].proven = holder.incarnation
        now = [m for m in measurements if m.trial == held.trial and m.epoch == held.epoch]
        late = out_of_time(self.spec, self._spent())
        decision = self._judge.verdict(held, trial.config, now, late=late)
        if decision.verdict == "drop":
            trial.holder = None
        elif decision.verdict != "go":
            self._end(decision, held.epoch)
        return decision

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

    def _leases(self, holder: Holder, report: LaneReport, decisions: Sequence[Decision]) -> list[Lease]:
        """Leases for the holder: its trials that it no longer holds, waiting trials, then new ones."""
        left = zip(decisions, report.held, strict=True)
        free = max(report.free + sum(d.verdict != "go" and h.fault is None for d, h in left), 0)
        lost = self._running.unheld(holder.lane, report.held)
        self._running.expire(self.run)
        if out_of_time(self.spec, self._spent()) is not None:
            for number in lost + [n for n, trial in self._running.items() if trial.holder is None]:
                self._end_out_of_time(number)
            return []
        for number in lost[free:]:  # the lane has fewer slots than before
            self._running[number].holder = None
        again = [self._running.lease(number, holder) for number in lost[:free]]
        return again + self._start(holder, free - len(again))

    def _start(self, holder: Holder, free: int) -> list[Lease]:
        """Up to `free` leases of waiting or new trials; with prefetching, a busy lane waits for no draw."""
        turn, began = self._running.turn(holder.lane, free), self._clock()
        leases = [self._running.lease(number, holder) for number in turn.numbers]
        while len(leases) < turn.most and spent_out(self.spec, self._spent()) is None:
            if self._prefetch and (turn.busy or (leases and self._clock() - began > ASKS_PATIENCE_S)):
                break
            self.reserve()
            number, config = self.draw()
            self.begin(number, config)
            if number in self._running:
                leases.append(self._running.lease(number, holder))
        if turn.spare is not None and not leases and not self._registry.any_sound:
            leases = [self._running.lease(turn.spare, holder)]
        self._registry[holder.lane].unmet = turn.most - len(leases)
        return leases

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


def _refusal(report: LaneReport, reason: str) -> Answer:
    """The answer to a replaced lane, or to a lane of a replaced run: drop every trial and end."""
    dropped = tuple(Decision(h.trial, "drop", reason) for h in report.held)
    return Answer(report.incarnation, dropped, park=True, over=True)
