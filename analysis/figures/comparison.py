"""Figures of several studies: fronts, attainment surfaces of replicates, and hypervolume against epochs."""

from collections.abc import Sequence
from itertools import cycle, islice
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import text
from analysis.figures.axes import LEGENDS, draw_legend, framed
from analysis.figures.drawing import INK, PAPER, Drawing
from analysis.figures.style import draw_area, draw_staircase, plain_axes
from analysis.objective import from_losses
from analysis.questions.comparison import Comparison, StudyGroup

GROUP_STYLES = (
    ("o", "#2f6fd0"),
    ("^", "#d98200"),
    ("s", "#0a8f69"),
    ("D", "#a4457a"),
    ("v", "#7a5fd0"),
    ("X", "#767e87"),
)
"""Marker and colour of each group; the seventh has those of the first."""

LEGEND_LETTERS, LEGEND_LINES = 24, 4
"""Most letters in a line, and most lines, of a group's name in a legend."""

READING = {
    "pooled": (
        "The marks form the pooled front, and one study need not reach all of it. A study without marks "
        "adds nothing to it."
    ),
    "attainment": (
        "Expect one search to reach the line of half of the studies. The wider the gap between the lines, "
        "the more a single search depends on its seed."
    ),
    "growth": (
        "At equal epochs the higher line has found more. Where bands overlap, the difference may be due to "
        "the seed."
    ),
}


def pooled(comparison: Comparison) -> Drawing:
    """The figure `pooled`: every study's front as a staircase, and the points of the pooled front."""
    up, right = comparison.goals
    figure, axes = _frame(comparison)
    if len(comparison.pooled):
        draw_area(axes, comparison.pooled, comparison.reference, comparison.goals)
    for place, front in enumerate(comparison.fronts):
        marker, color = _style(comparison, place)
        if len(front):
            draw_staircase(axes, front, comparison.goals, color=color)
        ours = (front[:, None] == comparison.pooled[None]).all(axis=2).any(axis=1)
        y, x = from_losses(front[ours], comparison.goals).T
        axes.scatter(x, y, s=42, marker=marker, color=color, edgecolors=PAPER, linewidths=0.8, zorder=4)
    _legend(figure, comparison, comparison.groups, marked=True)
    return Drawing(
        figure=figure,
        name="pooled",
        title=f"The fronts of {len(comparison.studies)} studies, {comparison.studies[0].split}",
        caption=(
            f"{up.label} against {right.label}: a staircase for each study, and marks at the points that no "
            "point of any study dominates. Shaded: the hypervolume of the pooled front."
        ),
        reading=READING["pooled"],
        description=f"Staircases. The pooled front has {text.count(len(comparison.pooled), 'point')}.",
    )


def attainment(comparison: Comparison) -> Drawing:
    """The figure `attainment`: edges that one, half or all studies of a group of replicates attain."""
    up, right = comparison.goals
    figure, axes = _frame(comparison)
    dashes: dict[str, Any] = {"best": (0, (1, 1.5)), "median": "-", "worst": (0, (5, 2))}
    replicated = [group for group in comparison.groups if len(group.places) > 1]
    for group in replicated:
        color = _style(comparison, group.places[0])[1]
        for name, corners in comparison.surfaces(group).items():
            if len(corners):
                draw_staircase(axes, corners, comparison.goals, color=color)
                axes.lines[-1].set(linestyle=dashes[name], linewidth=1.8 if name == "median" else 1.1)
    keys = {"best": "at least one study", "median": "half of the studies", "worst": "all studies"}
    lines = [Line2D([], [], color=INK, linestyle=dashes[n], linewidth=1.4, label=k) for n, k in keys.items()]
    _legend(figure, comparison, replicated, lines)
    return Drawing(
        figure=figure,
        name="attainment",
        title=f"Attainment of the replicates of a search, {comparison.studies[0].split}",
        caption=(
            f"{up.label} against {right.label}: for each group, the edges of the regions that at least one, "
            "half, or all of its studies attain."
        ),
        reading=READING["attainment"],
        description="Staircases of attainment surfaces.",
    )


def grown(comparison: Comparison) -> Drawing:
    """The figure `growth`: hypervolume against epochs for each study; median and quartiles of each group."""
    figure = Figure(figsize=(7.2, 3.6), facecolor=PAPER)
    axes = figure.add_axes((0.115, 0.13, 0.635, 0.82))
    for place, rows in enumerate(comparison.grown):
        color = _style(comparison, place)[1]
        x, y = np.append(0.0, rows["epochs"]), np.append(0.0, rows["hypervolume"])
        axes.plot(x, y, color=color, linewidth=0.8, alpha=0.55, drawstyle="steps-post")
    for group in comparison.groups:
        if len(group.places) > 2:
            epochs, low, middle, high = comparison.spread(group).T
            color = _style(comparison, group.places[0])[1]
            axes.fill_between(epochs, low, high, color=color, alpha=0.18, linewidth=0, step="post")
            axes.plot(epochs, middle, color=color, linewidth=2.0, drawstyle="steps-post")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("epochs, over all configurations and seeds", fontsize=8.5, color=INK)
    axes.set_ylabel(f"hypervolume, {comparison.studies[0].split}", fontsize=8.5, color=INK)
    plain_axes(axes, 8)
    _legend(figure, comparison, comparison.groups)
    return Drawing(
        figure=figure,
        name="growth",
        title=f"Hypervolume against epochs, {comparison.studies[0].split}",
        caption=(
            "Hypervolume of each search against its epochs, with a step for each trial that ended. For "
            "groups of three or more studies: the median as a thick line, the quartiles as a band."
        ),
        reading=READING["growth"],
        description="Step lines, one for each study.",
    )


def _frame(comparison: Comparison) -> tuple[Figure, Axes]:
    """Axes around the reference and the points that beat it, with the trivial models."""
    first = comparison.studies[0]
    inside = [front[(front < comparison.reference).all(axis=1)] for front in comparison.fronts]
    core = np.vstack([comparison.reference, *(inside if any(map(len, inside)) else comparison.fronts)])
    low, high = core.min(axis=0), core.max(axis=0)
    span = np.where(high > low, high - low, np.maximum(0.1 * np.abs(high), 1e-3))
    ends = np.vstack([low - 0.12 * span, high + 0.25 * span])
    limits = np.sort(from_losses(ends, comparison.goals), axis=0)
    return framed(comparison.goals, first.split, limits, first.manifest["trivial"], first.reference)


def _style(comparison: Comparison, place: int) -> tuple[str, str]:
    """Marker and colour of a study: its group's."""
    group = next(i for i, group in enumerate(comparison.groups) if place in group.places)
    return next(islice(cycle(GROUP_STYLES), group, None))


def _legend(
    figure: Figure,
    comparison: Comparison,
    groups: Sequence[StudyGroup],
    more: Sequence[Line2D] = (),
    *,
    marked: bool = False,
) -> None:
    """Draw the legend of groups, and of `more` lines, in a column on the figure's right."""
    handles = [
        Line2D(
            [],
            [],
            color=color,
            linewidth=1.2,
            marker=marker if marked else "none",
            markersize=6,
            label="\n".join(wrap(group.name, LEGEND_LETTERS, max_lines=LEGEND_LINES, placeholder=" …")),
        )
        for group in groups
        for marker, color in [_style(comparison, group.places[0])]
    ]
    draw_legend(figure, [*handles, *more], "Searches", LEGENDS[1], labelspacing=0.6)
