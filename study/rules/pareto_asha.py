"""Asynchronous successive halving on two objectives: of those that reached a rung, the best go on."""

from collections.abc import Sequence

import numpy as np

from analysis.front import contributions, ranks
from study.parts import Stopping
from study.rules import Candidate
from trainable.contract import Decision


class ParetoAsha:
    """A rung at `min_epochs` × `reduction_factor` ** k epochs, k = 0, 1, …"""

    def __init__(self, stopping: Stopping) -> None:
        self._min_epochs = stopping.min_epochs
        self._factor = stopping.reduction_factor

    def judges(self, epoch: int) -> bool:
        """Whether there is a rung at `epoch`."""
        times, rest = divmod(epoch, self._min_epochs)
        while times > 1 and not rest:
            times, rest = divmod(times, self._factor)
        return times == 1 and not rest

    def judge(
        self,
        reference: tuple[float, ...],
        rung: Sequence[Candidate],
        own: Sequence[Candidate],  # noqa: ARG002
        candidate: Candidate,
    ) -> Decision:
        """Go on among the best 1/`reduction_factor` of those recorded here, or as the best of all."""
        rank = standing([c.losses for c in (*rung, candidate)], reference)
        places = max(1, (len(rung) + 1) // self._factor)
        reason = f"rung {candidate.epoch} epochs: rank {rank} of {len(rung) + 1}, places {places}"
        return Decision(candidate.trial, "go" if rank <= places else "stop", reason)


def standing(losses: Sequence[Sequence[float]], reference: Sequence[float]) -> int:
    """Rank of the last row among all rows of losses (n, 2), 1 for the best; of equals the earlier is ahead.

    Rows inside the reference, strictly below it in every objective, come first. Among those inside, and
    among those outside, the non-dominated rank counts, and within it the contribution to its hypervolume.
    """
    array = np.asarray(losses, dtype=np.float64)
    outside = np.asarray((array >= np.asarray(reference)).any(axis=1))
    group = array[outside == outside[-1]]
    layer = ranks(group)
    volumes = contributions(group[layer == layer[-1]], reference)
    ahead = (outside < outside[-1]).sum() + (layer < layer[-1]).sum()
    return int(ahead + (volumes >= volumes[-1]).sum())
