"""Time of an ask, for each sampler, by the number of trials on record in SQLite."""

from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from timing import milliseconds, table

from study.record.ledger import Ledger
from study.record.rows import Baseline, Holder, Point
from study.search.samplers.keyed import KeyedSampler
from study.search.samplers.registry import SAMPLERS
from study.search.space import SearchSpace
from study.spec import StudySpec
from trainable.contract import Config

SPEC = """name = "bench"
[data]
source = "synthetic"
[space]
learning_rate = { log = [5e-4, 6e-3] }
weight_decay = { log = [1e-2, 1.0] }
[search]
sampler = "random"
[budget]
trials = 100000
"""
"""Four parameters, one of them conditional."""

LISTS = (
    "space.weight=[0.5, 0.9, 0.99, 0.999]",
    "space.learning_rate=[1e-3, 2e-3, 4e-3]",
    f"space.weight_decay={[number / 1000 for number in range(1, 401)]}",
)
"""The same space as lists, which a grid needs."""

BASELINE = Baseline(data={"sha256": "0"}, reference={"mrr": 0.3, "mrr_all": 0.05, "mse": 0.9})
HOLDER = Holder(run=1, lane="bench", incarnation=1)


def section(*, counts: tuple[int, ...], rounds: int) -> str:
    """The table: a row for each sampler, a column for each number of trials on record."""
    rows: dict[str, list[str]] = {name: [name] for name in SAMPLERS}
    for count in counts:
        with TemporaryDirectory() as home:
            for lists in ((), LISTS):
                record(Path(home) / f"{len(lists)}", count, lists)
            for name, row in rows.items():
                lists = LISTS if name == "grid" else ()
                folder = Path(home) / name
                copytree(Path(home) / f"{len(lists)}", folder)
                row.append(milliseconds(np.array(seconds(folder, name, lists, rounds))))
    columns = ("sampler", *(f"after {count:,} trials" for count in counts))
    return f"{ABOUT.format(rounds=rounds)}\n\n{table(columns, [*rows.values()])}"


def record(folder: Path, count: int, lists: tuple[str, ...]) -> None:
    """Write a record of `count` ended trials, drawn at random."""
    ledger = Ledger.open(StudySpec.from_text(SPEC, where="benchmark", overrides=lists), folder, BASELINE)
    for number in range(count):
        _, config = ledger.ask()
        point = Point(number, config.epochs, **reached(config))
        ledger.end(number, "complete", "a benchmark", epochs=config.epochs, point=point)
    ledger.close()


def reached(config: Config) -> dict[str, float]:
    """Metrics by a formula, with a trade-off in the weight."""
    off = abs(np.log(config.learning_rate / 2e-3))
    weight = config.ranking_weight
    return {
        "mrr": 0.3 + 0.1 * weight - 0.03 * off,
        "mrr_all": 0.05,
        "mse": 0.8 + 0.1 * weight**4 + 0.03 * off,
    }


def seconds(folder: Path, sampler: str, lists: tuple[str, ...], rounds: int) -> list[float]:
    """Seconds of consecutive asks; the first one, which reads the record, is not counted."""
    overrides = [f"search.sampler={sampler}", "search.explore=0", *lists]
    spec = StudySpec.from_text(SPEC, where="benchmark", overrides=overrides)
    ledger = Ledger.read(folder)
    ledger._optuna.sampler = KeyedSampler(
        spec, SearchSpace(spec)
    )  # replaces the sampler that drew the record
    took = []
    for _ in range(rounds + 1):
        began = perf_counter()
        ledger.lease(*ledger.ask(), HOLDER, attempt=1)
        took.append(perf_counter() - began)
    ledger.close()
    return took[1:]


ABOUT = """Time to suggest the next configuration of a study: read the record, draw, lease, commit to SQLite.
Two objectives; the space has sharing, λ (if a table is shared), learning rate and weight decay.
Median and quartiles of {rounds} consecutive asks, in milliseconds; earlier asks count as running trials."""
