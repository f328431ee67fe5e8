"""Fronts of search recipes at the same member-epochs, measured again with seeds that did not choose them."""

import multiprocessing
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from timing import table

from analysis.stats import t_half_width
from study.record.front import PointKey, candidates, front, reference
from study.record.ledger import Ledger
from study.record.rows import Point
from study.runtime.run import run
from study.spec import StudySpec
from trainable.contract import Config
from trainable.data.registry import load
from trainable.engines.engine import Member
from trainable.engines.registry import engine

BEFORE = Path(__file__).parent / "specs" / "ml100k-before.toml"
"""The preset ml100k before averaging, unseen negatives and `bpr`."""

PRESET = "ml100k"

RECIPES: dict[str, tuple[Path | None, tuple[str, ...]]] = {
    "before": (BEFORE, ()),
    PRESET: (None, ()),
    "ml100k, random search": (None, ("search.sampler=random", "search.explore=1")),
}
"""Label of a recipe → its spec, the preset if there is no file, and overrides."""

WANTED = 1.35
"""Wanted ratio of the hypervolume with fresh seeds: the preset to the recipe before."""

FRESH = (101, 102)
"""Seeds that no search uses."""

WINDOW = 5
"""Epochs of a running mean."""


@dataclass(frozen=True)
class Measured:
    """One front: its points, and its hypervolume by the search's and by fresh values."""

    points: int
    searched: float
    fresh: float


def every(points: Sequence[Point]) -> list[Point]:
    """All points: the rule of the preset."""
    return [*points]


def ninth(points: Sequence[Point]) -> list[Point]:
    """Points at every ninth epoch."""
    return [p for p in points if p.epoch % 9 == 0]


def rungs(points: Sequence[Point]) -> list[Point]:
    """Points at the rungs of the preset's stopping rule."""
    return [p for p in points if p.epoch in (27, 81)]


def smoothed(points: Sequence[Point]) -> list[Point]:
    """All points, with the means of the last `WINDOW` epochs of their trial."""
    metrics = {(p.trial, p.epoch): np.array(p[2:]) for p in points}
    return [
        Point(
            trial,
            epoch,
            *np.mean([metrics[trial, e] for e in range(max(1, epoch - WINDOW + 1), epoch + 1)], 0),
        )
        for trial, epoch in metrics
    ]


CHOICES: dict[str, Callable[[Sequence[Point]], list[Point]]] = {
    "every epoch": every,
    "every ninth epoch": ninth,
    "rungs only": rungs,
    f"mean of {WINDOW} epochs": smoothed,
}
"""Label of a choice → the candidates of a front. A change of the first one is compared with it."""


def section(*, seeds: int, member_epochs: int) -> str:
    """Tables of `seeds` studies of each recipe: their fronts, and those of other candidates of the preset."""
    recipes: dict[str, list[Measured]] = {label: [] for label in RECIPES}
    choices: dict[str, list[Measured]] = {label: [] for label in CHOICES}
    usual = next(iter(CHOICES))
    for seed in range(seeds):
        common = (
            "name=fresh",
            f"search.seed={seed}",
            f"budget.member_epochs={member_epochs}",
            "runtime.lanes=2",
        )
        for label, (path, own) in RECIPES.items():
            spec = (
                StudySpec.load(path, (*common, *own)) if path else StudySpec.preset(PRESET, (*common, *own))
            )
            found = measured(spec, CHOICES if label == PRESET else {usual: every})
            recipes[label].append(found[usual])
            if label == PRESET:
                for name, front in found.items():
                    choices[name].append(front)
    about = ABOUT.format(seeds=seeds, member_epochs=member_epochs, fresh=len(FRESH))
    verdict = _verdict(recipes[PRESET], recipes["before"])
    return "\n\n".join(
        [about, compared("recipe", recipes), verdict, CANDIDATES, compared("candidates", choices)]
    )


def _verdict(preset: Sequence[Measured], before: Sequence[Measured]) -> str:
    """The wanted ratio, and the result."""
    ratio = np.exp(np.mean([np.log(new.fresh / old.fresh) for new, old in zip(preset, before, strict=True)]))
    met = "Met" if ratio >= WANTED else "Not met"
    return f"Goal of the preset: fresh seeds at least {WANTED} × the recipe before. {met}."


