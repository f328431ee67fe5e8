"""Members side by side: parameters in three wide tensors, and one training step for all members.

User tables are in one pool (tables, users · dim), item tables in another, all other parameters of a member in
a row of the third. A member has one entry in a pool of tables if its tasks share the table, else two. So no
table is stored or updated twice, and the step is the same for every sharing. Members with a smaller dim or
hidden are padded with zeros. These stay zero, because the gradient of each is a product with a padded value.
A user's bias has no gradient, because it cancels between an item and a negative of the same user: it stays 0
and is not stored.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad, softplus

from trainable.contract import Config
from trainable.engines.engine import MemberState
from trainable.models.two_task.parameters import prefixes, shapes

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
"""Adam's usual constants. Kingma & Ba 2015, arXiv 1412.6980."""


class StackedRows(NamedTuple):
    """Training rows for every slot, all (K, c); `share` is a row's weight in the mean of its batch, or 0."""

    users: Tensor
    items: Tensor
    negatives: Tensor
    ratings: Tensor
    share: Tensor


class StackedNet(NamedTuple):
    """Parameters besides the tables, or their gradient, for every slot: all (K, …)."""

    item_bias: Tensor
    hidden_weight: Tensor
    hidden_bias: Tensor
    output_weight: Tensor
    output_bias: Tensor


