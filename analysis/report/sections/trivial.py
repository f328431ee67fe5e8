"""The section `trivial`: the trivial models beside the best points."""

import numpy as np
import pandas as pd

from analysis import text
from analysis.front import box
from analysis.objective import OBJECTIVES, to_losses
from analysis.report.blocks import Section, TableBlock, Text
from analysis.tables import TRIVIAL, Tables


def trivial(tables: Tables) -> Section:
    """The trivial models beside the best points, and the number of points that beat both."""
    points = tables.evaluated
    columns = ["Model", *(goal.label for goal in OBJECTIVES.values())]
    rows = [[label, *_metrics(tables.manifest["trivial"][name])] for name, label in TRIVIAL.items()]
    if len(points):
        losses = tables.losses(points)
        spanned = box(losses, to_losses(tables.reference, tables.goals))
        chosen = {f"best {goal.label}": int(losses[:, i].argmin()) for i, goal in enumerate(tables.goals)}
        chosen["largest single-point hypervolume"] = int(np.argmax(spanned))
        for why, point in ((why, points.iloc[row]) for why, row in chosen.items()):
            named = f"trial {point['trial']:g} after {text.count(int(point['epoch']), 'epoch')}: {why}"
            rows.append([named, *_metrics(point)])
    caption = f"Trivial models and the best points, {tables.split}"
    grid = TableBlock(caption, columns, rows, numeric=frozenset(columns[1:]))
    return Section("trivial", "Does it beat the trivial models?", [Text(_answer(tables), "answer"), grid])


def _answer(tables: Tables) -> str:
    """The number of points and configurations that beat both, in a sentence."""
    points = tables.evaluated
    winners = points[tables.beats_reference(points)]
    if not len(points):
        return "There is no point to compare."
    if not len(winners):
        return (
            f"No: none of the {text.count(len(points), 'point')} is better than the reference in both "
            f"objectives on {tables.split}, so no trade-off here is useful."
        )
    return (
        f"Yes: {len(winners):,} of {text.count(len(points), 'point')}, from "
        f"{winners['trial'].nunique():,} of {text.count(points['trial'].nunique(), 'configuration')}, are "
        f"better than the reference in both objectives on {tables.split}."
    )


def _metrics(values: "dict[str, float] | pd.Series[float]") -> list[str]:
    """All metrics, formatted; a dash for a missing one."""
    return [text.fixed(float(values.get(m.name, np.nan)), m.decimals) for m in OBJECTIVES.values()]
