"""The section `confirmed`: points of the front, trained again with fresh seeds and measured on test."""

import shlex
from collections import Counter

import numpy as np

from analysis import text
from analysis.figures import confirmation as confirmed_figure
from analysis.questions import pick_commands
from analysis.questions.confirmation import ConfirmedFront, confirmation
from analysis.questions.decision import probabilities
from analysis.questions.resampling import DrawnMeans, draws
from analysis.report.blocks import Block, Findings, Section, TableBlock, Text
from analysis.report.common import POINT, estimates, point, spreads
from analysis.stats import EXPLORATORY_BELOW
from analysis.tables import Tables

TITLE = "Can I trust the front?"

SURE = 0.95
"""Probability from which the answer counts a point as non-dominated."""

CHOSEN_ON_TEST = (
    "This split has no validation part: the points were selected on the test set that they are measured on "
    "again. Fresh seeds remove the luck of the seed, not that of the selection."
)

PROBABILITIES = (
    "P(non-dominated) is the share of {draws:,} draws of the means that other {over} might have given. "
    "{spread} Each draw has all points, so points are compared by their differences. The share is cautious: "
    "noise makes points look dominated. P(knee) is the probability that the point is the knee if all points "
    "are measured again, with other {over}; in simulations it is up to .15 too large. The bars of the "
    "figure, and the column “beats trivial”, cover the seeds only."
)

SPREADS_OVER = {
    "users and seeds": "The seeds vary as Student's t, the users by their own part of the variance.",
    "seeds": "The seeds vary as Student's t; other users are not covered.",
}


def confirmed(tables: Tables) -> Section:
    """The confirmed points, their places on the front, and the shift from the search's values."""
    found = confirmation(tables)
    if found is None:
        progress = f"Not confirmed yet. Run `study confirm {shlex.quote(tables.manifest['name'])}`."
        if opened := tables.manifest["test_opened"]:
            progress = f"The test set was opened {opened}; no point has been measured on it yet."
        return Section("confirmed", TITLE, [Text(progress)])
    drawn, knee = draws(tables, found), found.place(pick_commands.kneed(tables))
    blocks: list[Block] = [Text(answer(tables, found, drawn), "answer")]
    if tables.manifest["data"]["has_validation"]:
        training = "Every point was trained on train and validation data for exactly its epochs."
        blocks.append(Text(f"The test set was opened {tables.manifest['test_opened']}, once. {training}"))
    else:
        blocks.append(Text(CHOSEN_ON_TEST, "warning"))
    blocks += [Text(warning, "warning") for warning in _lacking(tables, found)]
    blocks += [confirmed_figure.confirmed(tables, found, drawn, knee), _points(found, drawn)]
    if drawn is not None:
        spread = SPREADS_OVER[drawn.over]
        blocks.append(Text(PROBABILITIES.format(draws=len(drawn.losses), over=drawn.over, spread=spread)))
    blocks.append(_before(tables, found))
    if found.shifts:
        blocks += [Text(_moved(found), "answer"), Text(_differs(found)), _shifts(found)]
    return Section("confirmed", TITLE, blocks)


def answer(tables: Tables, found: ConfirmedFront, drawn: DrawnMeans | None) -> str:
    """The number of confirmed points, and the number that stay non-dominated on test."""
    staying = int(found.non_dominated.sum())
    planned, there = len(tables.manifest["confirmation"]["points"]), len(found.points)
    so_far = (
        "" if there == planned else f"{there} of {text.count(planned, 'planned point')} have test values. "
    )
    by_means = (
        f"{so_far}Trained again with {_seeds(found)}, {staying} of {text.count(len(found.points), 'point')} "
        f"{'is' if staying == 1 else 'are'} non-dominated on test by the means"
    )
    if drawn is None:
        return f"{by_means}."
    sure = int((probabilities(drawn)[0] >= SURE).sum())
    return (
        f"{by_means}. Over other {drawn.over}, {text.count(sure, 'point')} {'is' if sure == 1 else 'are'} "
        f"non-dominated with a probability of {SURE} or more."
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
            "the points to confirm were chosen. A study chooses them once. To confirm a larger "
            "search, run a study under another name with the larger budget from the start."
        )
    if found.points["seeds"].min() < confirmation["replicates"]:
        notes.append(f"Not every point has all {confirmation['replicates']} seeds; the table has the counts.")
    if found.points["seeds"].max() < 2:
        notes.append("One seed gives no interval and no probability.")
    return notes


def _points(found: ConfirmedFront, drawn: DrawnMeans | None) -> TableBlock:
    """Table of the points with their values and probabilities on test."""
    goals, count = found.goals, len(found.points)
    shares = np.full((count, 2), np.nan)
    if drawn is not None:
        shares[drawn.rows] = np.column_stack(probabilities(drawn))
    columns = [*POINT, *(goal.label for goal in goals), "P(non-dominated)", "P(knee)", "beats trivial"]
    each = zip(
        found.points.to_dict("records"), estimates(found, drawn), shares, found.beats_trivial, strict=True
    )
    rows = [
        [*point(row), *values, *(text.fixed(share, 2) for share in both), beats]
        for row, values, both, beats in each
    ]
    over = "seeds" if drawn is None else drawn.over
    caption = f"The confirmed points: mean and 95 % interval over {over} on test, with {_seeds(found)}"
    return TableBlock(caption, columns, rows, numeric=frozenset(columns) - {"sharing", "beats trivial"})


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
    seeds = "in the seeds, of which the earlier ones selected the points"
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
    caption = f"Means over points before and on the test set, {found.shifts[0].scope}{noted}"
    return Findings(caption, found.shifts, decimals=max(goal.decimals for goal in found.goals))


def _seeds(found: ConfirmedFront) -> str:
    """The largest number of fresh seeds of a point, as text."""
    return text.count(int(found.points["seeds"].max()), "fresh seed")
