"""The CPU engine: one compiled call trains one member for one epoch, on one thread, in one core's cache."""

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from math import prod

import numpy as np
import scipy.linalg.cython_blas  # noqa: F401  compiled np.dot calls it; BLAS below must find it loaded
from numba.core import event
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from trainable.contract import Config, StudyError
from trainable.data.interactions import Fold, Interactions, as_ids
from trainable.engines.alone import AloneEngine, Found, Training
from trainable.engines.draws import DrawKey, Draws, EpochDraw
from trainable.engines.engine import Member, MemberState, Result
from trainable.engines.kernel import EpochRows, MemberNet, Reals, apart, average, predict, ranks, train, work
from trainable.metrics import Ranking
from trainable.models.two_task.parameters import fresh, initial, prefixes, shapes

BLAS = ThreadpoolController()
"""Controls the threads of the loaded libraries for matrix products."""

LEAST = Config(
    weight=0.5,
    sharing="both",
    learning_rate=0.0,
    weight_decay=0.0,
    ranking_loss="bpr",
    batch_size=1,
    dim=1,
    hidden=1,
    epochs=1,
    average=0.5,
)
"""The smallest configuration that runs the whole kernel."""

Named = dict[str, Reals]


class NumbaEngine(AloneEngine[EpochRows]):
    """Deterministic engine for CPUs. Each thread trains one member."""

    def __init__(self, fold: Fold, *, seed: int, device: str, threads: int, dtype: str = "float32") -> None:
        if device != "cpu":
            raise StudyError(
                f"device: the numba engine does not support {device!r}; use cpu or the torch engine"
            )
        super().__init__(fold, seed=seed, dtype=dtype)
        self.at_once = threads
        self._threads, self._dtype = threads, np.dtype(dtype)
        _compile(self._dtype)  # so that no epoch waits for the compiler

    def start(self, config: Config, state: MemberState) -> "NumbaTraining":
        """Start a member from a state, which is not modified."""
        return NumbaTraining(config, state, self.fold, self.ranking, self._dtype)

    def rows(self, drawn: EpochDraw) -> EpochRows:
        """Convert a draw: ratings in the parameters' precision."""
        return _rows(drawn, self._dtype)

    def arithmetic(self) -> AbstractContextManager[object]:
        """Limit matrix products to one thread: with more, these small ones take up to 80 times as long."""
        limited: AbstractContextManager[object] = BLAS.limit(limits=1, user_api="blas")
        return limited

    def each(self, advance: Callable[[Member], Result], members: Collection[Member]) -> Iterable[Result]:
        """Results of the members, one member per thread at a time."""
        if self._threads == 1:
            return map(advance, members)
        with ThreadPoolExecutor(self._threads) as pool:
            return list(pool.map(advance, members))