class Pool:
    """Entries (capacity, width) that Adam trains, each with its own rate, decay and step.

    Entry 0 and free entries are all zeros with rate 0, so they stay zero. With `averages`, each entry has an
    average, `mean`, which is measured; else `mean` is not used.
    """

    def __init__(self, width: int, like: Tensor, *, averages: bool) -> None:
        self.value, self.first, self.second, self.gradient = (like.new_zeros(1, width) for _ in range(4))
        self.averages, self.mean = averages, like.new_zeros(1, width if averages else 0)
        self.rate, self.decay, self.step = (like.new_zeros(1, 1, dtype=torch.float64) for _ in range(3))
        self._free: list[int] = []

    @property
    def capacity(self) -> int:
        """Number of entries, including entry 0 and free ones."""
        return len(self.value)

    @property
    def stored(self) -> tuple[Tensor, ...]:
        """Value, first and second moment, and the average if there is one, in the order of `prefixes`."""
        kept = self.value, self.first, self.second
        return (*kept, self.mean) if self.averages else kept

    @property
    def measured(self) -> Tensor:
        """The averages if there are any, else the values."""
        return self.mean if self.averages else self.value

    def take(self) -> int:
        """Reserve an entry. A full pool grows by a quarter, into new tensors."""
        if not self._free:
            room = self.capacity
            more = max(room // 4, 1)
            grown = ("value", "first", "second", "gradient", "rate", "decay", "step")
            for name in (*grown, "mean") if self.averages else grown:
                setattr(self, name, pad(getattr(self, name), (0, 0, 0, more)))
            self._free = list(range(room + more - 1, room - 1, -1))
        return self._free.pop()

    def give(self, entry: int) -> None:
        """Free an entry."""
        for tensor in (*self.stored, self.rate, self.decay, self.step):
            tensor[entry] = 0
        self._free.append(entry)

    def update(self) -> None:
        """Apply a step of Adam with decoupled decay to every entry; set the gradient to zero.

        Loshchilov & Hutter 2019, arXiv 1711.05101.
        """
        self.step += 1
        size = (self.rate / (1 - BETA1**self.step)).to(self.value.dtype)
        root = (1 - BETA2**self.step).rsqrt().to(self.value.dtype)
        keep = (1 - self.rate * self.decay).to(self.value.dtype)
        self.first.lerp_(self.gradient, 1 - BETA1)
        self.second.mul_(BETA2).addcmul_(self.gradient, self.gradient, value=1 - BETA2)
        change = self.second.sqrt().mul_(root).add_(EPS).reciprocal_().mul_(self.first).mul_(size)
        self.value.mul_(keep).sub_(change)
        self.gradient.zero_()

    def average(self, kept: Tensor) -> None:
        """Keep these shares (capacity, 1) of the averages, and add the values times the rest."""
        torch.lerp(self.value, self.mean, kept, out=self.mean)


class Position(NamedTuple):
    """The entries of a member: its slot, which is its entry in the third pool, and those of its tables."""

    slot: int
    ranking_users: int
    rating_users: int
    ranking_items: int
    rating_items: int


class Stack:
    """Slots for members of at most `dim` and `hidden`, with the dtype and device of `like`.

    All members average their parameters, or none does.
    """

    def __init__(
        self, n_users: int, n_items: int, dim: int, hidden: int, like: Tensor, *, averages: bool
    ) -> None:
        self.n_users, self.n_items, self.dim, self.hidden = n_users, n_items, dim, hidden
        self.averages = averages
        self.users, self.items, self.rest = (
            Pool(width, like, averages=averages)
            for width in (n_users * dim, n_items * dim, n_items + hidden * (3 * dim + 2) + 1)
        )
        self.entries = torch.zeros(4, 1, dtype=torch.int64, device=like.device)
        self.weight = like.new_zeros(1)
        self.bpr = torch.zeros(1, dtype=torch.bool, device=like.device)
        self.taken = like.new_zeros(1)
        self.sums = torch.zeros(2, 1, dtype=torch.float64, device=like.device)

    def tensors(self) -> list[Tensor]:
        """All tensors that a step changes."""
        pools = (self.users, self.items, self.rest)
        return [self.sums, *(t for p in pools for t in (p.value, p.first, p.second, p.gradient, p.step))]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Capacities of the pools; the step's tensors are replaced only when these change."""
        return len(self.users.value), len(self.items.value), len(self.rest.value)

    # --- places ----------------------------------------------------------------------------------------

    def put(self, config: Config, state: MemberState) -> Position:
        """Give a member a place and copy its state there."""
        users, items = self.users.take(), self.items.take()
        place = Position(
            self.rest.take(),
            users,
            users if config.shares_users else self.users.take(),
            items,
            items if config.shares_items else self.items.take(),
        )
        if new := len(self.rest.value) - len(self.weight):
            self.entries, self.sums = pad(self.entries, (0, new)), pad(self.sums, (0, new))
            self.weight, self.taken = pad(self.weight, (0, new)), pad(self.taken, (0, new))
            self.bpr = pad(self.bpr, (0, new))
        self.entries[:, place.slot] = torch.tensor(place[1:], device=self.entries.device)
        self.taken[place.slot] = 1
        self.weight[place.slot] = config.ranking_weight
        self.bpr[place.slot] = config.ranking_loss == "bpr"
        for pool, entry in self._entries(place):
            pool.rate[entry], pool.decay[entry] = config.learning_rate, config.weight_decay
            pool.step[entry] = float(state["step"])
        for name, views in self._views(place, config).items():
            for prefix, view in zip(prefixes(config), views, strict=True):
                view.copy_(torch.as_tensor(np.asarray(state[prefix + name])).reshape(view.shape))
        return place

    def state(self, place: Position, config: Config) -> dict[str, NDArray[np.generic]]:
        """Copy a member's parameters, moments and averages, by name, and its number of steps."""
        found: dict[str, NDArray[np.generic]] = {
            "step": np.array(int(self.rest.step[place.slot])),
        }
        wanted = shapes(config, self.n_users, self.n_items)
        for name, views in self._views(place, config).items():
            for prefix, view in zip(prefixes(config), views, strict=True):
                found[prefix + name] = view.reshape(wanted[name]).numpy(force=True).copy()
        untrained = np.zeros(self.n_users, dtype=found["item_bias"].dtype)
        return found | {f"{prefix}user_bias": untrained for prefix in prefixes(config)}

    def clear(self, place: Position) -> None:
        """Free the place of a member."""
        for pool, entry in self._entries(place):
            pool.give(entry)
        self.entries[:, place.slot] = 0
        self.weight[place.slot] = self.taken[place.slot] = 0
        self.bpr[place.slot] = False

    # --- a step ----------------------------------------------------------------------------------------

    def add(self, rows: StackedRows) -> None:
        """Add the gradient of the rows to the pools, and the sums of both losses to `sums` (2, K)."""
        net, grad = self._net(self.rest.value), self._net(self.rest.gradient)
        self._add_ranking(rows, net, grad)
        self._add_rating(rows, net, grad)

    def update(self) -> None:
        """Apply Adam's step to all pools."""
        for pool in (self.users, self.items, self.rest):
            pool.update()

    def average(self, kept: Mapping[Position, float]) -> None:
        """Keep these shares of the averages of members, and add their parameters times the rest."""
        shares = {pool: np.zeros((pool.capacity, 1)) for pool in (self.users, self.items, self.rest)}
        for place, share in kept.items():
            for pool, entry in self._entries(place):
                shares[pool][entry] = share
        for pool, share_of in shares.items():
            pool.average(torch.as_tensor(share_of).to(pool.value))

    def _add_ranking(self, rows: StackedRows, net: StackedNet, grad: StackedNet) -> None:
        """Ranking. With x = p⁺ − p⁻ and s = σ(−x), 1 − σ(x) has slope −s(1 − s); BPR's −log σ(x) has −s."""
        users, items = self._rows(self.users.value), self._rows(self.items.value)
        at_user = self._at(0, rows.users, self.n_users)
        at_item = self._at(2, rows.items, self.n_items)
        at_negative = self._at(2, rows.negatives, self.n_items)
        u, apart = users[at_user], items[at_item] - items[at_negative]
        x = (u * apart).sum(-1)
        x += net.item_bias.gather(1, rows.items) - net.item_bias.gather(1, rows.negatives)
        s, bpr = (-x).sigmoid(), self.bpr[:, None]
        self.sums[0] += (torch.where(bpr, softplus(-x), s) * (rows.share > 0)).sum(1)
        slope = -self.weight[:, None] * rows.share * torch.where(bpr, s, s * (1 - s))
        to_users = self._rows(self.users.gradient)
        to_items = self._rows(self.items.gradient)
        _add(to_users, at_user, slope[..., None] * apart)
        _add(to_items, at_item, slope[..., None] * u)
        _add(to_items, at_negative, -slope[..., None] * u)
        grad.item_bias.scatter_add_(1, rows.items, slope).scatter_add_(1, rows.negatives, -slope)

    def _add_rating(self, rows: StackedRows, net: StackedNet, grad: StackedNet) -> None:
        """Rating: Linear–ReLU–Linear on [u, q, u∗q], with the gradient written out."""
        d = self.dim
        at_user, at_item = self._at(1, rows.users, self.n_users), self._at(3, rows.items, self.n_items)
        u = self._rows(self.users.value)[at_user]
        q = self._rows(self.items.value)[at_item]
        inputs = torch.cat([u, q, u * q], -1)
        hidden = torch.baddbmm(net.hidden_bias[:, None], inputs, net.hidden_weight.mT).relu_()
        error = (hidden @ net.output_weight[..., None])[..., 0] + net.output_bias - rows.ratings
        self.sums[1] += (error * error * (rows.share > 0)).sum(1)
        slope = 2 * (1 - self.weight[:, None]) * rows.share * error
        grad.output_bias.add_(slope.sum(1, keepdim=True))
        grad.output_weight.add_((slope[:, None] @ hidden)[:, 0])
        back = slope[..., None] * net.output_weight[:, None] * (hidden > 0)
        grad.hidden_bias.add_(back.sum(1))
        grad.hidden_weight.baddbmm_(back.mT, inputs)
        to = back @ net.hidden_weight
        _add(self._rows(self.users.gradient), at_user, to[..., :d] + to[..., 2 * d :] * q)
        _add(self._rows(self.items.gradient), at_item, to[..., d : 2 * d] + to[..., 2 * d :] * u)

    # --- predictions -----------------------------------------------------------------------------------

    def scores(self, slots: Tensor, users: Tensor) -> Tensor:
        """Ranking scores (s, b, n_items) of every item for users (b,), by the members in `slots` (s,)."""
        u = self._rows(self.users.measured)[self.entries[0, slots, None] * self.n_users + users]
        q = self.items.measured.view(-1, self.n_items, self.dim)[self.entries[2, slots]]
        return torch.baddbmm(self._net(self.rest.measured).item_bias[slots, None], u, q.mT)

    def ratings(self, slots: Tensor, users: Tensor, items: Tensor) -> Tensor:
        """Predicted ratings (s, n) of pairs (n,), by the members in `slots` (s,)."""
        net = StackedNet(*(part[slots] for part in self._net(self.rest.measured)))
        u = self._rows(self.users.measured)[self.entries[1, slots, None] * self.n_users + users]
        q = self._rows(self.items.measured)[self.entries[3, slots, None] * self.n_items + items]
        hidden = torch.baddbmm(net.hidden_bias[:, None], torch.cat([u, q, u * q], -1), net.hidden_weight.mT)
        return (hidden.relu_() @ net.output_weight[..., None])[..., 0] + net.output_bias

    def finite(self) -> Tensor:
        """Mask (K,) of the slots in which every parameter is finite."""
        fine = [pool.value.isfinite().all(1) for pool in (self.users, self.items, self.rest)]
        users, items, rest = fine
        r, s, t, v = self.entries
        return users[r] & users[s] & items[t] & items[v] & rest

    # --- inside ----------------------------------------------------------------------------------------

    def _rows(self, pool: Tensor) -> Tensor:
        """View a pool of tables as (tables · rows, dim)."""
        return pool.view(-1, self.dim)

    def _at(self, table: int, ids: Tensor, rows: int) -> Tensor:
        """Rows (K, c) in `_rows` of the users or items `ids` (K, c), in each slot's table."""
        return self.entries[table][:, None] * rows + ids

    def _net(self, rest: Tensor) -> StackedNet:
        """View the third pool as parameters, each (K, …)."""
        h, d = self.hidden, 3 * self.dim
        bias, weight, hidden, output, last = torch.split(rest, [self.n_items, h * d, h, h, 1], 1)
        return StackedNet(bias, weight.view(-1, h, d), hidden, output, last)

    def _entries(self, place: Position) -> list[tuple[Pool, int]]:
        """The entries of a place, each once."""
        users = {place.ranking_users, place.rating_users}
        items = {place.ranking_items, place.rating_items}
        return [
            *((self.users, entry) for entry in users),
            *((self.items, entry) for entry in items),
            (self.rest, place.slot),
        ]

    def _views(self, place: Position, config: Config) -> dict[str, list[Tensor]]:
        """Views of a member's parts of `Pool.stored` by the names of `two_task.parameters`."""
        d, h = config.dim, config.hidden
        found: dict[str, list[Tensor]] = {}

        def table(name: str, pool: Pool, entry: int) -> None:
            found[name] = [t[entry].view(-1, self.dim)[:, :d] for t in pool.stored]

        table("ranking.users", self.users, place.ranking_users)
        table("ranking.items", self.items, place.ranking_items)
        if not config.shares_users:
            table("rating.users", self.users, place.rating_users)
        if not config.shares_items:
            table("rating.items", self.items, place.rating_items)
        nets = [self._net(t) for t in self.rest.stored]
        slot = place.slot
        found["item_bias"] = [net.item_bias[slot] for net in nets]
        found["hidden.weight"] = [net.hidden_weight[slot].view(-1, 3, self.dim)[:h, :, :d] for net in nets]
        found["hidden.bias"] = [net.hidden_bias[slot, :h] for net in nets]
        found["output.weight"] = [net.output_weight[slot, :h] for net in nets]
        found["output.bias"] = [net.output_bias[slot] for net in nets]
        return found


def _add(rows: Tensor, at: Tensor, values: Tensor) -> None:
    """Add values to rows[at]; a row that occurs twice gets both."""
    rows.index_add_(0, at.flatten(), values.flatten(0, 1))
