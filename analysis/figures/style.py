"""The style of Pareto figures: shapes, colours and fills, the staircase, and legend keys."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from analysis import text
from analysis.figures.drawing import INK, MUTED, PAPER
from analysis.objective import Floats, Objective, from_losses, to_losses
from analysis.tables import Tables

SHARING_STYLES = {
    "none": ("X", "#767e87", "nothing"),
    "users": ("^", "#d98200", "users"),
    "items": ("s", "#0a8f69", "items"),
    "both": ("o", "#2f6fd0", "users and items"),
}
"""Marker, colour and name of each way of sharing; the markers differ without colour."""

VOLUME = "#2f6fd0"
DASHES = (0, (4, 3))

REFERENCE: dict[str, Any] = {
    "marker": "P",
    "markersize": 7.5,
    "color": INK,
    "markeredgecolor": PAPER,
    "markeredgewidth": 0.8,
    "linestyle": "none",
}

KNEE: dict[str, Any] = {
    "marker": "o",
    "markersize": 12,
    "markerfacecolor": "none",
    "markeredgecolor": INK,
    "markeredgewidth": 1.2,
    "linestyle": "none",
}

TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
"""Values of λ that the legend may show."""

MOST_DOTS = {"front": 250, "standing": 500, "further": 1500}
"""Most points drawn: on the front, other points that represent trials, and the rest."""

STEPS = 1000
"""Most steps of a staircase: several per pixel."""


@dataclass(frozen=True, slots=True)
class Shades:
    """Opacity of markers by logit λ, from the study's least λ to its largest."""

    low: float
    high: float

    @classmethod
    def over(cls, weights: Floats) -> "Shades":
        """The shades for the range of these weights, without NaN."""
        known = logit(weights[np.isfinite(weights)])
        return cls(float(known.min()), float(known.max())) if len(known) else cls(0.0, 0.0)

    def alpha(self, weights: Floats) -> Floats:
        """Opacities (n,) of the fills, 0 to 1; 1 where λ is NaN or all are equal."""
        if self.high <= self.low:
            return np.ones(len(weights))
        return np.nan_to_num((logit(weights) - self.low) / (self.high - self.low), nan=1.0).clip(0.0, 1.0)

    def of(self, rows: pd.DataFrame) -> Floats:
        """Opacities (n,) of the fills of points; 1 where nothing is shared, since λ has no effect there."""
        return self.alpha(rows["weight"].where(rows["sharing"] != "none").to_numpy(dtype=np.float64))

    @property
    def ticks(self) -> Floats:
        """Round values of λ within the range; none if all λ are equal."""
        if self.high <= self.low:
            return np.empty(0)
        logits, slack = logit(np.array(TICKS)), 1e-6
        return np.array(TICKS)[(logits > self.low - slack) & (logits < self.high + slack)]


def plain_axes(axes: Axes, size: float) -> None:
    """Leave out the background and two sides of the frame; set ticks with labels of a size in pt."""
    axes.set_facecolor("none")
    axes.tick_params(labelsize=size, color=MUTED, labelcolor=INK, length=3, width=0.7)
    for side, spine in axes.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=MUTED, linewidth=0.7)


def draw_title(axes: Axes, title: str, size: float = 8.5) -> None:
    """Draw a title above the left end of the axes, of a size in pt."""
    axes.set_title(title, loc="left", fontsize=size, color=INK, fontweight="bold")