def measured(
    spec: StudySpec, choices: Mapping[str, Callable[[Sequence[Point]], list[Point]]]
) -> dict[str, Measured]:
    """Run a study without confirmation; train the configurations of its fronts again with each fresh seed."""
    with TemporaryDirectory() as home:
        folder = run(spec.model_copy(update={"confirm": None}), home).folder
        with closing(Ledger.read(folder)) as ledger:
            trials = {r.trial: r for r in ledger.records()}
            corner = reference(ledger.baseline, spec)
            points = candidates(ledger.points(), trials, spec)
    fronts = {label: front(chosen(points), spec, corner) for label, chosen in choices.items()}
    wanted: dict[int, set[int]] = {}
    for best in fronts.values():
        for p in best.points:
            wanted.setdefault(p.trial, set()).add(p.epoch)
    jobs = {number: config for number in wanted if (config := trials[number].config) is not None}
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        by_seed = [*pool.map(partial(_retrained, spec, jobs, wanted), FRESH)]
    found = {}
    for label, best in fronts.items():
        keys = [(p.trial, p.epoch) for p in best.points]
        again = [Point(*key, *np.mean([values[key] for values in by_seed], axis=0)) for key in keys]
        found[label] = Measured(len(keys), best.hypervolume, front(again, spec, corner).hypervolume)
    return found


def _retrained(
    spec: StudySpec, configs: Mapping[int, Config], wanted: Mapping[int, Collection[int]], seed: int
) -> dict[PointKey, list[float]]:
    """Metrics on validation of each wanted epoch of each configuration, trained with `seed`."""
    data = spec.data
    fold = load(data.source, split=data.split, split_seed=data.split_seed).search
    trained = engine("numba", fold, seed=seed, device="cpu", threads=1)
    members = {Member(number, 0, config): wanted[number] for number, config in configs.items()}
    for member in members:
        trained.join(member)
    found: dict[PointKey, list[float]] = {}
    for epoch in range(1, max(map(max, members.values())) + 1):
        due = [member for member, epochs in members.items() if epoch in epochs]
        for member, result in trained.epoch(due).items():
            if result.metrics is not None:
                found[member.trial, epoch] = [*result.metrics.values()]
            if epoch == max(members[member]):
                trained.leave(member)
    return found


def compared(kind: str, found: Mapping[str, Sequence[Measured]]) -> str:
    """Table of fronts: means over studies; fresh values are compared with the first row's by a t interval."""
    first = next(iter(found))
    rows = [_row(label, fronts, found[first], label == first) for label, fronts in found.items()]
    columns = (kind, "studies", "points", "hypervolume, search", "fresh seeds", "inflation", f"× {first}")
    return table(columns, rows)


def _row(
    label: str, fronts: Sequence[Measured], first: Sequence[Measured], is_first: bool
) -> tuple[str, ...]:
    searched, fresh = (np.array([getattr(m, name) for m in fronts]) for name in ("searched", "fresh"))
    ratio = np.log(fresh / np.array([m.fresh for m in first]))
    half = t_half_width(ratio) if len(ratio) > 1 and not is_first else 0.0
    low, middle, high = np.exp(ratio.mean() + np.array([-half, 0, half]))
    return (
        label,
        f"{len(fronts)}",
        f"{np.mean([m.points for m in fronts]):.1f}",
        f"{searched.mean():.5f}",
        f"{fresh.mean():.5f}",
        f"{(searched / fresh).mean():.2f}",
        "1" if is_first else f"{middle:.2f} [{low:.2f}, {high:.2f}]",
    )


ABOUT = """Studies of [the preset ml100k](../study/spec/presets/ml100k.toml), of
[the recipe before](../tests/benchmarks/specs/ml100k-before.toml), and of random search with the
preset's recipe and rule, with {seeds} search seeds, {member_epochs:,} member-epochs, two lanes,
without confirmation. The configurations of each front are trained again on *train* with {fresh} seeds
that no search uses, and measured on *validation* at the epochs of their points. Hypervolume against
the trivial models: by the search's values, and of the means over the fresh seeds. *Inflation* is the
ratio of the two. The last column is the geometric mean over search seeds of the ratio of fresh
hypervolumes, with its 95 % t interval."""

CANDIDATES = f"""The same studies of the preset, with fewer or smoothed candidates for the front. A mean of
{WINDOW} epochs decides, but the point's own epoch is trained again."""
