"""Is the search reliable? Its hypervolume against trials, member-epochs and time."""

import numpy as np

from analysis import text
from analysis.progress import Progress, progress
from analysis.search_figure import search as draw
from analysis.sections import Block, Grid, Section, Text
from analysis.tables import Tables

TITLE = "Is the search reliable?"

ENOUGH = 8
"""Trials from which on the end of the curve is spoken of."""

ONE_RUN = (
    "This is one search. How far another of the same length would come cannot be seen from it: run it with "
    "other seeds (`--set search.seed=1 --set name=…`) and compare. The values are those that chose the "
    "front, so the hypervolume is larger than fresh seeds would give."
)


def search(tables: Tables) -> Section:
    """Whether the hypervolume still rose at the end, the figure and its data."""
    found = progress(tables)
    if found is None:
        return Section("search", TITLE, [Text("No trial has ended, so there is no progress to show.")])
    if not found.hypervolume[-1] > 0:
        return Section(
            "search", TITLE, [Text("The hypervolume stays 0: no point beats both trivial models.")]
        )
    half, late = found.reached(0.5), found.reached(0.75)
    ended = int(found.trials[-1])
    said = (
        f"Half of the member-epochs gave {half:.1%} of the final hypervolume, {found.hypervolume[-1]:.3g}; "
        f"the last quarter added {1 - late:.1%} of it"
    )
    if ended < ENOUGH:
        said += f", but {text.count(ended, 'trial')} show no trend."
    else:
        said += ": longer would still gain." if late < 0.99 else ": longer would gain little."
    blocks: list[Block] = [Text(said, "answer"), draw(found), _data(found), Text(ONE_RUN)]
    numbers = {"hypervolume": float(found.hypervolume[-1]), "at_half": half, "at_three_quarters": late}
    return Section("search", TITLE, blocks, numbers)


def _data(found: Progress) -> Grid:
    """The moments at which the hypervolume had risen, and the last."""
    rose = np.append(np.diff(found.hypervolume) > 0, False)
    rows = [
        (
            text.whole(trials),
            text.whole(epochs),
            text.duration(seconds),
            text.Number(f"{volume:.4g}", volume),
        )
        for trials, epochs, seconds, volume, shown in zip(
            found.trials.tolist(),
            found.member_epochs.tolist(),
            found.seconds.tolist(),
            found.hypervolume.tolist(),
            np.append(False, rose[:-1]) | (np.arange(len(rose)) == len(rose) - 1),
            strict=True,
        )
        if shown
    ]
    columns = ("trials ended", "member-epochs", "time", "hypervolume")
    caption = "Data of the figure: the hypervolume wherever it rose, and at the end"
    return Grid(caption, columns, rows, numeric=frozenset(columns), folded=True)
