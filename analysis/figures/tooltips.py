"""Tooltips of points: the configuration, its epochs, and the command that exports it."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis import text
from analysis.figures.drawing import Spot
from analysis.figures.style import SHARING_STYLES
from analysis.objective import Floats
from analysis.questions import pick_commands
from analysis.tables import Tables

Facts = Sequence[tuple[str, str]]


def spots(
    tables: Tables, axes: Axes, points: pd.DataFrame, at: Floats, *, on: str, more: Sequence[Facts] = ()
) -> list[Spot]:
    """A spot for each of the points, drawn at (n, 2), that lies within the axes, in their order.

    `on` names the split that the points' values are measured on; `more` adds facts to each point. Only
    points of the front have a command.
    """
    pixels = axes.transData.transform(at)
    box = axes.get_window_extent()
    inside = np.all((box.min <= pixels) & (pixels <= box.max), axis=1)
    x, y = (pixels / axes.figure.bbox.size).T if len(pixels) else np.empty((2, 0))
    chosen = pick_commands.commands(tables)
    facts = [_facts(tables, point, on) for point in points.to_dict("records")]
    return [
        Spot(
            x=round(float(x[i]), 4),
            y=round(float(1 - y[i]), 4),
            title=f"Trial {trial:.0f} after {text.count(int(epoch), 'epoch')}",
            facts=[*facts[i], *(more[i] if more else ())],
            command=chosen.get((trial, epoch), ""),
        )
        for i, (trial, epoch) in enumerate(zip(points["trial"], points["epoch"], strict=True))
        if inside[i]
    ]


def _facts(tables: Tables, point: Mapping[Hashable, Any], on: str) -> Facts:
    """A point's λ and sharing, its values, and the hyperparameters that vary in the study."""
    return [
        ("λ", text.weight(point["weight"])),
        ("shared", SHARING_STYLES[point["sharing"]][2]),
        *(
            (f"{g.label}, {on}", text.spread(point[g.name], point[f"{g.name}_sd"], g.decimals))
            for g in tables.goals
        ),
        *((name.replace("_", " "), text.general(point[name])) for name in tables.varying),
    ]
