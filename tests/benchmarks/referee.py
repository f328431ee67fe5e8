"""Number of lanes that one referee can serve: its rate of work, against the rate of the lanes' calls."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import ray
from epochs import CONFIG
from timing import milliseconds, number, table

from study.loop.lanes import LEASE_S
from study.loop.referee import Referee
from study.record.ledger import Ledger
from study.runtime import actor
from study.search.samplers.keyed import KeyedSampler
from study.search.space import SearchSpace
from study.spec import StudySpec
from trainable.contract import LaneReport
from trainable.data.interactions import Fold
from trainable.engines.engine import Member
from trainable.engines.registry import engine
from trainable.exchange import RefereeActor

sys.path.append(str(Path(__file__).parents[1] / "support"))
from formula import BASELINE, FormulaLane
from postgres import server

VARIABLE = "STUDY_BENCHMARK_DATABASE"
EPOCHS, SLOTS = 81, (1, 16)
SPEC = f"""
name = "bench"
[data]
source = "synthetic"
[train]
epochs = {EPOCHS}
[space]
learning_rate = {{ log = [5e-4, 2e-3] }}
weight_decay = {{ log = [1e-2, 1.0] }}
[stopping]
rule = "pareto-asha"
[budget]
trials = 1
"""
"""The default search: TPE, a third of the configurations at random, and its rule."""

PARTS = ("ask", "lease", "record", "judgement", "end")


@dataclass
class Spent:
    """Seconds and calls of the referee's parts, and the member-epochs reported to it."""

    epochs: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)

    def timed(self, name: str, part: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap `part` so that its time is added under `name`."""

        def run(*arguments: Any, **named: Any) -> Any:
            began = perf_counter()
            result = part(*arguments, **named)
            self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - began
            self.times[name] = self.times.get(name, 0) + 1
            return result

        return run

    def a_second(self, name: str) -> float:
        """Calls of a part per second of its time."""
        return self.times[name] / self.seconds[name]

    def share(self, name: str) -> float:
        """Share of a part in the referee's time."""
        return self.seconds[name] / self.seconds["exchange"]


def section(fold: Fold, *, before: int, trials: int, calls: int) -> str:
    """The tables, with `before` trials on record, `trials` measured ones, and `calls` over Ray."""
    epoch_s = _epoch_s(fold)
    rows, costs, sums = [], [], []
    with TemporaryDirectory() as home, server() as postgres:
        os.environ[VARIABLE] = postgres.database()
        for name, url in (("SQLite", ()), ("PostgreSQL", (f"storage.url=env:{VARIABLE}",))):
            spec = StudySpec.from_text(SPEC, where="benchmark", overrides=url)
            with closing(Ledger.open(spec, Path(home) / name / spec.name, BASELINE)) as ledger:
                run = ledger.claim()
                _driven(ledger, run, "random", slots=max(SLOTS), trials=before)
                for slots in SLOTS:
                    spent = _driven(ledger, run, "tpe", slots=slots, trials=trials)
                    epochs = spent.epochs / spent.seconds["exchange"]
                    most = max(PARTS, key=spent.share)
                    rows.append(
                        (
                            *(name, slots, number(spent.a_second("exchange")), number(epochs)),
                            *(number(epochs * epoch_s), f"{most}, {spent.share(most):.0%}"),
                        )
                    )
                    costs.append((name, slots, *(_cost(spent, part) for part in PARTS)))
                sums.append(f"- {name}, {slots} slots: {_arithmetic(spent, epoch_s)}")
                ledger.release(run, "measured")
        hop = _hop(Path(home) / "SQLite" / spec.name, calls)
    about = ABOUT.format(before=f"{before:,}", trials=trials, epochs=EPOCHS, epoch=number(1e3 * epoch_s))
    capacity = table(("database", "slots", *CAPACITY), rows)
    parts = table(("database", "slots", *PARTS), costs)
    return "\n\n".join([about, capacity, COSTS, parts, "\n".join([SUMS, *sums]), hop])


CAPACITY = ("exchanges/s", "member-epochs/s", "lanes", "largest part")


def _cost(spent: Spent, part: str) -> str:
    each = 1e3 * spent.seconds[part] / spent.times[part]
    return f"{number(each)} ms, {number(spent.a_second(part))}/s, {spent.share(part):.0%}"


def _arithmetic(spent: Spent, epoch_s: float) -> str:
    """Time of a trial in the referee and in a lane, and the part that limits the number of lanes."""
    trials, most = spent.times["ask"], max(PARTS, key=spent.share)
    epochs = spent.epochs / trials
    each = [(part, 1e3 * spent.seconds[part] / trials) for part in PARTS]
    all_ms, lane_ms = 1e3 * spent.seconds["exchange"] / trials, 1e3 * epochs * epoch_s
    rest = all_ms - sum(ms for _, ms in each)
    terms = " + ".join(f"{part} {number(ms)}" for part, ms in [*each, ("rest", rest)])
    return (
        f"{terms} = {number(all_ms)} ms of the referee; {number(epochs)} epochs × {number(1e3 * epoch_s)} ms "
        f"= {number(lane_ms)} ms of a lane; {number(lane_ms)} ÷ {number(all_ms)} = "
        f"{number(lane_ms / all_ms)} lanes. The largest part is `{most}`: alone it allows "
        f"{number(lane_ms / dict(each)[most])} lanes."
    )


def _driven(ledger: Ledger, run: int, sampler: str, *, slots: int, trials: int) -> Spent:
    """Time of a referee for `trials` further trials of one lane that computes by a formula."""
    spec, so_far = ledger.spec, len(ledger.records())
    ledger.spec = spec.model_copy(
        update={
            "search": spec.search.model_copy(update={"sampler": sampler}),
            "budget": spec.budget.model_copy(update={"trials": so_far + trials}),
        }
    )
    ledger._optuna.sampler = KeyedSampler(ledger.spec, SearchSpace(ledger.spec))
    spent, lane = Spent(), FormulaLane(f"{run}.{so_far}", slots)
    with _timed(ledger, spent, "ask", "lease", "record", "end"):
        referee = Referee(ledger, run)
        with _timed(referee, spent, "exchange"), _timed(referee._judge, spent, "_judgement"):
            while referee.over is None:
                lane.advance(referee.exchange)
                spent.epochs += len(lane.leases)
    spent.seconds["judgement"] = spent.seconds.pop("_judgement")
    spent.times["judgement"] = spent.times.pop("_judgement")
    return spent


@contextmanager
def _timed(owner: object, spent: Spent, *names: str) -> Iterator[None]:
    """Time methods of an object."""
    vars(owner).update({name: spent.timed(name, getattr(owner, name)) for name in names})
    try:
        yield
    finally:
        for name in names:
            del vars(owner)[name]


def _epoch_s(fold: Fold) -> float:
    """Seconds of an epoch of one member with its measurement, on the numba engine and one core."""
    running, member = engine("numba", fold, seed=0, device="cpu", threads=1), Member(0, 0, CONFIG)
    running.join(member)
    laps = []
    for _ in range(5):
        began = perf_counter()
        running.epoch([member])
        laps.append(perf_counter() - began)
    return min(laps)


def _hop(folder: Path, calls: int) -> str:
    """Time of an empty call over Ray: one after another, and concurrently."""
    with closing(Ledger.read(folder)) as ledger:
        run = ledger.claim()
        ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level="CRITICAL")
        try:
            open_ = partial(actor.referee, folder, "search", run, LEASE_S, meters=False)
            referee = ray.remote(RefereeActor).options(num_cpus=0).remote(open_)
            first = ray.get(referee.exchange.remote(LaneReport("lane", 0)))
            call = LaneReport("lane", first.incarnation)
            alone = []
            for _ in range(calls):
                began = perf_counter()
                ray.get(referee.exchange.remote(call))
                alone.append(perf_counter() - began)
            began = perf_counter()
            ray.get([referee.exchange.remote(call) for _ in range(calls)])
            together = calls / (perf_counter() - began)
        finally:
            ray.shutdown()
            ledger.release(run, "measured")
    return HOP.format(alone=milliseconds(np.array(alone)), together=number(together))


ABOUT = """One referee on one thread. Lanes compute {epochs} epochs per trial by a formula, so all time is the
referee's: {trials} trials of the default search (TPE, `pareto-asha`), after {before} trials on record. An
exchange has one epoch's measurement of every slot. On a core like this one, a lane takes {epoch} ms for
an epoch of MovieLens-100K's size with its measurement. `lanes` is member-epochs/s × this time: this number of
lanes keeps the referee fully busy. Asks are included; under Ray they are made while lanes train."""

COSTS = "For each part: the time of a call, calls per second of this time, its share of the referee's time:"

SUMS = "Per trial, on average over stopped and completed trials:\n"

HOP = """Over Ray on this machine, an empty exchange takes {alone} ms from lane to referee and back (median
and quartiles); one referee's actor handles {together} of them per second. The times above do not include
this: lanes wait for it, the referee does not."""
