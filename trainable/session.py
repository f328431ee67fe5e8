"""A lane's side of the study loop: slots that are filled, trained, measured and emptied."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from trainable.contract import (
    Answer,
    Config,
    Exchange,
    Fault,
    FaultKind,
    Held,
    Lease,
    Measurement,
    Unreachable,
)
from trainable.engines import Engine, Member, Result, State
from trainable.slots import Slots

STATES = "states.safetensors"
SLOTS = "slots.json"


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


class Session:
    """Slots on one engine. `advance` is the whole loop: report, obey, train one epoch.

    `build` makes the engine, and makes it again where memory runs out or training raises: what was held is
    then forgotten, and leased anew to half as many slots. A trial that was alone then is to blame, and the
    referee hears of it.
    """

    def __init__(
        self,
        build: Callable[[], Engine],
        *,
        slots: int | Literal["auto"],
        lane: str,
        exchange: Exchange,
    ) -> None:
        self._build = build
        self.engine = build()
        self.slots = Slots(slots, at_once=self.engine.at_once, stacks=self.engine.stacks)
        self.lane = lane
        self.exchange = exchange
        self.incarnation = 0
        self._held: dict[int, Slot] = {}
        self._faulty: list[Held] = []
        self._unsent: list[Measurement] = []
        self._cost_s: dict[Member, float] = {}

    @property
    def held(self) -> tuple[Held, ...]:
        """What is in the slots, in the order it came, and what a fault has thrown out of them."""
        return (*(slot.held for slot in self._held.values()), *self._faulty)

    @property
    def free(self) -> int:
        """Slots without a trial."""
        return max(self.slots.count - len(self._held), 0)

    @property
    def measured(self) -> tuple[Measurement, ...]:
        """What was measured and not yet told to the referee."""
        return tuple(self._unsent)

    def advance(self) -> Answer:
        """The referee's answer to what was held and measured; it has been obeyed, and an epoch trained.

        Where the referee is unreachable nothing is trained and nothing forgotten: the answer parks.
        """
        try:
            answer = self.exchange(self.lane, self.incarnation, self.held, self.measured, self.free)
        except Unreachable:
            return Answer(self.incarnation, park=True)
        self._unsent.clear()
        self._faulty.clear()
        self.incarnation = answer.incarnation
        for decision in answer.decisions:
            if decision.verdict != "go":
                self.drop(decision.trial)
        try:
            for lease in answer.leases:
                self.fill(lease)
            if not answer.park:
                self._unsent.extend(self.epoch())
        except MemoryError as error:
            self._fault("memory", error)
        except Exception as error:  # noqa: BLE001 - whatever training raises, the referee hears of it
            self._fault("error", error)
        return answer

    def _fault(self, kind: FaultKind, error: Exception) -> None:
        """Forget what is held; blame the trial that was alone, or train fewer together from now on."""
        held = [slot.held for slot in self._held.values()]
        if len(held) == 1:
            words = str(error).strip().partition("\n")[0]
            self._faulty = [replace(held[0], fault=Fault(kind, f"{type(error).__name__}: {words}"))]
        else:
            self.slots.halve()
        self._held.clear()
        self._cost_s.clear()
        self.engine = self._build()

    def fill(self, lease: Lease) -> None:
        """Put a trial into a slot, at epoch 0; an older attempt at it is forgotten."""
        self.drop(lease.trial)
        slot = self._held[lease.trial] = Slot(lease)
        for member in slot.members:
            self.engine.join(member)

    def drop(self, trial: int) -> None:
        """Empty the slot that holds `trial`, if one does."""
        slot = self._held.pop(trial, None)
        if slot is not None:
            for member in slot.members:
                self.engine.leave(member)
                self._cost_s.pop(member, None)

    def epoch(self) -> list[Measurement]:
        """One epoch of everything held, and the measurements of the trials that are due for one."""
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
        room = self.engine.room()
        self.slots.trained(len(self._held), perf_counter() - began, room=room is None or room >= len(results))
        for member, result in results.items():
            self._cost_s[member] = self._cost_s.get(member, 0.0) + result.wall_s
        return [_measurement(m, results[m], self._cost_s.pop(m)) for m in results if m in due]

    def save(self, folder: Path) -> None:
        """Everything in the slots, as two files in `folder`: tensors, and what they belong to."""
        tensors: dict[str, NDArray[np.generic]] = {}
        for slot in self._held.values():
            for member in slot.members:
                for name, array in self.engine.state(member).items():
                    tensors[f"{member.trial}/{member.replicate}/{name}"] = np.asarray(array, order="C")
        save_file(tensors, folder / STATES)
        record = {
            "slots": [asdict(slot) for slot in self._held.values()],
            "unsent": [asdict(m) for m in self._unsent],
        }
        (folder / SLOTS).write_text(json.dumps(record))

    def load(self, folder: Path) -> None:
        """Take up what `save` left in `folder`; the next exchange reconciles it with the record."""
        record = json.loads((folder / SLOTS).read_text())
        tensors = load_file(folder / STATES)
        for entry in record["slots"]:
            slot = _slot(entry)
            for member in slot.members:
                prefix = f"{member.trial}/{member.replicate}/"
                state: State = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
                self.engine.join(member, state)
            self._held[slot.lease.trial] = slot
        self._unsent = [Measurement(**m) for m in record["unsent"]]


def _measurement(member: Member, result: Result, wall_s: float) -> Measurement:
    weight = member.config.ranking_weight
    if result.metrics is None:
        raise RuntimeError(f"trial {member.trial} was due for a measurement and the engine gave none")
    return Measurement(
        trial=member.trial,
        replicate=member.replicate,
        epoch=result.epoch,
        ranking_loss=result.ranking_loss,
        rating_loss=result.rating_loss,
        joint_loss=weight * result.ranking_loss + (1 - weight) * result.rating_loss,
        wall_s=wall_s,
        **result.metrics,
    )


def _slot(record: Mapping[str, Any]) -> Slot:
    lease = record["lease"]
    config = Config.from_dict(lease["config"])
    return Slot(Lease(lease["trial"], lease["attempt"], config, tuple(lease["replicates"])), record["epoch"])
