"""Median stopping: a trial goes on while it is no worse than half of those that came as far."""

from collections.abc import Sequence

import numpy as np

from analysis.front import box
from study.loop.rules.rule import Candidate
from study.spec.sections import Stopping
from trainable.contract import Decision


class Median:
    """A rung at every multiple of `min_epochs`; what counts is the box to the reference, signed.

    After Golovin et al. 2017 ("Google Vizier", section 3.2), with the current value for the running average:
    these curves have a best epoch, after which they rise again.
    """

    def __init__(self, stopping: Stopping) -> None:
        self._min_epochs = stopping.min_epochs

    def judges(self, epoch: int) -> bool:
        """Whether `epoch` is a multiple of `min_epochs`."""
        return epoch > 0 and epoch % self._min_epochs == 0

    def judge(
        self,
        reference: tuple[float, ...],
        rung: Sequence[Candidate],
        own: Sequence[Candidate],  # noqa: ARG002 - the present alone counts
        candidate: Candidate,
    ) -> Decision:
        """Stop a box below the median of those recorded here, its own among them."""
        boxes = box([c.losses for c in (*rung, candidate)], reference)
        worse = int((boxes < boxes[-1]).sum())
        reason = f"rung {candidate.epoch} epochs: box {boxes[-1]:.4g}, above {worse} of {len(rung)} others"
        return Decision(candidate.trial, "stop" if boxes[-1] < np.median(boxes) else "go", reason)
