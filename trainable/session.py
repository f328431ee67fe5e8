"""A lane's side of the study loop: fill slots, train, measure, empty slots."""

import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Literal
from uuid import uuid4

from trainable.checkpoint import CheckpointError, Saved, read, write
from trainable.contract import (
    Answer,
    Exchange,
    Fault,
    FaultKind,
    Held,
    LaneReport,
    Lease,
    Measurement,
    Unreachable,
)
from trainable.engines.engine import Engine, Member, MemberState, Result
from trainable.slots import Slot, Slots

log = logging.getLogger(__name__)


class Session:
    """Slots on one engine. `advance` is one pass of the loop: report, obey, train one epoch.

    `build` makes the engine. If memory runs out or training raises, all held trials are dropped and `build`
    makes a new engine. If only one trial was held, its fault is reported; otherwise half the slots remain.
    With `by_user`, measurements have their metrics by user, too. `epoch_s` is the duration of the last epoch
    without compilation; 0 before the first.

    `checkpoints` is a folder for the study's checkpoints, one of each trial. `keep` writes them; a trial that
    was started before, in any lane and run, resumes from its own. A session that is `leaving` gives its
    trials back at the next exchange, and gets no others.
    """

    def __init__(
        self,
        build: Callable[[], Engine],
        *,
        slots: int | Literal["auto"],
        lane: str,
        exchange: Exchange,
        by_user: bool = False,
        checkpoints: Path | None = None,
    ) -> None:
        self._build = build
        self._by_user = by_user
        self._checkpoints = checkpoints
        self.engine = build()
        self.slots = Slots(slots, at_once=self.engine.at_once, stacks=self.engine.stacks)
        self.lane = lane
        self.exchange = exchange
        self.incarnation = -1 - uuid4().int % 2**62
        self.epoch_s = 0.0
        self.leaving = False
        self._held: dict[int, Slot] = {}
        self._faulty: list[Held] = []
        self._unsent: list[Measurement] = []
        self._cost_s: dict[Member, float] = {}

    @property
    def held(self) -> tuple[Held, ...]:
        """The trials in the slots, in order of arrival, then those that a fault removed."""
        return (*(replace(slot.held, epoch_s=self.epoch_s) for slot in self._held.values()), *self._faulty)

    @property
    def free(self) -> int:
        """Number of free slots; negative if more trials are held than there are slots."""
        return self.slots.count - len(self._held)

    @property
    def measured(self) -> tuple[Measurement, ...]:
        """Measurements that are not yet sent to the referee."""
        return tuple(self._unsent)

    def advance(self) -> Answer:
        """Report to the referee, obey its answer, train an epoch; return the answer.

        If the referee is unreachable, nothing is trained or dropped, and the answer says to park.
        """
        try:
            answer = self.exchange(
                LaneReport(
                    self.lane, self.incarnation, self.held, self.measured, self.free, leaving=self.leaving
                )
            )
        except Unreachable:
            return Answer(self.incarnation, park=True)
        self._unsent.clear()
        self._faulty.clear()
        self.incarnation = answer.incarnation
        for decision in answer.decisions:
            if decision.verdict != "go":
                self.drop(decision.trial)
            if decision.verdict not in ("go", "drop"):
                self._forget(decision.trial)
        try:
            unsent = [self.fill(lease) for lease in answer.leases]
            if not answer.park and not any(unsent):  # the referee judges the epoch of a checkpoint first
                self._unsent.extend(self.epoch())
        except MemoryError as error:
            self._fault("memory", error)
        except Exception as error:  # noqa: BLE001 - every error of training is reported
            self._fault("error", error)
        return answer

    def _fault(self, kind: FaultKind, error: Exception) -> None:
        """Drop all held trials; report the fault of a trial that was alone, else halve the slots."""
        held = [slot.held for slot in self._held.values()]
        if len(held) == 1:
            words = str(error).strip().partition("\n")[0]
            self._faulty = [replace(held[0], fault=Fault(kind, f"{type(error).__name__}: {words}"))]
        else:
            self.slots.halve()
        self._held.clear()
        self._cost_s.clear()
        self.engine = self._build()

    def fill(self, lease: Lease) -> bool:
        """Put a trial into a slot; drop an older attempt. True if its checkpoint has unsent measurements."""
        self.drop(lease.trial)
        slot, unsent, states = self._kept(lease) or (Slot(lease), (), {})
        self._held[lease.trial] = slot
        for member in slot.members:
            self.engine.join(member, states.get(member))
        self._unsent.extend(unsent)
        return bool(unsent)

    def _kept(
        self, lease: Lease
    ) -> tuple[Slot, tuple[Measurement, ...], Mapping[Member, MemberState]] | None:
        """The slot, unsent measurements and states of a trial's checkpoint; None without a valid one."""
        if self._checkpoints is None or lease.attempt == 1:
            return None
        folder = self._folder(lease.trial)
        if not folder.exists():
            return None
        try:
            record, states = read(folder, self.engine)
        except CheckpointError as error:
            log.warning("lane %s: %s, so trial %d starts again", self.lane, error, lease.trial)
            return None
        (slot,) = record.slots or (Slot(lease),)
        if replace(slot.lease, attempt=lease.attempt) != lease:
            log.warning("lane %s: %s is another trial's, so %d starts again", self.lane, folder, lease.trial)
            return None
        return Slot(lease, slot.epoch), record.unsent, states

    def drop(self, trial: int) -> None:
        """Empty the slot of `trial`, if it has one."""
        slot = self._held.pop(trial, None)
        if slot is not None:
            for member in slot.members:
                self.engine.leave(member)
                self._cost_s.pop(member, None)

    def epoch(self) -> list[Measurement]:
        """Train all held trials for one epoch; return the measurements that are due."""
        if not self._held:
            return []
        self._held = {trial: replace(slot, epoch=slot.epoch + 1) for trial, slot in self._held.items()}
        due = {
            m
            for slot in self._held.values()
            if slot.lease.config.measured_at(slot.epoch)
            for m in slot.members
        }
        began = perf_counter()
        results = self.engine.epoch(due)
        self.epoch_s = sum(result.wall_s for result in results.values())
        room = self.engine.room()
        self.slots.trained(len(self._held), perf_counter() - began, room=room is None or room >= len(results))
        for member, result in results.items():
            self._cost_s[member] = self._cost_s.get(member, 0.0) + result.wall_s
        return [self._measurement(m, results[m]) for m in results if m in due]

    def _measurement(self, member: Member, result: Result) -> Measurement:
        weight = member.config.ranking_weight
        if result.metrics is None:
            raise RuntimeError(f"trial {member.trial} is due for a measurement, and the engine gave none")
        finite = all(map(isfinite, result.metrics.values()))
        return Measurement(
            trial=member.trial,
            replicate=member.replicate,
            epoch=result.epoch,
            ranking_loss=result.ranking_loss,
            rating_loss=result.rating_loss,
            joint_loss=weight * result.ranking_loss + (1 - weight) * result.rating_loss,
            wall_s=self._cost_s.pop(member),
            users=self.engine.by_user(member) if self._by_user and finite else (),
            **result.metrics,
        )

    def keep(self) -> None:
        """Write a checkpoint of each trial that has trained; OSError if the disk refuses."""
        if self._checkpoints is None:
            return
        for slot in self._held.values():
            if slot.epoch:
                folder = self._folder(slot.lease.trial)
                folder.mkdir(parents=True, exist_ok=True)
                unsent = tuple(m for m in self._unsent if m.trial == slot.lease.trial)
                write(folder, Saved((slot,), unsent), {m: self.engine.state(m) for m in slot.members})

    def _forget(self, trial: int) -> None:
        """Remove the checkpoint of an ended trial."""
        if self._checkpoints is not None:
            shutil.rmtree(self._folder(trial), ignore_errors=True)

    def _folder(self, trial: int) -> Path:
        """The folder of a trial's checkpoint; call it with `checkpoints` set."""
        return Path(self._checkpoints or "") / f"trial-{trial}"

    def save(self, folder: Path) -> None:
        """Write a checkpoint of the slots to `folder`, replacing an earlier one."""
        record = Saved(tuple(self._held.values()), self.measured)
        write(folder, record, {member: self.engine.state(member) for member in record.members})

    def load(self, folder: Path) -> None:
        """Replace the held trials by the checkpoint in `folder`; the next exchange reconciles them.

        CheckpointError, with the held trials unchanged, if it is damaged or not of this engine's data.
        """
        record, states = read(folder, self.engine)
        for trial in tuple(self._held):
            self.drop(trial)
        self._held = {slot.lease.trial: slot for slot in record.slots}
        self._faulty, self._unsent = [], list(record.unsent)
        try:
            for member in record.members:
                self.engine.join(member, states[member])
        except MemoryError as error:
            self._unsent.clear()
            self._fault("memory", error)
