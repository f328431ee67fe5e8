"""Members of one batch size, their stack, and the step that trains it: recorded once where it can be."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainable.engines.engine import Member, State
from trainable.engines.stack import Place, Rows, Stack

CHUNK = {"cpu": 1 << 13, "cuda": 1 << 16}
"""Rows of all slots together whose activations are held at a time, so that they stay in a CPU's cache, or
keep a GPU busy. What a larger batch gives is added up.
"""

WARM_UP = 3
"""Runs before a graph is recorded, so that libraries have chosen and allocated."""


class Columns(NamedTuple):
    """An epoch's rows: (n,) of one draw, (K, n) of every slot."""

    users: Tensor
    items: Tensor
    negatives: Tensor
    ratings: Tensor


@dataclass(slots=True)
class Seat:
    """Where a member lies, and the epochs behind it."""

    place: Place
    epoch: int


class Group:
    """Members in one stack, which is laid out anew when one comes that is wider than it."""

    def __init__(self, n_users: int, n_items: int, like: Tensor) -> None:
        self.seats: dict[Member, Seat] = {}
        self.stack = Stack(n_users, n_items, 0, 0, like)
        self._like = like
        self._step: Step | None = None

    def join(self, member: Member, state: State) -> None:
        """Seat a member with its state."""
        stack, config = self.stack, member.config
        dim, hidden = max(config.dim, stack.dim), max(config.hidden, stack.hidden)
        if (dim, hidden) != (stack.dim, stack.hidden):
            states = {other: self.state(other) for other in self.seats}
            self.stack = Stack(stack.n_users, stack.n_items, dim, hidden, self._like)
            for other, kept in states.items():
                self._seat(other, kept)
        self._seat(member, state)

    def leave(self, member: Member) -> None:
        """Forget a member; KeyError where it is not here."""
        self.stack.clear(self.seats.pop(member).place)

    def state(self, member: Member) -> State:
        """Everything needed to go on elsewhere."""
        seat = self.seats[member]
        return {**self.stack.state(seat.place, member.config), "epoch": np.array(seat.epoch)}

    def step(self, batch: int) -> "Step":
        """The step of batches of up to `batch` rows, as the stack is now."""
        if self._step is None or not self._step.fits(self.stack, batch):
            self._step = Step(self.stack, batch)
        return self._step

    def _seat(self, member: Member, state: State) -> None:
        self.seats[member] = Seat(self.stack.put(member.config, state), int(state["epoch"]))


class Step:
    """A training step of a stack on rows that lie still: `fill` them, `add` their gradient, and `update`.

    On a GPU both are recorded as CUDA graphs, which know the tensors' addresses and sizes; so a stack that
    has grown needs another step.
    """

    def __init__(self, stack: Stack, batch: int) -> None:
        slots = stack.sizes[-1]
        self.width = max(1, min(batch, CHUNK[stack.sums.device.type] // slots))
        self._stack, self._made_for = stack, (stack, stack.sizes, batch)
        ids = torch.zeros(3, slots, self.width, dtype=torch.int64, device=stack.sums.device)
        reals = stack.weight.new_zeros(2, slots, self.width)
        self._rows = Rows(*ids, *reals)
        self.add = _recorded(lambda: stack.add(self._rows), stack)
        self.update = _recorded(stack.update, stack)

    def fits(self, stack: Stack, batch: int) -> bool:
        """Whether this is a step of that stack, as it is now, and of that batch."""
        return self._made_for == (stack, stack.sizes, batch)

    def fill(self, columns: Columns, first: int, last: int, *, share: float) -> None:
        """Take rows first…last − 1 of the columns, each `share` of its batch; the rest counts nothing."""
        n = last - first
        for row, column in zip(self._rows[:4], columns, strict=True):
            row[:, :n] = column[:, first:last]
        self._rows.share.zero_()
        self._rows.share[:, :n] = share * self._stack.taken[:, None]


def _recorded(work: Callable[[], None], stack: Stack) -> Callable[[], None]:
    """The work, or on a GPU a graph of it that is replayed; it leaves the stack as it was."""
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
