"""The figure of the claims: their differences and verdicts by length of training."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.drawing import INK, MUTED, PAPER, Drawing
from analysis.figures.style import DASHES, SHARING_STYLES, draw_title, plain_axes
from analysis.questions.claims import RESPONSES, Claim, ClaimVerdict

Lengths = Sequence[tuple[int, tuple[Claim, ...]]]

VERDICT_STYLES: dict[ClaimVerdict, tuple[str, str, str]] = {
    "holds": ("o", SHARING_STYLES["both"][1], SHARING_STYLES["both"][1]),
    "undecided": ("o", MUTED, PAPER),
    "does not hold": ("X", SHARING_STYLES["users"][1], SHARING_STYLES["users"][1]),
}
"""Marker, edge and fill of each verdict."""

CLAIMS_SIZE_IN = (7.2, 5.6)
"""Inches, width and height."""

READING = (
    "A claim holds at a length of training if the bands of all its panels lie on the tinted side. A band "
    "that crosses zero leaves it undecided; more seeds make bands narrower."
)


def claims(lengths: Lengths, split: str) -> Drawing:
    """The figure `claims`: a row for each claim, a panel for each difference with its interval by epochs."""
    judged = lengths[-1][1]
    columns = max(len(claim.findings) for claim in judged)
    figure = Figure(figsize=CLAIMS_SIZE_IN, facecolor=PAPER)
    grid = figure.subplots(len(judged), columns, sharex=True, squeeze=False)
    figure.subplots_adjust(left=0.085, right=0.985, top=0.885, bottom=0.085, hspace=0.42, wspace=0.36)
    for row, claim in enumerate(judged):
        for column in range(columns):
            axes = grid[row, column]
            if column < len(claim.findings):
                _panel(axes, lengths, row, column)
            else:
                axes.set_axis_off()
        grid[row, len(claim.findings) - 1].xaxis.set_tick_params(labelbottom=True)
    figure.supxlabel("epochs of training", fontsize=8.5, color=INK, y=0.012)
    _legend(figure)
    return Drawing(
        figure=figure,
        name="claims",
        title=f"Differences that decide the claims, by length of training, {split}",
        caption=(
            "Mean difference over seeds with Student's 95 % interval, by epochs of training; the claimed "
            "side of the dashed zero line is tinted. Each length is judged separately, without adjustment "
            "for their number."
        ),
        reading=READING,
        description="Line charts with bands. "
        + " ".join(f"{c.name} {c.verdict} at the end." for c in judged),
    )


def _panel(axes: Axes, lengths: Lengths, row: int, column: int) -> None:
    """One difference by epochs."""
    claim = lengths[-1][1][row]
    epochs = np.array([length for length, _ in lengths])
    findings = [claims[row].findings[column] for _, claims in lengths]
    effects = np.array([finding.effect for finding in findings])
    ends = np.array([(f.low, f.high) if f.n > 1 else (f.effect, f.effect) for f in findings])
    axes.fill_between(epochs, *ends.T, color=MUTED, alpha=0.25, linewidth=0)
    axes.plot(epochs, effects, color=MUTED, linewidth=1.0)
    for verdict, (marker, edge, fill) in VERDICT_STYLES.items():
        at = np.array([claims[row].verdict == verdict for _, claims in lengths])
        axes.scatter(
            epochs[at],
            effects[at],
            s=20,
            marker=marker,
            facecolors=fill,
            edgecolors=edge,
            linewidths=0.9,
            zorder=3,
        )
    axes.axhline(0, color=MUTED, linewidth=0.8, linestyle=DASHES, zorder=1)
    low, high = axes.get_ylim()
    low, high = min(low, -0.12 * (high - low)), max(high, 0.12 * (high - low))
    axes.set_ylim(low, high)
    span = (0, high) if claim.signs[column] > 0 else (low, 0)
    axes.axhspan(*span, color=SHARING_STYLES["both"][1], alpha=0.07, linewidth=0, zorder=0)
    draw_title(axes, f"{claim.name}  {RESPONSES[claim.metrics[column]]}", 8)
    plain_axes(axes, 7.5)


def _legend(figure: Figure) -> None:
    """Draw the legend of the markers."""
    handles = [
        Line2D(
            [],
            [],
            color="none",
            marker=marker,
            markeredgecolor=edge,
            markerfacecolor=fill,
            markersize=5.5,
            label=f"the claim {verdict}" if verdict != "undecided" else "undecided",
        )
        for verdict, (marker, edge, fill) in VERDICT_STYLES.items()
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        ncols=len(handles),
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        bbox_to_anchor=(0.07, 0.99),
        handletextpad=0.3,
        columnspacing=1.6,
    )
