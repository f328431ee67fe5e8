"""The Pareto figure: what was evaluated, what of it no other dominates, and the trivial models to beat."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from analysis import text
from analysis.drawing import INK, MUTED, PAPER, Drawing
from analysis.labels import Label, place, segments
from analysis.marks import (
    DASHES,
    DRAWN,
    REFERENCE,
    Shades,
    draw_legends,
    draw_points,
    draw_staircase,
    xy,
)
from analysis.objective import Floats, Objective, from_losses, to_losses
from analysis.tables import TRIVIAL, Tables

LABELLED = 12
"""Trials up to which dominated ones get a label too."""

FEW = 6
"""Trials up to which all are in the frame where none beats the reference."""

REACH = (0.35, 0.6)
"""How far the frame goes beyond what matters, as shares of its span: to the better and to the worse side."""


def pareto(tables: Tables) -> Drawing:
    """The figure `front`: the first of the goals upwards, the second to the right, a point a candidate.

    Works for any number of points, none included.
    """
    figure = Figure(figsize=(7.2, 4.5), facecolor=PAPER)
    axes = figure.add_axes((0.09, 0.108, 0.66, 0.846), facecolor="none")
    limits = _limits(tables)
    axes.set(ylim=limits[:, 0], xlim=limits[:, 1])
    shades = Shades.over(tables.evaluated["weight"].to_numpy(dtype=np.float64))
    _frame(axes, tables)
    _trivial(axes, tables)
    draw_staircase(axes, tables)
    thinned = draw_points(axes, tables, shades)
    _labels(axes, tables)
    draw_legends(figure, tables, shades, left=0.768, top=0.95)
    up, right = tables.goals
    return Drawing(
        figure=figure,
        name="front",
        title=f"{up.label} against {right.label}, {tables.split}",
        caption=_caption(tables, limits, thinned=thinned),
        description=_description(tables),
    )


def _limits(tables: Tables) -> Floats:
    """Ends (2, 2) of the axes, a column a goal: what matters, and as much of the rest as keeps it readable.

    What matters is the reference and the part of the front that beats it; where nothing does, the reference
    and the trials' own points, but for the worst quarter in either objective where they are not few.
    """
    reference = to_losses(tables.reference[None], tables.goals)
    winners = tables.losses(tables.front[tables.beats_reference(tables.front)])
    core = np.vstack([winners, reference])
    if not len(winners):
        core = np.vstack([tables.losses(tables.evaluated[tables.evaluated["stands"]]), reference])
        if len(core) > FEW:
            worst = np.quantile(core, 0.75, axis=0, method="lower")
            core = np.vstack([np.minimum(core, worst), reference])
    low, high = core.min(axis=0), core.max(axis=0)
    span = np.where(high > low, high - low, np.maximum(0.1 * np.abs(high), 1e-3))
    ends = np.vstack([low - REACH[0] * span, high + REACH[1] * span])
    losses = tables.losses(tables.evaluated)
    near = np.vstack([core, losses[((ends[0] <= losses) & (losses <= ends[1])).all(axis=1)]])
    low, high = near.min(axis=0), near.max(axis=0)
    margin = np.where(high > low, 0.09 * (high - low), span)
    return np.sort(from_losses(np.vstack([low - margin, high + margin]), tables.goals), axis=0)


def _frame(axes: Axes, tables: Tables) -> None:
    """Axes with metric, split, unit and, at the better end, the better direction."""
    up, right = tables.goals
    axes.set_xlabel(_axis_label(right, tables.split), loc="right" if right.larger_is_better else "left")
    axes.set_ylabel(_axis_label(up, tables.split), loc="top" if up.larger_is_better else "bottom")
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(fontsize=8.5, color=INK)
    axes.tick_params(labelsize=8, color=MUTED, labelcolor=INK, length=3, width=0.7)
    for side, spine in axes.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=MUTED, linewidth=0.7)


def _axis_label(goal: Objective, split: str) -> str:
    """What an axis shows, on what, in which unit, and which way is better."""
    label = f"{goal.label}, {split} ({goal.unit})"
    return f"{label}    better →" if goal.larger_is_better else f"← better    {label}"


def _trivial(axes: Axes, tables: Tables) -> None:
    """A line for each trivial model's metric, named at its right or upper end, and the reference point."""
    line: dict[str, Any] = {"color": MUTED, "linewidth": 0.8, "linestyle": DASHES, "zorder": 1}
    note: dict[str, Any] = {"fontsize": 7.5, "color": MUTED, "textcoords": "offset points"}
    for name, label in TRIVIAL.items():
        metrics = tables.manifest["trivial"][name]
        for goal in tables.goals:
            if goal.name not in metrics:
                continue
            level = float(metrics[goal.name])
            words = f"{label} {text.fixed(level, goal.decimals)}"
            if goal is tables.goals[0]:
                axes.axhline(level, **line)
                at, shift, aligned = (1.0, level), (-2.0, -3.0), {"ha": "right", "va": "top"}
                frame = axes.get_yaxis_transform()
            else:
                axes.axvline(level, **line)
                at, shift, aligned = (level, 1.0), (0.0, 3.0), {"ha": "center", "va": "bottom"}
                frame = axes.get_xaxis_transform()
            axes.annotate(words, at, shift, xycoords=frame, **(note | aligned))
    axes.plot([tables.reference[1]], [tables.reference[0]], **REFERENCE, zorder=3)