def xy(tables: Tables, rows: pd.DataFrame) -> Floats:
    """Coordinates (n, 2) of points in the figure: x, then y."""
    return rows[tables.names[::-1]].to_numpy(dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Drawn:
    """The points that a figure shows: an even selection if there are too many to draw.

    `omitted` names the points left out; counts and lines use all points.
    """

    front: pd.DataFrame
    standing: pd.DataFrame
    further: pd.DataFrame
    omitted: str

    @classmethod
    def of(cls, tables: Tables) -> "Drawn":
        """The front, other points that represent trials, and the rest of the candidates."""
        points = tables.evaluated
        groups = {
            "front": tables.front,
            "standing": points[points["stands"] & ~points["front"]],
            "further": points[~points["stands"] & ~points["front"]],
        }
        kept = {name: spaced(rows, MOST_DOTS[name]) for name, rows in groups.items()}
        names = {"front": "the front", "standing": "the trials' own points", "further": "the other epochs"}
        left = [
            f"{len(kept[name]):,} of {len(rows):,} points of {names[name]}"
            for name, rows in groups.items()
            if len(kept[name]) < len(rows)
        ]
        omitted = f"All points are counted, not all are drawn: {', '.join(left)}." if left else ""
        return cls(**kept, omitted=omitted)

    def inside(self, tables: Tables, axes: Axes) -> "Drawn":
        """The same points without those beyond the limits of the axes."""
        front, standing, further = (
            rows[inside(axes, xy(tables, rows))] for rows in (self.front, self.standing, self.further)
        )
        return Drawn(front, standing, further, self.omitted)


def inside(axes: Axes, at: Floats) -> NDArray[np.bool_]:
    """Mask (n,) of the places (n, 2) within the limits of the axes."""
    low, high = np.sort(np.array([axes.get_xlim(), axes.get_ylim()]), axis=1).T
    within: NDArray[np.bool_] = ((low <= at) & (at <= high)).all(axis=1)
    return within


def spaced(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most `most` of the rows, evenly spaced, with the first and the last."""
    if len(rows) <= most:
        return rows
    return rows.iloc[np.linspace(0, len(rows) - 1, most).round().astype(np.intp)]


def draw_points(axes: Axes, tables: Tables, drawn: Drawn, shades: Shades) -> None:
    """Draw the points, the front last."""
    for sharing, (_, color, _) in SHARING_STYLES.items():
        dots, standing, front = (
            rows[rows["sharing"] == sharing] for rows in (drawn.further, drawn.standing, drawn.front)
        )
        x, y = xy(tables, dots).T
        axes.scatter(x, y, s=3.5, color=color, alpha=0.35, linewidths=0, zorder=1.5)
        for rows, strong in (standing, False), (front, True):
            spread = rows[[f"{name}_sd" for name in tables.names[::-1]]].to_numpy(dtype=np.float64)
            draw_markers(axes, xy(tables, rows), sharing, shades.of(rows), bars=spread, strong=strong)


def draw_markers(
    axes: Axes, at: Floats, sharing: str, alphas: Floats, *, bars: Floats | None = None, strong: bool = True
) -> None:
    """Draw markers at (n, 2) with opacities (n,) of their fill, and bars of lengths (n, 2) to both sides.

    Bars are left out where a length is not finite. Dominated points are not `strong`.
    """
    marker, color, _ = SHARING_STYLES[sharing]
    (x, y), strength = at.T, 1.0 if strong else 0.5
    if bars is not None and (rows := np.isfinite(bars).all(axis=1)).any():
        right, up = bars[rows].T
        axes.errorbar(
            x[rows],
            y[rows],
            yerr=up,
            xerr=right,
            fmt="none",
            ecolor=color,
            elinewidth=0.9,
            alpha=strength,
            zorder=2.2,
        )
    fills = np.array([to_rgba(color, strength * alpha) for alpha in alphas]).reshape(-1, 4)
    if strong:
        axes.scatter(x, y, s=62, marker=marker, color=PAPER, linewidths=0, zorder=4)
        axes.scatter(x, y, s=62, marker=marker, linewidths=1.3, facecolors=fills, edgecolors=color, zorder=5)
    else:
        edge = to_rgba(color, 0.6)
        axes.scatter(x, y, s=26, marker=marker, linewidths=0.8, facecolors=fills, edgecolors=edge, zorder=2.5)


def draw_area(axes: Axes, losses: Floats, reference: Floats, goals: Sequence[Objective]) -> None:
    """Draw the hypervolume: from front losses (n, 2), the best in the first goal first, to the reference."""
    within = np.vstack([_steps(np.minimum(losses[::-1], reference), reference), reference])
    axes.fill(*from_losses(within, goals)[:, ::-1].T, color=VOLUME, alpha=0.09, linewidth=0, zorder=0)


def draw_staircase(axes: Axes, losses: Floats, goals: Sequence[Objective], *, color: str = INK) -> None:
    """Draw the edge of the region that front losses (n, 2), the best in the first goal first, attain.

    A staircase, never a line through points: between two points nothing was evaluated.
    """
    frame = to_losses(np.column_stack([axes.get_ylim(), axes.get_xlim()]), goals).max(axis=0)
    edge = _steps(losses[::-1], np.maximum(frame, losses.max(axis=0)))
    axes.plot(*from_losses(edge, goals)[:, ::-1].T, color=color, linewidth=1.0, alpha=0.75, zorder=2)


def front_keys() -> list[Artist]:
    """Keys that every figure of a front has."""
    return [
        Line2D(
            [],
            [],
            color=INK,
            linewidth=1.0,
            marker="o",
            markersize=7,
            markerfacecolor=PAPER,
            label="non-dominated",
        ),
        Line2D([], [], color=MUTED, linewidth=0.8, linestyle=DASHES, label="trivial model"),
        Line2D([], [], **REFERENCE, label="reference point"),
    ]


def draw_knee(axes: Axes, at: Floats) -> None:
    """Draw a ring around the knee at (2,)."""
    axes.plot(*at[:, None], **KNEE, zorder=5.5)


def knee_key() -> Artist:
    """A key for the knee."""
    return Line2D([], [], **(KNEE | {"markersize": 9}), label="knee")


def dot_key(label: str, *, size: float, alpha: float) -> Artist:
    """A key for points drawn smaller than those of the front."""
    return Line2D(
        [], [], color=MUTED, linestyle="none", marker="o", alpha=alpha, markersize=size, label=label
    )


def area_key() -> Artist:
    """A key for the hypervolume."""
    return Patch(facecolor=VOLUME, alpha=0.14, label="hypervolume")


def shape_keys(sharings: Collection[str]) -> list[Artist]:
    """A key for each of these ways of sharing."""
    return [
        Line2D([], [], marker=marker, color=color, linestyle="none", markersize=7, label=label)
        for sharing, (marker, color, label) in SHARING_STYLES.items()
        if sharing in sharings
    ]


def fill_keys(shades: Shades) -> list[Artist]:
    """A key for each round value of λ."""
    return [
        Line2D(
            [],
            [],
            marker="o",
            markerfacecolor=to_rgba(MUTED, alpha),
            markeredgecolor=MUTED,
            linestyle="none",
            markersize=7,
            label=text.weight(tick),
        )
        for tick, alpha in zip(shades.ticks, shades.alpha(shades.ticks), strict=True)
    ]


def _steps(losses: Floats, end: Floats) -> Floats:
    """Corners (2k + 1, 2) of the staircase over losses (n, 2) that fall in the first column, to both ends.

    Equal losses are one step. Of more than `STEPS` steps some are left out, so the line attains a bit less.
    """
    losses = losses[np.append(True, (np.diff(losses, axis=0) != 0).any(axis=1))]
    if len(losses) > STEPS:
        losses = losses[np.linspace(0, len(losses) - 1, STEPS).round().astype(np.intp)]
    up, right = np.repeat(losses[:, 0], 2), np.repeat(losses[:, 1], 2)
    return np.column_stack([np.append(end[0], up), np.append(right, end[1])])


def logit(weights: Floats) -> Floats:
    """log(λ / (1 − λ)), with λ clipped to [1e-6, 1 − 1e-6]; NaN stays NaN."""
    held = np.clip(weights, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(held) - np.log1p(-held), dtype=np.float64)