class NumbaTraining(Training[EpochRows]):
    """Parameters, gradient, moments and averages: one flat vector each, in the order of `shapes`."""

    def __init__(
        self, config: Config, state: MemberState, fold: Fold, ranking: Ranking, dtype: np.dtype
    ) -> None:
        self.epoch, self._step = int(state["epoch"]), int(state["step"])
        self._config, self._ranking = config, ranking
        self._users, self._items = fold.target.users.astype(np.int64), fold.target.items.astype(np.int64)
        self._shapes = shapes(config, fold.train.n_users, fold.train.n_items)
        size = sum(prod(shape) for shape in self._shapes.values())
        self._p, self._m, self._v, self._g = apart(size, np.dtype(dtype))
        self._a = np.empty_like(self._p) if config.averages else self._p
        self._stored = dict(zip(prefixes(config), (self._p, self._m, self._v, self._a), strict=False))
        for prefix, flat in self._stored.items():
            np.concatenate(
                [np.ravel(state[prefix + name]) for name in self._shapes], out=flat, casting="same_kind"
            )
        self._net, self._gradient = _net(self._named(self._p)), _net(self._named(self._g))
        self._measured = _net(self._named(self._a))
        self._work = work(self._net)

    def train(self, rows: EpochRows) -> tuple[float, float]:
        """Train one epoch; return the mean ranking and rating loss over its rows, before each update."""
        config = self._config
        ranking, rating, self._step = train(
            self._p,
            self._m,
            self._v,
            self._g,
            self._net,
            self._gradient,
            self._work,
            rows,
            len(rows.users) if config.batch_size == "full" else config.batch_size,
            config.ranking_weight,
            config.ranking_loss == "bpr",
            config.learning_rate,
            config.weight_decay,
            self._step,
        )
        return ranking, rating

    def average(self, kept: float) -> None:
        """Keep this share of the averaged parameters, and add the parameters times the rest."""
        average(self._a, self._p, kept)

    def finite(self) -> bool:
        """True if all parameters are finite."""
        return bool(np.isfinite(self._p).all())

    def found(self) -> Found:
        """Ranks and predictions for the metrics; a rank is NaN if a score is not finite."""
        r = self._ranking
        predicted = predict(self._measured, self._work, self._users, self._items)
        return ranks(self._measured, r.users, r.starts, r.items, r.masked_starts, r.masked), predicted

    def state(self) -> MemberState:
        """Copy the complete state: see `trainable.models.two_task.parameters.fresh`."""
        found: dict[str, NDArray[np.generic]] = {
            prefix + name: view.copy()
            for prefix, flat in self._stored.items()
            for name, view in self._named(flat).items()
        }
        return {**found, "step": np.array(self._step), "epoch": np.array(self.epoch)}

    def _named(self, flat: Reals) -> Named:
        """Views of a flat vector by the parameters' names."""
        ends = np.cumsum([prod(shape) for shape in self._shapes.values()])
        parts = np.split(flat, ends[:-1])
        return {
            name: part.reshape(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
        }


class Compiling(event.Listener):
    """Calls `begun` once, when numba compiles the first function that is not in its cache."""

    def __init__(self, begun: Callable[[], object]) -> None:
        self._begun: Callable[[], object] | None = begun

    def on_start(self, _event: event.Event) -> None:
        """Call `begun`, once."""
        if self._begun is not None:
            begun, self._begun = self._begun, None
            begun()

    def on_end(self, _event: event.Event) -> None:
        """Do nothing."""


def prepare(compiling: Callable[[], object]) -> None:
    """Compile the kernel or load it from disk; call `compiling` before a compilation."""
    with event.install_listener("numba:compile", Compiling(compiling)):
        _compile(np.dtype("float32"))


def _compile(dtype: np.dtype) -> None:
    """Compile the kernel by training and measuring one rating: seconds at first, then cached on disk."""
    one, names = np.zeros(1, np.int32), as_ids(["0"])
    row = Interactions(one, one, one.astype(np.float32), None, names, names)
    fold = Fold("nothing", row, row)
    drawn = Draws(row, seed=0).at(DrawKey(0, 1))
    state = fresh(LEAST, initial(LEAST, 1, 1, seed=0, replicate=0))
    training = NumbaTraining(LEAST, state, fold, Ranking(fold), dtype)
    training.train(_rows(drawn, dtype))
    training.average(0.0)
    training.found()


def _rows(drawn: EpochDraw, dtype: np.dtype) -> EpochRows:
    """Convert a draw: ratings in the parameters' precision."""
    return EpochRows(drawn.users, drawn.items, drawn.negatives, drawn.ratings.astype(dtype, copy=False))


def _net(own: Mapping[str, Reals]) -> MemberNet:
    return MemberNet(
        ranking_users=own["ranking.users"],
        ranking_items=own["ranking.items"],
        rating_users=own.get("rating.users", own["ranking.users"]),
        rating_items=own.get("rating.items", own["ranking.items"]),
        item_bias=own["item_bias"],
        hidden_weight=own["hidden.weight"],
        hidden_bias=own["hidden.bias"],
        output_weight=own["output.weight"],
        output_bias=own["output.bias"],
    )
