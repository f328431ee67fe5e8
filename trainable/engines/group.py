"""Members that train in one stack, and its training step: on a GPU, a recorded CUDA graph."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainable.engines.engine import Member, MemberState
from trainable.engines.stack import Position, Stack, StackedRows

CHUNK_ROWS = {"cpu": 1 << 13, "cuda": 1 << 16}
"""Rows of all slots whose activations are held at a time: they fit into a CPU's cache, or keep a GPU busy.
Larger batches are accumulated.
"""

WARM_UP = 3
"""Runs before a graph is recorded, so that libraries have chosen algorithms and allocated memory."""


class DrawTensors(NamedTuple):
    """Rows of an epoch: (n,) for one draw, (K, n) for all slots."""

    users: Tensor
    items: Tensor
    negatives: Tensor
    ratings: Tensor


class StackKind(NamedTuple):
    """The values of a configuration that are the same for all members of a stack."""

    batch_size: int | Literal["full"]
    averages: bool

    @classmethod
    def of(cls, member: Member) -> "StackKind":
        """The kind of a member's stack."""
        return cls(member.config.batch_size, member.config.averages)


@dataclass(slots=True)
class PoolSlot:
    """The place of a member in the stack, and its number of epochs."""

    place: Position
    epoch: int


class Group:
    """Members of one `kind` in one stack, which is rebuilt when a wider member joins."""

    def __init__(self, kind: StackKind, n_users: int, n_items: int, like: Tensor) -> None:
        self.seats: dict[Member, PoolSlot] = {}
        self.kind = kind
        self.stack = Stack(n_users, n_items, 0, 0, like, averages=kind.averages)
        self._like = like
        self._step: Step | None = None

    def join(self, member: Member, state: MemberState) -> None:
        """Add a member with its state."""
        stack, config = self.stack, member.config
        dim, hidden = max(config.dim, stack.dim), max(config.hidden, stack.hidden)
        if (dim, hidden) != (stack.dim, stack.hidden):
            states = {other: self.state(other) for other in self.seats}
            size = stack.n_users, stack.n_items, dim, hidden
            self.stack = Stack(*size, self._like, averages=stack.averages)
            for other, kept in states.items():
                self._seat(other, kept)
        self._seat(member, state)

    def leave(self, member: Member) -> None:
        """Remove a member; KeyError if it has not joined."""
        self.stack.clear(self.seats.pop(member).place)

    def state(self, member: Member) -> MemberState:
        """The complete state of a member."""
        seat = self.seats[member]
        return {**self.stack.state(seat.place, member.config), "epoch": np.array(seat.epoch)}

    def end_epoch(self) -> None:
        """Count an epoch for every member, and update the averages."""
        for seat in self.seats.values():
            seat.epoch += 1
        if self.kind.averages:
            kept = {seat.place: m.config.kept(seat.epoch) for m, seat in self.seats.items()}
            self.stack.average(kept)

    def step(self, batch: int) -> "Step":
        """The step for batches of up to `batch` rows on the present stack."""
        if self._step is None or not self._step.fits(self.stack, batch):
            self._step = Step(self.stack, batch)
        return self._step

    def _seat(self, member: Member, state: MemberState) -> None:
        self.seats[member] = PoolSlot(self.stack.put(member.config, state), int(state["epoch"]))


class Step:
    """A training step of a stack on rows in fixed buffers: `fill` them, `add` their gradient, `update`.

    On a GPU, `add` and `update` are CUDA graphs, which depend on the tensors' addresses and sizes. So a stack
    that has grown needs a new step.
    """

    def __init__(self, stack: Stack, batch: int) -> None:
        slots = stack.sizes[-1]
        self.width = max(1, min(batch, CHUNK_ROWS[stack.sums.device.type] // slots))
        self._stack, self._made_for = stack, (stack, stack.sizes, batch)
        ids = torch.zeros(3, slots, self.width, dtype=torch.int64, device=stack.sums.device)
        reals = stack.weight.new_zeros(2, slots, self.width)
        self._rows = StackedRows(*ids, *reals)
        self.add = _recorded(lambda: stack.add(self._rows), stack)
        self.update = _recorded(stack.update, stack)

    def fits(self, stack: Stack, batch: int) -> bool:
        """True if this step was made for the present tensors of `stack` and for `batch`."""
        return self._made_for == (stack, stack.sizes, batch)

    def fill(self, columns: DrawTensors, first: int, last: int, *, share: float) -> None:
        """Copy rows first…last − 1 of the columns, each `share` of its batch; the rest has share 0."""
        n = last - first
        for row, column in zip(self._rows[:4], columns, strict=True):
            row[:, :n] = column[:, first:last]
        self._rows.share.zero_()
        self._rows.share[:, :n] = share * self._stack.taken[:, None]


def _recorded(work: Callable[[], None], stack: Stack) -> Callable[[], None]:
    """Return `work`, or on a GPU the replay of its recorded graph; the stack keeps its values."""
    if stack.sums.device.type != "cuda":
        return work
    tensors = stack.tensors()
    kept = [tensor.clone() for tensor in tensors]
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    for tensor, before in zip(tensors, kept, strict=True):
        tensor.copy_(before)
    return graph.replay
