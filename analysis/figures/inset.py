"""An inset of the part of a figure in which marks overlap, in a corner without marks."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from analysis.figures.drawing import MUTED, PAPER
from analysis.figures.style import plain_axes
from analysis.objective import Floats

MARK_PX = 11.0
"""Pixels across a mark of the front."""

INSET_SHARE = 0.36
"""Width and height of the inset, as shares of the axes'."""

INSET_GAP_SHARE = 0.03
"""Room between the inset and the frame, as a share of the axes."""

FEWEST_MARKS = 3
"""Marks in a group that is worth an inset."""

LEAST_ZOOM = 1.8


def crowded(pixels: Floats) -> NDArray[np.bool_]:
    """Mask (n,) of the largest group of marks at (n, 2) pixels in which each overlaps another one.

    Marks in one place count once, as no magnification separates them; no mark is in it if no group has three.

    >>> crowded(np.array([[0.0, 0], [8, 0], [16, 0], [99, 0], [99, 0]]))
    array([ True,  True,  True, False, False])
    """
    near = np.linalg.norm(pixels[:, None] - pixels, axis=2) < MARK_PX
    groups = np.arange(len(pixels))
    for row in near:  # as in union-find: all neighbours get the smallest number of their groups
        joined = np.unique(groups[row])
        groups[np.isin(groups, joined)] = joined[0]
    best = np.zeros(len(pixels), dtype=np.bool_)
    most = FEWEST_MARKS - 1
    for group in np.unique(groups):
        members = groups == group
        places = len(np.unique(pixels[members].round(), axis=0))
        if places > most:
            best, most = members, places
    return best


def inset(axes: Axes, marks: Floats, dots: Floats) -> Axes | None:
    """Add an inset of the largest crowded group of marks at (n, 2), with a line around its part of the axes.

    It has the corner that covers no mark and the fewest of the `dots` (n, 2). None without such a group or
    corner, or if the group is too wide to magnify.
    """
    to_pixels = axes.transData.transform
    pixels = to_pixels(marks)
    group = crowded(pixels)
    if not group.any():
        return None
    low, high = pixels[group].min(axis=0) - 1.5 * MARK_PX, pixels[group].max(axis=0) + 1.5 * MARK_PX
    frame = axes.get_window_extent()
    sizes = INSET_SHARE * np.array(frame.size)
    reach = np.maximum(high - low, sizes / np.min(sizes / (high - low)))  # the shape of the inset
    if (sizes / reach).min() < LEAST_ZOOM:
        return None
    centre = (low + high) / 2
    source = Bbox.from_extents(*(centre - reach / 2), *(centre + reach / 2))
    lone = [path for line in axes.lines if len(path := np.asarray(line.get_xydata())) == 1]
    taken = [source, *(note.get_window_extent() for note in axes.texts)]
    corner = _corner(frame, to_pixels(np.vstack([marks, *lone])), to_pixels(dots), taken)
    if corner is None:
        return None
    made = axes.inset_axes((*corner, INSET_SHARE, INSET_SHARE))
    ends = axes.transData.inverted().transform(source.get_points())
    made.set(xlim=ends[:, 0], ylim=ends[:, 1])
    plain_axes(made, 6.5)
    made.set_facecolor(PAPER)
    made.locator_params(nbins=3)
    for spine in made.spines.values():
        spine.set(visible=True, color=MUTED, linewidth=0.7)
    axes.indicate_inset_zoom(made, edgecolor=MUTED, alpha=0.9, linewidth=0.7)
    return made


def _corner(frame: Bbox, marks: Floats, dots: Floats, taken: Sequence[Bbox]) -> tuple[float, float] | None:
    """Lower left corner of the inset, as shares of the axes; None if each would cover a mark or a box."""
    far = 1 - INSET_SHARE - INSET_GAP_SHARE
    near = 0.09  # room for the labels of its axis
    best: tuple[int, tuple[float, float]] | None = None
    for x, y in ((near, far), (far, near), (far, far), (near, near)):
        start = np.array(frame.min) + np.array([x, y]) * frame.size
        box = Bbox.from_extents(*start, *(start + INSET_SHARE * np.array(frame.size))).padded(MARK_PX)
        if any(map(box.overlaps, taken)) or _within(marks, box):
            continue
        covered = _within(dots, box)
        if best is None or covered < best[0]:
            best = covered, (x, y)
    return best[1] if best else None


def _within(pixels: Floats, box: Bbox) -> int:
    """The number of places (n, 2) within a box."""
    return int(((pixels > box.min) & (pixels < box.max)).all(axis=1).sum())
