"""Common base of the engines that train each member by itself."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from functools import partial
from math import isfinite
from time import perf_counter
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from trainable.contract import Config, UserMetrics
from trainable.data.interactions import Fold
from trainable.engines.draws import DrawKey, Draws, EpochDraw
from trainable.engines.engine import Member, MemberState, Result
from trainable.metrics import NotFiniteError, Ranking, mean_squared_error
from trainable.models.two_task.parameters import fresh, initial

R = TypeVar("R")
"""Rows of an epoch, in the form that an engine uses."""

Found = tuple[NDArray[np.float64], NDArray[np.floating]]
"""Ranks (t,) of a fold's target items in the order of `Ranking.items`, and predicted ratings (n,)."""


class Training(ABC, Generic[R]):
    """One member: its parameters, its optimiser, and its number of epochs."""

    epoch: int

    @abstractmethod
    def train(self, rows: R) -> tuple[float, float]:
        """Train one epoch; return the mean ranking and rating loss over its rows, before each update."""

    @abstractmethod
    def average(self, kept: float) -> None:
        """Keep this share of the averaged parameters, and add the parameters times the rest."""

    @abstractmethod
    def finite(self) -> bool:
        """True if all parameters are finite."""

    @abstractmethod
    def found(self) -> Found:
        """Ranks and predictions for the metrics; NotFiniteError, or NaN among them, if one is not finite.

        They are those of the averaged parameters, if there are any.
        """

    @abstractmethod
    def state(self) -> MemberState:
        """Copy the complete state: see `trainable.models.two_task.parameters.fresh`."""


class AloneEngine(ABC, Generic[R]):
    """An `Engine` whose members share no computation, so none can change another's numbers."""

    deterministic = True
    tolerance = 0.0
    at_once = 1
    stacks = False

    def __init__(self, fold: Fold, *, seed: int, dtype: str) -> None:
        self.fold = fold
        self.dtype = dtype
        self.seed = seed
        self.ranking = Ranking(fold)
        self._draws = Draws(fold.train, seed=seed)
        self._members: dict[Member, Training[R]] = {}

    @abstractmethod
    def start(self, config: Config, state: MemberState) -> Training[R]:
        """Start a member from a state, which is not modified."""

    @abstractmethod
    def rows(self, drawn: EpochDraw) -> R:
        """Convert a draw for `Training.train`; members of one replicate and epoch share it."""

    @abstractmethod
    def arithmetic(self) -> AbstractContextManager[object]:
        """Set threads and floating-point mode for one epoch."""

    def each(self, advance: Callable[[Member], Result], members: Collection[Member]) -> Iterable[Result]:
        """Results of the members, one after another."""
        return map(advance, members)

    def join(self, member: Member, state: MemberState | None = None) -> None:
        """Add a member, at its keyed initial values or at `state`; ValueError if it has joined already."""
        if member in self._members:
            raise ValueError(f"{member} has joined already")
        if state is None:
            size = self.fold.train.n_users, self.fold.train.n_items
            values = initial(member.config, *size, seed=self.seed, replicate=member.replicate)
            state = fresh(member.config, values)
        self._members[member] = self.start(member.config, state)

    def leave(self, member: Member) -> None:
        """Remove a member; KeyError if it has not joined."""
        del self._members[member]

    def state(self, member: Member) -> MemberState:
        """The complete state of a member: another engine resumes from it bit for bit."""
        return self._members[member].state()

    def room(self) -> None:
        """None: main memory is not counted."""

    def epoch(self, evaluate: Collection[Member]) -> dict[Member, Result]:
        """Train every member for one epoch, then measure those in `evaluate` on the fold's target."""
        together: dict[DrawKey, list[Member]] = {}
        for member, training in self._members.items():
            key = DrawKey(member.replicate, training.epoch + 1, member.config.negatives)
            together.setdefault(key, []).append(member)
        results: dict[Member, Result] = {}
        with self.arithmetic():
            for key, members in together.items():
                rows = self.rows(self._draws.at(key))
                advance = partial(self._advance, rows, evaluate)
                results.update(zip(members, self.each(advance, members), strict=True))
        return results

    def by_user(self, member: Member) -> tuple[UserMetrics, ...]:
        """Metrics of a member on the fold's target, by user; NotFiniteError if it has none."""
        with self.arithmetic():
            return self.ranking.by_user(*self._members[member].found(), self.fold.target)

    def _advance(self, rows: R, evaluate: Collection[Member], member: Member) -> Result:
        started = perf_counter()
        training, evaluated, metrics = self._members[member], member in evaluate, None
        ranking, rating = training.train(rows)
        training.epoch += 1
        if member.config.averages:
            training.average(member.config.kept(training.epoch))
        finite = isfinite(ranking + rating) and training.finite()
        if finite and evaluated:
            try:
                ranks, predicted = training.found()
                error = mean_squared_error(predicted, self.fold.target.ratings)
                metrics = {**self.ranking.averages(ranks), "mse": error}
            except NotFiniteError:
                finite = False
        wall_s = perf_counter() - started
        if not finite:
            return Result.diverged(training.epoch, evaluated=evaluated, wall_s=wall_s)
        return Result(training.epoch, ranking, rating, metrics, wall_s)
