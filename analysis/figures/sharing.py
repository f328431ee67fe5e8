"""The figure of sharing: the front of each way of sharing."""

from analysis import text
from analysis.figures.axes import draw_legends, framed
from analysis.figures.drawing import Drawing
from analysis.figures.front import frame
from analysis.figures.style import (
    SHARING_STYLES,
    Shades,
    draw_markers,
    draw_staircase,
    front_keys,
    spaced,
    xy,
)
from analysis.questions.sharing import fronts
from analysis.tables import Tables

MOST_OF_A_FRONT = 150
"""Most points drawn of each front."""

READING = (
    "A staircase that lies beyond another reaches values that the other does not. A way of sharing that "
    "the sampler tried more often, or tuned more, reaches further by that alone: the report compares the "
    "configurations that it did not tune."
)


def sharing(tables: Tables) -> Drawing:
    """The figure `sharing`: a staircase for each way of sharing, over its own non-dominated points."""
    up, right = tables.goals
    found = fronts(tables)
    trivial = tables.manifest["trivial"]
    figure, axes = framed(tables.goals, tables.split, frame(tables), trivial, tables.reference)
    shades = Shades.over(tables.evaluated["weight"].to_numpy(dtype=float))
    for way, rows in found.items():
        draw_staircase(axes, tables.losses(rows), tables.goals, color=SHARING_STYLES[way][1])
        some = spaced(rows, MOST_OF_A_FRONT)
        draw_markers(axes, xy(tables, some), way, shades.of(some))
    _, *lines = front_keys()
    draw_legends(figure, set(found), shades, lines)
    thinned = any(len(rows) > MOST_OF_A_FRONT for rows in found.values())
    noted = f" At most {MOST_OF_A_FRONT} points of each front are drawn." if thinned else ""
    ends = "; ".join(
        f"{SHARING_STYLES[way][2]}: {up.label} up to {text.fixed(float(rows[up.name].iloc[0]), up.decimals)}"
        for way, rows in found.items()
    )
    return Drawing(
        figure=figure,
        name="sharing",
        title=f"The front of each way of sharing, {tables.split}",
        caption=(
            f"{up.label} against {right.label} on {tables.split}: the points of each way of sharing that no "
            f"other point of that way dominates.{noted}"
        ),
        reading=READING,
        description=f"Staircases. {ends}.",
    )
