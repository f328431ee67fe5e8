"""The four configurations that the claims compare: λ = .99 and .5, both tables shared or none."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, nan
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis import text
from analysis.objective import Floats
from analysis.tables import LOSSES, METRICS, Tables


class Cell(NamedTuple):
    """One of the four configurations."""

    sharing: Literal["both", "none"]
    weight: float

    def __str__(self) -> str:
        """The cell in words."""
        return f"{'shared' if self.sharing == 'both' else 'separate'}, λ = {text.weight(self.weight)}"


SHARED_99, SHARED_50 = Cell("both", 0.99), Cell("both", 0.5)
SEPARATE_99, SEPARATE_50 = Cell("none", 0.99), Cell("none", 0.5)
CELLS = (SHARED_99, SHARED_50, SEPARATE_50, SEPARATE_99)

FEWEST_TRIALS = 3
"""Fewest trials for four cells: one that shares nothing may stand for both separate cells."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The four cells after the same epochs: for each a table of losses and metrics, a row per replicate."""

    table: Mapping[Cell, pd.DataFrame]
    ranking: str
    epochs: int
    scope: str

    @property
    def pairs(self) -> int:
        """The number of replicates that all four have."""
        return len(self.table[SHARED_99])

    def values(self, cell: Cell, name: str) -> Floats:
        """A loss or metric of a cell: a value per replicate."""
        return self.table[cell][name].to_numpy(dtype=float)


@dataclass(frozen=True, slots=True)
class Four:
    """Four trials that form the cells, equal in every other value and in their last epoch.

    `setting` names the values that differ from other fours of the study; `measured` has for each cell a table
    of losses and metrics by epoch and replicate.
    """

    measured: Mapping[Cell, pd.DataFrame]
    ranking: str
    split: str
    epochs: int
    setting: str

    @property
    def lengths(self) -> list[int]:
        """Epochs at which all four were measured in a common replicate."""
        common = set.intersection(*(set(table.index) for table in self.measured.values()))
        return sorted({int(epoch) for epoch, _ in common})

    def at(self, epochs: int) -> Cells:
        """The cells after `epochs` epochs, with the replicates that all of them have."""
        tables = {
            cell: table[table.index.get_level_values("epoch") == epochs].droplevel("epoch")
            for cell, table in self.measured.items()
        }
        common = sorted(set.intersection(*(set(table.index) for table in tables.values())))
        scope = f"{self.split}, after {text.count(epochs, 'epoch')}, {self.setting or 'all else equal'}"
        return Cells({c: table.loc[common] for c, table in tables.items()}, self.ranking, epochs, scope)

    @property
    def last(self) -> Cells:
        """The cells at the end of their training."""
        return self.at(self.epochs)


def fours(tables: Tables) -> list[Four]:
    """Every four completed trials that form the cells, all else equal: most replicates first, then earliest.

    A configuration that shares nothing and has no λ stands for both separate cells: under Adam, λ has no
    effect there. Of equal configurations the earliest counts.
    """
    done = tables.trials[tables.trials["state"] == "completed"].sort_values("trial")
    ranking = next((name for name in tables.manifest["objectives"] if name != "mse"), "mrr")
    done = done[np.any([_fits(done, cell) for cell in CELLS], axis=0)]
    keys = [done[name].astype(str) for name in ("epochs", *tables.configured)]
    found: list[tuple[pd.Series[Any], dict[Cell, pd.DataFrame]]] = []
    enough = done.groupby(keys)["trial"].transform("size") >= FEWEST_TRIALS
    for _, alike in done[enough].groupby(keys, sort=False):
        trials = {cell: alike.loc[_fits(alike, cell), "trial"] for cell in CELLS}
        if all(map(len, trials.values())):
            measured = {c: _measured(tables.measurements, t.iloc[0], c) for c, t in trials.items()}
            found.append((alike.iloc[0], measured))
    varying = [name for name in tables.configured if len({str(first[name]) for first, _ in found}) > 1]
    made = [
        Four(measured, ranking, tables.split, int(first["epochs"]), setting)
        for first, measured in found
        for setting in [
            ", ".join(f"{name.replace('_', ' ')} {text.general(first[name])}" for name in varying)
        ]
    ]
    return sorted((four for four in made if four.last.pairs), key=lambda four: -four.last.pairs)


def _fits(trials: pd.DataFrame, cell: Cell) -> NDArray[np.bool_]:
    """Mask (n,) of the trials that belong to a cell."""
    weight = trials["weight"].to_numpy(dtype=np.float64)
    named = np.isclose(weight, cell.weight, rtol=1e-6, atol=0.0)
    free = np.isnan(weight) & (cell.sharing == "none")
    fits: NDArray[np.bool_] = (trials["sharing"] == cell.sharing).to_numpy() & (named | free)
    return fits


def _measured(measurements: pd.DataFrame, trial: float, cell: Cell) -> pd.DataFrame:
    """Losses and metrics of a trial by epoch and replicate; rows that are not finite are left out.

    The joint loss uses the cell's λ, since its trial may have none.
    """
    rows = measurements[measurements["trial"] == trial].set_index(["epoch", "replicate"])
    table = rows[[*LOSSES, *METRICS]]
    joint = cell.weight * table["ranking_loss"] + (1 - cell.weight) * table["rating_loss"]
    finite: pd.DataFrame = table.assign(joint_loss=joint).replace([inf, -inf], nan).dropna()
    return finite
