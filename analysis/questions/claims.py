"""The three claims on sharing and λ (3.a, 3.b, 3.c), judged on a study with the four cells.

Source: the multi-task recommender exercise of CS330 / XCS330 (MovieLens-100K, full batch, last of 200
epochs). A claim is a conjunction. It holds if the 95 % interval of every part lies on the claimed side (an
intersection-union test, Berger 1982, so the parts need no correction). It does not hold if one interval lies
on the other side (any part may do so, hence p times the number of parts). p is adjusted (Holm) over all
claims of a study; above 5 % a claim is undecided. So in 95 % of studies no verdict at all is wrong.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Literal

import numpy as np

from analysis import text
from analysis.objective import OBJECTIVES
from analysis.questions.claim_cells import SEPARATE_50, SEPARATE_99, SHARED_50, SHARED_99, Cell, Cells, Four
from analysis.stats import SIGNIFICANCE, Finding, above, holm, paired

ClaimVerdict = Literal["holds", "does not hold", "undecided"]

RESPONSES = {
    "ranking_loss": "ranking loss",
    "rating_loss": "rating loss",
    "joint_loss": "joint loss",
    **{name: goal.label for name, goal in OBJECTIVES.items()},
}

LENGTHS = 40
"""Most lengths of training at which claims are judged, spread over those measured."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim, with its metrics, findings, the sign that each must have, and the result of the test.

    `leaning` is 1 if the findings favour the claim, else −1; `p` is two-sided and adjusted for the family of
    claims.
    """

    name: str
    statement: str
    metrics: tuple[str, ...]
    findings: tuple[Finding, ...]
    signs: tuple[int, ...]
    leaning: int
    p: float

    @property
    def verdict(self) -> ClaimVerdict:
        """The verdict: holds, does not hold, or undecided (see the module)."""
        if self.p > SIGNIFICANCE:
            return "undecided"
        return "holds" if self.leaning > 0 else "does not hold"

    @property
    def exploratory(self) -> bool:
        """True with too few pairs for a test to decide."""
        return any(finding.exploratory for finding in self.findings)


def judge(several: Sequence[Cells]) -> list[tuple[Claim, ...]]:
    """The claims 3.a, 3.b and 3.c for each of `several`; together they are one family of tests."""
    judged = [_claims(cells) for cells in several]
    adjusted = iter(holm([claim.p for claims in judged for claim in claims]))
    return [tuple(replace(claim, p=float(next(adjusted))) for claim in claims) for claims in judged]


def by_length(four: Four) -> list[tuple[int, tuple[Claim, ...]]]:
    """Epochs, rising to the last, and the claims at each; each length is a family of its own."""
    lengths = [epochs for epochs in four.lengths if epochs <= four.epochs]
    some = sorted({lengths[round(i)] for i in np.linspace(0, len(lengths) - 1, min(LENGTHS, len(lengths)))})
    return [(epochs, judge([four.at(epochs)])[0]) for epochs in some]


def runs(verdicts: Iterable[tuple[int, ClaimVerdict]]) -> list[tuple[int, int, ClaimVerdict]]:
    """First epoch, last epoch and verdict of each stretch with the same verdict.

    >>> runs([(10, "undecided"), (20, "holds"), (30, "holds")])
    [(10, 10, 'undecided'), (20, 30, 'holds')]
    """
    stretches = [(verdict, list(same)) for verdict, same in groupby(verdicts, key=itemgetter(1))]
    return [(same[0][0], same[-1][0], verdict) for verdict, same in stretches]


def _claims(cells: Cells) -> tuple[Claim, ...]:
    """The three claims from differences paired by replicate, with p not yet adjusted for their number."""
    ranking = RESPONSES[cells.ranking]
    return (
        _claim(
            cells,
            "3.a",
            f"At λ = 0.99 sharing does not outperform separate models: higher joint loss, lower {ranking}, "
            "higher MSE.",
            (SHARED_99, SEPARATE_99),
            {"joint_loss": 1, cells.ranking: -1, "mse": 1},
        ),
        _claim(
            cells,
            "3.b",
            f"Nor at λ = 0.5: the shared model's ranking loss stays higher, and its {ranking} lower.",
            (SHARED_50, SEPARATE_50),
            {"ranking_loss": 1, cells.ranking: -1},
        ),
        _claim(
            cells,
            "3.c",
            f"With sharing, λ = 0.99 gives the higher {ranking} and λ = 0.5 the lower MSE.",
            (SHARED_99, SHARED_50),
            {cells.ranking: 1, "mse": 1},
        ),
    )


def _claim(cells: Cells, name: str, statement: str, two: tuple[Cell, Cell], signs: dict[str, int]) -> Claim:
    """A claim on the differences between two cells; `signs` maps losses and metrics to the claimed sign."""
    one, other = (cells.table[cell][list(signs)].to_numpy(dtype=float) for cell in two)
    differences = (one - other) * list(signs.values())
    against = min(1.0, len(signs) * float(above(-differences).min()))
    for_ = float(above(differences).max())
    return Claim(
        name=name,
        statement=statement,
        metrics=tuple(signs),
        findings=tuple(_difference(cells, metric, *two) for metric in signs),
        signs=tuple(signs.values()),
        leaning=1 if for_ <= against else -1,
        p=min(1.0, 2 * min(for_, against)),
    )


def _difference(cells: Cells, metric: str, one: Cell, two: Cell) -> Finding:
    """One cell minus another in one loss or metric."""
    first, second = cells.values(one, metric), cells.values(two, metric)
    sentence = (
        f"{RESPONSES[metric]}: {text.fixed(float(first.mean()), 4)} ({one}) "
        f"against {text.fixed(float(second.mean()), 4)} ({two})"
    )
    return paired(first, second, sentence=sentence, scope=cells.scope)
