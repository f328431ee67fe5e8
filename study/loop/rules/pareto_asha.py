"""Asynchronous successive halving on two objectives: the best of those that reached a rung continue.

Based on ASHA (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning"), here as a stopping
rule: a trial is judged once at each rung, and a stopped trial does not resume. For several objectives there
is MO-ASHA (Schmucker et al. 2021, arXiv 2106.12639), which ranks by non-domination, then by an ε-net or as
NSGA-II does. `docs/decisions/0011-stopping.md` has the differences and measures their effect.
"""

from collections.abc import Sequence

import numpy as np

from analysis.front import box, contributions, ranks
from study.loop.rules.rule import Candidate
from study.spec.sections import Stopping
from trainable.contract import Decision

PATIENCE = 6
"""A trial ends when no objective has improved in the last 1/`PATIENCE` of its epochs."""


class ParetoAsha:
    """A rung at `min_epochs` × `reduction_factor` ** k epochs, k = 0, 1, …; between rungs, at each multiple
    of `min_epochs`, trials that no longer improve end.
    """

    def __init__(self, stopping: Stopping) -> None:
        self._min_epochs = stopping.min_epochs
        self._factor = stopping.reduction_factor

    def judges(self, epoch: int) -> bool:
        """True if `epoch` is a multiple of `min_epochs`."""
        return epoch > 0 and epoch % self._min_epochs == 0

    def judge(
        self,
        reference: tuple[float, ...],
        rung: Sequence[Candidate],
        own: Sequence[Candidate],
        candidate: Candidate,
    ) -> Decision:
        """Stop a trial that is not among the best 1/`reduction_factor` at a rung so far, or that, at any
        epoch, has not improved for too long; the best trial always continues.
        """
        rank, came = rank_at_rung([c.losses for c in (*rung, candidate)], reference), len(rung) + 1
        where = f"{candidate.epoch} epochs: rank {rank} of {came}"
        if self._is_rung(candidate.epoch):
            places = max(1, came // self._factor)
            where = f"rung {where}, places {places}"
            if rank > places:
                return Decision(candidate.trial, "stop", where)
        best = last_improvement((*own, candidate))
        if rank > 1 and best <= candidate.epoch - candidate.epoch / PATIENCE:
            return Decision(candidate.trial, "stop", f"{where}; no objective improved since epoch {best}")
        return Decision(candidate.trial, "go", where)

    def _is_rung(self, epoch: int) -> bool:
        times = epoch // self._min_epochs
        while times > 1 and times % self._factor == 0:
            times //= self._factor
        return times == 1


def rank_at_rung(losses: Sequence[Sequence[float]], reference: Sequence[float]) -> int:
    """Rank of the last row among all rows of losses (n, 2), 1 for the best; the earlier of equals is better.

    Rows strictly below the reference in every objective come first: by non-dominated rank, and within a rank
    by their contribution to its hypervolume. The others follow, the nearest first, by `analysis.front.box`.
    """
    array = np.asarray(losses, dtype=np.float64)
    inside = np.asarray((array < np.asarray(reference)).all(axis=1))
    if not inside[-1]:
        boxes = box(array[~inside], reference)
        return int(inside.sum() + (boxes >= boxes[-1]).sum())
    layer = ranks(array[inside])
    volumes = contributions(array[inside][layer == layer[-1]], reference)
    return int((layer < layer[-1]).sum() + (volumes >= volumes[-1]).sum())


def last_improvement(course: Sequence[Candidate]) -> int:
    """The epoch of a trial's last new minimum in either objective."""
    first = np.array([c.losses for c in course]).argmin(axis=0)
    return course[int(first.max())].epoch


make = ParetoAsha
