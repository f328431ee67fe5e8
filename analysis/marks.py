"""What the Pareto figure is drawn with: shapes, colours and fills, the staircase, and what they mean."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis import text
from analysis.drawing import INK, MUTED, PAPER
from analysis.objective import Floats, from_losses, to_losses
from analysis.tables import Tables

SHARING_STYLES = {
    "none": ("X", "#767e87", "nothing"),
    "users": ("^", "#d98200", "users"),
    "items": ("s", "#0a8f69", "items"),
    "both": ("o", "#2f6fd0", "users and items"),
}
"""Marker, colour and name of each way of sharing: shape alone tells them apart."""

VOLUME = "#2f6fd0"
DASHES = (0, (4, 3))

REFERENCE: dict[str, Any] = {
    "marker": "P", "markersize": 7.5, "color": INK, "markeredgecolor": PAPER, "markeredgewidth": 0.8,
    "linestyle": "none",
}  # fmt: skip

TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
"""λ that the legend may show."""

DRAWN = 2000
"""Epochs beside the trials' own points that are drawn at most; all are counted."""


@dataclass(frozen=True, slots=True)
class Shades:
    """How strongly a marker is filled: by logit λ, from the study's least λ to its largest."""

    low: float
    high: float

    @classmethod
    def over(cls, weights: Floats) -> "Shades":
        """The shades for these weights, NaN aside."""
        known = _logit(weights[np.isfinite(weights)])
        return cls(float(known.min()), float(known.max())) if len(known) else cls(0.0, 0.0)

    def alpha(self, weights: Floats) -> Floats:
        """Opacities (n,) of the fills, 0 to 1; full where no λ is given or all are equal."""
        if self.high <= self.low:
            return np.ones(len(weights))
        return np.nan_to_num((_logit(weights) - self.low) / (self.high - self.low), nan=1.0).clip(0.0, 1.0)

    @property
    def ticks(self) -> Floats:
        """Round λ within the range; none where there is but one λ."""
        if self.high <= self.low:
            return np.empty(0)
        logits, slack = _logit(np.array(TICKS)), 1e-6
        return np.array(TICKS)[(logits > self.low - slack) & (logits < self.high + slack)]


def xy(tables: Tables, rows: pd.DataFrame) -> Floats:
    """Coordinates (n, 2) of points in the figure: right, then up."""
    return rows[tables.names[::-1]].to_numpy(dtype=np.float64)


