"""Peers of the engines: the same model, trained and measured by PyTorch alone, as a user would write it.

`Plain` is the textbook: a module whose forward gives both predictions, as in the multi-task exercise of
Stanford CS330 that this model comes from; autograd; `torch.optim.Adam` with its defaults; and ranks user by
user with `scipy.stats.rankdata`, as in Spotlight's `mrr_score`. `Lean` is the same code after profiling. Both
average parameters with `torch.optim.swa_utils`, redraw negatives that the user has rated, and support only
Adam without weight decay.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn.functional import linear, logsigmoid, mse_loss, relu, softplus
from torch.optim.swa_utils import AveragedModel

from trainable.contract import Config
from trainable.data.interactions import Fold, Interactions

NAMES = {
    "ranking.users": "ranking_users.weight",
    "ranking.items": "ranking_items.weight",
    "rating.users": "rating_users.weight",
    "rating.items": "rating_items.weight",
    "user_bias": "user_bias.weight",
    "item_bias": "item_bias.weight",
    "hidden.weight": "mlp.0.weight",
    "hidden.bias": "mlp.0.bias",
    "output.weight": "mlp.2.weight",
    "output.bias": "mlp.2.bias",
}
"""Name in `trainable.models.two_task.parameters` → name in a peer."""

BLOCK = 64
"""Users whose scores `Lean` holds at a time: they fit into the cache."""


class Net(nn.Module):
    """A factorisation that ranks and a perceptron that rates, on shared or separate tables."""

    def __init__(self, n_users: int, n_items: int, config: Config) -> None:
        super().__init__()
        dim, hidden = config.dim, config.hidden
        self.ranking_users, self.ranking_items = nn.Embedding(n_users, dim), nn.Embedding(n_items, dim)
        self.rating_users = self.ranking_users if config.shares_users else nn.Embedding(n_users, dim)
        self.rating_items = self.ranking_items if config.shares_items else nn.Embedding(n_items, dim)
        self.user_bias, self.item_bias = nn.Embedding(n_users, 1), nn.Embedding(n_items, 1)
        self.mlp = nn.Sequential(nn.Linear(3 * dim, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        for name, parameter in self.named_parameters():
            if name.startswith(("ranking", "rating")):
                nn.init.normal_(parameter, std=1 / dim)
            elif name.endswith("bias.weight"):
                nn.init.zeros_(parameter)

    def forward(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Ranking scores and predicted ratings of pairs, both (n,)."""
        bias = self.user_bias(users) + self.item_bias(items)
        score = (self.ranking_users(users) * self.ranking_items(items)).sum(1) + bias.squeeze(1)
        u, q = self.rating_users(users), self.rating_items(items)
        return score, self.mlp(torch.cat([u, q, u * q], dim=1)).squeeze(1)

    def score_all(self, users: Tensor) -> Tensor:
        """Ranking scores (n, items) of every item."""
        scores = self.ranking_users(users) @ self.ranking_items.weight.T
        return scores + self.user_bias(users) + self.item_bias.weight.T


