"""The section `search`: hypervolume against trials, member-epochs and time."""

import numpy as np
import pandas as pd

from analysis import text
from analysis.figures.search import search as draw
from analysis.figures.style import spaced
from analysis.questions.hypervolume_history import at_epochs, drawn_at_random, growth
from analysis.report.blocks import Block, Section, TableBlock, Text
from analysis.tables import Tables

TITLE = "Is the search reliable?"

MOST_HISTORY_ROWS = 100
"""Most rows of the table."""

NO_HYPERVOLUME = "The hypervolume stays 0: no point beats both trivial models."

ONE_RUN = (
    "The hypervolume of the best of many noisy values never falls, so its rise does not show that a longer "
    "search would find more. The same values selected the front: fresh seeds would give less. This is one "
    "search. To see how far another of the same length comes, run it with other seeds (`--set search.seed=1 "
    "--set name=…`) and `study report` them together."
)


def search(tables: Tables) -> Section:
    """The shares of the hypervolume that parts of the work reached, the figure and its data."""
    grown = growth(tables)
    if not len(grown):
        return Section("search", TITLE, [Text("No trial has ended, so there is no progress to show.")])
    last = float(grown["hypervolume"].iloc[-1])
    if not last > 0:
        return Section("search", TITLE, [Text(NO_HYPERVOLUME)])
    spent = float(grown["epochs"].iloc[-1])
    half, late = (at_epochs(grown, np.array([0.5, 0.75]) * spent) / last).tolist()
    answer = (
        f"The first half of the member-epochs reached {text.percent(half)} of the final hypervolume, "
        f"{text.volume(last)}; the last quarter added {text.percent(1 - late)}."
    )
    blocks: list[Block] = [Text(answer, "answer"), draw(grown, drawn_at_random(tables)), _data(grown)]
    blocks.append(Text(ONE_RUN))
    numbers = {"hypervolume": last, "at_half": half, "at_three_quarters": late}
    return Section("search", TITLE, blocks, numbers)


def _data(grown: pd.DataFrame) -> TableBlock:
    """Table of the trials at which the hypervolume rose, and of the last."""
    rose = grown["hypervolume"].diff().fillna(grown["hypervolume"]) > 0
    rows = spaced(grown[rose | (np.arange(len(grown)) == len(grown) - 1)], MOST_HISTORY_ROWS)
    raised = int(rose.loc[rows.index].sum())
    columns = ("trial", "trials ended", "member-epochs", "time", "hypervolume")
    cells = [
        [
            *(text.whole(row[name]) for name in ("trial", "trials", "epochs")),
            *(text.duration(row["wall_s"]), text.volume(row["hypervolume"])),
        ]
        for row in rows.to_dict("records")
    ]
    caption = (
        f"Data of the figure: the hypervolume at {text.count(raised, 'trial')} that raised it, and at the end"
    )
    return TableBlock(caption, columns, cells, numeric=frozenset(columns), folded=True)
