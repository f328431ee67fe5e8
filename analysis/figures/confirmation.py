"""The figure of the confirmed points: their means over fresh seeds on the test set."""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis import text
from analysis.figures.axes import draw_legends, framed, label_points
from analysis.figures.drawing import MUTED, PAPER, Drawing
from analysis.figures.style import (
    SHARING_STYLES,
    VOLUME,
    Shades,
    dot_key,
    draw_knee,
    draw_markers,
    draw_staircase,
    front_keys,
    knee_key,
)
from analysis.figures.tooltips import spots
from analysis.objective import Floats, to_losses
from analysis.questions.confirmation import ConfirmedFront
from analysis.questions.decision import attained
from analysis.questions.resampling import DrawnMeans
from analysis.tables import Tables

MARGIN_SHARE = 0.12
"""Room around what is drawn, as a share of its span."""

COLUMNS = 120
"""Places across the figure at which the band of attainment is computed."""

READING = (
    "Where the bars of two points overlap, the seeds may not show which is better. Thin lines join "
    "two different measurements, so their common direction says nothing of the points; a line that differs "
    "from the others shows the noise of the seeds."
)


def confirmed(
    tables: Tables, found: ConfirmedFront, drawn: DrawnMeans | None, knee: int | None = None
) -> Drawing:
    """The figure `confirmed`: means on test with their intervals, the band that the front attains by the
    draws, each point's values before the test set was opened, and a ring around the point `knee`.
    """
    up, right = tables.goals
    before = found.before
    limits = _limits(np.vstack([found.means, before, found.reference]))
    trivial = {
        model: {name: tables.manifest["confirmation"]["reference"][name] for name in metrics}
        for model, metrics in tables.manifest["trivial"].items()
    }
    figure, axes = framed(tables.goals, "test", limits, trivial, found.reference)
    shades = Shades.over(tables.evaluated["weight"].to_numpy(dtype=np.float64))
    if drawn is not None:
        _band(axes, found, drawn)
    draw_staircase(axes, to_losses(found.means[found.non_dominated], tables.goals), tables.goals)
    _moves(axes, before, found.means)
    _points(axes, found, shades)
    best = found.means[found.non_dominated]
    first, last = (text.values(tables.goals, end) for end in (best[0], best[-1]))
    at = found.means[:, ::-1]
    if knee is not None:
        draw_knee(axes, at[knee])
    label_points(
        axes, found.points, at, marked=at, dots=before[:, ::-1], bars=_bars(at, found.halves[:, ::-1])
    )
    draw_legends(figure, set(found.points["sharing"]), shades, _keys(tables, found, drawn, knee))
    return Drawing(
        figure=figure,
        name="confirmed",
        title=f"{up.label} against {right.label}, test, fresh seeds",
        caption=_caption(tables, found, drawn),
        reading=READING,
        description=f"Scatter plot with error bars. Non-dominated on test: from {first} to {last}.",
        spots=spots(tables, axes, found.points, at, on=tables.split, more=_measured(found)),
        zooms=True,
    )


def _limits(values: Floats) -> Floats:
    """Ends (2, 2) of the axes around values (n, 2), a column a goal."""
    low, high = values.min(axis=0), values.max(axis=0)
    margin = np.where(high > low, MARGIN_SHARE * (high - low), np.maximum(0.1 * np.abs(high), 1e-3))
    return np.vstack([low - margin, high + margin])


def _band(axes: Axes, found: ConfirmedFront, drawn: DrawnMeans) -> None:
    """Draw the band between the ends of the 95 % interval of the front's attainment, and its median."""
    up, right = found.goals
    bounds = np.sort(to_losses(np.linspace(*axes.get_xlim(), COLUMNS)[:, None], [right])[:, 0])
    low, high = sorted(axes.get_ylim())
    ends = np.clip(up.sign * attained(drawn, bounds, bounded=1), low, high)
    x = right.sign * bounds
    axes.fill_between(x, ends[0], ends[2], color=VOLUME, alpha=0.13, linewidth=0, zorder=0.5)
    axes.plot(x, ends[1], color=VOLUME, linewidth=1.0, linestyle=(0, (1, 1.5)), zorder=1.6)


def _moves(axes: Axes, before: Floats, after: Floats) -> None:
    """Draw a thin line from the earlier value of each point (n, 2) to its place on test."""
    y, x = before.T
    lines = np.stack([before, after], axis=1)[:, :, ::-1]
    axes.add_collection(LineCollection(list(lines), colors=MUTED, linewidths=0.6, alpha=0.7, zorder=1.8))
    axes.scatter(x, y, s=9, facecolors=PAPER, edgecolors=MUTED, linewidths=0.8, zorder=1.9)


def _bars(at: Floats, halves: Floats) -> list[Floats]:
    """The bars of points at (n, 2) as paths (2, 2), one to the sides and one up and down."""
    rows = np.isfinite(halves).all(axis=1)
    along = [at[rows] + halves[rows] * axis for axis in ((-1, 0), (1, 0), (0, -1), (0, 1))]
    return [*np.stack(along[:2], axis=1), *np.stack(along[2:], axis=1)]


def _points(axes: Axes, found: ConfirmedFront, shades: Shades) -> None:
    """Draw the means with their intervals: strong if no other mean dominates them, else faint."""
    at, halves = found.means[:, ::-1], found.halves[:, ::-1]
    alphas, sharing = shades.of(found.points), found.points["sharing"].to_numpy()
    for kind in SHARING_STYLES:
        for strong in (False, True):
            rows = (sharing == kind) & (found.non_dominated == strong)
            draw_markers(axes, at[rows], kind, alphas[rows], bars=halves[rows], strong=strong)


def _measured(found: ConfirmedFront) -> list[list[tuple[str, str]]]:
    """Each point's estimates on test, as label and text for each goal."""
    return [
        [
            (f"{g.label}, test", text.estimate(m, h, g.decimals))
            for g, m, h in zip(found.goals, *at, strict=True)
        ]
        for at in zip(found.means, found.halves, strict=True)
    ]


def _keys(tables: Tables, found: ConfirmedFront, drawn: DrawnMeans | None, knee: int | None) -> list[Artist]:
    """Keys for the points and lines that are drawn."""
    non_dominated, *lines = front_keys()
    keys = [non_dominated]
    if not found.non_dominated.all():
        keys.append(dot_key("dominated", size=4.5, alpha=0.7))
    seen = Line2D(
        [],
        [],
        color=MUTED,
        linewidth=0.6,
        marker="o",
        markersize=3,
        markerfacecolor=PAPER,
        label="in the search" if tables.split == "test" else f"on {tables.split}",
    )
    if knee is not None:
        keys.append(knee_key())
    band = [] if drawn is None else [Patch(facecolor=VOLUME, alpha=0.2, label="front, 95 % band")]
    return [*keys, seen, *lines, *band]


def _caption(tables: Tables, found: ConfirmedFront, drawn: DrawnMeans | None) -> str:
    """The caption of the figure."""
    up, right = tables.goals
    several = found.points["seeds"].max() > 1
    bars = "Bars: Student's 95 % interval of the mean over fresh seeds. " if several else ""
    if drawn is not None:
        bars += (
            f"The band contains the front's edge in 95 % of draws over other {drawn.over}, at each "
            f"{right.label} separately; dotted: its median. "
        )
    first = "the mean over the first fresh seeds" if found.earlier.fresh else "the value in the search"
    return (
        f"{up.label} against {right.label} on test: {text.count(len(found.points), 'point')} of the search, "
        f"trained again. {bars}Thin lines begin at {first}, on {tables.split}. Labels: λ and epochs."
    )
