"""Live studies of the default search, and of chance under the same rule."""

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
"""The recorded curves whose target is the target here: of the same space, data and epochs."""

SEARCHES = {
    "tpe, pareto-asha": (),
    "random, pareto-asha": ("search.sampler=random", "search.explore=1"),
}
"""The preset ml100k, and the same with configurations drawn at random."""

WANTED, LEAST = 2_700, 0.93


@dataclass(frozen=True)
class Ended:
    """One study: member-epochs to the target, and what share of it was there after each of the times."""

    reached: float
    shares: list[float]


def section(*, seeds: int, member_epochs: int, figure: Path | None) -> str:
    """The table of so many studies of each search, and the figure, where it has a file."""
    if not (replays.STUDIES / CURVES / "tables").is_dir():
        return replays.UNMEASURED.format(missing=CURVES)
    target = replays.target(CURVES, "all")
    times = list(range(0, member_epochs + 1, max(1, member_epochs // 27)))
    found = {
        label: [searched(overrides, seed, times, target) for seed in range(seeds)]
        for label, overrides in SEARCHES.items()
    }
    panel = Panel("Live studies", times, {label: [e.shares for e in ended] for label, ended in found.items()})
    columns = ("sampler, rule", "studies", "1st quartile", "median", "3rd", f"at {times[-1]:,}", "the least")
    rows = []
    for label, ended in found.items():
        last = [e.shares[-1] for e in ended]
        reached = replays.quartiles(e.reached for e in ended)
        rows.append((label, len(ended), *reached, f"{np.median(last):.3f}", f"{min(last):.3f}"))
    about = ABOUT.format(seeds=seeds, member_epochs=member_epochs)
    verdict = _verdict(next(iter(found.values())))
    return "\n\n".join([about, table(columns, rows), verdict, *shown([panel], figure)])


def searched(overrides: tuple[str, ...], seed: int, times: list[int], target: float) -> Ended:
    """One study of the preset ml100k so changed, on two lanes, without confirmation."""
    own = ("name=live", f"search.seed={seed}", f"budget.member_epochs={times[-1]}", "runtime.lanes=2")
    spec = StudySpec.preset("ml100k", (*own, *overrides)).model_copy(update={"confirm": None})
    with TemporaryDirectory() as home:
        folder = run(spec, home).folder
        with closing(Ledger.read(folder)) as ledger:
            trace = traced(ledger)
    return Ended(trace.reached(target), [trace.at(time) / target for time in times])


def traced(ledger: Ledger) -> Trace:
    """How the hypervolume of a study grew: its points in the order in which they were measured.

    A trial's points follow its start by what its epochs took.
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
    """What was wanted of the default search, and whether it is so."""
    met = np.median([e.reached for e in ended]) <= WANTED and min(e.shares[-1] for e in ended) >= LEAST
    wanted = f"a median of at most {WANTED:,}, and never less than {LEAST} of the target at {WANTED:,}"
    return f"Wanted of the default search: {wanted}. {'Met' if met else 'Not met'}."


ABOUT = """Studies of [the preset ml100k](../study/spec/presets/ml100k.toml) with {seeds} seeds, on two lanes,
to {member_epochs:,} member-epochs, and as many with every configuration drawn at random under the same
rule. The target is that of the recorded curves with weight decay above: seeds differ here, curves do not
there. Member-epochs to the target; hypervolume as a share of it at the end: the median, and the least.
A seed changes initial values, batches and negatives as well as what is drawn, so a study can fall short by
its luck in training alone; the fall from random search's median to its least shows how much."""
