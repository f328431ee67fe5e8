"""The hypervolume history of a search: hypervolume, epochs and time, trial by trial."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from analysis.front import growing
from analysis.objective import Floats, to_losses
from analysis.tables import Tables

RANDOM = ("explore", "random")
"""The origins of trials whose configurations were drawn at random."""


def growth(tables: Tables, origins: Collection[str] | None = None) -> pd.DataFrame:
    """A row per ended trial, in the order of their ends: trial, trials, epochs, wall_s, hypervolume.

    `trials` and `epochs` (over all replicates) are sums up to and including the trial, `wall_s` is the time
    since the first trial began, and `hypervolume` that of all candidates so far against the reference. With
    `origins`, only trials of these origins count.
    """
    done = tables.trials[tables.trials["state"].isin(("completed", "stopped", "failed"))]
    if origins is not None:
        done = done[done["origin"].isin(origins)]
    done = done.sort_values(["finished", "trial"], kind="stable")
    replicates = tables.points["replicates"].max() if len(tables.points) else 1
    began = tables.trials["started"].min()
    return pd.DataFrame(
        {
            "trial": done["trial"].to_numpy(),
            "trials": np.arange(1, len(done) + 1),
            "epochs": done["epochs"].fillna(0.0).to_numpy().cumsum() * replicates,
            "wall_s": (done["finished"] - began).dt.total_seconds().to_numpy(),
            "hypervolume": growing(
                tables.losses(tables.evaluated),
                tables.evaluated["trial"].to_numpy(),
                done["trial"].to_numpy(),
                to_losses(tables.reference, tables.goals),
            ),
        }
    )


def drawn_at_random(tables: Tables) -> pd.DataFrame | None:
    """The `growth` of the trials that were drawn at random; None if none ended, or if all trials are such."""
    grown = growth(tables, RANDOM)
    return grown if 0 < len(grown) < len(growth(tables)) else None


def at_epochs(grown: pd.DataFrame, epochs: Floats) -> Floats:
    """The hypervolume (n,) of the trials that had ended when `epochs` (n,) were spent."""
    rows = np.searchsorted(grown["epochs"].to_numpy(), epochs * (1 + 1e-9), side="right")
    volumes: Floats = np.append(0.0, grown["hypervolume"].to_numpy(np.float64))[rows]
    return volumes
