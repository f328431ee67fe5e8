"""The section `confirmed`: points of the front, trained again with fresh seeds and measured on test."""

import shlex
from collections import Counter

import numpy as np

from analysis import text
from analysis.figures import confirmation as confirmed_figure
from analysis.objective import Objective
from analysis.questions.confirmation import ConfirmedFront, confirmation, intervals
from analysis.report.blocks import Block, Findings, Section, TableBlock, Text
from analysis.report.common import POINT, point, spreads
from analysis.stats import EXPLORATORY_BELOW
from analysis.tables import Tables

TITLE = "Can I trust the front?"

CHOSEN_ON_TEST = (
    "This split has no validation part: the points were selected on the test set that they are measured on "
    "again. Fresh seeds remove the luck of the seed, not that of the selection."
)

CONFIRMED_METHOD = (
    "Intervals are Student's, over fresh seeds; they do not cover other users or another split. The column "
    "“non-dominated” compares means, and counts the seeds in which the point is non-dominated. Beyond noise, "
    "a point stays if the seeds show that it is better than each other point in at least one objective. It "
    "is dominated if they show a point that is better in both, and otherwise undecided. The tests are "
    "one-sided t tests of differences between runs with the same seed; a statement on a point is wrong in at "
    "most 5 % of cases."
)


def confirmed(tables: Tables) -> Section:
    """The confirmed points, their places on the front, and the shift from the search's values."""
    found = confirmation(tables)
    if found is None:
        progress = f"Not confirmed yet. Run `study confirm {shlex.quote(tables.manifest['name'])}`."
        if opened := tables.manifest["test_opened"]:
            progress = f"The test set was opened {opened}; no point has been measured on it yet."
        return Section("confirmed", TITLE, [Text(progress)])
    blocks: list[Block] = [Text(answer(tables, found), "answer")]
    if tables.manifest["data"]["has_validation"]:
        training = "Every point was trained on train and validation data for exactly its epochs."
        blocks.append(Text(f"The test set was opened {tables.manifest['test_opened']}, once. {training}"))
    else:
        blocks.append(Text(CHOSEN_ON_TEST, "warning"))
    blocks += [Text(warning, "warning") for warning in _lacking(tables, found)]
    blocks += [confirmed_figure.confirmed(tables, found), _points(found), Text(CONFIRMED_METHOD)]
    blocks += [_before(tables, found), *_over_users(tables, found)]
    if found.shifts:
        blocks += [Text(_moved(found), "answer"), Text(_differs(found)), _shifts(found)]
    return Section("confirmed", TITLE, blocks)


def answer(tables: Tables, found: ConfirmedFront) -> str:
    """The number of confirmed points, the number that stay non-dominated on test, and the uncertainty."""
    staying, outcomes = int(found.non_dominated.sum()), Counter(found.outcomes)
    planned, there = len(tables.manifest["confirmation"]["points"]), len(found.points)
    so_far = (
        "" if there == planned else f"{there} of {text.count(planned, 'planned point')} have test values. "
    )
    return (
        f"{so_far}Trained again with {_seeds(found)}, {staying} of {text.count(len(found.points), 'point')} "
        f"{'is' if staying == 1 else 'are'} non-dominated on test by the means. Beyond the noise of the "
        f"seeds: {outcomes['stays']} non-dominated, {outcomes['dominated']} dominated, "
        f"{outcomes['undecided']} undecided ({_seeds(found)} cannot separate them from a neighbour)."
    )


def _lacking(tables: Tables, found: ConfirmedFront) -> list[str]:
    """Warnings of planned points without a value, of later front points, and of missing seeds."""
    notes, confirmation = [], tables.manifest["confirmation"]
    there = set(zip(found.points["trial"], found.points["epoch"], strict=True))
    absent = [p for p in confirmation["points"] if (p["trial"], p["epoch"]) not in there]
    if absent:
        counts = Counter(p["state"] for p in absent)
        states = ", ".join(f"{number} {state}" for state, number in counts.items())
        points = text.count(len(confirmation["points"]), "point")
        notes.append(f"{len(absent)} of {points} lack a value ({states}).")
    if later := confirmation.get("found_later"):
        notes.append(
            f"Not confirmed: {later} of {text.count(len(tables.front), 'point')} of the front, found after "
            "the test set was opened. A study opens it once. To confirm a larger search, run a study under "
            "another name with the larger budget from the start."
        )
    if found.points["seeds"].min() < confirmation["replicates"]:
        notes.append(f"Not every point has all {confirmation['replicates']} seeds; the table has the counts.")
    if found.points["seeds"].max() < 2:
        notes.append("One seed gives no interval, so no point is decided.")
    return notes


