"""The section `choice`: the knee, the ends of the front, the best within round bounds, and the commands."""

import shlex
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pandas as pd
from matplotlib.ticker import MaxNLocator

from analysis import text
from analysis.objective import WHOLE, Objective
from analysis.questions import pick_commands
from analysis.report.blocks import Block, Section, TableBlock, Text
from analysis.report.common import POINT, point, spreads
from analysis.tables import Tables

TITLE = "Which point do I take?"

LEVELS = 4
"""Approximate number of round bounds on an objective."""

BASIS = (
    "All rules use the search's own values, as `study pick` does. The command trains that model again, "
    "checks it against the record, and writes it for use without torch. The test values of confirmed points "
    "are under “Can I trust the front?”."
)


Chosen = tuple[str, "pd.Series[Any]", str]
"""A rule, the point of the front that it takes, and the equivalent command."""


def choice(tables: Tables) -> Section:
    """The knee or the reason for none, and the point that each rule takes."""
    if not len(tables.front):
        return Section("choice", TITLE, [Text("There is no point to choose from.")])
    knee = pick_commands.kneed(tables)
    choices = list(_choices(tables, knee))
    blocks: list[Block] = [Text(_answer(tables, knee), "answer"), _grid(tables, choices), Text(BASIS)]
    if not tables.beats_reference(tables.front).any():
        blocks.append(Text("No point of the front is better than both trivial models.", "warning"))
    numbers = {} if knee is None else {"trial": knee["trial"], "epoch": knee["epoch"]}
    return Section("choice", TITLE, blocks, numbers | {"front": len(tables.front)})


def _answer(tables: Tables, knee: "pd.Series[Any] | None") -> str:
    """The knee in a sentence, or the reason for none."""
    name = shlex.quote(tables.manifest["name"])
    if len(tables.front.drop_duplicates(tables.names)) == 1:
        return "The front is one point: there is nothing to choose."
    if knee is None:
        beat = " that beat both trivial models" if tables.beats_reference(tables.useful).all() else ""
        return (
            f"No clear knee: none of the {text.count(len(tables.useful), 'point')}{beat} lies below the "
            "straight line between their two ends. Choose by the value that you need in one objective."
        )
    values = text.values(tables.goals, knee[tables.names], " at ")
    epochs = text.count(int(knee["epoch"]), "epoch")
    return (
        f"The knee, where the front bulges most, is trial {text.whole(knee['trial'])} after {epochs}: "
        f"{values}, on {tables.split}. `study pick {name} --knee` exports it."
    )


def _choices(tables: Tables, knee: "pd.Series[Any] | None") -> Iterator[Chosen]:
    """The knee, the front's two ends, and the points within round bounds, each once for each objective."""
    name = shlex.quote(tables.manifest["name"])
    if knee is not None:
        yield "the knee", knee, f"study pick {name} --knee"
    commands = pick_commands.commands(tables)
    for goal, row in zip(tables.goals, (0, -1), strict=True):
        end = tables.useful.iloc[row]
        yield f"the best {goal.label}", end, commands[end["trial"], end["epoch"]]
    for goal in pick_commands.boundable(tables):
        (other,) = (g for g in tables.goals if g is not goal)
        sign, taken = "≥" if goal.larger_is_better else "≤", set()
        for bound in _levels(tables, goal):
            best = pick_commands.within(tables, goal, bound)
            if best is not None and (best["trial"], best["epoch"]) not in taken:
                taken.add((best["trial"], best["epoch"]))
                rule = f"best {other.label} with {goal.label} {sign} {bound}"
                yield rule, best, pick_commands.bounded(tables, goal, bound)


def _levels(tables: Tables, goal: Objective) -> list[Decimal]:
    """Round bounds on a goal within the part of the front that beats the trivial models, if there is one."""
    values = tables.useful[goal.name]
    locator = MaxNLocator(nbins=LEVELS, steps=[1, 2, 2.5, 5, 10])
    ticks = map(float, locator.tick_values(values.min(), values.max()))
    within = [tick for tick in ticks if values.min() <= tick <= values.max()]
    return [Decimal(f"{t:.{goal.decimals}f}" if abs(t) < WHOLE else repr(t)) for t in within]


def _grid(tables: Tables, choices: list[Chosen]) -> TableBlock:
    """Table of the rules with their points and commands."""
    columns = ["rule", *POINT, *(goal.label for goal in tables.goals), "command"]
    rows = [
        [rule, *point(taken), *spreads(taken, tables.goals), f"`{command}`"]
        for rule, taken, command in choices
    ]
    caption = f"The point that each rule takes, {tables.split}, and the command that exports it"
    return TableBlock(caption, columns, rows, numeric=frozenset(columns) - {"rule", "sharing", "command"})
