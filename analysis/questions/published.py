"""The published values of the course experiment beside ours (CS330 / XCS330, MovieLens-100K, full batch)."""

from dataclasses import dataclass

from analysis.questions.claim_cells import SEPARATE_50, SEPARATE_99, SHARED_50, SHARED_99, Cell, Cells
from analysis.stats import t_half_width

NAMES = ("ranking_loss", "rating_loss", "joint_loss", "mrr_all", "mse")
PUBLISHED = {
    SHARED_99: (0.2643, 0.9746, 0.2714, 0.0471, 1.0171),
    SHARED_50: (0.4285, 0.8331, 0.6308, 0.0202, 0.9066),
    SEPARATE_50: (0.2473, 0.8324, 0.5399, 0.0643, 0.9076),
    SEPARATE_99: (0.2472, 0.8325, 0.2530, 0.0646, 0.9073),
}
"""Last-epoch values of the published runs I to IV, in that order."""

WITHIN_SHARE = 0.02
WITHIN_MRR_ALL = 0.006
"""Largest distance at which a published value outside the 99 % prediction interval counts as reproduced."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A published value beside ours: mean and standard deviation over `n` replicates.

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
        """True in the prediction interval or within 2 % of our mean; for `mrr_all`, within 0.006 of it."""
        distance = abs(self.published - self.mean)
        if self.name == "mrr_all":
            return distance <= WITHIN_MRR_ALL
        return self.low <= self.published <= self.high or distance <= WITHIN_SHARE * abs(self.mean)


def reproductions(cells: Cells) -> tuple[Reproduction, ...]:
    """Every published value beside ours, cell by cell."""
    made = []
    for cell, published in PUBLISHED.items():
        for name, value in zip(NAMES, published, strict=True):
            ours = cells.values(cell, name)
            mean, half = float(ours.mean()), t_half_width(ours, confidence=0.99, predict=True)
            sd = float(ours.std(ddof=1)) if len(ours) > 1 else float("nan")
            made.append(Reproduction(cell, name, value, mean, sd, mean - half, mean + half, len(ours)))
    return tuple(made)
