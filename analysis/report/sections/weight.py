"""The section `weight`: each goal against λ, for each way of sharing."""

from analysis import text
from analysis.figures import weight as trade_figure
from analysis.questions.sharing import NAMED
from analysis.questions.weight import BINS, EqualEpochs, Trend, equal_epochs, trends
from analysis.report.blocks import Block, Section, TableBlock, Text
from analysis.report.common import first, point, spreads
from analysis.stats import BOOTSTRAP_FROM
from analysis.tables import Tables

TITLE = "How does λ trade one objective for the other?"

MOST_WEIGHT_ROWS = 200
"""Most configurations in the table."""


def weight(tables: Tables) -> Section:
    """The goals against λ as a figure, their rank correlation with it, and the figure's data."""
    equal = equal_epochs(tables)
    shared = equal.points[equal.points["sharing"] != "none"]
    if shared["weight"].nunique() < 2:
        tried = text.count(shared["weight"].nunique(), "value")
        note = f"λ is not compared: where tables are shared, the study has {tried} of λ."
        return Section("weight", TITLE, [Text(note)])
    found = trends(tables, equal.points)
    if found:
        answer = Text(_answer(found, tables), "answer")
    else:
        needed = f"{BOOTSTRAP_FROM} configurations with {BINS} values of λ under one way of sharing"
        answer = Text(f"No trend is estimated: that needs {needed}.")
    figure = trade_figure.trade(tables, equal, found)
    blocks: list[Block] = [answer, Text(_compared(equal)), figure]
    if found:
        blocks.append(_trends(found, tables))
    blocks.append(_data(tables, equal, figure.title))
    numbers = {f"{t.sharing} {t.goal}": t.correlation for t in found}
    return Section("weight", TITLE, blocks, numbers)


def _answer(found: list[Trend], tables: Tables) -> str:
    """The trends whose intervals exclude 0, for each goal and way of sharing, in a sentence."""
    by_goal = []
    for goal in tables.goals:
        ways = [t for t in found if t.goal == goal.name and t.clear]
        words = ", ".join(
            f"{text.signed(t.correlation, 2)} {text.interval(t.low, t.high, 2)} (shared: {NAMED[t.sharing]})"
            for t in ways
        )
        by_goal.append(f"{goal.label} {words or 'no clear trend'}")
    return f"Rank correlation with λ at equal epochs: {'; '.join(by_goal)}."


def _compared(equal: EqualEpochs) -> str:
    """The epochs at which configurations are compared, and the trials that are left out."""
    without = text.count(equal.lacking, "trial")
    left = f" Left out: {without} without a measurement there." if equal.lacking else ""
    return (
        f"Each configuration counts with its values after {text.count(equal.epochs, 'epoch')}; every ended "
        "trial was trained for as many or more. So the stopping of trials does not change the comparison."
        f"{left}"
    )


def _trends(found: list[Trend], tables: Tables) -> TableBlock:
    """The correlations with their intervals."""
    labels = {goal.name: goal.label for goal in tables.goals}
    columns = ("objective", "shared", "configurations", "rank correlation with λ", "95 % interval")
    rows = [
        [
            labels[t.goal],
            NAMED[t.sharing],
            text.whole(t.configurations),
            text.signed(t.correlation, 2),
            text.interval(t.low, t.high, 2),
        ]
        for t in found
    ]
    caption = (
        f"Spearman's correlation of the objectives with λ on {tables.split}, over the configurations of this "
        "search at equal epochs, with a bootstrap interval over them. It describes this search, not the "
        "effect of λ alone"
    )
    return TableBlock(caption, columns, rows, numeric=frozenset(columns[2:]))


def _data(tables: Tables, equal: EqualEpochs, title: str) -> TableBlock:
    """The figure's points."""
    points = equal.points.sort_values(["sharing", "weight", "trial"])
    columns = ("trial", "λ", "shared", "epochs", *(goal.label for goal in tables.goals))
    rows = [
        [*point(row | {"sharing": NAMED[row["sharing"]]}), *spreads(row, tables.goals)]
        for row in points.head(MOST_WEIGHT_ROWS).to_dict("records")
    ]
    title += first(MOST_WEIGHT_ROWS, len(points), "trials")
    return TableBlock(title, columns, rows, numeric=frozenset(columns) - {"shared"}, folded=True)
