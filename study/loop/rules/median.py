"""Median stopping: a trial continues while it is no worse than half of those that reached the rung."""

from collections.abc import Sequence

import numpy as np

from analysis.front import box
from study.loop.rules.rule import Candidate
from study.spec.sections import Stopping
from trainable.contract import Decision


class Median:
    """A rung at every multiple of `min_epochs`; compares single-point hypervolumes.

    After Golovin et al. 2017 ("Google Vizier", section 3.2), with the current value instead of the running
    average: these curves have a best epoch, after which they rise again.
    """

    def __init__(self, stopping: Stopping) -> None:
        self._min_epochs = stopping.min_epochs

    def judges(self, epoch: int) -> bool:
        """True if `epoch` is a multiple of `min_epochs`."""
        return epoch > 0 and epoch % self._min_epochs == 0

    def judge(
        self,
        reference: tuple[float, ...],
        rung: Sequence[Candidate],
        own: Sequence[Candidate],  # noqa: ARG002 - only the present point counts
        candidate: Candidate,
    ) -> Decision:
        """Stop a trial whose single-point hypervolume is below the median at this rung, its own included."""
        boxes = box([c.losses for c in (*rung, candidate)], reference)
        worse = int((boxes < boxes[-1]).sum())
        reason = f"rung {candidate.epoch} epochs: box {boxes[-1]:.4g}, above {worse} of {len(rung)} others"
        return Decision(candidate.trial, "stop" if boxes[-1] < np.median(boxes) else "go", reason)


make = Median
