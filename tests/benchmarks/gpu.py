"""The torch engine on a GPU: stacked members against one plain trial, and the bytes that they must move."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter

import numpy as np
import torch
from epochs import CONFIG, mixed
from peers import Plain
from timing import interleaved, milliseconds, number, table, times

from trainable.contract import Config
from trainable.data.interactions import Fold
from trainable.engines.engine import Member
from trainable.engines.registry import engine

COUNTS = (1, 8, 32, 128)

UNMEASURED = (
    "Unmeasured: no GPU was available. On a machine with a GPU, `PYTHONPATH=. python tests/benchmarks gpu` "
    "fills this section; it needs torch, NumPy, numba, SciPy and threadpoolctl."
)

MANY, RATE, AGAIN = "K = 128", 500.0, 100.0

Run = Callable[[], Sequence[float]]


def section(fold: Fold, *, device: str, counts: Sequence[int], rounds: int) -> str:
    """The table of numbers of members, and the targets."""
    runs = {f"K = {k}": _members(fold, mixed(k), device) for k in counts}
    laps = interleaved({"plain": _plain(fold, device), **runs}, rounds=rounds)
    plain, bandwidth = laps["plain"].sum(1), copied_gb_s(device)
    steps = -(-len(fold.train) // CONFIG.batch_size)
    rows: list[Sequence[object]] = [
        ("plain", milliseconds(plain), "", number(1 / np.median(plain)), 1, "", "", "")
    ]
    reached: list[tuple[str, ...]] = []
    for k in counts:
        train, both = laps[f"K = {k}"][:, 0], laps[f"K = {k}"].sum(1)
        moved_gb = sum(moved_bytes(fold, config) for config in mixed(k)) / 1e9
        gb_s = moved_gb * steps / float(np.median(train))
        rate, ratio = k / float(np.median(both)), times(k * plain, both)
        step_us = 1e6 * float(np.median(train)) / steps
        cells = number(step_us), number(rate), number(ratio), number(1e3 * moved_gb), number(gb_s)
        rows.append((f"K = {k}", milliseconds(both), *cells, f"{gb_s / bandwidth:.0%}"))
        if f"K = {k}" == MANY:
            reached = [
                (f"{MANY}, member-epochs/s", f"≥ {RATE:g}", number(rate), "yes" if rate >= RATE else "no"),
                (f"{MANY}, × plain", f"≥ {AGAIN:g}", number(ratio), "yes" if ratio >= AGAIN else "no"),
            ]
    columns = (
        "code",
        "epoch, ms",
        "step, µs",
        "member-epochs/s",
        "× plain",
        "MB per step",
        "GB/s",
        "share of a copy",
    )
    about = ABOUT.format(rounds=rounds, steps=steps, bandwidth=number(bandwidth))
    targets = f"\n\n{table(('the torch engine', 'goal', 'reached', 'met'), reached)}" if reached else ""
    return f"{about}\n\n{table(columns, rows)}{targets}"


def moved_bytes(fold: Fold, config: Config) -> int:
    """Bytes that a step of one member must move, in float32.

    Adam reads and writes value, gradient and two moments of every parameter. Each row gathers five vectors
    of dim and adds to five; the perceptron's inputs, hidden units and their gradients come on top.
    """
    users = fold.train.n_users * (1 if config.shares_users else 2)
    items = fold.train.n_items * (1 if config.shares_items else 2)
    dim, hidden = config.dim, config.hidden
    parameters = (users + items) * dim + fold.train.n_items + hidden * (3 * dim + 2) + 1
    row = 5 * dim + 2 * 5 * dim + 2 * (3 * dim) + 2 * hidden
    rows = len(fold.train) if config.batch_size == "full" else config.batch_size
    return 4 * (8 * parameters + rows * row)


def copied_gb_s(device: str, *, size: int = 1 << 28) -> float:
    """Bytes read and written per second by copying a large tensor, in GB/s: the upper bound."""
    source = torch.zeros(size if device == "cuda" else size >> 6, device=device)
    target = torch.empty_like(source)
    laps = []
    for _ in range(5):
        _finish(device)
        began = perf_counter()
        target.copy_(source)
        _finish(device)
        laps.append(perf_counter() - began)
    return 2 * source.nbytes / min(laps) / 1e9


def _members(fold: Fold, configs: Sequence[Config], device: str) -> Run:
    running = engine("torch", fold, seed=0, device=device, threads=1)
    members = [Member(trial, 0, config) for trial, config in enumerate(configs)]
    for member in members:
        running.join(member)

    def run() -> tuple[float, float]:
        train_s, both_s = (_lap(partial(running.epoch, some), device) for some in ((), members))
        return train_s, both_s - train_s

    return run


def _plain(fold: Fold, device: str) -> Run:
    peer = Plain(fold, replace(CONFIG, sharing="both"), device=device)
    return lambda: (_lap(peer.epoch, device), _lap(peer.evaluate, device))


def _lap(work: Callable[[], object], device: str) -> float:
    _finish(device)
    began = perf_counter()
    work()
    _finish(device)
    return perf_counter() - began


def _finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


ABOUT = """Members that differ in λ, sharing and learning rate, trained and measured together by the torch
engine on synthetic ratings of MovieLens-100K's size, batch 256 ({steps} steps per epoch), float32, beside
one trial of plain PyTorch on the same GPU. Wall time, {rounds} rounds in turns. *MB per step* is the data
that a step of all members must move (Adam's eight passes over every parameter, and the rows' vectors),
*GB/s* is that divided by the time of training; the last column is its share of the rate of a copy of a
large tensor, {bandwidth} GB/s."""
