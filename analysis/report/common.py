"""Parts of several sections: the cells of a point, shortened tables, and tested differences."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeAlias

import pandas as pd

from analysis import text
from analysis.objective import Objective
from analysis.questions.confirmation import ConfirmedFront
from analysis.questions.resampling import DrawnMeans
from analysis.report.blocks import Block, Findings, Text
from analysis.stats import EXPLORATORY_BELOW, SIGNIFICANCE, Finding, holm

Row: TypeAlias = "Mapping[Hashable, Any] | pd.Series[Any]"

POINT = ("trial", "λ", "sharing", "epochs")
"""The columns of `point`."""

EXPLORATORY = Text(
    f"Exploratory: a paired test needs {EXPLORATORY_BELOW} seeds to reach p < {SIGNIFICANCE}.", "warning"
)


def point(row: Row) -> list[str]:
    """The cells of a point: trial, λ, sharing and epochs."""
    return [
        text.whole(row["trial"]),
        text.weight(row["weight"]),
        str(row["sharing"]),
        text.whole(row["epoch"]),
    ]


def spreads(row: Row, goals: Sequence[Objective]) -> list[str]:
    """The cells of a point's goals: mean ± standard deviation over replicates."""
    return [text.spread(row[g.name], row[f"{g.name}_sd"], g.decimals) for g in goals]


def estimates(found: ConfirmedFront, drawn: DrawnMeans | None) -> list[list[text.Number]]:
    """The cells of each confirmed point's goals on test: mean and 95 % interval, over users if they vary."""
    halves = found.halves
    if drawn is not None:
        halves[drawn.rows] = drawn.halves
    return [
        [text.estimate(m, h, g.decimals) for m, h, g in zip(*both, found.goals, strict=True)]
        for both in zip(found.means, halves, strict=True)
    ]


def first(shown: int, rows: int, table: str) -> str:
    """The end of a caption if only the first `shown` of the rows are in the report; else empty."""
    return f" (the first {shown} of {rows:,}; the rest in tables/{table}.parquet)" if rows > shown else ""


def tested(findings: Sequence[Finding], answer: str, seeds: int, caption: str, **form: Any) -> list[Block]:
    """The number of clear differences, a warning if seeds are too few, and the findings; p adjusted (Holm).

    `answer` ends the sentence on the number; `form` goes to `Findings`.
    """
    adjusted = holm([finding.p for finding in findings]).tolist()
    blocks: list[Block] = [Text(f"{sum(p <= SIGNIFICANCE for p in adjusted)} of {answer}", "answer")]
    if seeds < EXPLORATORY_BELOW:
        blocks.append(EXPLORATORY)
    notes = {"p (Holm)": [text.p_value(p) for p in adjusted]}
    return [*blocks, Findings(caption, findings, notes=notes, **form)]