def _labels(axes: Axes, tables: Tables) -> None:
    """λ and epochs beside the front's points, and beside all trials where they are few; as many as fit."""
    points = tables.evaluated
    standing = points[points["stands"] & ~points["front"]]
    rows = tables.front
    if len(standing) + len(rows) <= LABELLED:
        rows = pd.concat([rows, standing])
    labels = [
        Label(x, y, f"λ {text.weight(weight)} · {epoch:g} ep." if np.isfinite(weight) else f"{epoch:g} ep.")
        for (x, y), weight, epoch in zip(xy(tables, rows), rows["weight"], rows["epoch"], strict=True)
    ]
    to_pixels = axes.transData.transform
    step = axes.figure.dpi / 72
    marked = pd.concat([tables.front, standing])
    clear = [Bbox.from_extents(*(at - 4 * step), *(at + 4 * step)) for at in to_pixels(xy(tables, marked))]
    for line in axes.lines:
        clear += segments(line.get_transform().transform(line.get_xydata()), width=2 * step)
    clear += [note.get_window_extent() for note in axes.texts]
    ends_first = sorted(range(len(labels)), key=lambda i: i not in (0, len(tables.front) - 1))
    place(
        axes,
        [labels[i] for i in ends_first],
        clear=clear,
        dots=to_pixels(xy(tables, points)),
        size=7.5,
        color=INK,
    )


def _caption(tables: Tables, limits: Floats, *, thinned: bool) -> str:
    """What the figure shows, and what of it could not be drawn."""
    up, right = tables.goals
    points = tables.evaluated
    said = [
        f"{up.label} against {right.label} on {tables.split}. {text.count(len(tables.front), 'point')} "
        f"non-dominated among the {len(points):,} evaluated; a point is a configuration after its epochs "
        f"({text.count(points['trial'].nunique(), 'configuration')}). Beside points: λ and epochs."
    ]
    if points[[f"{name}_sd" for name in tables.names]].notna().all(axis=1).any():
        said.append("Bars: ± one standard deviation over replicates.")
    values = points[tables.names].to_numpy()
    outside = ~((limits[0] <= values) & (values <= limits[1])).all(axis=1)
    if outside.any():
        of_front = int((outside & points["front"].to_numpy()).sum())
        noted = f", {of_front} of them on the front" if of_front else ""
        said.append(f"Beyond the frame: {text.count(int(outside.sum()), 'point')}{noted}.")
    if thinned:
        said.append(f"Of the dominated points at other epochs about {DRAWN:,} are drawn.")
    return " ".join(said)


def _description(tables: Tables) -> str:
    """The figure in words: the reference and the ends of the front."""
    up, right = tables.goals

    def where(values: Floats) -> str:
        first, second = text.fixed(values[0], up.decimals), text.fixed(values[1], right.decimals)
        return f"{up.label} {first}, {right.label} {second}"

    said = f"Scatter plot. Reference point: {where(tables.reference)}."
    if not len(tables.front):
        return f"{said} Nothing was evaluated."
    ends = tables.front[tables.names].to_numpy(dtype=np.float64)
    return f"{said} The front, a staircase, runs from {where(ends[0])} to {where(ends[-1])}."
