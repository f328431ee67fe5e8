"""Checkpoints of sessions: two files, which are complete or refused.

`slots.json` lists the trials in the slots and the unsent measurements; the tensors file beside it has the
state of every member. One hash seals both and names the tensors file. The JSON file is renamed into place
last: a kill or a power loss during a save leaves the old checkpoint. Any other damage breaks the seal.
"""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from trainable.contract import Measurement, StudyError
from trainable.disk import seal, write_atomically
from trainable.engines.engine import Engine, Member, MemberState
from trainable.models.two_task.parameters import layout
from trainable.slots import Slot
from trainable.typed import typed

CHECKPOINT_FORMAT = 3
"""Version of the format that `write` writes; any other is refused."""

LARGEST_NUMBER = sys.float_info.max
"""The largest float; an integer in JSON may be larger."""

RECORD = "slots.json"
SHA256 = re.compile("[0-9a-f]{64}")
"""Pattern of the hash that names the tensors file: it cannot point outside the folder."""


class CheckpointError(StudyError):
    """An unusable checkpoint: its path, and the reason."""


@dataclass(frozen=True, slots=True)
class Saved:
    """The JSON part of a checkpoint: slots in their order, and unsent measurements."""

    slots: tuple[Slot, ...] = ()
    unsent: tuple[Measurement, ...] = ()

    @property
    def members(self) -> tuple[Member, ...]:
        """The members of all slots."""
        return tuple(member for slot in self.slots for member in slot.members)

    def check(self) -> None:
        """Raise ValueError for values that no session can have."""
        epochs = {(m.trial, m.replicate): slot.epoch for slot in self.slots for m in slot.members}
        _once("a replicate", [(m.trial, m.replicate) for m in self.members])
        _once("a measurement", [(m.trial, m.replicate, m.epoch) for m in self.unsent])
        for slot in self.slots:
            _check(slot)
        for m in self.unsent:
            if not 1 <= m.epoch <= epochs.get((m.trial, m.replicate), 0):
                raise ValueError(f"trial {m.trial} is measured at epoch {m.epoch}, which it has not reached")


def write(folder: Path, record: Saved, states: Mapping[Member, MemberState]) -> None:
    """Write a record and its members' states to `folder`, and replace an earlier checkpoint there.

    If the process dies, or the disk raises OSError, `read` finds the old checkpoint or the new one.
    """
    tensors = save({key: np.asarray(values, order="C") for key, values in _flat(states).items()})
    about = {"format": CHECKPOINT_FORMAT, "tensors": len(tensors), **asdict(record)}
    sha256 = seal(about, tensors)
    path = _tensors(folder, sha256)
    write_atomically(path, tensors)
    write_atomically(folder / RECORD, json.dumps({**about, "sha256": sha256}).encode())
    for other in folder.glob(_tensors(folder, "*").name):
        if other != path:
            other.unlink()


def read(folder: Path, engine: Engine) -> tuple[Saved, dict[Member, MemberState]]:
    """Read the checkpoint that `write` left in `folder`, for `engine`.

    Raises only CheckpointError: for a checkpoint that is missing, torn, changed, of another version, or of
    data or a dtype other than the engine's.
    """
    about = _about(folder / RECORD)
    written, sha256, size = (about.pop(key, None) for key in ("format", "sha256", "tensors"))
    if not isinstance(written, int | float | str):
        raise _refused(folder / RECORD, "has no format")
    if written != CHECKPOINT_FORMAT:
        raise _refused(
            folder / RECORD, f"has format {str(written)[:20]}, and this version reads {CHECKPOINT_FORMAT}"
        )
    if not isinstance(sha256, str) or not SHA256.fullmatch(sha256) or not isinstance(size, int):
        raise _refused(folder / RECORD, "does not name its tensors")
    path = _tensors(folder, sha256)
    tensors = _content(path)
    if len(tensors) != size:
        raise _refused(path, f"is torn: it has {len(tensors)} bytes instead of {size}")
    try:
        if seal({"format": written, "tensors": size, **about}, tensors) != sha256:
            raise ValueError(f"it or {RECORD} has changed since it was written")
        record: Saved = typed(Saved, about, RECORD)
        record.check()
        return record, _states(record, load(tensors), engine)
    except (SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise _refused(path, f"was not written by a session: {error}") from error


def _about(path: Path) -> dict[str, Any]:
    """The values in the JSON file."""
    try:
        about = json.loads(_content(path))
    except (ValueError, RecursionError) as error:
        raise _refused(path, "is torn, or not JSON") from error
    if not isinstance(about, dict):
        raise _refused(path, "is not a record of slots")
    return about


def _states(
    record: Saved, tensors: dict[str, NDArray[np.generic]], engine: Engine
) -> dict[Member, MemberState]:
    """The state of each member; ValueError if a tensor is missing, wrong, or superfluous."""
    size = engine.fold.train.n_users, engine.fold.train.n_items
    found: dict[Member, MemberState] = {}
    for slot in record.slots:
        wanted = layout(slot.lease.config, *size, engine.dtype)
        for member in slot.members:
            keys = {name: _key(member, name) for name in wanted}
            state = {name: tensors.pop(key) for name, key in keys.items() if key in tensors}
            kinds = {name: (array.shape, array.dtype) for name, array in state.items()}
            if kinds != wanted:
                wrong = next(name for name in wanted if kinds.get(name) != wanted[name])
                raise ValueError(f"{keys[wrong]} is {kinds.get(wrong)} instead of {wanted[wrong]}")
            if int(state["epoch"]) != slot.epoch or int(state["step"]) < 0:
                raise ValueError(f"{keys['epoch']} is {state['epoch']} instead of {slot.epoch}")
            found[member] = state
    if tensors:
        raise ValueError(f"{next(iter(tensors))[:40]!r} belongs to no slot")
    return found


def _check(slot: Slot) -> None:
    """Raise ValueError for numbers that no spec allows, or an epoch after the last."""
    lease, config = slot.lease, slot.lease.config
    batch = 1 if config.batch_size == "full" else config.batch_size
    counts = (lease.attempt, batch, config.dim, config.hidden, config.epochs, config.evaluate_every)
    if min(counts) < 1 or min((lease.trial, *lease.replicates)) < 0 or not lease.replicates:
        raise ValueError(f"trial {lease.trial}: a number is too small")
    if not (
        0 <= config.ranking_weight <= 1
        and 0 <= config.average <= 1
        and 0 < config.learning_rate <= LARGEST_NUMBER
        and 0 <= config.weight_decay <= LARGEST_NUMBER
    ):
        raise ValueError(
            f"trial {lease.trial}: its weight, average, learning rate or weight decay is out of range"
        )
    if not 0 <= slot.epoch <= config.epochs:
        raise ValueError(f"trial {lease.trial}: epoch {slot.epoch} is not from 0 to {config.epochs}")


def _once(what: str, keys: list[tuple[int, ...]]) -> None:
    if len(set(keys)) < len(keys):
        raise ValueError(f"{what} occurs twice")


def _flat(states: Mapping[Member, MemberState]) -> dict[str, NDArray[np.generic]]:
    return {_key(member, name): array for member, state in states.items() for name, array in state.items()}


def _key(member: Member, name: str) -> str:
    """Name of a member's array in the tensors file."""
    return f"{member.trial}/{member.replicate}/{name}"


def _tensors(folder: Path, sha256: str) -> Path:
    return folder / f"states-{sha256[:16]}.safetensors"


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _refused(path, f"cannot be read ({error.strerror})") from error


def _refused(path: Path, what: str) -> CheckpointError:
    return CheckpointError(f"{path}: {what}; this checkpoint cannot be used")
