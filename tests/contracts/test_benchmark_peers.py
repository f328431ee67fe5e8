"""Benchmarks: the peers have the same losses and metrics as the engines; the page of results."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import page
import pytest
import torch
from members import CONFIG, FOLD, SEED, new_engine
from peers import Lean, Plain, PlainWithFastRanks

from trainable.contract import SHARINGS
from trainable.engines.draws import DrawKey, Draws
from trainable.engines.engine import Member
from trainable.models.two_task.parameters import shapes
from trainable.streams import stream

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("peer", [Plain, Lean, PlainWithFastRanks])
@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("batch_size", [16, "full"])
def test_a_peer_learns_and_measures_what_an_engine_does(peer, sharing, batch_size):
    """With the same initial values and draws. Catches a different loss, gradient, tie or mask."""
    averaged = sharing in ("items", "both")
    kinds = {"average": 0.7, "ranking_loss": "bpr", "negatives": "unseen"} if averaged else {}
    config = replace(CONFIG, sharing=sharing, batch_size=batch_size, weight_decay=0.0, **kinds)
    member, running = Member(0, 0, config), new_engine("numba")
    running.join(member)
    other = peer(FOLD, config, dtype="float64")
    other.start_at(
        {n: running.state(member)[n] for n in shapes(config, FOLD.train.n_users, FOLD.train.n_items)}
    )
    for epoch in (1, 2, 3):
        expected = running.epoch([member])[member]
        assert other.train(*draws(epoch, config.negatives)) == pytest.approx(
            (expected.ranking_loss, expected.rating_loss), rel=1e-10
        )
        other.end_epoch()
        assert other.evaluate() == pytest.approx(dict(expected.metrics), rel=1e-10)


def draws(epoch, negatives):
    """The order and the negatives that the engines train on."""
    order = stream(SEED, use="batches", epoch=epoch).permutation(len(FOLD.train))
    drawn = Draws(FOLD.train, seed=SEED).at(DrawKey(0, epoch, negatives))
    return torch.as_tensor(order), torch.as_tensor(drawn.negatives)


def test_a_peer_draws_unseen_negatives():
    """A peer does the work that an engine does."""
    other = Lean(FOLD, replace(CONFIG, weight_decay=0.0, negatives="unseen"))
    users = other.users.repeat(50)
    drawn = other.negatives(users)
    assert not other.seen[users, drawn].any()
    assert (
        len(set(zip(users.tolist(), drawn.tolist(), strict=True))) > (~other.seen[users.unique()]).sum() / 2
    )


NO_STUDY = """
import sys
from importlib.abc import MetaPathFinder

ABSENT = {"ray", "optuna", "study", "analysis", "pydantic", "sqlalchemy", "rich", "pyarrow", "platformdirs"}

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"{name} is not on this machine", name=name)

sys.meta_path.insert(0, Absent())
"""
"""A machine with torch, NumPy, numba, SciPy, safetensors and threadpoolctl alone."""

BENCHMARKS = """
import runpy, epochs, gpu, sizes, trainable.session
from trainable.data.splits import per_user
from trainable.data.synthetic import generate
fold = per_user(generate(users=30, items=20, rows=300)[0], 0).search
print(epochs.section(fold, rounds=1))
print(epochs.stacked(fold, counts=(1, 2), rounds=1))
print(gpu.section(fold, device="cpu", counts=(1, 2), rounds=1))
runpy.run_path("tests/benchmarks/bench.py", run_name="benchmarks")
"""


def test_engines_session_and_their_benchmark_need_no_study():
    """Benchmarks of training import neither Ray nor Optuna nor another library of a study."""
    done = subprocess.run(
        [sys.executable, "-c", NO_STUDY + BENCHMARKS],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests/benchmarks'}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert all(f"| {who} |" in done.stdout for who in ("engine numba", "lean PyTorch", "K = 2"))


def test_a_page_keeps_the_sections_that_are_not_measured_again(tmp_path):
    """Measurements of other machines stay on the page."""
    path, titles = tmp_path / "page.md", ["One", "Two", "Three"]
    page.put(path, titles, {"Three": "3\n\n| a |\n", "One": "1"})
    page.put(path, titles, {"Two": "2", "One": "one"})
    assert path.read_text() == f"{page.HEAD}\n## One\n\none\n\n## Two\n\n2\n\n## Three\n\n3\n\n| a |\n"
    assert page.has(path, "Two")
    assert not page.has(path, "Four")


def test_benchmarks_ignore_a_forced_blas_kernel():
    """A page names its BLAS kernel; OPENBLAS_CORETYPE does not choose it."""
    free = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    forced = free | {"OPENBLAS_CORETYPE": "Prescott", "OPENBLAS_L2_SIZE": "512"}
    lines = {
        subprocess.run(
            [sys.executable, "tests/benchmarks", "--machine"],
            cwd=ROOT,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.partition("; Python")[0]
        for environment in (free, forced)
    }
    (line,) = lines
    assert "BLAS kernel openblas " in line


def test_sizes_are_measured_in_processes_of_their_own(tmp_path):
    """The second process gets its ratings from the first, in a file."""
    import sizes

    size = sizes.Size(rows=300, users=20, items=20, dim=4, members=2, batch_size=64)
    made = sizes._process("make", size, str(tmp_path / "ratings.npz"))
    trained = sizes._process("train", size, str(tmp_path / "ratings.npz"))
    assert made.keys() == {"peak_mb"}
    assert trained.keys() == {"train_s", "evaluate_s", "peak_mb"}
