"""The figure of importance: shares of the variance with their intervals, a panel for each objective."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import text
from analysis.figures.drawing import INK, MUTED, PAPER, Drawing
from analysis.figures.style import SHARING_STYLES, draw_title, plain_axes
from analysis.questions.importance import Importance, VarianceShare

MOST_BARS = 10
"""Most hyperparameters and pairs in a panel; the table has them all."""

READING = (
    "A long bar whose interval is clear of 0 matters over the searched range, and may not over another "
    "range. Faint bars come from a fit that is too poor to interpret."
)


def importance(found: Sequence[Importance], split: str, epochs: int) -> Drawing:
    """The figure `importance`: bars of each objective's largest shares, the largest at the top."""
    rows = min(MOST_BARS, max(len(each.shares) for each in found)) + 1
    figure = Figure(figsize=(7.2, 0.64 + 0.25 * rows), facecolor=PAPER)
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    height = figure.get_figheight()
    figure.subplots_adjust(left=0.235, right=0.96, wspace=0.82, top=1 - 0.34 / height, bottom=0.3 / height)
    for axes, each in zip(panels, found, strict=True):
        _panel(axes, each, rows)
    best = "; ".join(
        f"{each.objective.label}: {text.pair(each.shares[0].names)} {text.percent(each.shares[0].share)}"
        for each in found
    )
    return Drawing(
        figure=figure,
        name="importance",
        title=f"Shares of each objective's variance over the searched range, {split}",
        caption=(
            f"Share of each objective's variance, at {text.count(epochs, 'epoch')}, that each hyperparameter "
            "explains alone, and each pair beyond its two; 95 % intervals. Hatched: not explained by the fit."
        ),
        reading=READING,
        description=f"Bar charts. Largest: {best}.",
    )


def _panel(axes: Axes, found: Importance, rows: int) -> None:
    """Draw the shares of one objective, faint if the fit is too poor to interpret."""
    shares, strength = found.shares[: rows - 1], 1.0 if found.readable else 0.35
    for place, share in enumerate(shares):
        _bar(axes, place, share, strength)
    axes.barh(
        len(shares),
        found.unexplained,
        height=0.62,
        facecolor="none",
        edgecolor=MUTED,
        hatch="////",
        linewidth=0.7,
    )
    names = [text.pair(share.names) for share in shares]
    axes.set_yticks(range(len(names) + 1), [*names, "not explained"])
    axes.set_ylim(rows - 0.4, -0.6)
    reach = max(0.1, found.unexplained, *(share.high for share in shares))
    axes.set_xlim(0, min(1.0, 1.05 * reach))
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    plain_axes(axes, 7.8)
    axes.tick_params(axis="y", length=0)
    fit = f"fit {text.percent(found.chosen.r2)}" if found.readable else "poor fit"
    draw_title(axes, f"{found.objective.label} ({fit})")


def _bar(axes: Axes, place: int, share: VarianceShare, strength: float) -> None:
    """Draw a share and its interval; λ and sharing, alone and as a pair, in colour."""
    of_the_question = set(share.names) <= {"weight", "sharing"}
    color = SHARING_STYLES["both"][1] if of_the_question else MUTED
    axes.barh(place, share.share, height=0.62, color=color, alpha=0.6 * strength, linewidth=0)
    ends = np.array([[max(share.share - share.low, 0.0)], [max(share.high - share.share, 0.0)]])
    axes.errorbar(
        share.share, place, xerr=ends, fmt="none", ecolor=INK, elinewidth=1.0, capsize=2.5, alpha=strength
    )
