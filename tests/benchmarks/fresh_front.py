"""Fronts of search recipes at the same member-epochs, measured again with seeds that did not choose them."""

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from timing import table

from analysis.objective import Floats
from analysis.stats import t_half_width
from study.record.front import candidates, front, reference
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

BAR = 1.35
"""Wanted ratio of the hypervolume with fresh seeds: the preset to the recipe before."""

FRESH = (101, 102)
"""Seeds that no search uses."""


@dataclass(frozen=True)
class Measured:
    """One study: points on its front, and the front's hypervolume by the search's and by fresh values."""

    points: int
    searched: float
    fresh: float


def section(*, seeds: int, member_epochs: int, variants: Sequence[tuple[str, tuple[str, ...]]] = ()) -> str:
    """The table of `seeds` studies of each recipe, and the ratio of the preset to the recipe before.

    `variants` are further recipes: labels, and overrides of the recipe before.
    """
    recipes = [("before", BEFORE, ()), *((label, BEFORE, own) for label, own in variants), (PRESET, None, ())]
    found: dict[str, list[Measured]] = {label: [] for label, _, _ in recipes}
    for seed in range(seeds):
        common = (f"search.seed={seed}", f"budget.member_epochs={member_epochs}", "runtime.lanes=2")
        for label, path, own in recipes:
            every = ("name=fresh", *common, *own)
            spec = StudySpec.load(path, every) if path else StudySpec.preset(PRESET, every)
            found[label].append(measured(spec))
    rows = [row(label, of, found["before"]) for label, of in found.items()]
    columns = ("recipe", "studies", "points", "hypervolume, search", "fresh seeds", "inflation", "× before")
    return "\n\n".join(
        [ABOUT.format(seeds=seeds, member_epochs=member_epochs, fresh=len(FRESH)), table(columns, rows)]
    )


def measured(spec: StudySpec) -> Measured:
    """Run a study without confirmation; train the configurations of its front again with each fresh seed."""
    with TemporaryDirectory() as home:
        folder = run(spec.model_copy(update={"confirm": None}), home).folder
        with closing(Ledger.read(folder)) as ledger:
            trials = {r.trial: r for r in ledger.records()}
            corner = reference(ledger.baseline, spec)
            best = front(candidates(ledger.points(), trials, spec), spec, corner)
    configs = {p.trial: trials[p.trial].config for p in best.points}
    jobs = {number: config for number, config in configs.items() if config is not None}
    wanted = {number: [p.epoch for p in best.points if p.trial == number] for number in jobs}
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        again = partial(_retrained, spec, jobs, wanted)
        values = np.mean([*pool.map(again, FRESH)], axis=0)
    order = [(number, epoch) for number in jobs for epoch in wanted[number]]
    points = [Point(number, epoch, *row) for (number, epoch), row in zip(order, values, strict=True)]
    return Measured(len(points), best.hypervolume, front(points, spec, corner).hypervolume)


def _retrained(
    spec: StudySpec, configs: Mapping[int, Config], wanted: Mapping[int, Sequence[int]], seed: int
) -> Floats:
    """Metrics (n, 3) on validation of each wanted epoch of each configuration, trained with `seed`."""
    data = spec.data
    trained = engine(
        "numba",
        load(data.source, split=data.split, split_seed=data.split_seed).search,
        seed=seed,
        device="cpu",
        threads=1,
    )
    members = {Member(number, 0, config): wanted[number] for number, config in configs.items()}
    for member in members:
        trained.join(member)
    found: dict[tuple[int, int], Sequence[float]] = {}
    for epoch in range(1, max(map(max, members.values())) + 1):
        due = [member for member, epochs in members.items() if epoch in epochs]
        for member, result in trained.epoch(due).items():
            if result.metrics is not None:
                found[member.trial, epoch] = [*result.metrics.values()]
            if epoch == max(members[member]):
                trained.leave(member)
    return np.array([found[number, epoch] for number in configs for epoch in wanted[number]])


def row(label: str, of: Sequence[Measured], before: Sequence[Measured]) -> tuple[str, ...]:
    """A line of the table: means over studies, and the ratio of the fresh values with its t interval."""
    searched, fresh = (np.array([getattr(m, name) for m in of]) for name in ("searched", "fresh"))
    ratio = np.log(fresh / np.array([m.fresh for m in before]))
    half = t_half_width(ratio) if len(ratio) > 1 and of is not before else 0.0
    low, middle, high = np.exp(ratio.mean() + np.array([-half, 0, half]))
    return (
        label,
        f"{len(of)}",
        f"{np.mean([m.points for m in of]):.1f}",
        f"{searched.mean():.5f}",
        f"{fresh.mean():.5f}",
        f"{(searched / fresh).mean():.2f}",
        "1" if of is before else f"{middle:.2f} [{low:.2f}, {high:.2f}]",
    )


ABOUT = """Studies of [the preset ml100k](../study/spec/presets/ml100k.toml) and of
[the recipe before](../tests/benchmarks/specs/ml100k-before.toml) with {seeds} search seeds,
{member_epochs:,} member-epochs, two lanes, without confirmation. The configurations of each front
are trained again on *train* with {fresh} seeds that no search uses, and measured on *validation* at
the epochs of their points. Hypervolume against the trivial models: by the search's values, and of
the means over the fresh seeds. *Inflation* is the ratio of the two. The last column is the geometric
mean over search seeds of the ratio of fresh hypervolumes, with its 95 % t interval."""
