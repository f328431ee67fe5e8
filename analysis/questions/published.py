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

CONFIDENCE = 0.99
"""Confidence of each prediction interval: of 100 values of a faithful copy, one lies outside its interval."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A published value beside ours: mean and standard deviation over `n` replicates.

    `low` and `high` bound the 99 % prediction interval for one further run: Student's interval for a new
    observation, mean ± t(n − 1) sd √(1 + 1/n), infinite for one replicate. Source: Hahn & Meeker 1991,
    section 4.2.
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
    def agrees(self) -> bool | None:
        """True if the published value lies in the prediction interval; None with one replicate."""
        return None if self.n < 2 else self.low <= self.published <= self.high


def reproductions(cells: Cells) -> tuple[Reproduction, ...]:
    """Every published value beside ours, cell by cell."""
    made = []
    for cell, published in PUBLISHED.items():
        for name, value in zip(NAMES, published, strict=True):
            ours = cells.values(cell, name)
            mean, half = float(ours.mean()), t_half_width(ours, confidence=CONFIDENCE, predict=True)
            sd = float(ours.std(ddof=1)) if len(ours) > 1 else float("nan")
            made.append(Reproduction(cell, name, value, mean, sd, mean - half, mean + half, len(ours)))
    return tuple(made)
