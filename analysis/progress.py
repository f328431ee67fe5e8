"""How a search got to its hypervolume: after each of its trials, by their ends."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from analysis.front import hypervolume, non_dominated
from analysis.objective import Floats, to_losses
from analysis.tables import Tables

STEPS = 200
"""Moments at which the hypervolume is taken at most."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A search at some moments (n,), none first: trials ended, their member-epochs, seconds, hypervolume."""

    trials: Floats
    member_epochs: Floats
    seconds: Floats
    hypervolume: Floats

    def reached(self, share: float) -> float:
        """The share of the last hypervolume that was reached when this share of member-epochs was spent."""
        spent = np.searchsorted(self.member_epochs, share * self.member_epochs[-1], side="right") - 1
        return float(self.hypervolume[spent] / self.hypervolume[-1])


def progress(tables: Tables) -> Progress | None:
    """The study's search; None where no trial has ended.

    Trials count in the order of their ends, each with all its candidates. Where there are more than STEPS
    of them the moments are evenly spaced, and each hypervolume is still that of all trials until then.
    """
    ended = _ended(tables)
    if not len(ended):
        return None
    moments = np.unique(np.linspace(0, len(ended), min(len(ended), STEPS) + 1).round().astype(np.intp))
    place = pd.Series(np.arange(len(ended)), index=ended["trial"])
    points = tables.evaluated
    losses, places = tables.losses(points), points["trial"].map(place).to_numpy(dtype=np.float64)
    corner = to_losses(tables.reference, tables.goals)
    best, values = np.empty((0, 2)), [0.0]
    for low, high in pairwise(moments.tolist()):
        best = np.vstack([best, losses[(low <= places) & (places < high)]])
        best = best[non_dominated(best)]
        values.append(hypervolume(best, corner))
    return Progress(
        trials=moments.astype(np.float64),
        member_epochs=np.append(0.0, ended["spent"].cumsum())[moments],
        seconds=np.append(0.0, ended["after"])[moments],
        hypervolume=np.array(values),
    )


def _ended(tables: Tables) -> pd.DataFrame:
    """Trials by their ends: trial, `spent`, its member-epochs, and `after`, seconds from the first start."""
    trials = tables.trials[["trial", "epochs"]].copy()
    times = [
        pd.to_datetime(tables.trials[name], utc=True, errors="coerce") for name in ("started", "finished")
    ]
    trials["after"] = (times[1] - times[0].min()).dt.total_seconds()
    total = trials["epochs"].sum()
    trials["spent"] = trials["epochs"].fillna(0.0) * (
        tables.manifest["member_epochs"] / total if total else 0.0
    )
    ended: pd.DataFrame = trials.dropna(subset="after").sort_values(["after", "trial"])
    return ended
