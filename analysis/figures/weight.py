"""The figure of λ: each goal against logit λ, for each way of sharing."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import text
from analysis.figures.drawing import INK, MUTED, PAPER, Drawing
from analysis.figures.style import DASHES, SHARING_STYLES, TICKS, draw_title, logit, plain_axes, spaced
from analysis.objective import Floats, Objective
from analysis.questions.weight import EqualEpochs, Trend, medians
from analysis.tables import SHARINGS, Tables

MARKED = (0.5, 0.99)
"""The two values of λ in the claims."""

DENSE_FROM = 50
"""From this number of configurations, the outermost 2 % may be outside the frame, and dots are small."""

MOST_OF_A_SHARING = 300
"""Most configurations drawn of each way of sharing."""

READING = (
    "Where one objective improves with λ and the other gets worse, there is a trade-off; without a line no "
    "trend is clear. The spread of the marks around a line is the effect of everything else."
)


def trade(tables: Tables, equal: EqualEpochs, found: Sequence[Trend]) -> Drawing:
    """The figure `weight`: a panel for each goal, with a dot for each configuration at equal epochs.

    Only the clear ones of the trends have a line.
    """
    points = equal.points
    shared = points[points["sharing"] != "none"]
    clear = {(trend.sharing, trend.goal) for trend in found if trend.clear}
    figure = Figure(figsize=(7.2, 3.6), facecolor=PAPER)
    panels = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.075, right=0.985, top=0.82, bottom=0.13, wspace=0.24)
    beyond = 0
    for axes, goal, level in zip(panels, tables.goals, tables.reference, strict=True):
        limits = _limits(points[goal.name], points[f"{goal.name}_sd"], float(level))
        beyond += int(((points[goal.name] < limits[0]) | (points[goal.name] > limits[1])).sum())
        _panel(axes, points, goal, float(level))
        _lines(axes, shared[[(way, goal.name) in clear for way in shared["sharing"]]], goal)
        _dress(axes, goal, limits, shared["weight"].to_numpy(np.float64))
    _legend(figure, points, {way for way, _ in clear})
    noted = [f"Outside the frames: {text.count(beyond, 'value')}." if beyond else ""]
    if points["sharing"].value_counts().max() > MOST_OF_A_SHARING:
        noted.append(
            f"At most {MOST_OF_A_SHARING} configurations of each way of sharing are drawn; lines use all."
        )
    up, right = tables.goals
    return Drawing(
        figure=figure,
        name="weight",
        title=f"{up.label} and {right.label} against λ, {tables.split}",
        caption=(
            f"Each dot is a configuration after {text.count(equal.epochs, 'epoch')}, on {tables.split}"
            f"{'; lines join the medians of groups of rising λ, where a trend is clear' if clear else ''}. "
            "λ is the weight of ranking, on a logit scale; 0.5 and 0.99 are marked. "
            "Where nothing is shared, λ has no effect: a band shows median and quartiles. "
            f"{' '.join(filter(None, noted))}"
        ).strip(),
        reading=READING,
        description=f"Two scatter plots of {text.count(len(points), 'configuration')}.",
    )


def _limits(values: "pd.Series[float]", spread: "pd.Series[float]", level: float) -> tuple[float, float]:
    """Ends of the axis: the reference, and the values with their spread, of many without the outermost."""
    bars = spread.fillna(0.0)
    ends = (0.02, 0.98) if len(values) >= DENSE_FROM else (0.0, 1.0)
    low, high = float((values - bars).quantile(ends[0])), float((values + bars).quantile(ends[1]))
    low, high = min(low, level), max(high, level)
    margin = 0.06 * (high - low) if high > low else max(0.1 * abs(high), 1e-3)
    return low - margin, high + margin


def _panel(axes: Axes, points: pd.DataFrame, goal: Objective, level: float) -> None:
    """Draw the configurations of each way of sharing, and the reference."""
    axes.axhline(level, color=MUTED, linewidth=0.8, linestyle=DASHES, zorder=1)
    for way in SHARINGS:
        rows = points[points["sharing"] == way]
        marker, color, _ = SHARING_STYLES[way]
        values = rows[goal.name].to_numpy(np.float64)
        if not len(rows):
            continue
        if way == "none":
            low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
            axes.axhspan(low, high, color=color, alpha=0.18, linewidth=0, zorder=0)
            axes.axhline(middle, color=color, linewidth=1.2, zorder=1.2)
            continue
        some = spaced(rows.sort_values("weight"), MOST_OF_A_SHARING)
        x, y = logit(some["weight"].to_numpy(np.float64)), some[goal.name].to_numpy(np.float64)
        spread = some[f"{goal.name}_sd"].to_numpy(np.float64)
        bars = np.isfinite(spread)
        if bars.any():
            axes.errorbar(
                x[bars], y[bars], yerr=spread[bars], fmt="none", ecolor=color, elinewidth=0.9, alpha=0.6
            )
        size, alpha = (15, 0.45) if len(points) >= DENSE_FROM else (30, 0.8)
        axes.scatter(x, y, s=size, marker=marker, color=color, alpha=alpha, linewidths=0, zorder=2)


def _lines(axes: Axes, points: pd.DataFrame, goal: Objective) -> None:
    """Join the medians of groups of rising λ, for each way of sharing."""
    for way, rows in points.groupby("sharing"):
        line = medians(rows["weight"].to_numpy(np.float64), rows[goal.name].to_numpy(np.float64))
        axes.plot(logit(line[:, 0]), line[:, 1], color=SHARING_STYLES[str(way)][1], linewidth=1.6, zorder=3)


def _dress(axes: Axes, goal: Objective, limits: tuple[float, float], weights: Floats) -> None:
    """Draw the frame, the scale and the two λ of the claims."""
    spots = logit(np.array([*weights, *MARKED]))
    room = 0.04 * float(np.ptp(spots))
    axes.set(ylim=limits, xlim=(spots.min() - room, spots.max() + room))
    ticks = [tick for tick in TICKS if axes.get_xlim()[0] <= logit(np.array(tick)) <= axes.get_xlim()[1]]
    axes.set_xticks(logit(np.array(ticks)), [text.weight(tick) for tick in ticks])
    axes.set_xlabel("λ, weight of ranking", fontsize=8.5, color=INK)
    draw_title(axes, f"{goal.label} ({'higher' if goal.larger_is_better else 'lower'} is better)")
    for spot in logit(np.array(MARKED)):
        axes.axvline(float(spot), color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    plain_axes(axes, 7.8)


def _legend(figure: Figure, points: pd.DataFrame, joined: Collection[str]) -> None:
    """Add the legend: each way of sharing, with a line if it is among `joined`, and the trivial model."""
    handles: Sequence[Line2D] = [
        Line2D(
            [],
            [],
            color=color,
            marker="none" if way == "none" else marker,
            markersize=5.5,
            linewidth=1.6 if way in joined or way == "none" else 0.0,
            label=name,
        )
        for way, (marker, color, name) in SHARING_STYLES.items()
        if (points["sharing"] == way).any()
    ]
    trivial = Line2D([], [], color=MUTED, linewidth=0.8, linestyle=DASHES, label="trivial model")
    figure.legend(
        handles=[*handles, trivial],
        loc="upper left",
        ncols=5,
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        bbox_to_anchor=(0.062, 1.0),
        handletextpad=0.5,
        columnspacing=1.6,
        title="Tables shared",
        alignment="left",
        title_fontsize=8,
    ).get_title().set(color=INK)
