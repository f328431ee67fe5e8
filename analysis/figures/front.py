"""The Pareto figure: the evaluated points, the front, and the trivial models."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from analysis import text
from analysis.figures.axes import draw_legends, framed, label_points
from analysis.figures.drawing import Drawing
from analysis.figures.inset import inset
from analysis.figures.style import (
    Drawn,
    Shades,
    area_key,
    dot_key,
    draw_area,
    draw_knee,
    draw_points,
    draw_staircase,
    front_keys,
    inside,
    knee_key,
    spaced,
    xy,
)
from analysis.figures.tooltips import spots
from analysis.objective import Floats, from_losses, to_losses
from analysis.questions import pick_commands
from analysis.tables import Tables

LABELLED = 12
"""Most trials with which dominated ones get a label too."""

TRIED = 60
"""Most points of a front that may get a label."""

FEW = 6
"""Most trials with which all are inside the frame if none beats the reference."""

AROUND_INSET_PX = 24.0
"""Pixels around an inset that labels of its axes may need."""

FRAME_REACH_SHARES = (0.35, 0.6)
"""Room of the frame around its core, as shares of the core's span: to the better and to the worse side."""

READING = (
    "The arrows point to the better side: for each model behind the staircase, one on it is as good or "
    "better in both objectives. Only points beyond both dashed lines beat the trivial models."
)


def pareto(tables: Tables) -> Drawing:
    """The figure `front`: all candidates, the first of the goals upwards, the second to the right.

    Works for any number of points, none included.
    """
    points, front, up, right = tables.evaluated, tables.front, *tables.goals
    limits = frame(tables)
    figure, axes = framed(tables.goals, tables.split, limits, tables.manifest["trivial"], tables.reference)
    shades = Shades.over(points["weight"].to_numpy(dtype=np.float64))
    drawn, knee = Drawn.of(tables), pick_commands.kneed(tables)
    if len(front):
        corner = to_losses(tables.reference, tables.goals)
        draw_area(axes, tables.losses(front), corner, tables.goals)
    _draw(axes, tables, drawn, shades, knee)
    within = inset(axes, xy(tables, drawn.front), xy(tables, pd.concat([drawn.standing, drawn.further])))
    if within is not None:
        _draw(within, tables, drawn.inside(tables, within), shades, knee)
    _labels(axes, within, tables, drawn)
    draw_legends(figure, set(points["sharing"]), shades, _keys(tables, knee))
    return Drawing(
        figure=figure,
        name="front",
        title=f"{up.label} against {right.label}, {tables.split}",
        caption=_caption(tables, limits, drawn, within),
        reading=READING,
        description=_description(tables),
        spots=spots(tables, axes, drawn.front, xy(tables, drawn.front), on=tables.split),
        zooms=True,
    )


def frame(tables: Tables) -> Floats:
    """Ends (2, 2) of the axes, a column for each goal: the core, and points as far as `FRAME_REACH_SHARES`.

    The core is the reference and the part of the front that beats it. If nothing beats it, the core is the
    reference and the points that represent trials, of many without the worst quarter in either objective.
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
    ends = np.vstack([low - FRAME_REACH_SHARES[0] * span, high + FRAME_REACH_SHARES[1] * span])
    losses = tables.losses(tables.evaluated)
    near = np.vstack([core, losses[((ends[0] <= losses) & (losses <= ends[1])).all(axis=1)]])
    low, high = near.min(axis=0), near.max(axis=0)
    margin = np.where(high > low, 0.09 * (high - low), span)
    return np.sort(from_losses(np.vstack([low - margin, high + margin]), tables.goals), axis=0)


def _draw(axes: Axes, tables: Tables, drawn: Drawn, shades: Shades, knee: "pd.Series[Any] | None") -> None:
    """Draw the staircase of the front, the points, and a ring around the knee."""
    if len(tables.front):
        draw_staircase(axes, tables.losses(tables.front), tables.goals)
    draw_points(axes, tables, drawn, shades)
    if knee is not None:
        draw_knee(axes, np.array([knee[name] for name in tables.names[::-1]], dtype=np.float64))


def _labels(axes: Axes, within: Axes | None, tables: Tables, drawn: Drawn) -> None:
    """Label the front's points, its ends first, or all trials if they are few, with λ and epochs.

    Points in the inset `within` are labelled there.
    """
    marked = pd.concat([drawn.front, drawn.standing])
    rows = marked if len(marked) <= LABELLED else spaced(drawn.front, TRIED)
    ends = (0, min(len(drawn.front), len(rows)) - 1)
    rows = rows.iloc[sorted(range(len(rows)), key=lambda i: i not in ends)]
    dots = xy(tables, pd.concat([marked, drawn.further]))
    boxes = []
    if within is not None:
        there = inside(within, xy(tables, rows))
        label_points(within, rows[there], xy(tables, rows[there]), marked=xy(tables, marked), dots=dots)
        rows, boxes = rows[~there], [within.get_window_extent().padded(AROUND_INSET_PX)]
    label_points(axes, rows, xy(tables, rows), marked=xy(tables, marked), dots=dots, boxes=boxes)


def _keys(tables: Tables, knee: "pd.Series[Any] | None") -> list[Artist]:
    """Keys for the points and lines that are drawn."""
    points = tables.evaluated
    non_dominated, *lines = front_keys()
    keys = [non_dominated]
    if (points["stands"] & ~points["front"]).any():
        keys.append(dot_key("dominated", size=4.5, alpha=0.7))
    if (~points["stands"] & ~points["front"]).any():
        keys.append(dot_key("dominated, other epochs", size=1.6, alpha=0.6))
    if knee is not None:
        keys.append(knee_key())
    return [*keys, *lines, *([area_key()] if tables.hypervolume > 0 else [])]


def _caption(tables: Tables, limits: Floats, drawn: Drawn, within: Axes | None) -> str:
    """The caption: the front, the inset, and the points outside the frame or not drawn."""
    up, right = tables.goals
    points = tables.evaluated
    sentences = [
        f"{up.label} against {right.label} on {tables.split}. The front has {len(tables.front):,} of "
        f"{text.count(len(points), 'evaluated point')}; a point is a configuration after a number of epochs "
        f"({text.count(points['trial'].nunique(), 'configuration')}). Labels: λ and epochs."
    ]
    if points[[f"{name}_sd" for name in tables.names]].notna().all(axis=1).any():
        sentences.append("Bars: ± one standard deviation over replicates.")
    if within is not None:
        sentences.append("The inset magnifies the framed part, where marks overlap.")
    values = points[tables.names].to_numpy()
    outside = ~((limits[0] <= values) & (values <= limits[1])).all(axis=1)
    if outside.any():
        of_front = int((outside & points["front"].to_numpy()).sum())
        noted = f", {of_front} of them on the front" if of_front else ""
        sentences.append(f"Outside the frame: {text.count(int(outside.sum()), 'point')}{noted}.")
    return " ".join([*sentences, *filter(None, [drawn.omitted])])


def _description(tables: Tables) -> str:
    """The figure in words: the reference and the ends of the front."""
    opening = f"Scatter plot. Reference point: {text.values(tables.goals, tables.reference)}."
    if not len(tables.front):
        return f"{opening} No point was evaluated."
    ends = tables.front[tables.names].to_numpy(dtype=np.float64)
    first, last = (text.values(tables.goals, end) for end in (ends[0], ends[-1]))
    return f"{opening} The front, a staircase, runs from {first} to {last}."
