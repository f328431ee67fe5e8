"""The figure of searches: hypervolume as a share of the target, against member-epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.drawing import INK, MUTED, Drawing

STYLES = {
    "random, never": (MUTED, ":"),
    "random, pareto-asha 6/2": ("#0f6fb4", "-"),
    "tpe, never": ("#b5651d", ":"),
    "tpe, pareto-asha 27/3": ("#b5651d", "-"),
}
"""Searches in the figure: one colour for each sampler, dotted if no trial is stopped."""

WORDS = "Hypervolume as a share of the target against member-epochs: medians and quartiles"


def shown(
    times: Sequence[int], shares: Mapping[str, Sequence[Sequence[float]]], file: Path | None
) -> list[str]:
    """Draw the figure into a file and return its Markdown; nothing without a file.

    `shares` has an array (runs, times) for each search.
    """
    if file is None:
        return []
    file.write_text(drawn(times, shares, file.stem).svg(), encoding="utf-8")
    return [f"![{WORDS}]({file.name})"]


def drawn(times: Sequence[int], shares: Mapping[str, Sequence[Sequence[float]]], name: str) -> Drawing:
    """Draw medians, and quartiles as a band if trials are stopped."""
    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.axhline(1.0, color=INK, linewidth=0.6)
    for label, (color, line) in STYLES.items():
        if label not in shares:
            continue
        low, middle, high = np.quantile(shares[label], [0.25, 0.5, 0.75], axis=0)
        axes.plot(times, middle, color=color, linestyle=line, linewidth=1.4, label=label)
        if line == "-":
            axes.fill_between(times, low, high, color=color, alpha=0.15, linewidth=0)
    axes.set(xlabel="member-epochs", ylabel="hypervolume ÷ target", ylim=(0.6, 1.08))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    return Drawing(figure, name, WORDS, WORDS, WORDS, WORDS)
