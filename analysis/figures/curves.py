"""The training curves of the front: each goal against epochs, the points of the front marked."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis import text
from analysis.figures.drawing import INK, MUTED, PAPER, Drawing
from analysis.figures.style import DASHES, SHARING_STYLES, plain_axes, shape_keys
from analysis.objective import Floats, Objective, to_losses
from analysis.tables import Tables

CURVES_SIZE_IN = (7.2, 3.3)
"""Inches, width and height."""

PANEL_REACH_SHARE = 0.8
"""Room of a panel beyond front and reference to the worse side, as a share of their span."""

READING = (
    "One epoch of many is the best by chance alone, so a mark before the end of a line does not show that "
    "stopping there helps. A line that gets worse over many epochs in a row shows more than one mark does."
)


def curves(tables: Tables, lines: pd.DataFrame) -> Drawing:
    """The figure `curves` of some trials' points `lines`, with a panel for each goal.

    Epochs far worse than the front and the reference are left out of the frame.
    """
    figure = Figure(figsize=CURVES_SIZE_IN, facecolor=PAPER)
    panels = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.085, right=0.985, bottom=0.25, top=0.93, wspace=0.28)
    for column, (axes, goal) in enumerate(zip(panels, tables.goals, strict=True)):
        _panel(axes, lines, goal, float(tables.reference[column]))
    sharings = set(lines["sharing"])
    figure.legend(
        handles=shape_keys(sharings),
        title="Tables shared",
        loc="lower left",
        bbox_to_anchor=(0.08, 0.0),
        ncols=len(SHARING_STYLES),
        frameon=False,
        fontsize=7.8,
        title_fontsize=7.8,
        labelcolor=INK,
        alignment="left",
        borderaxespad=0,
    ).get_title().set(color=INK, fontweight="bold")
    trials, (up, right) = text.count(lines["trial"].nunique(), "trial"), tables.goals
    epochs = lines.loc[lines["front"], "epoch"]
    return Drawing(
        figure=figure,
        name="curves",
        title=f"Training curves of the front, {tables.split}",
        caption=f"{up.label} and {right.label} on {tables.split} after each measured epoch, for {trials} "
        "with points on the front, which are marked. Dashed: the reference. The first epochs may lie "
        "outside the frame.",
        reading=READING,
        description="Line chart of two panels. The front's points lie at epochs "
        f"{text.whole(epochs.min())} to {text.whole(epochs.max())} of up to "
        f"{text.whole(lines['epoch'].max())}.",
    )


def _panel(axes: Axes, lines: pd.DataFrame, goal: Objective, reference: float) -> None:
    """Draw one goal against epochs."""
    axes.axhline(reference, color=MUTED, linewidth=0.8, linestyle=DASHES, zorder=1)
    for (_, sharing), line in lines.groupby(["trial", "sharing"], sort=False):
        marker, color, _ = SHARING_STYLES[str(sharing)]
        axes.plot(line["epoch"], line[goal.name], color=color, linewidth=1.1, alpha=0.8, zorder=2)
        best = line[line["front"]]
        axes.scatter(
            best["epoch"],
            best[goal.name],
            s=34,
            marker=marker,
            facecolors=color,
            edgecolors=PAPER,
            linewidths=0.8,
            zorder=3,
        )
    axes.set_ylim(*_limits(lines, goal, reference))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("epochs", fontsize=8.5, color=INK)
    better = "better →" if goal.larger_is_better else "← better"
    axes.set_ylabel(f"{goal.label} ({goal.unit})    {better}", fontsize=8.5, color=INK)
    plain_axes(axes, 8)


def _limits(lines: pd.DataFrame, goal: Objective, reference: float) -> Floats:
    """Ends (2,) of an axis: the best of all epochs, the front, the reference, and some worse values."""
    losses = to_losses(lines[[goal.name]].to_numpy(dtype=np.float64), [goal])[:, 0]
    core = np.append(losses[lines["front"].to_numpy()], goal.sign * reference)
    low, worst = np.nanmin(losses), core.max()
    span = worst - low if worst > low else max(0.1 * abs(worst), 1e-3)
    high = min(np.nanmax(np.append(losses, worst)), worst + PANEL_REACH_SHARE * span)
    return np.sort(goal.sign * np.array([low - 0.06 * span, high + 0.06 * span]))
