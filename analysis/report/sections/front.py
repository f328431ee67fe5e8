"""The section `front`: the Pareto figure, and its data as tables."""

import pandas as pd

from analysis import text
from analysis.figures.front import pareto
from analysis.report.blocks import Block, Section, TableBlock, Text
from analysis.report.common import POINT, first, point, spreads
from analysis.tables import Tables

MOST_FRONT_ROWS = 200
"""Most rows of a table; the study's own tables have the rest."""


def front(tables: Tables) -> Section:
    """The figure, the points on the front, and the point that represents each trial."""
    points = tables.evaluated
    blocks: list[Block] = [pareto(tables)]
    if len(points):
        blocks.append(_grid(tables, tables.front, f"The front, {tables.split}"))
        own = points[points["stands"]].sort_values("trial")
        blocks.append(_grid(tables, own, f"The best point of each trial, {tables.split}", folded=True))
        if len(points) > len(own):
            blocks.append(Text("All points, at every epoch, are in tables/points.parquet."))
    return Section("front", "What can I get?", blocks)


def _grid(tables: Tables, points: pd.DataFrame, caption: str, *, folded: bool = False) -> TableBlock:
    """Table of points with the hyperparameters that vary in the study."""
    names = [name.replace("_", " ") for name in tables.varying]
    columns = [*POINT, *(goal.label for goal in tables.goals), "beats reference", *names]
    shown = points.head(MOST_FRONT_ROWS)
    rows = [
        [
            *point(row),
            *spreads(row, tables.goals),
            "yes" if beats else "no",
            *(text.general(row[name]) for name in tables.varying),
        ]
        for (_, row), beats in zip(shown.iterrows(), tables.beats_reference(shown), strict=True)
    ]
    caption += first(MOST_FRONT_ROWS, len(points), "points")
    words = {"sharing", "beats reference"}
    return TableBlock(caption, columns, rows, numeric=frozenset(columns) - words, folded=folded)