def draw_points(axes: Axes, tables: Tables, shades: Shades) -> bool:
    """Draw every point, the front last; whether some of the trials' further epochs were left out."""
    points = tables.evaluated
    further = points[~points["stands"] & ~points["front"]]
    every = max(1, -(-len(further) // DRAWN))
    standing = points[points["stands"] & ~points["front"]]
    for sharing, (marker, color, _) in SHARING_STYLES.items():
        dots, faint, strong = (
            rows[rows["sharing"] == sharing] for rows in (further.iloc[::every], standing, tables.front)
        )
        idle = sharing == "none"
        x, y = xy(tables, dots).T
        axes.scatter(x, y, s=3.5, color=color, alpha=0.35, linewidths=0, zorder=1.5)
        _error_bars(axes, tables, faint, color, alpha=0.5)
        x, y = xy(tables, faint).T
        fills = _fills(color, 0.5 * shades.alpha(_weights(faint, idle)))
        outline = to_rgba(color, 0.6)
        axes.scatter(
            x, y, s=26, marker=marker, linewidths=0.8, facecolors=fills, edgecolors=outline, zorder=2.5
        )
        _error_bars(axes, tables, strong, color, alpha=1.0)
        x, y = xy(tables, strong).T
        fills = _fills(color, shades.alpha(_weights(strong, idle)))
        axes.scatter(x, y, s=62, marker=marker, color=PAPER, linewidths=0, zorder=4)
        axes.scatter(x, y, s=62, marker=marker, linewidths=1.3, facecolors=fills, edgecolors=color, zorder=5)
    return every > 1


def draw_staircase(axes: Axes, tables: Tables) -> None:
    """Draw the edge of what the front attains, and the area between it and the reference: the hypervolume.

    A staircase, never a line through points: between two points nothing was evaluated.
    """
    if not len(tables.front):
        return
    losses = tables.losses(tables.front)[::-1]
    reference = to_losses(tables.reference, tables.goals)
    frame = to_losses(np.column_stack([axes.get_ylim(), axes.get_xlim()]), tables.goals).max(axis=0)
    edge = from_losses(_steps(losses, np.maximum(frame, losses.max(axis=0))), tables.goals)[:, ::-1]
    within = np.vstack([_steps(np.minimum(losses, reference), reference), reference])
    area = from_losses(within, tables.goals)[:, ::-1]
    axes.fill(*area.T, color=VOLUME, alpha=0.09, linewidth=0, zorder=0)
    axes.plot(*edge.T, color=INK, linewidth=1.0, alpha=0.75, zorder=2)


def draw_legends(figure: Figure, tables: Tables, shades: Shades, *, left: float, top: float) -> None:
    """What shapes, fills and lines mean, in a column that begins at (left, top) of the figure."""
    groups = (
        ("Tables shared", _shape_keys(tables)),
        ("λ, weight of ranking", _fill_keys(shades)),
        ("Points and lines", _line_keys(tables)),
    )
    row = 11.5 / 72 / figure.get_figheight()
    for title, keys in groups:
        if keys:
            legend = figure.legend(
                handles=keys, title=title, loc="upper left", bbox_to_anchor=(left, top), frameon=False,
                fontsize=7.8, title_fontsize=7.8, alignment="left", labelcolor=INK, borderaxespad=0,
                handletextpad=0.6, labelspacing=0.45, borderpad=0, handlelength=1.6,
            )  # fmt: skip
            legend.get_title().set(color=INK, fontweight="bold")
            top -= (len(keys) + 2) * row


def _shape_keys(tables: Tables) -> list[Artist]:
    """A key for each way of sharing that was evaluated."""
    known = set(tables.evaluated["sharing"])
    return [
        Line2D([], [], marker=marker, color=color, linestyle="none", markersize=7, label=label)
        for sharing, (marker, color, label) in SHARING_STYLES.items()
        if sharing in known
    ]


def _fill_keys(shades: Shades) -> list[Artist]:
    """A key for each round λ."""
    return [
        Line2D([], [], marker="o", markerfacecolor=to_rgba(MUTED, alpha), markeredgecolor=MUTED,
               linestyle="none", markersize=7, label=text.weight(tick))
        for tick, alpha in zip(shades.ticks, shades.alpha(shades.ticks), strict=True)
    ]  # fmt: skip


def _line_keys(tables: Tables) -> list[Artist]:
    """Keys for what else is drawn."""
    points = tables.evaluated
    dot: dict[str, Any] = {"color": MUTED, "linestyle": "none", "marker": "o"}
    keys: list[Artist] = [
        Line2D([], [], color=INK, linewidth=1.0, marker="o", markersize=7, markerfacecolor=PAPER,
               label="non-dominated"),
    ]  # fmt: skip
    if (points["stands"] & ~points["front"]).any():
        keys.append(Line2D([], [], **dot, alpha=0.7, markersize=4.5, label="dominated"))
    if (~points["stands"] & ~points["front"]).any():
        keys.append(Line2D([], [], **dot, alpha=0.6, markersize=1.6, label="dominated, other epochs"))
    keys.append(Line2D([], [], color=MUTED, linewidth=0.8, linestyle=DASHES, label="trivial model"))
    keys.append(Line2D([], [], **REFERENCE, label="reference point"))
    if tables.hypervolume > 0:
        keys.append(Patch(facecolor=VOLUME, alpha=0.14, label="hypervolume"))
    return keys


def _steps(losses: Floats, end: Floats) -> Floats:
    """Corners (2n + 1, 2) of the staircase over losses (n, 2) that fall in the first column, to both ends."""
    up, right = np.repeat(losses[:, 0], 2), np.repeat(losses[:, 1], 2)
    return np.column_stack([np.append(end[0], up), np.append(right, end[1])])


def _weights(rows: pd.DataFrame, idle: bool) -> Floats:
    """λ of each point; NaN where it does nothing."""
    weights = rows["weight"].to_numpy(dtype=np.float64)
    return np.full(len(weights), np.nan) if idle else weights


def _fills(color: str, alphas: Floats) -> Floats:
    """A colour in several opacities (n, 4)."""
    return np.array([to_rgba(color, alpha) for alpha in alphas]).reshape(-1, 4)


def _error_bars(axes: Axes, tables: Tables, rows: pd.DataFrame, color: str, *, alpha: float) -> None:
    """± one standard deviation over replicates, where there is one."""
    up, right = (f"{name}_sd" for name in tables.names)
    rows = rows[rows[[up, right]].notna().all(axis=1)]
    if len(rows):
        x, y = xy(tables, rows).T
        axes.errorbar(
            x,
            y,
            yerr=rows[up],
            xerr=rows[right],
            fmt="none",
            ecolor=color,
            elinewidth=0.9,
            alpha=alpha,
            zorder=2.2,
        )


def _logit(weights: Floats) -> Floats:
    """log(λ / (1 − λ)), with λ held within [1e-6, 1 − 1e-6]; NaN stays NaN."""
    held = np.clip(weights, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(held) - np.log1p(-held), dtype=np.float64)
