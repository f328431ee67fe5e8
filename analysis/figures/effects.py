"""The figure of effects: each objective along a hyperparameter, all else even over its range, with bands."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from analysis import text
from analysis.figures.drawing import INK, MUTED, PAPER, Drawing
from analysis.figures.style import DASHES, SHARING_STYLES, TICKS, draw_title, logit, plain_axes
from analysis.objective import Floats
from analysis.questions.importance import Effect, Importance

MOST_EFFECTS = 4
"""Most hyperparameters drawn, those with the largest shares; the table has them all."""

READING = (
    "A band that stays clear of the dashed line over part of a range shows an effect there; each place of a "
    "band is a 95 % interval for itself. Faint curves come from a fit that is too poor to interpret."
)


def effects(found: Sequence[Importance], split: str, epochs: int) -> Drawing:
    """The figure `effects`: a row for each objective, a column for each hyperparameter."""
    names = drawn(found)
    figure = Figure(figsize=(7.2, 0.5 + 1.75 * len(found)), facecolor=PAPER)
    panels = figure.subplots(len(found), len(names), squeeze=False, sharey="row", sharex="col")
    height = figure.get_figheight()
    figure.subplots_adjust(
        left=0.1, right=0.985, hspace=0.3, wspace=0.12, top=1 - 0.28 / height, bottom=0.44 / height
    )
    for row, each in zip(panels, found, strict=True):
        by_name = {effect.name: effect for effect in each.effects}
        for axes, name in zip(row, names, strict=True):
            _panel(axes, by_name[name], 1.0 if each.readable else 0.3)
        row[0].set_ylabel("difference from mean", fontsize=7.8, color=INK)
        better = "higher" if each.objective.larger_is_better else "lower"
        poor = "" if each.readable else ", poor fit"
        draw_title(row[0], f"{each.objective.label} ({better} is better{poor})")
    for axes, name in zip(panels[-1], names, strict=True):
        axes.set_xlabel(text.pair([name]), fontsize=8.5, color=INK)
    left = len(found[0].effects) - len(names)
    more = f" {text.count(left, 'hyperparameter')} with smaller shares in the table only." if left else ""
    return Drawing(
        figure=figure,
        name="effects",
        title=f"Effect of each hyperparameter over the searched range, {split}",
        caption=(
            f"Mean difference from an objective's mean, at {text.count(epochs, 'epoch')}, along one "
            "hyperparameter, with all others evenly over their ranges (partial dependence); bands and bars "
            f"are 95 % intervals. λ: where something is shared.{more}"
        ),
        reading=READING,
        description=f"Line charts with bands: {', '.join(text.pair([name]) for name in names)}.",
    )


def drawn(found: Sequence[Importance]) -> list[str]:
    """The hyperparameters in the figure, the largest share in any objective first."""
    largest: dict[str, float] = {}
    for each in found:
        for total in each.totals:
            (name,) = total.names
            largest[name] = max(largest.get(name, 0.0), total.share)
    return sorted(largest, key=lambda name: -largest[name])[:MOST_EFFECTS]


def _panel(axes: Axes, effect: Effect, strength: float) -> None:
    """Draw one effect with its intervals, faint if the fit is too poor to interpret."""
    color = SHARING_STYLES["both"][1] if effect.name in ("weight", "sharing") else MUTED
    values, low, high = (np.array(side) for side in (effect.effect, effect.low, effect.high))
    axes.axhline(0, color=MUTED, linewidth=0.8, linestyle=DASHES, zorder=1)
    if effect.scale is None:
        at: Floats = np.arange(len(values), dtype=np.float64)
        ends = np.array([values - low, high - values]).clip(min=0.0)
        axes.errorbar(
            at,
            values,
            yerr=ends,
            fmt="o",
            color=color,
            ecolor=color,
            markersize=4,
            alpha=strength,
            capsize=2.5,
        )
        axes.set_xlim(-0.6, len(values) - 0.4)
        axes.set_xticks(at, [str(level) for level in effect.levels])
    else:
        at = _scaled(axes, effect)
        axes.fill_between(at, low, high, color=color, alpha=0.25 * strength, linewidth=0)
        axes.plot(at, values, color=color, linewidth=1.6, alpha=strength)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    plain_axes(axes, 7.2)


def _scaled(axes: Axes, effect: Effect) -> Floats:
    """Positions (l,) of the levels; sets the scale of the axis."""
    at = np.array(effect.levels, dtype=np.float64)
    if effect.scale == "logit":
        at = logit(at)
        ticks = [tick for tick in TICKS if at[0] <= logit(np.array(tick)) <= at[-1]]
        axes.set_xticks(logit(np.array(ticks)), [text.weight(tick) for tick in ticks])
    elif effect.scale == "log":
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(3))
    return at
