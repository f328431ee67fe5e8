"""Parts of an epoch, each alone: the perceptron's matrix products, dense Adam, the average, the draws."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from time import process_time

import numpy as np
from numba import njit
from numpy.typing import NDArray
from timing import number, table, times

from trainable.contract import NEGATIVES, Config
from trainable.data.interactions import Fold
from trainable.engines.draws import DrawKey, Draws
from trainable.engines.kernel import ROWS_AT_ONCE, Reals, adam, apart, average
from trainable.models.two_task.parameters import shapes

PRODUCTS, ADAM, AVERAGE = "matrix products alone", "Adam alone", "averaging the parameters"
DRAWS = {f"drawing rows and negatives, {negatives}": negatives for negatives in NEGATIVES}
PARTS = (PRODUCTS, ADAM, AVERAGE, *DRAWS)
REPEATS = 20
"""Runs of a short part that are timed together."""

LEAN, ENGINE = "lean PyTorch", "engine numba"


def floor(fold: Fold, config: Config) -> dict[str, Callable[[], Sequence[float]]]:
    """Runs of an epoch's products and of its Adam steps on fixed arrays, for mini-batches, of the average at
    its end, and of its draws: CPU seconds.
    """
    n, batch = len(fold.train), int(config.batch_size)
    x, h, dx, w, back, dw = (
        np.ones(shape, np.float32)
        for shape in (
            (ROWS_AT_ONCE, 3 * config.dim),
            (ROWS_AT_ONCE, config.hidden),
            (ROWS_AT_ONCE, 3 * config.dim),
            (3 * config.dim, config.hidden),
            (config.hidden, 3 * config.dim),
            (config.hidden, 3 * config.dim),
        )
    )
    p, m, v, g = apart(_size(fold, config), np.dtype(np.float32))

    def products() -> tuple[float]:
        began = process_time()
        _multiply(x, h, dx, w, back, dw, -(-n // ROWS_AT_ONCE))
        return (process_time() - began,)

    def steps() -> tuple[float]:
        m[:], v[:] = 1, 1e-3  # no subnormal numbers
        began = process_time()
        for step in range(-(-n // batch)):
            adam(p, m, v, g, config.learning_rate, config.weight_decay, 1_000 + step)
        return (process_time() - began,)

    def averaged() -> tuple[float]:
        began = process_time()
        for _ in range(REPEATS):
            average(v, p, config.kept(2))
        return ((process_time() - began) / REPEATS,)

    draws = {name: _drawing(fold, DrawKey(0, 1, negatives)) for name, negatives in DRAWS.items()}
    return {PRODUCTS: products, ADAM: steps, AVERAGE: averaged, **draws}


def section(fold: Fold, config: Config, laps: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> str:
    """The table of the parts of an epoch, from laps by sharing and name."""
    n, steps = len(fold.train), -(-len(fold.train) // int(config.batch_size))
    gflop = 1e-9 * 3 * 2 * n * 3 * config.dim * config.hidden
    rows: list[list[object]] = [
        ["training"],
        [PRODUCTS],
        ["in GFLOP/s"],
        [ADAM],
        ["in GB/s"],
        [AVERAGE],
        *([name] for name in DRAWS),
        ["evaluation"],
        ["× lean, if these two were all"],
    ]
    for sharing, lap in laps.items():
        moved_gb = 1e-9 * 8 * 4 * _size(fold, replace(config, sharing=sharing)) * steps
        names = (PRODUCTS, ADAM, AVERAGE, ENGINE)
        products, adams, averaging, engine = (np.median(lap[name], 0) for name in names)
        found = (
            1e3 * engine[0],
            1e3 * products[0],
            gflop / products[0],
            1e3 * adams[0],
            moved_gb / adams[0],
            1e3 * averaging[0],
            *(1e3 * np.median(lap[name]) for name in DRAWS),
            1e3 * engine[1],
            times(lap[LEAN].sum(1), (lap[PRODUCTS] + lap[ADAM]).sum(1)),
        )
        for row, value in zip(rows, found, strict=True):
            row.append(number(float(value)))
    columns = ("the numba engine, batch 256, ms", *(f"sharing {sharing}" for sharing in laps))
    return f"{table(columns, rows)}\n\n{ABOUT}"


def _drawing(fold: Fold, key: DrawKey) -> Callable[[], tuple[float]]:
    draws = Draws(fold.train, seed=0)

    def run() -> tuple[float]:
        began = process_time()
        for _ in range(REPEATS):
            draws.at(key)
        return ((process_time() - began) / REPEATS,)

    return run


def _size(fold: Fold, config: Config) -> int:
    return sum(prod(shape) for shape in shapes(config, fold.train.n_users, fold.train.n_items).values())


@njit(nogil=True)  # type: ignore[untyped-decorator]
def _multiply(x: Reals, h: Reals, dx: Reals, w: Reals, back: Reals, dw: Reals, times: int) -> None:
    """Multiply forwards, backwards to the weights, and backwards to the inputs; `times` times."""
    for _ in range(times):
        np.dot(x, w, h)
        np.dot(h.T, x, dw)
        np.dot(h, back, dx)


ABOUT = """*Alone* means on fixed arrays. No faster method was found for either part;
[decision 7](decisions/0007-engines.md) lists the attempts. Averaging is one pass over the parameters at the
end of an epoch, only with `train.average` above 0. Members of one replicate at one epoch share a draw."""
