"""Time and memory of studies with thousands of trials that train nothing, on SQLite and PostgreSQL."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from timing import table

from study.loop.referee import Referee
from study.record.ledger import Ledger
from study.runtime.prefetch import PrefetchingReferee
from study.search.samplers.keyed import KeyedSampler
from study.search.space import SearchSpace
from study.spec import StudySpec
from trainable.contract import Answer

sys.path.append(str(Path(__file__).parents[1] / "support"))
from formula import BASELINE, SPEC, FormulaLane
from postgres import server

VARIABLE = "STUDY_BENCHMARK_DATABASE"
OVERRIDES = ("space.learning_rate={ log = [5e-4, 2e-3] }", "space.weight_decay={ log = [1e-2, 1.0] }")
SLOTS = 4
AHEAD = 2 * SLOTS + 2
"""Asks of TPE to measure: for the slots of two lanes, and one more for each lane."""


def section(*, trials: int) -> str:
    """The tables of one study of `trials` trials on each database."""
    rows, asks = [], ""
    with TemporaryDirectory() as folder, server() as postgres:
        os.environ[VARIABLE] = postgres.database()
        for name, url in (("SQLite", ()), ("PostgreSQL", (f"storage.url=env:{VARIABLE}",))):
            home = Path(folder) / name
            rows.append((name, *_driven(home, trials, url), *_asked(home)))
            if name == "SQLite":
                asks = _tpe(home / "studies" / "formula", trials)
    columns = (
        *("database", "first tenth, ms per trial", "last tenth", "ratio"),
        *("growth of the driver's memory", "`study status`, s", "`study list`, s"),
    )
    return "\n\n".join([ABOUT.format(trials=f"{trials:,}"), table(columns, rows), asks])


def _driven(home: Path, trials: int, url: tuple[str, ...]) -> tuple[str, ...]:
    """Run one study from its first trial to its last."""
    spec = StudySpec.from_text(
        SPEC, where="benchmark", overrides=(f"budget.trials={trials}", *OVERRIDES, *url)
    )
    ledger = Ledger.open(spec, home / "studies" / spec.name, BASELINE)
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane("0", SLOTS)
    before, marks = _memory_mb(), [perf_counter()]
    while referee.over is None:
        lane.advance(referee.exchange)
        if len(marks) <= 10 * max(lane.leases, default=trials) // trials:
            marks.append(perf_counter())
    ledger.release(run, referee.over)
    grown = _memory_mb() - before
    ledger.close()
    each = [1e3 * 10 * (end - begin) / trials for begin, end in pairwise([*marks, perf_counter()][:11])]
    return f"{each[0]:.1f}", f"{each[-1]:.1f}", f"{each[-1] / each[0]:.2f}", f"{grown:.0f} MB"


def _asked(home: Path) -> Iterator[str]:
    """Seconds of `study status` and `study list`, minimum of three."""
    command = Path(sys.executable).with_name("study")
    for arguments in (("status", "formula"), ("list",)):
        took = []
        for _ in range(3):
            began = perf_counter()
            subprocess.run([command, *arguments], cwd=home, check=True, capture_output=True)
            took.append(perf_counter() - began)
        yield f"{min(took):.2f}"


def _tpe(folder: Path, trials: int) -> str:
    """Time of TPE's asks on such a record, and of two lanes' exchanges during them."""
    ledger = Ledger.read(folder)
    budget = ledger.spec.budget.model_copy(update={"trials": 2 * trials})
    search = ledger.spec.search.model_copy(update={"sampler": "tpe", "explore": 0.0})
    ledger.spec = ledger.spec.model_copy(update={"search": search, "budget": budget})
    ledger._optuna.sampler = KeyedSampler(ledger.spec, SearchSpace(ledger.spec))
    asks: list[float] = []
    waits: list[float] = []
    with _timed(ledger, asks):
        answering = PrefetchingReferee(Referee(ledger, ledger.claim(), prefetch=True))
        lanes = [FormulaLane(f"{number}", SLOTS) for number in range(2)]
        while len(asks) < AHEAD:
            for lane in lanes:
                busy = bool(lane.leases)
                began = perf_counter()
                _obeyed(lane, answering.exchange)
                if busy and lane.leases:
                    waits.append(perf_counter() - began)
        answering.close()
    median, most = np.quantile(waits, (0.5, 1.0)) * 1e3
    return (
        f"With TPE instead, after {trials:,} trials: an ask takes {np.median(asks):.2f} s (median of "
        f"{len(asks)}); at the same time a training lane waits {median:.1f} ms for an answer (median of "
        f"{len(waits)} exchanges; maximum {most:.0f} ms)."
    )


def _obeyed(lane: FormulaLane, exchange: Callable[..., Answer]) -> None:
    """Make one exchange; held trials never end, like trials with long epochs."""
    lane.advance(exchange)
    for trial, lease in lane.leases.items():
        if lane.epochs[trial] >= lease.config.epochs - 1:
            lane.epochs[trial] = 0
            lane.unsent = []


@contextmanager
def _timed(ledger: Ledger, asks: list[float]) -> Iterator[None]:
    real = ledger.ask

    def timed() -> object:
        began = perf_counter()
        drawn = real()
        asks.append(perf_counter() - began)
        return drawn

    vars(ledger)["ask"] = timed
    try:
        yield
    finally:
        del vars(ledger)["ask"]


def _memory_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


ABOUT = """One study of {trials} trials with the sampler `random` and the rule `never`. A lane of four slots
computes four epochs of each trial by a formula, so the time is that of the referee and the record: for each
trial an ask, a lease, four epochs of measurements and an end, all committed. PostgreSQL runs on the same
machine, with fsync off. The commands are timed with Python's start; minimum of three."""
