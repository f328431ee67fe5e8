"""Does it beat what needs no learning?"""

import numpy as np
import pandas as pd

from analysis import text
from analysis.front import box
from analysis.objective import OBJECTIVES, to_losses
from analysis.report.blocks import Grid, Section, Text
from analysis.tables import TRIVIAL, Tables


def trivial(tables: Tables) -> Section:
    """The trivial models beside the best points, and how many points beat both."""
    points = tables.evaluated
    columns = ["Model", *(goal.label for goal in OBJECTIVES.values())]
    rows = [[label, *_metrics(tables.manifest["trivial"][name])] for name, label in TRIVIAL.items()]
    if len(points):
        losses = tables.losses(points)
        spanned = box(losses, to_losses(tables.reference, tables.goals))
        chosen = {f"best {goal.label}": int(losses[:, i].argmin()) for i, goal in enumerate(tables.goals)}
        chosen["largest box to the reference"] = int(np.argmax(spanned))
        rows += [[_named(points, row, why), *_metrics(points.iloc[row])] for why, row in chosen.items()]
    caption = f"Trivial models and the best points, {tables.split}"
    grid = Grid(caption, columns, rows, numeric=frozenset(columns[1:]))
    return Section("trivial", "Does it beat the trivial models?", [Text(_answer(tables), "answer"), grid])


def _answer(tables: Tables) -> str:
    """How many points and configurations beat both."""
    points = tables.evaluated
    winners = points[tables.beats_reference(points)]
    if not len(points):
        return "There is no point to compare."
    if not len(winners):
        return (
            f"No: none of the {text.count(len(points), 'point')} is better than the reference in both "
            f"objectives on {tables.split}. Trade-offs below that line are of no use."
        )
    return (
        f"Yes: {len(winners):,} of {text.count(len(points), 'point')}, from "
        f"{winners['trial'].nunique():,} of {text.count(points['trial'].nunique(), 'configuration')}, are "
        f"better than the reference in both objectives on {tables.split}."
    )


def _metrics(values: "dict[str, float] | pd.Series[float]") -> list[str]:
    """All metrics that there are, formatted."""
    return [text.fixed(float(values.get(m.name, np.nan)), m.decimals) for m in OBJECTIVES.values()]


def _named(points: pd.DataFrame, row: int, why: str) -> str:
    """A point by its trial and epochs, and why it is shown."""
    point = points.iloc[row]
    return f"trial {point['trial']:g} after {text.count(int(point['epoch']), 'epoch')}: {why}"