class Peer(ABC):
    """A net, its optimiser, and the ratings as tensors on the device."""

    def __init__(self, fold: Fold, config: Config, *, device: str = "cpu", dtype: str = "float32") -> None:
        if config.weight_decay:
            raise ValueError(f"{config}: the peers support only Adam without weight decay")
        self.config, self.device, self.dtype = config, device, getattr(torch, dtype)
        self.n_users, self.n_items = fold.train.n_users, fold.train.n_items
        self.batch = len(fold.train) if config.batch_size == "full" else config.batch_size
        self.users, self.items, self.ratings = self._columns(fold.train)
        self.target_users, self.target_items, self.target_ratings = self._columns(fold.target)
        self.net = Net(self.n_users, self.n_items, config).to(device, self.dtype)
        self.averaged = AveragedModel(self.net, avg_fn=self.mean) if config.averages else None
        self.adam = self.optimiser()
        self.seen = torch.zeros(self.n_users, self.n_items, dtype=torch.bool, device=device)
        self.seen[self.users, self.items] = True
        self.prepare(fold)

    def start_at(self, values: Mapping[str, NDArray[np.generic]]) -> None:
        """Set initial values by the names of `two_task.parameters`, for comparisons."""
        own = dict(self.net.named_parameters())
        with torch.no_grad():
            for name, value in values.items():
                parameter = own[NAMES[name]]
                parameter.copy_(torch.as_tensor(value).reshape(parameter.shape))

    def epoch(self) -> tuple[float, float]:
        """Train on every row once, in random order, against random negatives; return the mean losses."""
        order = torch.randperm(len(self.users), device=self.device)
        losses = self.train(order, self.negatives(self.users[order]))
        self.end_epoch()
        return losses

    def negatives(self, users: Tensor) -> Tensor:
        """A random item for each of the users (n,), drawn again while the user has rated it."""
        drawn = torch.randint(self.n_items, users.shape, device=self.device)
        if self.config.negatives == "unseen":
            while len(again := self.seen[users, drawn].nonzero()[:, 0]):
                drawn[again] = torch.randint(self.n_items, again.shape, device=self.device)
        return drawn

    def end_epoch(self) -> None:
        """Update the averaged net, if there is one."""
        if self.averaged is not None:
            self.averaged.update_parameters(self.net)

    def mean(self, averaged: Tensor, current: Tensor, epochs: int | Tensor) -> Tensor:
        """The average after a further epoch."""
        return averaged.lerp(current, max(1 - self.config.average, 1 / (int(epochs) + 1)))

    @property
    def measured(self) -> Net:
        """The averaged net if there is one, else the trained one."""
        return self.net if self.averaged is None else self.averaged.module

    @abstractmethod
    def optimiser(self) -> torch.optim.Optimizer:
        """Make the optimiser, Adam."""

    @abstractmethod
    def prepare(self, fold: Fold) -> None:
        """Prepare the data for evaluation; not timed."""

    @abstractmethod
    def train(self, order: Tensor, negatives: Tensor) -> tuple[float, float]:
        """Train on the rows in this order, each against its negative; return the mean losses."""

    @abstractmethod
    def evaluate(self) -> dict[str, float]:
        """`mrr`, `mrr_all` and `mse` on the target."""

    def _columns(self, rows: Interactions) -> tuple[Tensor, Tensor, Tensor]:
        users, items = (torch.as_tensor(c, dtype=torch.int64) for c in (rows.users, rows.items))
        ratings = torch.as_tensor(rows.ratings, dtype=self.dtype)
        return users.to(self.device), items.to(self.device), ratings.to(self.device)


class Plain(Peer):
    """Idiomatic PyTorch."""

    def optimiser(self) -> torch.optim.Optimizer:
        """Make Adam with its defaults."""
        return torch.optim.Adam(self.net.parameters(), lr=self.config.learning_rate)

    def prepare(self, fold: Fold) -> None:
        """Collect each user's train items and target items."""
        train, target = fold.train, fold.target
        self.wanted = [
            (user, train.items[train.users == user], target.items[target.users == user])
            for user in np.unique(target.users)
        ]

    def train(self, order: Tensor, negatives: Tensor) -> tuple[float, float]:
        """Run the textbook's training loop."""
        weight, ranking_sum, rating_sum = self.config.ranking_weight, 0.0, 0.0
        bpr = self.config.ranking_loss == "bpr"
        self.net.train()
        for rows, negative in zip(order.split(self.batch), negatives.split(self.batch), strict=True):
            users, items, ratings = self.users[rows], self.items[rows], self.ratings[rows]
            positive_score, predicted = self.net(users, items)
            negative_score, _ = self.net(users, negative)
            apart = positive_score - negative_score
            ranking_loss = -logsigmoid(apart).mean() if bpr else (1 - torch.sigmoid(apart)).mean()
            rating_loss = mse_loss(predicted, ratings)
            loss = weight * ranking_loss + (1 - weight) * rating_loss
            self.adam.zero_grad()
            loss.backward()
            self.adam.step()
            ranking_sum += ranking_loss.item() * len(rows)
            rating_sum += rating_loss.item() * len(rows)
        return ranking_sum / len(order), rating_sum / len(order)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Measure user by user, by sorting."""
        net = self.measured.eval()
        first, mean = [], []
        for user, known, wanted in self.wanted:
            scores = net.score_all(torch.tensor([user], device=self.device))[0].cpu().numpy()
            scores[known] = -np.inf
            reciprocal = 1 / rankdata(-scores)[wanted]
            first.append(reciprocal.max())
            mean.append(reciprocal.mean())
        _, predicted = net(self.target_users, self.target_items)
        mse = mse_loss(predicted, self.target_ratings).item()
        return {"mrr": float(np.mean(first)), "mrr_all": float(np.mean(mean)), "mse": mse}


class FastRanks(Peer):
    """Exact metrics without a loop over users and without a sort."""

    def prepare(self, fold: Fold) -> None:
        """For each block of users, find the indices of their train and target items in its scores."""
        self.counts = torch.bincount(self.target_users, minlength=self.n_users)
        order = torch.argsort(self.target_users, stable=True)
        self.hit_users, hit_items = self.target_users[order], self.target_items[order]
        self.blocks = []
        for first in range(0, self.n_users, BLOCK):
            users = torch.arange(first, min(first + BLOCK, self.n_users), device=self.device)
            known = (self.users >= first) & (self.users < first + BLOCK)
            wanted = (self.hit_users >= first) & (self.hit_users < first + BLOCK)
            masked = self.users[known] - first, self.items[known]
            self.blocks.append((users, masked, (self.hit_users[wanted] - first, hit_items[wanted])))

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Measure by one matrix product per block of users, and counting in narrow integers."""
        net, ranks = self.measured, []
        for users, masked, (rows, items) in self.blocks:
            scores = torch.addmm(
                net.item_bias.weight.view(-1), net.ranking_users.weight[users], net.ranking_items.weight.T
            )
            scores[masked] = -torch.inf
            own, candidates = scores[rows, items, None], scores.index_select(0, rows)
            higher, same = (
                found.view(torch.int8).sum(1, dtype=torch.int32)
                for found in (candidates > own, candidates == own)
            )
            ranks.append(1 + higher + (same - 1) / 2)
        reciprocal = 1 / torch.cat(ranks).double()
        first, mean = torch.zeros(2, self.n_users, dtype=torch.float64, device=self.device)
        first.scatter_reduce_(0, self.hit_users, reciprocal, "amax")
        mean.index_add_(0, self.hit_users, reciprocal).div_(self.counts)
        some = self.counts > 0
        _, predicted = net(self.target_users, self.target_items)
        mse = mse_loss(predicted, self.target_ratings).item()
        return {"mrr": first[some].mean().item(), "mrr_all": mean[some].mean().item(), "mse": mse}