def _points(found: ConfirmedFront) -> TableBlock:
    """Table of the points with their values and outcomes on test."""
    goals = found.goals
    words = ("non-dominated", "beyond noise", "beats trivial")
    columns = [*POINT, *(goal.label for goal in goals), *words]
    rows = [
        [
            *point(row),
            *(text.estimate(m, h, goal.decimals) for m, h, goal in zip(mean, half, goals, strict=True)),
            f"{'yes' if best else 'no'}, {times} of {row['seeds']}",
            outcome,
            beats,
        ]
        for (_, row), mean, half, best, times, outcome, beats in zip(
            found.points.iterrows(),
            found.means,
            found.halves,
            found.non_dominated,
            found.times,
            found.outcomes,
            found.beats_trivial,
            strict=True,
        )
    ]
    caption = f"The confirmed points: mean and 95 % interval on test over {_seeds(found)}"
    return TableBlock(caption, columns, rows, numeric=frozenset(columns) - {"sharing", *words})


def _before(tables: Tables, found: ConfirmedFront) -> TableBlock:
    """Table of the points with the search's values, the varying hyperparameters and the reason chosen."""
    why = {(p["trial"], p["epoch"]): p["why"] for p in tables.manifest["confirmation"]["points"]}
    varying = [name.replace("_", " ") for name in tables.varying]
    columns = [*POINT, *(goal.label for goal in found.goals), *varying, "chosen"]
    rows = [
        [
            *point(row),
            *spreads(row, found.goals),
            *(text.general(row[name]) for name in tables.varying),
            text.general(why.get((row["trial"], row["epoch"]))),
        ]
        for _, row in found.points.iterrows()
    ]
    caption = f"The same points as measured in the search, {tables.split}"
    return TableBlock(caption, columns, rows, numeric=frozenset(columns) - {"sharing", "chosen"}, folded=True)


def _over_users(tables: Tables, found: ConfirmedFront) -> list[Block]:
    """Each point's intervals over users and over seeds, if values of users are exported."""
    if not len(tables.users):
        return []
    ends = intervals(tables, found.points)
    columns = list(POINT)
    for goal in found.goals:
        columns += [f"{goal.label}, 95 % over seeds", f"{goal.label}, 95 % over users"]
    rows = []
    each = zip(found.points.iterrows(), found.means, found.halves, *ends.values(), strict=True)
    for (_, row), means, halves, *users in each:
        cells = point(row)
        for goal, mean, half, (low, high) in zip(found.goals, means, halves, users, strict=True):
            cells += [_from_to(mean - half, mean + half, goal), _from_to(low, high, goal)]
        rows.append(cells)
    caption = (
        "The same points with other users: bootstrap intervals over users beside the intervals over seeds"
    )
    method = (
        "Each user counts with the mean over the seeds. The interval over users is for the mean of other "
        "users like these, for each point separately. Points share their users, so their differences are "
        "more certain than two such intervals suggest."
    )
    return [TableBlock(caption, columns, rows, numeric=frozenset(columns) - {"sharing"}), Text(method)]


def _from_to(low: float, high: float, goal: Objective) -> text.Number | str:
    """An interval of values, or a dash if it is not finite."""
    if not np.isfinite([low, high]).all():
        return text.NO_NUMBER
    shown = f"{text.fixed(low, goal.decimals)} to {text.fixed(high, goal.decimals)}"
    return text.Number(shown, {"low": low, "high": high})


def _moved(found: ConfirmedFront) -> str:
    """The mean difference between the two measurements of the points, with its interval, in a sentence."""
    seen = "in the search" if found.earlier.split == "test" else f"on {found.earlier.split}"
    moves = []
    for finding, goal in zip(found.shifts, found.goals, strict=True):
        interval = "" if finding.n < 2 else f" {text.interval(finding.low, finding.high, goal.decimals)}"
        moves.append(f"{goal.label} {text.signed(finding.effect, goal.decimals)}{interval}")
    points = found.shifts[0].scope.partition(",")[0]
    return f"Values on test minus values {seen}: {', '.join(moves)}, on average over {points}."


def _differs(found: ConfirmedFront) -> str:
    """The differences between the two measurements, and the range of the interval."""
    seeds = "in the seeds"
    if found.earlier.selected:
        seeds += ", of which the earlier ones selected the points"
    if found.earlier.split == "test":
        words = f"The two measurements differ only {seeds}."
    else:
        words = (
            "The two measurements differ in the ratings that are predicted; in the training data, which for "
            "the test includes the validation ratings; in the items left out of a user's ranking, which for "
            f"the test include the validation items; and {seeds}. The difference cannot be assigned to one "
            "of these."
        )
    return f"{words} The interval covers the seeds of both measurements, not other users."


def _shifts(found: ConfirmedFront) -> Findings:
    """The shifts as findings."""
    noted = f" (exploratory: fewer than {EXPLORATORY_BELOW} seeds)" if found.shifts[0].exploratory else ""
    caption = f"From the search to the test set, {found.shifts[0].scope}{noted}"
    return Findings(caption, found.shifts, decimals=max(goal.decimals for goal in found.goals))


def _seeds(found: ConfirmedFront) -> str:
    """The largest number of fresh seeds of a point, as text."""
    return text.count(int(found.points["seeds"].max()), "fresh seed")
