"""Placement of labels: as many as fit without an overlap, each nearest to its own point."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from analysis.objective import Floats

GAP = 7.0
"""Points (1/72 inch) between a marker's centre and its label."""

MARGIN_PX = 6.0
"""Pixels between a label and the frame, or another label."""

CLEARANCE = 1.5
"""Every other mark is at least this many times as far from a label as the label's own point."""

PLACES = (
    (-0.8, 0.5, "right", "bottom"),
    (-1.0, 0.0, "right", "center"),
    (0.0, 1.0, "center", "bottom"),
    (1.0, 0.0, "left", "center"),
    (0.8, 0.5, "left", "bottom"),
    (0.8, -0.5, "left", "top"),
    (0.0, -1.0, "center", "top"),
    (-0.8, -0.5, "right", "top"),
)
"""Possible places of a label, best first: direction from the point, then alignment."""


@dataclass(frozen=True, slots=True)
class Label:
    """A text and the point, in data coordinates, that it belongs to."""

    x: float
    y: float
    text: str


def place(
    axes: Axes,
    labels: Sequence[Label],
    *,
    marks: Floats,
    clear: Sequence[Bbox],
    dots: Floats,
    size: float,
    color: str,
) -> int:
    """Draw the labels, in their order, that fit; return their number.

    A label stays inside the axes, off the boxes in `clear` and off earlier labels. It is left out if a
    reader might assign it to another of the `marks` (n, 2). Of the possible places it takes the one that
    covers the fewest `dots` (n, 2). Boxes, marks and dots are in pixels.
    """
    frame, placed = axes.get_window_extent().padded(-MARGIN_PX), 0
    boxes = np.array([box.extents for box in clear]).reshape(-1, 4)
    for label in labels:
        best: tuple[int, Annotation, Bbox] | None = None
        own = np.asarray(axes.transData.transform((label.x, label.y)))
        for right, up, horizontal, vertical in PLACES:
            note = Annotation(
                label.text, (label.x, label.y), (right * GAP, up * GAP), textcoords="offset points"
            )
            note.set(ha=horizontal, va=vertical, fontsize=size, color=color, zorder=6)
            axes.add_artist(note)
            box = note.get_window_extent()
            note.remove()
            inside = np.all(frame.min <= box.min) and np.all(box.max <= frame.max)
            if inside and not _touches(box, boxes) and _names(box, own, marks):
                covered = int(((dots > box.min) & (dots < box.max)).all(axis=1).sum())
                if best is None or covered < best[0]:
                    best = covered, note, box
        if best:
            axes.add_artist(best[1])
            boxes = np.vstack([boxes, best[2].padded(MARGIN_PX).extents])
            placed += 1
    return placed


def segments(path: Floats, *, width: float) -> list[Bbox]:
    """Boxes, `width` pixels wide, along the segments of a path (n, 2) parallel to the axes, in pixels."""
    ends = np.stack([path[:-1], path[1:]])
    low, high = ends.min(axis=0) - width / 2, ends.max(axis=0) + width / 2
    return [Bbox.from_extents(*a, *b) for a, b in zip(low, high, strict=True)]


def _touches(box: Bbox, boxes: Floats) -> bool:
    """True if a box touches one of the boxes (n, 4): left, bottom, right and top of each."""
    left, bottom, right, top = boxes.T
    beside = (left > box.x1) | (right < box.x0) | (bottom > box.y1) | (top < box.y0)
    return not bool(beside.all())


def _names(box: Bbox, own: Floats, marks: Floats) -> bool:
    """True if a box is clearly nearer to its `own` mark (2,) than to any other of the marks (n, 2).

    Marks in one place look like one mark, and a label names all of them.
    """
    others = marks[np.hypot(*(marks - own).T) >= 1]
    return bool((distances(box, others) >= CLEARANCE * distances(box, own[None])).all())


def distances(box: Bbox, points: Floats) -> Floats:
    """Distances (n,) of points (n, 2) from a box; 0 within it."""
    beyond = np.maximum(np.maximum(box.min - points, points - box.max), 0.0)
    return np.asarray(np.hypot(*beyond.T), dtype=np.float64)
