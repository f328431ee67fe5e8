"""A whole study, from the command to its end, against a user's own code on Ray Tune; both as processes."""

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import pandas as pd
from timing import number, table

SPEC = """name = "bench"
[data]
source = "ml-100k"
[train]
epochs = {epochs}
[space]
weight = {{ logit = [0.5, 0.9997] }}
sharing = ["none", "users", "items", "both"]
learning_rate = {{ log = [5e-4, 6e-3] }}
[search]
sampler = "random"
explore = 1.0
[budget]
trials = {trials}
[runtime]
lanes = {lanes}
"""

LANES = 2
WANTED = 8.0


@dataclass(frozen=True)
class Ended:
    """Wall time from start to end, and the best of the trials' final metrics."""

    wall_s: float
    mrr: float
    mse: float


def section(*, trials: int, epochs: int, rounds: int) -> str:
    """The table of both, measured in turns, and their ratio."""
    ours, theirs = [], []
    for _ in range(rounds):
        with TemporaryDirectory() as folder:
            ours.append(run_ours(Path(folder), trials, epochs))
            theirs.append(run_peer(Path(folder), trials, epochs))
    rows = []
    for name, ended in (
        ("`study run`, with its report", ours),
        ("Ray Tune + OptunaSearch + plain PyTorch", theirs),
    ):
        wall = float(np.median([e.wall_s for e in ended]))
        per_epoch = 1e3 * LANES * wall / (trials * epochs)
        best = number(max(e.mrr for e in ended)), number(min(e.mse for e in ended))
        rows.append((name, number(wall), number(per_epoch), *best))
    ratio = float(np.median([p.wall_s / o.wall_s for o, p in zip(ours, theirs, strict=True)]))
    columns = ("study", "wall, s", "core-ms per epoch", "best MRR", "best MSE")
    verdict = f"Ratio of wall times: {number(ratio)} (goal: ≥ {WANTED:g})."
    about = ABOUT.format(trials=trials, epochs=epochs, lanes=LANES)
    return f"{about}\n\n{table(columns, rows)}\n\n{verdict}"


def run_ours(home: Path, trials: int, epochs: int) -> Ended:
    """Run `study run`, with its report."""
    (home / "bench.toml").write_text(SPEC.format(trials=trials, epochs=epochs, lanes=LANES))
    command = [str(Path(sys.executable).with_name("study")), "run", "bench.toml"]
    wall_s, _ = timed(command, home)
    last = _tables(home)[1]
    if len(last) != trials:
        raise RuntimeError(f"{len(last)} of {trials} trials ran to epoch {epochs}")
    return Ended(wall_s, float(last["mrr"].max()), float(last["mse"].min()))


def run_peer(home: Path, trials: int, epochs: int) -> Ended:
    """Run the peer with the configurations of `run_ours`."""
    chosen = _tables(home)[0][["weight", "sharing", "learning_rate"]].fillna({"weight": 0.5})
    (home / "configs.json").write_text(chosen.to_json(orient="records"))
    script = Path(__file__).with_name("tune_peer.py")
    wall_s, out = timed([sys.executable, str(script), "configs.json", str(epochs)], home)
    reached = json.loads(out.splitlines()[-1])
    if [r["training_iteration"] for r in reached] != [epochs] * trials:
        raise RuntimeError(f"the peer did not run {trials} trials to epoch {epochs}: {reached}")
    return Ended(wall_s, max(r["mrr"] for r in reached), min(r["mse"] for r in reached))


def timed(command: list[str], home: Path) -> tuple[float, str]:
    """Run a command; return its wall seconds and its output."""
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "RAY_ADDRESS": "local",
    }  # not a running cluster
    began = perf_counter()
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)
    wall_s = perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)} failed:\n{done.stderr}")
    return wall_s, done.stdout


def _tables(home: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trials, and the measurements of their last epoch."""
    tables = home / "studies" / "bench" / "tables"
    trials = pd.read_parquet(tables / "trials.parquet")
    measurements = pd.read_parquet(tables / "measurements.parquet")
    return trials, measurements[measurements["epoch"] == trials["max_epochs"].max()]


ABOUT = """{trials} random configurations of {epochs} epochs, measured after every epoch, on {lanes} cores;
wall time of the process, with imports, Ray's start and, for `study run`, the report. The peer is [Ray Tune
with OptunaSearch for two metrics](../tests/benchmarks/tune_peer.py): reused actors, no dashboard, no loggers,
no checkpoints, plain PyTorch, ranks by counting. Both train the same configurations. *Core-ms per epoch* is
the wall time of all cores divided by the member-epochs."""
