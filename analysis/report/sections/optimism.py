"""The section `optimism`: points of the front with fresh seeds, on the data that the search chose them by."""

from analysis import text
from analysis.questions.optimism import Optimism, optimism
from analysis.report.blocks import Findings, Section, TableBlock, Text
from analysis.report.common import POINT, point
from analysis.stats import EXPLORATORY_BELOW, t_half_width
from analysis.tables import Tables

TITLE = "How much does the search flatter itself?"

OPTIMISM_METHOD = (
    "The configurations were trained again on the training data, with fresh seeds, and measured on the data "
    "of the search. These seeds did not choose the points, so the difference is the optimism of the "
    "search's values. The intervals are Student's, over seeds, for the expected values of these points; the "
    "search's values are constants. The hypervolume of means over few seeds is itself too large by their "
    "noise, so the ratio is a lower bound."
)


def flattered(tables: Tables) -> Section | None:
    """The optimism of the front's values; None for a study without fresh seeds on the search's data."""
    found = optimism(tables)
    if found is None:
        return None
    before, again = found.volumes
    few = f" (exploratory: fewer than {EXPLORATORY_BELOW} seeds)" if found.shifts[0].exploratory else ""
    caption = f"From the search to fresh seeds, {found.shifts[0].scope}{few}"
    shifts = Findings(caption, found.shifts, decimals=max(goal.decimals for goal in found.goals) + 1)
    answer, volumes = Text(_answer(found), "answer"), Text(_volumes(found))
    numbers = {
        "points": len(found.points),
        "front": found.front,
        "seeds": found.values.shape[1],
        "non_dominated": int(found.staying.sum()),
        "hypervolume_search": before,
        "hypervolume_fresh": again,
        **{f"shift_{goal.name}": f.effect for goal, f in zip(found.goals, found.shifts, strict=True)},
    }
    return Section(
        "optimism", TITLE, [answer, volumes, shifts, _points(found), Text(OPTIMISM_METHOD)], numbers
    )


def _answer(found: Optimism) -> str:
    """The mean shift of each goal with its interval, and the goals in which the search is too optimistic."""
    moves, flattered_in = [], []
    for goal, shift in zip(found.goals, found.shifts, strict=True):
        interval = "" if shift.n < 2 else f" {text.interval(shift.low, shift.high, goal.decimals + 1)}"
        moves.append(f"{text.signed(shift.effect, goal.decimals + 1)}{interval} in {goal.label}")
        if shift.direction == goal.sign:
            flattered_in.append(goal.label)
    seeds = text.count(found.values.shape[1], "fresh seed")
    points = text.count(found.front, "point")
    verdict = "The seeds do not show that the search's values are too good"
    if flattered_in:
        verdict = f"The search's values are too good in {' and '.join(flattered_in)}"
    return (
        f"{verdict}. With {seeds} on the same data, {len(found.points)} of {points} of the front moved on "
        f"average by {' and '.join(moves)}."
    )


def _volumes(found: Optimism) -> str:
    """The hypervolumes of these points, and the number that stays non-dominated."""
    before, again = found.volumes
    staying = int(found.staying.sum())
    ratio = (
        f": the search's values make it look {text.fixed(before / again, 2)} times as large" if again else ""
    )
    return (
        f"The hypervolume of these points is {text.volume(before)} by the search's values and "
        f"{text.volume(again)} by their means over fresh seeds{ratio}. By these means, {staying} of "
        f"{text.count(len(found.points), 'point')} {'stays' if staying == 1 else 'stay'} non-dominated among "
        "themselves."
    )


def _points(found: Optimism) -> TableBlock:
    """Table of the points with their values in the search and with fresh seeds."""
    words = ("non-dominated",)
    columns = list(POINT)
    for goal in found.goals:
        columns += [f"{goal.label}, search", f"{goal.label}, fresh seeds"]
    rows = []
    each = zip(found.points.iterrows(), found.before, found.values, found.staying, strict=True)
    for (_, row), before, values, stays in each:
        cells = point(row)
        for i, goal in enumerate(found.goals):
            half = t_half_width(values[:, i])
            cells += [
                text.fixed(float(before[i]), goal.decimals),
                text.estimate(float(values[:, i].mean()), half, goal.decimals),
            ]
        rows.append([*cells, "yes" if stays else "no"])
    columns += words
    caption = "The points of the front with fresh seeds: mean and 95 % interval beside the search's value"
    return TableBlock(caption, columns, rows, numeric=frozenset(columns) - {"sharing", *words}, folded=True)
