"""Common parts of figures of one goal against the other: frame, trivial models, legends, labels."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.transforms import Bbox

from analysis import text
from analysis.figures.drawing import INK, MUTED, PAPER
from analysis.figures.labels import Label, place, segments
from analysis.figures.style import DASHES, REFERENCE, Shades, fill_keys, plain_axes, shape_keys
from analysis.objective import Floats, Objective
from analysis.tables import TRIVIAL

Goals = tuple[Objective, Objective]

FRONT_SIZE_IN = (7.2, 4.5)
"""Inches, width and height."""

FRAME = (0.09, 0.108, 0.66, 0.846)
"""Left, bottom, width and height of the axes, as shares of the figure."""

LEGENDS = (0.768, 0.95)
"""Upper left corner of the column of legends, as shares of the figure."""


def framed(
    goals: Goals, split: str, limits: Floats, trivial: Mapping[str, Mapping[str, float]], reference: Floats
) -> tuple[Figure, Axes]:
    """A figure with room for legends on its right, and axes with metric, split, unit and better side.

    `limits` (2, 2) are the ends of the axes, a column a goal. Drawn are a line for each metric of the
    `trivial` models that is a goal, and the reference point (2,), values in the order of the goals.
    """
    figure = Figure(figsize=FRONT_SIZE_IN, facecolor=PAPER)
    axes = figure.add_axes(FRAME)
    axes.set(ylim=limits[:, 0], xlim=limits[:, 1])
    up, right = goals
    axes.set_xlabel(_axis_label(right, split), loc="right" if right.larger_is_better else "left")
    axes.set_ylabel(_axis_label(up, split), loc="top" if up.larger_is_better else "bottom")
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(fontsize=8.5, color=INK)
    plain_axes(axes, 8)
    _trivial(axes, goals, trivial)
    axes.plot([reference[1]], [reference[0]], **REFERENCE, zorder=3)
    return figure, axes


def _trivial(axes: Axes, goals: Goals, levels: Mapping[str, Mapping[str, float]]) -> None:
    """Draw a line for each trivial model's metric that is a goal, named at its right or upper end.

    `levels` holds each model's metrics by its name in `TRIVIAL`.
    """
    line: dict[str, Any] = {"color": MUTED, "linewidth": 0.8, "linestyle": DASHES, "zorder": 1}
    note: dict[str, Any] = {"fontsize": 7.5, "color": MUTED, "textcoords": "offset points"}
    note |= {"bbox": {"facecolor": PAPER, "edgecolor": "none", "pad": 0.5}}
    for name, label in TRIVIAL.items():
        for goal in goals:
            if goal.name not in levels[name]:
                continue
            level = float(levels[name][goal.name])
            words = f"{label} {text.fixed(level, goal.decimals)}"
            if goal is goals[0]:
                axes.axhline(level, **line)
                at, shift, aligned = (1.0, level), (-2.0, -3.0), {"ha": "right", "va": "top"}
                frame = axes.get_yaxis_transform()
            else:
                axes.axvline(level, **line)
                at, shift, aligned = (level, 1.0), (0.0, 3.0), {"ha": "center", "va": "bottom"}
                frame = axes.get_xaxis_transform()
            axes.annotate(words, at, shift, xycoords=frame, **(note | aligned))


def draw_legends(figure: Figure, sharings: Collection[str], shades: Shades, keys: Sequence[Artist]) -> None:
    """Draw the legends of shapes, fills and other keys in a column on the figure's right."""
    groups = {
        "Tables shared": shape_keys(sharings),
        "λ, weight of ranking": fill_keys(shades),
        "Points and lines": keys,
    }
    top, row = LEGENDS[1], 11.5 / 72 / figure.get_figheight()
    for title, handles in groups.items():
        if handles:
            legend = draw_legend(figure, handles, title, top, labelspacing=0.45)
            legend.get_title().set(color=INK, fontweight="bold")
            top -= (len(handles) + 2) * row


def draw_legend(
    figure: Figure, handles: Sequence[Artist], title: str, top: float, *, labelspacing: float
) -> Legend:
    """Draw a legend in the column on the figure's right; `top` is a share of the figure's height."""
    return figure.legend(
        handles=handles,
        title=title,
        loc="upper left",
        bbox_to_anchor=(LEGENDS[0], top),
        frameon=False,
        fontsize=7.8,
        title_fontsize=7.8,
        alignment="left",
        labelcolor=INK,
        borderaxespad=0,
        handletextpad=0.6,
        labelspacing=labelspacing,
        borderpad=0,
        handlelength=1.6,
    )


def label_points(
    axes: Axes,
    points: pd.DataFrame,
    at: Floats,
    *,
    marked: Floats,
    dots: Floats,
    bars: Sequence[Floats] = (),
    boxes: Sequence[Bbox] = (),
) -> None:
    """Label points at (n, 2) with λ and epochs, in their order, as many as fit.

    Labels keep off the markers at `marked` (n, 2), the reference point, the `bars`, the `boxes` and every
    line, are nearest to their own marker, and cover few of the `dots` (n, 2). Bars are paths (2, 2) parallel
    to the axes, and boxes are in pixels.
    """
    labels = [
        Label(x, y, f"λ {text.weight(weight)} · {epoch:g} ep." if np.isfinite(weight) else f"{epoch:g} ep.")
        for (x, y), weight, epoch in zip(at, points["weight"], points["epoch"], strict=True)
    ]
    to_pixels = axes.transData.transform
    step = axes.figure.dpi / 72
    paths = [line.get_transform().transform(line.get_xydata()) for line in axes.lines]
    lone = [
        (path, line.get_markersize()) for path, line in zip(paths, axes.lines, strict=True) if len(path) == 1
    ]
    marks = np.vstack([to_pixels(marked), *(path for path, _ in lone)])
    # pt; the square of a round mark is smaller than the mark, as labels lie beside or at its corners
    radii = [4.0] * len(marked) + [max(4.0, 0.375 * size) for _, size in lone]
    clear = [
        Bbox.from_extents(*(spot - radius * step), *(spot + radius * step))
        for spot, radius in zip(marks, radii, strict=True)
    ]
    for path in (*paths, *map(to_pixels, bars)):
        clear += segments(path, width=2 * step)
    clear += [*boxes, *(note.get_window_extent() for note in axes.texts)]
    place(axes, labels, marks=marks, clear=clear, dots=to_pixels(dots), size=7.5, color=INK)


def _axis_label(goal: Objective, split: str) -> str:
    """The label of an axis: metric, split, unit, and an arrow to the better side."""
    label = f"{goal.label}, {split} ({goal.unit})"
    return f"{label}    better →" if goal.larger_is_better else f"← better    {label}"
