"""Every rule with every sampler on recorded curves: member-epochs to the result of full training."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import optuna
from curves import Curves
from replay import Proposals, Sampled, replay
from rivals import RULES
from search_figure import shown
from timing import table

from analysis.front import hypervolume, non_dominated
from study.search.samplers.registry import SAMPLERS
from study.spec.sections import Stopping

RECORDED = Path("studies/curves")

FULL, SHARE = 120, 0.99
"""The target: this share of the hypervolume of `FULL` configurations that are all trained to their end."""
WITHIN, WANTED, AT = 3_240, 0.7, 2_700
TIMES = list(range(0, 3_301, 100))

EARLY, LATE = (6, 2), (27, 3)
"""First rung and reduction factor for samplers that do not learn, and for those that do."""
SETTINGS = [(first, factor) for factor in (2, 3) for first in (4, 6, 9, 12, 18, 27)]
EXPLORE = (0.0, 0.67)
MORE, DEAR = {"random": 5.0, "gp": 0.2}, ("gp",)
"""Replays of a sampler per order, and slow samplers."""

PARTS = {"all": (0, 1), "even": (0, 2), "odd": (1, 2)}
"""Parts of the configurations: the number of the first, and the step to the next."""


@dataclass(frozen=True)
class Search:
    """A search of the recorded configurations or a part of them; `rungs`: first rung and reduction factor."""

    rule: str = "pareto-asha"
    rungs: tuple[int, int] | None = None
    sampler: str = "random"
    explore: float | None = None
    part: str = "all"

    @property
    def label(self) -> str:
        """Sampler and rule, as in the tables."""
        explore = "" if self.explore is None else f" with explore {self.explore:g}"
        rungs = "" if self.rungs is None else f" {self.rungs[0]}/{self.rungs[1]}"
        return f"{self.sampler}{explore}, {self.rule}{rungs}"


Outcome = tuple[float, list[float]]
"""Member-epochs to the target, and the hypervolume after each of `TIMES` as a share of it."""
Found = Mapping[Search, Sequence[Outcome]]


def section(*, orders: int, figure: Path | None) -> str:
    """The tables of random search and TPE, for `orders` orders of the configurations, and the figure."""
    if not _recorded():
        return UNMEASURED
    with _pool() as pool:
        found = _run(pool, _searches(), orders)
        halves = _run(pool, _settings(), orders // 2)
    shares = {s.label: [shares for _, shares in outcomes] for s, outcomes in found.items()}
    return "\n\n".join(
        [ABOUT, _table(found), _verdict(found), _table_of_settings(halves), *shown(TIMES, shares, figure)]
    )


def others(*, orders: int) -> str:
    """The table of the other samplers with every rule."""
    if not _recorded():
        return UNMEASURED
    samplers = [s for s in SAMPLERS if s not in ("random", "tpe", "grid")]
    with _pool() as pool:
        searches = [s for sampler in samplers for s in _every_rule(sampler)]
        return "\n\n".join(["As above, for the other samplers.", _table(_run(pool, searches, orders))])


def _searches() -> list[Search]:
    """Every rule with random search and TPE, the rivals with random search, and TPE with other `explore`."""
    return [
        *_every_rule("random"),
        Search("pareto-asha without patience", EARLY),
        Search("plain ranks", EARLY),
        *_every_rule("tpe"),
        *(Search(rungs=LATE, sampler="tpe", explore=explore) for explore in EXPLORE),
    ]


def _every_rule(sampler: str) -> list[Search]:
    searches = [Search(rungs=rungs, sampler=sampler) for rungs in (EARLY, LATE)]
    if sampler in DEAR:
        return searches[1:]
    return [Search("never", sampler=sampler), Search("median", sampler=sampler), *searches]


def _settings() -> list[Search]:
    """Random search with pareto-asha at other settings, on each half of the configurations."""
    return [Search(rungs=rungs, part=part) for rungs in SETTINGS for part in ("even", "odd")]


def _recorded() -> bool:
    return (RECORDED / "tables").is_dir()


def _pool() -> ProcessPoolExecutor:
    cores = len(os.sched_getaffinity(0))
    return ProcessPoolExecutor(cores, mp_context=get_context("spawn"), initializer=_quiet)


def _run(pool: Executor, searches: Sequence[Search], orders: int) -> Found:
    cells = [(s, order) for s in searches for order in range(round(orders * MORE.get(s.sampler, 1.0)))]
    outcomes: dict[Search, list[Outcome]] = {s: [] for s in searches}
    for (search, _), outcome in zip(cells, pool.map(replayed, cells), strict=True):
        outcomes[search].append(outcome)
    return outcomes


def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


# --- one replay ------------------------------------------------------------------------------------------


def replayed(cell: tuple[Search, int]) -> Outcome:
    """Run one replay with an order of the configurations."""
    search, order = cell
    curves, wanted = part(search.part), target(search.part)
    proposals = Proposals(iter(shuffled(len(curves), order)))
    if search.sampler != "random":
        proposals = Sampled(curves, sampler=search.sampler, seed=order, explore=search.explore)
    first, factor = search.rungs or (9, 2)
    rule = RULES[search.rule](Stopping(min_epochs=first, reduction_factor=factor))
    trace = replay(curves, proposals, rule, most=FULL * curves.epochs, least=TIMES[-1], target=wanted)
    return trace.reached(wanted), [trace.at(time) / wanted for time in TIMES]


@cache
def part(which: str) -> Curves:
    """The recorded curves, or half of them."""
    return Curves.read(RECORDED).part(*PARTS[which])


@cache
def target(which: str) -> float:
    """`SHARE` of the hypervolume of `FULL` fully trained configurations, the median over 2,000 orders; for a
    part, the number is smaller in proportion.
    """
    curves, full = part(which), FULL // PARTS[which][1]
    own = [front[non_dominated(front)] for front in curves.losses]
    volumes = [
        hypervolume(np.concatenate([own[n] for n in shuffled(len(curves), order)[:full]]), curves.corner)
        for order in range(2_000)
    ]
    return SHARE * float(np.median(volumes))


def shuffled(count: int, order: int) -> list[int]:
    """The permutation with number `order` of `count` configurations."""
    found: list[int] = np.random.default_rng([count, order]).permutation(count).tolist()
    return found


# --- tables ----------------------------------------------------------------------------------------------


def _table(found: Found) -> str:
    """A row for each search: quartiles of the member-epochs to the target, and hypervolume at `AT`."""
    columns = (
        "sampler, rule",
        "replays",
        "1st quartile",
        "median",
        "3rd",
        f"within {WITHIN:,}",
        f"at {AT:,}",
    )
    rows = []
    for search, outcomes in found.items():
        reached = [outcome[0] for outcome in outcomes]
        at = np.median([outcome[1][TIMES.index(AT)] for outcome in outcomes])
        row = (*quartiles(reached), f"{np.mean(np.array(reached) <= WITHIN):.0%}", f"{at:.3f}")
        rows.append((search.label, len(outcomes), *row))
    return table(columns, rows)


def _verdict(found: Found) -> str:
    """The goal of random search with pareto-asha, and the result."""
    reached = np.array([outcome[0] for s in found if s.label == DECIDED for outcome in found[s]])
    met = np.median(reached) <= WITHIN and np.mean(reached <= WITHIN) >= WANTED
    wanted = f"a median of at most {WITHIN:,}, and {WANTED:.0%} of the replays within it"
    return f"Goal of `{DECIDED}`: {wanted}. {'Met' if met else 'Not met'}."


def _table_of_settings(found: Found) -> str:
    """A row for each setting of pareto-asha, with the median on each half of the configurations."""
    medians = {s: quartiles(reached for reached, _ in found[s])[1] for s in found}
    halves = zip(list(found)[::2], list(found)[1::2], strict=True)
    rows = [(*even.rungs, medians[even], medians[odd]) for even, odd in halves if even.rungs]
    return table(("`min_epochs`", "`reduction_factor`", "even configurations", "odd"), rows)


def quartiles(reached: Iterable[float]) -> list[str]:
    """Quartiles without interpolation, because some values are infinite."""
    found = np.quantile(list(reached), [0.25, 0.5, 0.75], method="inverted_cdf")
    return [f"{value:,.0f}" if np.isfinite(value) else "never" for value in found]


DECIDED = "random, pareto-asha 6/2"

UNMEASURED = """Unmeasured: no curves recorded yet. `study run tests/benchmarks/specs/curves.toml` does so:
320 configurations × 81 epochs (about 15 minutes on two idle cores). Then `python tests/benchmarks replays`
in the same folder fills this section."""

ABOUT = f"""Searches on recorded learning curves of 320 random configurations × 81 epochs of
[the preset's recipe](../tests/benchmarks/specs/curves.toml): two lanes, one epoch per unit of time, the real
samplers, rules and fronts; every measured epoch is a candidate. With `random`, each replay takes the
configurations in a different order. For a proposal of another sampler, the nearest unused configuration of
the same sharing is trained and reported. The target is {SHARE:.0%} of the hypervolume of {FULL}
configurations that are all trained to their end (median over orders; the reference point is that of the
trivial models). The tables have the member-epochs to the target, the share of replays that reach it within
{WITHIN:,}, and the median hypervolume at {AT:,} as a share of the target. The second table has the median of
`{DECIDED}` with other settings on each half of the configurations, with the target of {FULL // 2}."""
