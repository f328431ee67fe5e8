"""The three claims on sharing and λ (3.a, 3.b, 3.c), judged on a study that holds the four cells.

Claims and published values: the multi-task recommender exercise of CS330 / XCS330 (MovieLens-100K, full
batch, last of 200 epochs). A claim is a conjunction: it holds where the 95 % interval of every part lies on
the claimed side (an intersection-union test, so the parts need no correction among themselves), does not
hold where one lies on the other side, and is undecided otherwise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isclose, isnan
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from analysis import text
from analysis.compare import Finding, paired, t_half_width
from analysis.objective import OBJECTIVES, Floats
from analysis.tables import LOSSES, METRICS, Tables

Verdict = Literal["holds", "does not hold", "undecided"]

LABELS = {
    "ranking_loss": "ranking loss",
    "rating_loss": "rating loss",
    "joint_loss": "joint loss",
    **{name: goal.label for name, goal in OBJECTIVES.items()},
}


class Cell(NamedTuple):
    """One of the four configurations that the claims compare."""

    sharing: Literal["both", "none"]
    weight: float

    def __str__(self) -> str:
        """As it is named in sentences."""
        return f"{'shared' if self.sharing == 'both' else 'separate'}, λ = {text.weight(self.weight)}"


SHARED_99, SHARED_50 = Cell("both", 0.99), Cell("both", 0.5)
SEPARATE_99, SEPARATE_50 = Cell("none", 0.99), Cell("none", 0.5)
CELLS = (SHARED_99, SHARED_50, SEPARATE_50, SEPARATE_99)

PUBLISHED_NAMES = ("ranking_loss", "rating_loss", "joint_loss", "mrr_all", "mse")
PUBLISHED = {
    SHARED_99: (0.2643, 0.9746, 0.2714, 0.0471, 1.0171),
    SHARED_50: (0.4285, 0.8331, 0.6308, 0.0202, 0.9066),
    SEPARATE_50: (0.2473, 0.8324, 0.5399, 0.0643, 0.9076),
    SEPARATE_99: (0.2472, 0.8325, 0.2530, 0.0646, 0.9073),
}
"""Last-epoch values of the published runs I to IV, in that order."""

WITHIN_SHARE = 0.02
WITHIN_MRR_ALL = 0.006
"""How near a published value counts as reproduced, beside lying in the 99 % prediction interval."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What is claimed, the findings it rests on with the sign each must have, and the verdict."""

    name: str
    statement: str
    findings: tuple[Finding, ...]
    signs: tuple[int, ...]

    @property
    def verdict(self) -> Verdict:
        """Holds, does not hold, or undecided (see the module)."""
        agreement = [f.direction * sign for f, sign in zip(self.findings, self.signs, strict=True)]
        if min(agreement) < 0:
            return "does not hold"
        return "holds" if min(agreement) > 0 else "undecided"

    @property
    def exploratory(self) -> bool:
        """Too few pairs for a test to decide."""
        return any(finding.exploratory for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Cells:
    """The last epochs of the four cells: for each a table of losses and metrics, a row a replicate."""

    last: dict[Cell, pd.DataFrame]
    ranking: str
    scope: str

    @property
    def pairs(self) -> int:
        """The replicates that all four have."""
        return len(self.last[SHARED_99])

    def values(self, cell: Cell, name: str) -> Floats:
        """A loss or metric of a cell, a value a replicate."""
        return self.last[cell][name].to_numpy(dtype=np.float64)


def cells(tables: Tables) -> Cells | None:
    """The four cells with all other values and the trained epochs equal; None where the study lacks one.

    Of several such fours the one with the most common replicates counts, then the earliest. A configuration
    that shares nothing and names no λ stands for both of its cells: there λ changes nothing under Adam.
    """
    found = max(_fours(tables), key=lambda four: four.pairs, default=None)
    return found if found and found.pairs else None


def judge(cells: Cells) -> tuple[Claim, ...]:
    """The claims 3.a, 3.b and 3.c with their verdicts, from differences paired by replicate."""
    ranking = LABELS[cells.ranking]

    def claim(name: str, statement: str, one: Cell, two: Cell, signs: dict[str, int]) -> Claim:
        findings = tuple(_difference(cells, metric, one, two) for metric in signs)
        return Claim(name, statement, findings, tuple(signs.values()))

    return (
        claim(
            "3.a",
            f"At λ = 0.99 sharing does not outperform separate models: higher joint loss, lower {ranking}, "
            "higher MSE.",
            SHARED_99,
            SEPARATE_99,
            {"joint_loss": 1, cells.ranking: -1, "mse": 1},
        ),
        claim(
            "3.b",
            f"At λ = 0.5 neither: the shared model's ranking loss stays higher, and its {ranking} lower.",
            SHARED_50,
            SEPARATE_50,
            {"ranking_loss": 1, cells.ranking: -1},
        ),
        claim(
            "3.c",
            f"With sharing, λ = 0.99 gives the higher {ranking} and λ = 0.5 the lower MSE.",
            SHARED_99,
            SHARED_50,
            {cells.ranking: 1, "mse": 1},
        ),
    )


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A published value beside ours: mean and standard deviation over `n` replicates, and how near it is.

    `low` and `high` bound the 99 % prediction interval for one further run (infinite for one replicate).
    """

    cell: Cell
    name: str
    published: float
    mean: float
    sd: float
    low: float
    high: float
    n: int

    @property
    def agrees(self) -> bool:
        """In the prediction interval or within 2 % of our mean; for `mrr_all` within 0.006 of it."""
        distance = abs(self.published - self.mean)
        if self.name == "mrr_all":
            return distance <= WITHIN_MRR_ALL
        return self.low <= self.published <= self.high or distance <= WITHIN_SHARE * abs(self.mean)


def reproductions(cells: Cells) -> tuple[Reproduction, ...]:
    """Every published value beside ours, cell by cell."""
    made = []
    for cell, published in PUBLISHED.items():
        for name, value in zip(PUBLISHED_NAMES, published, strict=True):
            ours = cells.values(cell, name)
            mean, half = float(ours.mean()), t_half_width(ours, confidence=0.99, predict=True)
            sd = float(ours.std(ddof=1)) if len(ours) > 1 else float("nan")
            made.append(Reproduction(cell, name, value, mean, sd, mean - half, mean + half, len(ours)))
    return tuple(made)


def _difference(cells: Cells, metric: str, one: Cell, two: Cell) -> Finding:
    """One cell minus another in one loss or metric."""
    first, second = cells.values(one, metric), cells.values(two, metric)
    sentence = (
        f"{LABELS[metric]}: {text.fixed(float(first.mean()), 4)} ({one}) "
        f"against {text.fixed(float(second.mean()), 4)} ({two})"
    )
    return paired(first, second, sentence=sentence, scope=cells.scope)


def _fours(tables: Tables) -> Iterator[Cells]:
    """Every four trials that make the cells with all else equal, earliest first."""
    done = tables.trials[tables.trials["state"] == "completed"].sort_values("trial")
    others = ["epochs", *tables.configured]
    ranking = next((name for name in tables.manifest["objectives"] if name != "mse"), "mrr")
    keys = list(zip(*(done[column].astype(str) for column in others), strict=True))
    for key in dict.fromkeys(keys):
        alike = done[[other == key for other in keys]]
        trials = {cell: _trial(alike, cell) for cell in CELLS}
        present = {cell: trial for cell, trial in trials.items() if trial is not None}
        if len(present) == len(CELLS):
            epochs = int(alike["epochs"].iloc[0])
            scope = f"{tables.split}, after {text.count(epochs, 'epoch')}, all else equal"
            yield Cells(_last(tables.measurements, present, epochs), ranking, scope)


def _trial(alike: pd.DataFrame, cell: Cell) -> float | None:
    """The first trial of a cell among configurations alike in all else."""
    for trial, sharing, weight in zip(alike["trial"], alike["sharing"], alike["weight"], strict=True):
        fits = isclose(weight, cell.weight, rel_tol=1e-6) or (sharing == "none" and isnan(weight))
        if sharing == cell.sharing and fits:
            return float(trial)
    return None


def _last(measurements: pd.DataFrame, trials: dict[Cell, float], epochs: int) -> dict[Cell, pd.DataFrame]:
    """The losses and metrics of each cell after its last epoch, at the replicates that all of them have.

    The joint loss is formed with the cell's own λ, which its trial need not have named.
    """
    columns = list(LOSSES + METRICS)
    last = {}
    for cell, trial in trials.items():
        rows = measurements[(measurements["trial"] == trial) & (measurements["epoch"] == epochs)]
        table = rows.set_index("replicate")[columns]
        joint = cell.weight * table["ranking_loss"] + (1 - cell.weight) * table["rating_loss"]
        last[cell] = table.assign(joint_loss=joint).dropna()
    common = sorted(set.intersection(*(set(table.index) for table in last.values())))
    return {cell: table.loc[common] for cell, table in last.items()}
