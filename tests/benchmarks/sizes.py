"""Seconds per epoch and memory of the numba engine by size, each size in its own process.

Memory is the growth of the process's peak after the code was loaded and compiled (Linux).
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import numpy as np
from epochs import CONFIG
from timing import number, table

from trainable.data.interactions import Fold, Interactions, as_ids
from trainable.data.splits import per_user
from trainable.data.synthetic import generate
from trainable.engines.engine import Engine, Member
from trainable.engines.registry import engine


@dataclass(frozen=True)
class Size:
    """Numbers of ratings, users and items, dim of the embeddings, members, and ratings per step."""

    rows: int = 100_000
    users: int = 1_000
    items: int = 2_000
    dim: int = 32
    members: int = 1
    batch_size: int = 256


QUICK = (Size(), Size(dim=128), Size(members=4))
USUAL = (
    Size(),
    *(Size(dim=dim) for dim in (8, 16, 64, 128)),
    *(Size(members=members) for members in (2, 8, 32)),
    *(Size(users=users) for users in (3_000, 10_000)),
    Size(rows=300_000),
    Size(rows=1_000_000, users=6_000, items=4_000, batch_size=4_096),
    Size(rows=1_000_000, users=200_000, items=4_000, batch_size=4_096),
)
LARGE = (
    Size(rows=10_000_000, users=60_000, items=10_000, batch_size=4_096),
    Size(rows=10_000_000, users=200_000, items=10_000, batch_size=4_096),
)


def section(sizes: Sequence[Size]) -> str:
    """The table of time and memory of each size."""
    rows = []
    for size in sizes:
        with TemporaryDirectory() as folder:
            made, trained = (_process(step, size, f"{folder}/ratings.npz") for step in STEPS)
        shape = (
            f"{size.rows:,}",
            f"{size.users:,}",
            f"{size.items:,}",
            size.dim,
            size.members,
            size.batch_size,
        )
        seconds = (f"{trained[name]:.3f}" for name in ("train_s", "evaluate_s"))
        rows.append((*shape, *seconds, number(made["peak_mb"]), number(trained["peak_mb"])))
    columns = (
        *("ratings", "users", "items", "dim", "K", "batch"),
        *("train, s", "evaluate, s", "making data, MB", "training, MB"),
    )
    return f"{ABOUT}\n\n{table(columns, rows)}"


def make(size: Size, file: str) -> dict[str, float]:
    """Make and split the ratings, and leave them in a file: the peak of memory it took, in MB."""
    before = _memory_mb("VmRSS")
    split = per_user(generate(users=size.users, items=size.items, rows=size.rows)[0], 0)
    peak_mb = _memory_mb("VmHWM") - before
    parts = {"train": split.train, "target": split.validation}
    arrays = {f"{part}.{name}": getattr(rows, name) for part, rows in parts.items() for name in COLUMNS}
    texts = {
        f"{part}.{name}": np.array(getattr(rows, name).tolist())
        for part, rows in parts.items()
        for name in IDS
    }
    np.savez(file, **arrays, **texts)
    return {"peak_mb": peak_mb}


def train(size: Size, file: str) -> dict[str, float]:
    """Train and measure on the ratings in a file: seconds of both, and the peak of memory in MB."""
    config = replace(CONFIG, dim=size.dim, batch_size=size.batch_size)
    members = [Member(trial, 0, config) for trial in range(size.members)]
    small = per_user(generate(users=20, items=20, rows=300)[0], 0)
    _run(small.search, members[:1], repeats=1)  # compiles, loads and allocates
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak
    before = _memory_mb("VmRSS")
    arrays = np.load(file)
    parts = (
        Interactions(
            **{name: arrays[f"{part}.{name}"] for name in COLUMNS},
            **{name: as_ids(arrays[f"{part}.{name}"]) for name in IDS},
            timestamps=None,
        )
        for part in ("train", "target")
    )
    repeats = 3 if size.rows * size.members <= 400_000 else 1
    train_s, both_s = _run(Fold("validation", *parts), members, repeats=repeats)
    return {
        "train_s": train_s,
        "evaluate_s": max(0.0, both_s - train_s),
        "peak_mb": _memory_mb("VmHWM") - before,
    }


STEPS = {"make": make, "train": train}
COLUMNS = ("users", "items", "ratings")
IDS = ("user_ids", "item_ids")


def _process(step: str, size: Size, file: str) -> dict[str, float]:
    """Run a step in its own process; return its result."""
    command = [sys.executable, __file__, step, json.dumps(asdict(size)), file]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout))


def _run(fold: Fold, members: Sequence[Member], *, repeats: int) -> tuple[float, float]:
    """CPU seconds of an epoch of all members, without and with evaluation: the minimum of `repeats`."""
    running = engine("numba", fold, seed=0, device="cpu", threads=1)
    for member in members:
        running.join(member)
    laps = [(_seconds(running, ()), _seconds(running, members)) for _ in range(repeats)]
    return min(train_s for train_s, _ in laps), min(both_s for _, both_s in laps)


def _seconds(running: Engine, evaluated: Sequence[Member]) -> float:
    began = process_time()
    running.epoch(evaluated)
    return process_time() - began


def _memory_mb(name: str) -> float:
    """Memory of this process: VmRSS is the present size, VmHWM the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


ABOUT = """The numba engine on synthetic ratings, one thread: seconds of CPU time for all K members
together. The memory is the growth of a process's peak: *making data* of a process that generates and splits
the ratings, *training* of one that trains and measures members, including the ratings. Dense Adam updates
every parameter at every step, so time is proportional to steps × (users + items) × dim, plus ratings × dim,
plus (users × dim + held-out ratings) × items for the ranks. Memory is proportional to ratings + K × (users +
items) × dim. There is no users × items matrix."""

if __name__ == "__main__":
    print(json.dumps(STEPS[sys.argv[1]](Size(**json.loads(sys.argv[2])), sys.argv[3])))
