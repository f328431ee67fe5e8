"""An epoch on one CPU core, training and exact evaluation: plain and lean PyTorch, and each engine."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from time import process_time

import floor
import machine
import numpy as np
from peers import Lean, Peer, Plain
from timing import Laps, interleaved, milliseconds, number, table, times

from trainable.contract import SHARINGS, Config
from trainable.data.interactions import Fold
from trainable.engines.engine import Member
from trainable.engines.registry import ENGINES, engine

CONFIG = Config(
    weight=0.9,
    sharing="both",
    learning_rate=1e-3,
    weight_decay=0.0,
    ranking_loss="one-minus-sigmoid",
    batch_size=256,
    dim=32,
    hidden=64,
    epochs=20,
)
BATCH_SIZES = (256, 1024, "full")

Run = Callable[[], Sequence[float]]


def peer_run(peer: Peer) -> Run:
    """A run of one epoch: CPU seconds of (training, evaluation)."""

    def run() -> tuple[float, float]:
        began = process_time()
        peer.epoch()
        trained = process_time()
        peer.evaluate()
        return trained - began, process_time() - trained

    return run


def engine_run(name: str, fold: Fold, configs: Sequence[Config]) -> Run:
    """A run of two epochs: CPU seconds per member of (training, evaluation), the latter by difference."""
    running = engine(name, fold, seed=0, device="cpu", threads=1)
    members = [Member(trial, 0, config) for trial, config in enumerate(configs)]
    for member in members:
        running.join(member)

    def run() -> tuple[float, float]:
        began = process_time()
        running.epoch([])
        trained = process_time()
        running.epoch(members)
        ended = process_time()
        train_s, both_s = trained - began, ended - trained
        return train_s / len(members), (both_s - train_s) / len(members)

    return run


def mixed(count: int) -> list[Config]:
    """Configurations that differ in λ, sharing and learning rate, as in a study."""
    weights = 0.5 + 0.49 * np.arange(count) / count
    return [
        replace(CONFIG, weight=float(w), sharing=SHARINGS[k % 4], learning_rate=1e-3 * (1 + k % 3))
        for k, w in enumerate(weights)
    ]


def section(fold: Fold, *, rounds: int) -> str:
    """The table of contestants for each batch size and sharing, and the targets."""
    rows: list[Sequence[object]] = []
    reached: dict[str, list[float]] = {name: [] for name in TARGETS}
    parts: dict[str, Laps] = {}
    for batch_size, sharing in product(BATCH_SIZES, ("none", "both")):
        config = replace(CONFIG, batch_size=batch_size, sharing=sharing)
        laps = interleaved(
            {
                "plain PyTorch": peer_run(Plain(fold, config)),
                "lean PyTorch": peer_run(Lean(fold, config)),
                **{f"engine {name}": engine_run(name, fold, [config]) for name in ENGINES},
                **(floor.floor(fold, config) if batch_size == 256 else {}),
            },
            rounds=rounds,
        )
        both = {name: lap.sum(1) for name, lap in laps.items()}
        plain, lean, numba = (both[name] for name in ("plain PyTorch", "lean PyTorch", "engine numba"))
        for name, lap in laps.items():
            if name in floor.PARTS:
                continue
            ratios = (number(times(base, both[name])) for base in (plain, lean))
            evaluation = number(1e3 * float(np.median(lap[:, 1])))
            rows.append((batch_size, sharing, name, milliseconds(both[name]), evaluation, *ratios))
        share = float(np.median(laps["engine numba"][:, 1] / numba))
        if batch_size == 256:
            parts[sharing] = laps
            reached[PLAIN].append(times(plain, numba))
            reached[LEAN].append(times(lean, numba))
            reached[EVALUATION].append(share)
            reached[AVERAGING].append(float(np.median(laps[floor.AVERAGE].sum(1) / numba)))
        if batch_size == "full":
            reached[FULL].append(times(plain, numba))
    columns = ("batch", "sharing", "code", "epoch, ms", "evaluation, ms", "× plain", "× lean")
    tables = table(columns, rows), _targets(reached), floor.section(fold, CONFIG, parts)
    return "\n\n".join((ABOUT.format(rounds=rounds), *tables))


def stacked(fold: Fold, *, counts: Sequence[int], rounds: int) -> str:
    """The table of an epoch's time per member, for growing numbers of members on one engine."""
    runs = {f"torch {k}": engine_run("torch", fold, mixed(k)) for k in counts}
    runs |= {f"numba {k}": engine_run("numba", fold, mixed(k)) for k in counts if k <= NUMBA_MOST}
    laps = interleaved(runs, rounds=rounds)
    whole = {name: lap.sum(1) for name, lap in laps.items()}
    rows = [
        (
            k,
            milliseconds(whole[f"torch {k}"]),
            number(times(whole[f"torch {counts[0]}"], whole[f"torch {k}"])),
            milliseconds(whole[f"numba {k}"]) if f"numba {k}" in whole else "",
        )
        for k in counts
    ]
    columns = ("K", "torch, ms per member", f"× K = {counts[0]}", "numba, ms per member")
    return f"{ABOUT_STACKED.format(rounds=rounds)}\n\n{table(columns, rows)}"


NUMBA_MOST = 8
"""Largest K for numba: it trains members one after another, so each costs the same."""

ABOUT = """Training and exact evaluation of one member on MovieLens-100K (split per user, 80 % to train),
dim 32, hidden 64, float32, Adam, λ = .9. One thread; milliseconds of CPU time, which equals wall time on
an idle machine: medians and quartiles of {rounds} rounds in turns. Ratios are medians of the ratios within
a round. Other processes share the caches, which slows PyTorch more than the kernel: at a load above 2 the
ratios favour the kernel."""

ABOUT_STACKED = """Members that differ in λ, sharing and learning rate, on one core, batch 256, {rounds}
rounds. On a CPU the torch engine is for tests only; the numba engine trains members one after another."""

PLAIN, LEAN = "batch 256, × plain", "batch 256, × lean"
FULL, EVALUATION = "full batch, × plain", "evaluation's share of an epoch, batch 256"
AVERAGING = "averaging's share of an epoch, batch 256"
TARGETS = {PLAIN: 12.0, LEAN: 6.5, FULL: 6.0, EVALUATION: 0.10, AVERAGING: 0.02}
SHARES = (EVALUATION, AVERAGING)
"""Targets that are bounds from above, in per cent."""


BUSY = "on a busy machine"


def _targets(reached: dict[str, list[float]]) -> str:
    rows = []
    for name, wanted in TARGETS.items():
        found = reached[name]
        met = max(found) <= wanted if name in SHARES else min(found) >= wanted
        bound = f"≤ {wanted:.0%}" if name in SHARES else f"≥ {wanted:g}"
        shown = [f"{x:.1%}" if name in SHARES else number(x) for x in found]
        rows.append((name, bound, *shown, ("yes" if machine.quiet() else BUSY) if met else "no"))
    return table(("the numba engine", "goal", "sharing none", "both", "met"), rows)
