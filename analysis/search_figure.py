"""The figure of a search: its hypervolume against trials, member-epochs and time."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis import text
from analysis.drawing import INK, MUTED, PAPER, Drawing
from analysis.marks import VOLUME
from analysis.progress import STEPS, Progress

SIZE = (7.2, 2.7)
"""Inches, width and height."""


def search(found: Progress) -> Drawing:
    """The figure `search`: three panels with one upward axis, the hypervolume."""
    figure = Figure(figsize=SIZE, facecolor=PAPER)
    panels = figure.subplots(1, 3, sharey=True)
    figure.subplots_adjust(left=0.115, right=0.98, bottom=0.19, top=0.93, wspace=0.14)
    minutes = found.seconds[-1] >= 180
    across = (
        ("trials ended", found.trials),
        ("member-epochs", found.member_epochs),
        ("minutes" if minutes else "seconds", found.seconds / (60 if minutes else 1)),
    )
    for axes, (label, values) in zip(panels, across, strict=True):
        axes.set_facecolor("none")
        axes.step(values, found.hypervolume, where="post", color=VOLUME, linewidth=1.6)
        axes.plot(values[-1:], found.hypervolume[-1:], marker="o", color=VOLUME, markersize=5)
        axes.axvline(values[-1] / 2, color=MUTED, linewidth=0.7, linestyle=(0, (2, 3)))
        axes.set_xlabel(label, fontsize=8.5, color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.tick_params(labelsize=8, color=MUTED, labelcolor=INK, length=3, width=0.7)
        axes.grid(axis="y", color=MUTED, alpha=0.25, linewidth=0.6)
        axes.set(xlim=(0, max(values[-1] * 1.03, 1e-9)), ylim=(0, max(found.hypervolume[-1] * 1.08, 1e-12)))
        for side, spine in axes.spines.items():
            spine.set(visible=side in ("left", "bottom"), color=MUTED, linewidth=0.7)
    panels[0].set_ylabel("hypervolume    better →", fontsize=8.5, color=INK, loc="top")
    panels[0].yaxis.set_major_locator(MaxNLocator(5))
    thinned = f" Taken at {STEPS} moments, of all trials until then." if len(found.trials) > STEPS else ""
    return Drawing(
        figure=figure,
        name="search",
        title="Hypervolume against trials, member-epochs and time",
        caption="Hypervolume of the front of all trials that had ended, against how many they were, the "
        "epochs they had trained, and the time since the first began; pauses between runs count as time. "
        f"Dotted: half of the way.{thinned}",
        description=f"Three step curves that rise from 0 to {found.hypervolume[-1]:.3g}. After "
        f"{text.count(int(found.trials[len(found.trials) // 2]), 'trial')} it is "
        f"{found.hypervolume[len(found.trials) // 2]:.3g}.",
    )
