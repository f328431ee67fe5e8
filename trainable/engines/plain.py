"""The reference engine: plain PyTorch with autograd, on a CPU or a GPU."""

from contextlib import AbstractContextManager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainable.contract import Config
from trainable.data.interactions import Fold
from trainable.engines.alone import AloneEngine, Found, Training
from trainable.engines.device import arithmetic, ids, like
from trainable.engines.draws import EpochDraw
from trainable.engines.engine import MemberState
from trainable.metrics import Ranking
from trainable.models.two_task.losses import RANKING_LOSS_FUNCTIONS, squared_error
from trainable.models.two_task.net import TwoTaskNet
from trainable.models.two_task.parameters import AVERAGED

RowTensors = tuple[Tensor, ...]
"""Users, items, negatives, ratings, all (n,)."""


class PlainEngine(AloneEngine[RowTensors]):
    """Deterministic on a CPU; on a GPU, sums may differ in their last bits."""

    tolerance = 1e-9

    def __init__(self, fold: Fold, *, seed: int, device: str, threads: int, dtype: str = "float32") -> None:
        super().__init__(fold, seed=seed, dtype=dtype)
        self.deterministic = device == "cpu"
        self._threads, self._like = threads, like(device, dtype)

    def start(self, config: Config, state: MemberState) -> "PlainTraining":
        """Start a member from a state, which is not modified."""
        return PlainTraining(config, state, self.fold, self.ranking, self._like)

    def rows(self, drawn: EpochDraw) -> RowTensors:
        """Copy a draw to the device."""
        columns = (ids(column, self._like) for column in (drawn.users, drawn.items, drawn.negatives))
        return *columns, _reals(drawn.ratings, self._like)

    def arithmetic(self) -> AbstractContextManager[None]:
        """Set threads; flush subnormal numbers."""
        return arithmetic(self._threads)


class PlainTraining(Training[RowTensors]):
    """A net, its AdamW and its averaged net, with the dtype and device of `like`."""

    def __init__(
        self, config: Config, state: MemberState, fold: Fold, ranking: Ranking, like: Tensor
    ) -> None:
        self.epoch = int(state["epoch"])
        self._config, self._target, self._ranking, self._like = config, fold.target, ranking, like
        names = [name for name in state if f"m.{name}" in state]
        self.net = TwoTaskNet({name: _reals(state[name], like) for name in names})
        self._measured = self.net
        if config.averages:
            self._measured = TwoTaskNet({name: _reals(state[AVERAGED + name], like) for name in names})
        self._adam = torch.optim.AdamW(
            self.net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        for name, parameter in self.net.named_parameters():
            self._adam.state[parameter] = {
                "step": torch.tensor(float(state["step"]), device=like.device),
                "exp_avg": _reals(state[f"m.{name}"], like),
                "exp_avg_sq": _reals(state[f"v.{name}"], like),
            }

    def train(self, rows: RowTensors) -> tuple[float, float]:
        """Train one epoch; return the mean ranking and rating loss over its rows, before each update."""
        config, ranking_loss = self._config, RANKING_LOSS_FUNCTIONS[self._config.ranking_loss]
        n = len(rows[0])
        size = n if config.batch_size == "full" else config.batch_size
        total = torch.zeros(2, dtype=torch.float64, device=self._like.device)
        for users, items, negatives, ratings in zip(*(torch.split(x, size) for x in rows), strict=True):
            ranking = ranking_loss(self.net.rank(users, items), self.net.rank(users, negatives))
            rating = squared_error(self.net.rate(users, items), ratings)
            joint = config.ranking_weight * ranking + (1 - config.ranking_weight) * rating
            self._adam.zero_grad()
            torch.autograd.backward(joint)
            self._adam.step()
            total += len(users) * torch.stack([ranking, rating]).detach().double()
        ranking_mean, rating_mean = (total / n).tolist()
        return ranking_mean, rating_mean

    @torch.no_grad()
    def average(self, kept: float) -> None:
        """Keep this share of the averaged parameters, and add the parameters times the rest."""
        for mean, parameter in zip(self._measured.parameters(), self.net.parameters(), strict=True):
            mean.lerp_(parameter, 1 - kept)

    def finite(self) -> bool:
        """True if all parameters are finite."""
        return all(bool(parameter.isfinite().all()) for parameter in self.net.parameters())

    @torch.no_grad()
    def found(self) -> Found:
        """Ranks and predictions for the metrics; NotFiniteError if a score is not finite."""

        def scores(users: NDArray[np.int64]) -> NDArray[np.floating]:
            return _array(self._measured.rank_all(ids(users, self._like)))

        pairs = ids(self._target.users, self._like), ids(self._target.items, self._like)
        return self._ranking.ranks(scores), _array(self._measured.rate(*pairs))

    def state(self) -> MemberState:
        """Copy the complete state: see `trainable.models.two_task.parameters.fresh`."""
        found: dict[str, NDArray[np.generic]] = {"epoch": np.array(self.epoch)}
        for name, parameter in self.net.named_parameters():
            kept = self._adam.state[parameter]
            found["step"] = np.array(int(kept["step"]))
            found[name] = _array(parameter)
            found[f"m.{name}"], found[f"v.{name}"] = _array(kept["exp_avg"]), _array(kept["exp_avg_sq"])
        if self._config.averages:
            averaged = self._measured.named_parameters()
            found |= {AVERAGED + name: _array(parameter) for name, parameter in averaged}
        return found


def _reals(values: NDArray[np.generic], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)


def _array(values: Tensor) -> NDArray[np.floating]:
    return values.numpy(force=True).copy()
