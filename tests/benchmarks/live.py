"""Live studies of the default search, and of random search with the same rule."""

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import replays
from replay import Trace
from search_figure import Panel, shown
from timing import table

from study.record.front import losses, reference
from study.record.ledger import Ledger
from study.runtime.run import run
from study.spec import StudySpec

CURVES = "curves-decay"
"""The recorded curves that define the target: they have the same space, data and epochs."""

SEARCHES = {
    "tpe, pareto-asha": (),
    "random, pareto-asha": ("search.sampler=random", "search.explore=1"),
}
"""The preset ml100k, and the same with random configurations."""

WANTED, LEAST = 2_700, 0.93


@dataclass(frozen=True)
class Ended:
    """One study: member-epochs to the target, and the hypervolume at each time as a share of it."""

    reached: float
    shares: list[float]


def section(*, seeds: int, member_epochs: int, figure: Path | None) -> str:
    """The table of `seeds` studies of each search, and the figure, if it has a file."""
    if not (replays.STUDIES / CURVES / "tables").is_dir():
        return replays.UNMEASURED.format(missing=CURVES)
    target = replays.target(CURVES, "all")
    times = list(range(0, member_epochs + 1, max(1, member_epochs // 27)))
    found = {
        label: [searched(overrides, seed, times, target) for seed in range(seeds)]
        for label, overrides in SEARCHES.items()
    }
    panel = Panel("Live studies", times, {label: [e.shares for e in ended] for label, ended in found.items()})
    columns = ("sampler, rule", "studies", "1st quartile", "median", "3rd", f"at {times[-1]:,}", "minimum")
    rows = []
    for label, ended in found.items():
        last = [e.shares[-1] for e in ended]
        reached = replays.quartiles(e.reached for e in ended)
        rows.append((label, len(ended), *reached, f"{np.median(last):.3f}", f"{min(last):.3f}"))
    about = ABOUT.format(seeds=seeds, member_epochs=member_epochs)
    verdict = _verdict(next(iter(found.values())))
    return "\n\n".join([about, table(columns, rows), verdict, *shown([panel], figure)])


def searched(overrides: tuple[str, ...], seed: int, times: list[int], target: float) -> Ended:
    """Run the preset ml100k with `overrides`, on two lanes, without confirmation."""
    own = ("name=live", f"search.seed={seed}", f"budget.member_epochs={times[-1]}", "runtime.lanes=2")
    spec = StudySpec.preset("ml100k", (*own, *overrides)).model_copy(update={"confirm": None})
    with TemporaryDirectory() as home:
        folder = run(spec, home).folder
        with closing(Ledger.read(folder)) as ledger:
            trace = traced(ledger)
    return Ended(trace.reached(target), [trace.at(time) / target for time in times])


def traced(ledger: Ledger) -> Trace:
    """Hypervolume history of a study: its points in order of measurement.

    The time of a point is the start of its trial plus the time of its epochs.
    """
    trace = Trace(reference(ledger.baseline, ledger.spec))
    clock = {
        r.trial: datetime.fromisoformat(r.started).timestamp()
        for r in ledger.records()
        if r.started is not None
    }
    moments = {}
    for m in ledger.measurements():
        clock[m.trial] += m.wall_s
        moments[m.trial, m.epoch] = clock[m.trial]
    points = sorted(ledger.points(), key=lambda p: moments[p.trial, p.epoch])
    for spent, row in enumerate(losses(points, ledger.spec), start=1):
        trace.add(spent, row)
    return trace


def _verdict(ended: list[Ended]) -> str:
    """The target of the default search, and the result."""
    met = np.median([e.reached for e in ended]) <= WANTED and min(e.shares[-1] for e in ended) >= LEAST
    wanted = f"a median of at most {WANTED:,}, and at least {LEAST} of the target at {WANTED:,} in each study"
    return f"Goal of the default search: {wanted}. {'Met' if met else 'Not met'}."


ABOUT = """Studies of [the preset ml100k](../study/spec/presets/ml100k.toml) with {seeds} seeds, on two lanes,
to {member_epochs:,} member-epochs, and the same number of studies by random search with the same rule. The
target is that of the recorded curves with weight decay above. Member-epochs to the target; median and
minimum of the hypervolume at the end, as a share of the target. Unlike a replay, a seed also changes initial
values, batches and negatives, so a study may miss the target by the noise of training alone; the difference
between median and minimum of random search shows the size of this noise."""