class Lean(FastRanks):
    """Optimised PyTorch: fused Adam, no unused forward pass, no repeated look-up, no wait for a loss.

    `torch.compile` of its losses, on a busy machine: 2 % faster with shared tables, 6 % slower without.
    """

    def optimiser(self) -> torch.optim.Optimizer:
        """Make fused Adam; a user's bias cancels between two items, so it is not trained."""
        trained = [p for name, p in self.net.named_parameters() if name != "user_bias.weight"]
        return torch.optim.Adam(trained, lr=self.config.learning_rate, fused=True)

    def train(self, order: Tensor, negatives: Tensor) -> tuple[float, float]:
        """Run the training loop without unused operations; `index_select` has the fastest backward."""
        net, weight, bpr = self.net, self.config.ranking_weight, self.config.ranking_loss == "bpr"
        table_u, table_q = net.ranking_users.weight, net.ranking_items.weight
        bias, hidden, output = net.item_bias.weight.view(-1), net.mlp[0], net.mlp[2]
        sums = torch.zeros(2, device=self.device, dtype=self.dtype)
        columns = self.users[order], self.items[order], negatives, self.ratings[order]
        batches = zip(*(column.split(self.batch) for column in columns), strict=True)
        with flushed():
            for users, items, negative, ratings in batches:
                u, q = table_u.index_select(0, users), table_q.index_select(0, items)
                apart = (u * (q - table_q.index_select(0, negative))).sum(1)
                apart = apart + bias.index_select(0, items) - bias.index_select(0, negative)
                ranking_loss = (softplus(-apart) if bpr else torch.sigmoid(-apart)).mean()
                if not self.config.shares_users:
                    u = net.rating_users.weight.index_select(0, users)
                if not self.config.shares_items:
                    q = net.rating_items.weight.index_select(0, items)
                h = relu(linear(torch.cat([u, q, u * q], 1), hidden.weight, hidden.bias))
                rating_loss = mse_loss(linear(h, output.weight, output.bias).view(-1), ratings)
                self.adam.zero_grad()
                (weight * ranking_loss + (1 - weight) * rating_loss).backward()
                self.adam.step()
                sums += torch.stack([ranking_loss.detach(), rating_loss.detach()]) * len(users)
        ranking, rating = (sums / len(order)).tolist()
        return ranking, rating


class PlainWithFastRanks(FastRanks, Plain):
    """Idiomatic training and fast exact metrics: a careful user's code for a tuner."""


@contextmanager
def flushed() -> Iterator[None]:
    """Flush subnormal numbers to 0: the moments of rarely drawn rows decay into them, and they are slow."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
