"""The section `decision`: the cost of one objective in the other on test; and the headline of the verdict."""

from collections.abc import Iterator
from math import ceil, floor, log10

import numpy as np

from analysis import text
from analysis.figures.style import SHARING_STYLES
from analysis.front import box
from analysis.objective import Floats, Objective, to_losses
from analysis.questions import pick_commands
from analysis.questions.confirmation import ConfirmedFront, confirmation
from analysis.questions.decision import (
    attained,
    distinguishable,
    exchanges,
    hypervolume_interval,
    winner,
)
from analysis.questions.resampling import DrawnMeans, draws
from analysis.report.blocks import Block, Section, TableBlock, Text
from analysis.report.common import POINT, estimates, point
from analysis.tables import Tables

TITLE = "What does one objective cost in the other?"

STEPS_BETWEEN = 6
"""Most steps between bounds on an objective in the table."""

CORRECTED = (
    "The best of several noisy values looks better than it is, so the medians and the interval of the "
    "hypervolume are corrected for that (bias-corrected percentiles of the draws). All hold for the "
    "confirmed points alone, and for each bound separately; the end “none” means that other users or seeds "
    "may leave no point within the bound."
)


def headline(tables: Tables, found: ConfirmedFront, drawn: DrawnMeans | None) -> str:
    """The answer of the study in a sentence: the best way of sharing, one point's values, the choices."""
    row = found.place(pick_commands.kneed(tables))
    name = "at the knee"
    if row is None:
        row = int(
            box(to_losses(found.before, found.goals), to_losses(tables.reference, found.goals)).argmax()
        )
        name = "at the point with the largest single-point hypervolume in the search"
    chosen = found.points.iloc[row]
    values = ", ".join(
        f"{goal.label} {cell}" for goal, cell in zip(found.goals, estimates(found, drawn)[row], strict=True)
    )
    epochs = text.count(int(chosen["epoch"]), "epoch")
    point_text = f"{name} (trial {text.whole(chosen['trial'])} after {epochs}) {values} on test"
    parts = [*_sharing(tables, found, drawn), point_text, *_choices(drawn)]
    joined = "; ".join(parts)
    return f"{joined[0].upper()}{joined[1:]}."


def _sharing(tables: Tables, found: ConfirmedFront, drawn: DrawnMeans | None) -> Iterator[str]:
    """The way of sharing with the largest hypervolume on test, if the draws show one."""
    ways = found.points["sharing"]
    if tables.evaluated["sharing"].nunique() < 2:
        return
    if ways.nunique() == 1:
        yield f"every confirmed point shares {SHARING_STYLES[ways.iloc[0]][2]}"
    elif drawn is not None:
        best = winner(drawn, ways.iloc[drawn.rows].tolist())
        yield (
            "no way of sharing clearly has the largest hypervolume on test"
            if best is None
            else f"sharing {SHARING_STYLES[best][2]} has the largest hypervolume on test"
        )


def _choices(drawn: DrawnMeans | None) -> Iterator[str]:
    """The number of points that are different choices."""
    if drawn is not None and len(drawn.rows) > 1:
        count = len(distinguishable(drawn))
        yield f"{count} points are distinguishable" if count > 1 else "no two points are distinguishable"


def decision(tables: Tables) -> Section | None:
    """The hypervolume on test, the best value within bounds, and the best point for rates of exchange.

    None before a confirmation, and if no interval can be given.
    """
    found = confirmation(tables)
    drawn = None if found is None else draws(tables, found)
    if found is None or drawn is None:
        return None
    low, median, high = hypervolume_interval(drawn).tolist()
    shown = ", ".join(text.volume(end) for end in (low, high))
    reference = text.values(found.goals, found.reference)
    answer = (
        f"The hypervolume on test is {text.volume(median)} [{shown}] against the reference ({reference})."
    )
    bounds, rates = _bounds(found, drawn), _rates(found, drawn)
    blocks: list[Block] = [Text(" ".join([answer, *_example(bounds)]), "answer")]
    if bounds.rows:
        blocks.append(bounds)
    blocks += [Text(CORRECTED), rates]
    numbers = {"hypervolume": median, "hypervolume_low": low, "hypervolume_high": high}
    return Section("decision", TITLE, blocks, numbers)


def _example(bounds: TableBlock) -> Iterator[str]:
    """The first row of the table of bounds as a sentence."""
    if bounds.rows:
        bound, best, reaches = bounds.rows[len(bounds.rows) // 4]
        yield f"With {bound}, {best} {reaches} is reached."


def _bounds(found: ConfirmedFront, drawn: DrawnMeans) -> TableBlock:
    """Table of the best value of each goal within round bounds on the other."""
    rows = []
    for bounded in (1, 0):
        goal, other = found.goals[bounded], found.goals[1 - bounded]
        levels, decimals = _levels(found.means[found.non_dominated][:, bounded], goal)
        losses = np.sort(goal.sign * np.array(levels))
        ends = attained(drawn, losses, bounded=bounded).T
        sign = "≥" if goal.larger_is_better else "≤"
        for level, (low, median, high) in zip(goal.sign * losses, other.sign * ends, strict=True):
            if np.isfinite(median):
                cell = text.ranged(median, min(low, high), max(low, high), other.decimals)
                bound = text.Number(f"{goal.label} {sign} {text.fixed(level, decimals)}", level)
                rows.append([bound, other.label, cell])
    caption = (
        "The best value within a bound on the other objective, on test: median and 95 % interval over "
        f"{drawn.over}"
    )
    return TableBlock(caption, ("with", "best", "reaches"), rows, numeric=frozenset({"with", "reaches"}))


def _levels(values: Floats, goal: Objective) -> tuple[list[float], int]:
    """At most seven round values within the range of values (n,), and the decimals that show them."""
    low, span = float(values.min()), float(np.ptp(values))
    if not span > 0:
        return [], goal.decimals
    power = 10.0 ** floor(log10(span / STEPS_BETWEEN))
    step = next(power * factor for factor in (1, 2, 5, 10) if span <= power * factor * STEPS_BETWEEN)
    levels = [step * count for count in range(ceil(low / step), floor((low + span) / step) + 1)]
    return levels, max(2, -floor(log10(step)))


def _rates(found: ConfirmedFront, drawn: DrawnMeans) -> TableBlock:
    """Table of the best point for each rate of exchange between the goals."""
    up, right = found.goals
    unit, decimals = 0.01, up.decimals + 1
    cells = [estimates(found, drawn)[row] for row in drawn.rows]
    rows = [
        [
            text.fixed(unit * one.low, decimals),
            text.fixed(unit * one.high, decimals),
            *point(found.points.iloc[drawn.rows[one.row]]),
            *cells[one.row],
            text.fixed(one.probability, 2),
        ]
        for one in exchanges(drawn)
    ]
    columns = ["from", "to", *POINT, up.label, right.label, "P(best)"]
    caption = (
        f"The best point on test for a rate of exchange: {unit} in {right.label} is worth this much in "
        f"{up.label}. P(best) is the probability at the middle of the rates"
    )
    return TableBlock(caption, columns, rows, numeric=frozenset(columns) - {"sharing"})
