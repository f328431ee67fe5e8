"""The GPU engine: all members in one stack, trained by the same few operations. It also runs on a CPU.

A step takes about forty kernel launches, for one small model as for a hundred. On a GPU they are recorded
once, as a CUDA graph, and replayed.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainable.contract import UserMetrics
from trainable.data.interactions import Fold
from trainable.engines.device import arithmetic, free_bytes, ids, like
from trainable.engines.draws import DrawKey, Draws
from trainable.engines.engine import Member, MemberState, Result
from trainable.engines.group import DrawTensors, Group, StackKind
from trainable.engines.stack import Stack
from trainable.metrics import NotFiniteError, Ranking, parts
from trainable.models.two_task.parameters import fresh, initial

CACHED_DRAWS = 64
"""Draws that stay on the device: trials of one replicate share them, even at different epochs."""

MEMBER_USERS_AT_ONCE = 64
"""Users whose scores are held at a time, for the number of members that `SCORES` allows."""

SCORES = 1 << 25
"""Candidate scores that are compared at a time."""


class TorchEngine:
    """Trains members of one `StackKind` in one stack.

    Neighbours change the order of some sums, so numbers are equal up to rounding.
    """

    deterministic = False
    tolerance = 1e-9
    at_once = 8
    stacks = True

    def __init__(self, fold: Fold, *, seed: int, device: str, threads: int, dtype: str = "float32") -> None:
        self.fold, self.dtype = fold, dtype
        self._seed, self._threads = seed, threads
        self._like = like(device, dtype)
        self._ranking = Ranking(fold)
        self._groups: dict[StackKind, Group] = {}
        self._draws = Draws(fold.train, seed=seed)
        self._drawn: OrderedDict[DrawKey, DrawTensors] = OrderedDict()

    def join(self, member: Member, state: MemberState | None = None) -> None:
        """Add a member, at its keyed initial values or at `state`; ValueError if it has joined already."""
        kind, size = StackKind.of(member), (self.fold.train.n_users, self.fold.train.n_items)
        group = self._groups.setdefault(kind, Group(kind, *size, self._like))
        if member in group.seats:
            raise ValueError(f"{member} has joined already")
        if state is None:
            values = initial(member.config, *size, seed=self._seed, replicate=member.replicate)
            state = fresh(member.config, values)
        with _memory():
            group.join(member, state)

    def leave(self, member: Member) -> None:
        """Remove a member; KeyError if it has not joined."""
        group = self._group(member)
        group.leave(member)
        if not group.seats:
            del self._groups[group.kind]

    def state(self, member: Member) -> MemberState:
        """The complete state of a member."""
        return self._group(member).state(member)

    def room(self) -> int | None:
        """Number of further members that fit. A growing stack holds its old and new tensors together."""
        members = sum(len(group.seats) for group in self._groups.values())
        if self._like.device.type != "cuda" or not members:
            return None
        return int(free_bytes() * members / (2 * torch.cuda.memory_allocated(self._like.device)))

    def epoch(self, evaluate: Collection[Member]) -> dict[Member, Result]:
        """Train every member for one epoch, then measure those in `evaluate` on the fold's target."""
        with arithmetic(self._threads), torch.no_grad(), _memory():
            parts = [self._epoch(group, evaluate) for group in self._groups.values()]
        return {member: result for part in parts for member, result in part.items()}

    def _group(self, member: Member) -> Group:
        """The group of a member that has joined; KeyError if there is none."""
        return self._groups[StackKind.of(member)]

    def _epoch(self, group: Group, evaluate: Collection[Member]) -> dict[Member, Result]:
        began = perf_counter()
        losses = self._train(group)
        whole = group.stack.finite().tolist()
        fine = {m for m, seat in group.seats.items() if whole[seat.place.slot] and isfinite(sum(losses[m]))}
        found = self._measure(group, [m for m in group.seats if m in fine and m in evaluate])
        wall_s = (perf_counter() - began) / len(group.seats)
        results = {}
        for member, seat in group.seats.items():
            if member in fine and (member in found or member not in evaluate):
                results[member] = Result(seat.epoch, *losses[member], found.get(member), wall_s)
            else:
                results[member] = Result.diverged(seat.epoch, evaluated=member in evaluate, wall_s=wall_s)
        return results

    # --- training --------------------------------------------------------------------------------------

    def _train(self, group: Group) -> dict[Member, tuple[float, float]]:
        """Train a group for one epoch; return each member's mean losses over the rows, before each update."""
        n, batch = len(self.fold.train), group.kind.batch_size
        size = n if batch == "full" else min(batch, n)
        step, columns = group.step(size), self._columns(group)
        group.stack.sums.zero_()
        for first in range(0, n, size):
            last = min(first + size, n)
            for a in range(first, last, step.width):
                step.fill(columns, a, min(a + step.width, last), share=1 / (last - first))
                step.add()
            step.update()
        ranking, rating = (group.stack.sums / n).tolist()
        group.end_epoch()
        return {m: (ranking[s.place.slot], rating[s.place.slot]) for m, s in group.seats.items()}

    def _columns(self, group: Group) -> DrawTensors:
        """Rows of the epoch for every slot, each column (K, n); free slots repeat those of a member."""
        keys = {m: DrawKey(m.replicate, s.epoch + 1, m.config.negatives) for m, s in group.seats.items()}
        distinct = list(dict.fromkeys(keys.values()))
        which = torch.zeros(group.stack.sizes[-1], dtype=torch.int64)
        for member, seat in group.seats.items():
            which[seat.place.slot] = distinct.index(keys[member])
        which = which.to(self._like.device)
        drawn = [self._draw(key) for key in distinct]
        return DrawTensors(*(torch.stack(column)[which] for column in zip(*drawn, strict=True)))

    def _draw(self, key: DrawKey) -> DrawTensors:
        """An epoch's draw on the device, each column (n,); the last `CACHED_DRAWS` stay there."""
        if key not in self._drawn:
            d = self._draws.at(key)
            ratings = torch.as_tensor(d.ratings).to(self._like)
            self._drawn[key] = DrawTensors(
                self._ids(d.users), self._ids(d.items), self._ids(d.negatives), ratings
            )
        self._drawn.move_to_end(key)
        while len(self._drawn) > CACHED_DRAWS:
            self._drawn.popitem(last=False)
        return self._drawn[key]

    # --- measuring -------------------------------------------------------------------------------------

    def _measure(self, group: Group, members: Sequence[Member]) -> dict[Member, dict[str, float]]:
        """Metrics on the fold's target of the members whose numbers are finite."""
        target = self.fold.target
        most = max(1, SCORES // max(len(target), MEMBER_USERS_AT_ONCE * target.n_items))
        found: dict[Member, dict[str, float]] = {}
        for first in range(0, len(members), most):
            some = members[first : first + most]
            slots = self._ids(np.array([group.seats[m].place.slot for m in some]))
            ranks = self._ranks(group.stack, slots)
            predicted = group.stack.ratings(slots, self._ids(target.users), self._ids(target.items))
            errors = predicted.double() - torch.as_tensor(target.ratings).to(predicted.device)
            for member, rank, mse in zip(some, ranks, errors.square().mean(1).tolist(), strict=True):
                try:
                    found[member] = {**self._ranking.averages(rank), "mse": mse}
                except NotFiniteError:
                    continue
        return found

    def by_user(self, member: Member) -> tuple[UserMetrics, ...]:
        """Metrics of a member on the fold's target, by user; NotFiniteError if it has none."""
        group, target = self._group(member), self.fold.target
        with arithmetic(self._threads), torch.no_grad(), _memory():
            slots = self._ids(np.array([group.seats[member].place.slot]))
            ranks = self._ranks(group.stack, slots)
            predicted = group.stack.ratings(slots, self._ids(target.users), self._ids(target.items))
        return self._ranking.by_user(ranks[0], predicted[0].numpy(force=True), target)

    def _ranks(self, stack: Stack, slots: Tensor) -> NDArray[np.float64]:
        """Ranks (s, t) of the target items by the members in `slots`, by counting; NaN if not finite."""
        r = self._ranking
        blocks = []
        for a in range(0, len(r.users), MEMBER_USERS_AT_ONCE):
            b = min(a + MEMBER_USERS_AT_ONCE, len(r.users))
            scores = stack.scores(slots, self._ids(r.users[a:b]))
            fine = scores.isfinite().all(2)
            at, masked = map(self._ids, parts(r.masked_starts, r.masked, a, b))
            scores[:, at, masked] = -torch.inf
            at, items = map(self._ids, parts(r.starts, r.items, a, b))
            own = scores[:, at, items]
            part = torch.full_like(own, torch.nan, dtype=torch.float64)
            few = max(1, SCORES // (len(slots) * scores.shape[2]))
            for first in range(0, len(at), few):
                some = slice(first, first + few)
                candidates, mine = scores[:, at[some]], own[:, some, None]
                higher, same = (candidates > mine).sum(2), (candidates == mine).sum(2)
                part[:, some] = torch.where(fine[:, at[some]], 1 + higher + (same - 1) / 2, torch.nan)
            blocks.append(part)
        return torch.cat(blocks, 1).numpy(force=True)

    def _ids(self, values: NDArray[np.integer]) -> Tensor:
        return ids(values, self._like)


@contextmanager
def _memory() -> Iterator[None]:
    """Convert the device's out-of-memory error into MemoryError."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MemoryError(str(error)) from error
