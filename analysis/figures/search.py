"""The figure of a search: its hypervolume against trials, member-epochs and time."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis import text
from analysis.figures.drawing import INK, MUTED, PAPER, Drawing
from analysis.figures.style import DASHES, VOLUME, plain_axes, spaced

SEARCH_SIZE_IN = (7.2, 2.7)
"""Inches, width and height."""


MOST_TRIALS = 400
"""Most trials whose hypervolume is drawn."""

READING = (
    "A curve that is level beyond the dotted line means that the second half of the search found little "
    "more. A curve never falls, even if only noise raises it, so a rise at the end promises nothing."
)


def search(grown: pd.DataFrame, random: pd.DataFrame | None = None) -> Drawing:
    """The figure `search`: hypervolume against trials, member-epochs and time, in three panels.

    A further line has the trials that were drawn at `random`, against their own number and member-epochs.
    """
    figure = Figure(figsize=SEARCH_SIZE_IN, facecolor=PAPER)
    panels = figure.subplots(1, 3, sharey=True)
    figure.subplots_adjust(left=0.115, right=0.98, bottom=0.19, top=0.93, wspace=0.14)
    some = spaced(grown, MOST_TRIALS)
    volumes, last = np.append(0.0, some["hypervolume"]), float(grown["hypervolume"].iloc[-1])
    unit, seconds = ("minutes", 60) if grown["wall_s"].iloc[-1] >= 180 else ("seconds", 1)
    across = (
        ("trials ended", "trials", some["trials"]),
        ("member-epochs", "epochs", some["epochs"]),
        (unit, "", some["wall_s"] / seconds),
    )
    for axes, (label, name, column) in zip(panels, across, strict=True):
        if random is not None and name:
            _random(axes, random, name)
        values = np.append(0.0, column)
        axes.step(values, volumes, where="post", color=VOLUME, linewidth=1.6)
        axes.plot(values[-1:], volumes[-1:], marker="o", color=VOLUME, markersize=5)
        axes.axvline(values[-1] / 2, color=MUTED, linewidth=0.7, linestyle=(0, (2, 3)))
        axes.set_xlabel(label, fontsize=8.5, color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        plain_axes(axes, 8)
        axes.grid(axis="y", color=MUTED, alpha=0.25, linewidth=0.6)
        axes.set(xlim=(0, max(values[-1] * 1.03, 1e-9)), ylim=(0, max(last * 1.08, 1e-12)))
    panels[0].set_ylabel("hypervolume    better →", fontsize=8.5, color=INK, loc="top")
    panels[0].yaxis.set_major_locator(MaxNLocator(5))
    half = grown.iloc[(len(grown) - 1) // 2]
    return Drawing(
        figure=figure,
        name="search",
        title="Hypervolume against trials, member-epochs and time",
        caption=_caption(grown, random),
        reading=READING,
        description=f"Three step curves that rise from 0 to {last:.3g}. After "
        f"{text.count(int(half['trials']), 'trial')} it is {text.volume(half['hypervolume'])}.",
    )


def _random(axes: Axes, random: pd.DataFrame, name: str) -> None:
    """Draw the hypervolume of the trials drawn at random against their number or epochs."""
    some = spaced(random, MOST_TRIALS)
    axes.step(
        np.append(0.0, some[name]),
        np.append(0.0, some["hypervolume"]),
        where="post",
        color=INK,
        linewidth=1.2,
        linestyle=DASHES,
    )


def _caption(grown: pd.DataFrame, random: pd.DataFrame | None) -> str:
    """The caption: the lines, and the trials not drawn."""
    sentences = [
        "Hypervolume of the front of all ended trials, against the number of these trials, their epochs, and "
        "the time since the first trial began, with the pauses between runs. Dotted: halfway."
    ]
    if random is not None:
        sentences.append(
            "Dashed: the trials drawn at random, under the same stopping rule, against their own number and "
            "epochs."
        )
    if len(grown) > MOST_TRIALS:
        sentences.append(f"Drawn after {MOST_TRIALS} of {len(grown):,} trials.")
    return " ".join(sentences)
