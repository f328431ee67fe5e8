"""The figure of searches: hypervolume as a share of the target, against member-epochs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.drawing import INK, MUTED, Drawing

STYLES = {
    "random, never": (MUTED, ":"),
    "random, pareto-asha 6/2": ("#0f6fb4", "-"),
    "random, pareto-asha": ("#0f6fb4", "-"),
    "tpe, never": ("#b5651d", ":"),
    "tpe, pareto-asha 27/3": ("#b5651d", "-"),
    "tpe, pareto-asha": ("#b5651d", "-"),
}
"""Searches in the figure: one colour for each sampler, dotted if no trial is stopped."""


@dataclass(frozen=True)
class Panel:
    """One set of curves: the shares (runs, times) of each search at the same member-epochs."""

    title: str
    times: Sequence[int]
    shares: Mapping[str, Sequence[Sequence[float]]]


def shown(panels: Sequence[Panel], file: Path | None) -> list[str]:
    """Draw the figure into a file and return its Markdown; nothing without a file."""
    if file is None:
        return []
    file.write_text(drawn(panels, file.stem).svg(), encoding="utf-8")
    return [f"![{WORDS}]({file.name})"]


def drawn(panels: Sequence[Panel], name: str) -> Drawing:
    """Draw the panels side by side: medians, and quartiles as a band if trials are stopped."""
    figure = Figure(figsize=(4.6 * len(panels), 3.2), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        axes.axhline(1.0, color=INK, linewidth=0.6)
        for label, (color, line) in STYLES.items():
            if label not in panel.shares:
                continue
            low, middle, high = np.quantile(panel.shares[label], [0.25, 0.5, 0.75], axis=0)
            axes.plot(panel.times, middle, color=color, linestyle=line, linewidth=1.4, label=label)
            if line == "-":
                axes.fill_between(panel.times, low, high, color=color, alpha=0.15, linewidth=0)
        axes.set_title(panel.title, fontsize=9)
        axes.set_xlabel("member-epochs")
        axes.set_ylim(0.6, 1.08)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("hypervolume ÷ target")
    figure.axes[0].legend(loc="lower right", frameon=False, fontsize=8)
    return Drawing(figure, name, WORDS, WORDS, WORDS, WORDS)


WORDS = "Hypervolume as a share of the target against member-epochs: medians and quartiles"
